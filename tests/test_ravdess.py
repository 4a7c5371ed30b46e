import hashlib
import io
import logging
import os
import stat
import threading
import zipfile
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf

from ser.core.errors import SerError
from ser.data.audio import read_audio
from ser.data.corpora import EMOTIONS, download, ravdess
from ser.data.corpora.download import Archive, fetch, unpack

NAMES = ("03-01-01-01-01-01-01", "03-01-05-02-02-01-02", "03-01-08-01-01-02-10")


def clip_bytes(name, format="WAV"):
    buffer = io.BytesIO()
    y = np.random.default_rng(len(name)).uniform(-0.5, 0.5, 4800)
    sf.write(buffer, y, 48000, format=format)
    return buffer.getvalue()


def put(root, name, suffix=".wav", folder=None):
    folder = root / (f"Actor_{name[-2:]}" if folder is None else folder)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}{suffix}").write_bytes(clip_bytes(name, suffix[1:].upper()))
    return folder / f"{name}{suffix}"


def zipped(entries=None):
    """A zip of RAVDESS clips, or of the given (name or ZipInfo, bytes)."""
    entries = entries or [(f"Actor_{n[-2:]}/{n}.wav", clip_bytes(n)) for n in NAMES]
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in entries:
            file.writestr(name, content)
    return buffer.getvalue()


def names_in(folder):
    return [path.name for path in folder.iterdir()]


# File names


@pytest.mark.parametrize(
    ("stem", "words"),
    [
        ("03-01-01-01-01-01-01", ("audio-only", "speech", "neutral", "normal", 1, 1, 1, "male")),
        ("03-01-02-02-02-01-02", ("audio-only", "speech", "calm", "strong", 2, 1, 2, "female")),
        ("02-01-06-01-02-01-12", ("video-only", "speech", "fearful", "normal", 2, 1, 12, "female")),
        ("01-02-04-02-01-02-23", ("full-av", "song", "sad", "strong", 1, 2, 23, "male")),
        (
            "03-01-08-02-02-02-24",
            ("audio-only", "speech", "surprised", "strong", 2, 2, 24, "female"),
        ),
    ],
)
def test_parse_name_follows_the_published_grammar(stem, words):
    clip = ravdess.parse_name(stem)
    assert tuple(clip.values()) == words
    assert " ".join(clip) == (
        "modality channel emotion intensity statement repetition actor gender"
    )


@pytest.mark.parametrize(
    "stem",
    [
        "",
        "clip",
        "03-01-01-01-01-01",
        "03-01-01-01-01-01-01-01",
        "3-1-1-1-1-1-1",
        "04-01-01-01-01-01-01",
        "03-00-01-01-01-01-01",
        "03-01-09-01-01-01-01",
        "03-01-03-03-01-01-01",
        "03-01-03-01-03-01-01",
        "03-01-03-01-01-03-01",
        "03-01-03-01-01-01-25",
        "03-01-03-01-01-01-00",
        "03-01-01-02-01-01-01",  # strong neutral
        "03-01-03-01-01-01-01 (2)",
        "03_01_03_01_01_01_01",
    ],
)
def test_parse_name_rejects_other_names(stem):
    with pytest.raises(SerError, match="is not a RAVDESS name"):
        ravdess.parse_name(stem)


# Clip table


@pytest.mark.parametrize("suffix", [".wav", ".flac"])
@pytest.mark.parametrize("folder", [None, "", "Audio Speech/deep/er"])
def test_load_order_is_that_of_the_published_tree(tmp_path, suffix, folder):
    for name in reversed(NAMES):
        put(tmp_path, name, suffix, folder)
    table = ravdess.load(tmp_path, download=False)
    assert [Path(p).name for p in table["path"]] == [n + suffix for n in NAMES]
    assert list(table.columns) == [
        *("path", "modality", "channel", "emotion", "intensity", "statement", "repetition"),
        *("actor", "gender", "duration", "sr"),
    ]
    assert list(table.index) == [0, 1, 2]
    assert list(table["emotion"]) == ["neutral", "angry", "surprised"]
    assert list(table["actor"]) == [1, 2, 10]
    assert list(table["duration"]) == [0.1] * 3 and list(table["sr"]) == [48000] * 3


def test_load_leaves_out_song_video_and_hidden_files(tmp_path, caplog):
    put(tmp_path, NAMES[0])
    put(tmp_path, "03-02-03-01-01-01-01")
    put(tmp_path, "01-01-03-01-01-01-01")
    (tmp_path / "Actor_01/02-01-03-01-01-01-01.mp4").write_bytes(b"video")
    (tmp_path / "Actor_01/._03-01-03-01-01-01-01.wav").write_bytes(b"AppleDouble")
    put(tmp_path, NAMES[0], folder=".trash")
    with caplog.at_level(logging.WARNING):
        assert len(ravdess.load(tmp_path, download=False)) == 1
    assert "incomplete: 1 clips of 1440" in caplog.text


def test_load_names_a_file_out_of_the_grammar(tmp_path):
    put(tmp_path, NAMES[0])
    (tmp_path / "notes.wav").write_bytes(b"")
    with pytest.raises(SerError, match=r"notes\.wav: .* is not a RAVDESS name"):
        ravdess.load(tmp_path)


@pytest.mark.parametrize(("suffix", "folder"), [(".flac", None), (".wav", "again/Actor_01")])
def test_load_names_both_files_of_a_clip_there_twice(tmp_path, suffix, folder):
    first, second = put(tmp_path, NAMES[0]), put(tmp_path, NAMES[0], suffix, folder)
    with pytest.raises(SerError) as caught:
        ravdess.load(tmp_path)
    assert str(first) in str(caught.value) and str(second) in str(caught.value)


def test_load_unpacks_a_zip_in_the_root_once(tmp_path):
    (tmp_path / "any name.zip").write_bytes(zipped())
    (tmp_path / "another.zip").write_bytes(zipped([("readme.txt", b"text")]))
    first = ravdess.load(tmp_path, download=False)
    assert len(first) == 3
    (tmp_path / "any name.zip").unlink()
    assert ravdess.load(tmp_path, download=False).equals(first)


def test_load_names_a_zip_that_cannot_be_read(tmp_path):
    (tmp_path / "cut.zip").write_bytes(zipped()[:500])
    with pytest.raises(SerError, match=r"cut\.zip is not a readable zip"):
        ravdess.load(tmp_path)


# Unpacking


def link_entry():
    entry = zipfile.ZipInfo("Actor_01/link.wav")
    entry.external_attr = (stat.S_IFLNK | 0o777) << 16
    return entry, b"/etc/passwd"


def encrypted():
    data = bytearray(zipped([("a.wav", b"abc")]))
    data[data.index(b"PK\x01\x02") + 8] |= 1  # the flags in the central directory
    return bytes(data)


def damaged():
    data = bytearray(zipped([("a.wav", os.urandom(5000))]))
    data[2000] ^= 0xFF
    return bytes(data)


def longer_than_declared():
    data = bytearray(zipped([("a.wav", os.urandom(5000))]))
    at = data.index(b"PK\x01\x02") + 24  # the size in the central directory
    data[at : at + 4] = (100).to_bytes(4, "little")
    return bytes(data)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (zipped([("ok.wav", b"a"), ("../out.wav", b"b")]), r"'\.\./out\.wav' leads out"),
        (zipped([("a/../../out.wav", b"b")]), "leads out"),
        (zipped([("/tmp/out.wav", b"b")]), "absolute path"),
        (zipped([("C:/out.wav", b"b")]), "drive letter"),
        (zipped([("..\\out.wav", b"b")]), "absolute path"),
        (zipped([link_entry()]), "link"),
        (zipped([("a.wav", b"a"), ("A.WAV", b"b")]), "twice"),
        (encrypted(), "encrypted"),
        (zipped([("bomb.wav", bytes(10**7))]), r"grow from \d+ to 10000000 bytes"),
        (damaged(), "corrupt"),
        (longer_than_declared(), "corrupt"),
        (zipped()[:2000], "corrupt"),
        (b"not a zip", "corrupt"),
    ],
)
def test_unpack_rejects_a_harmful_zip_and_leaves_nothing(tmp_path, data, message):
    root = tmp_path / "root"
    root.mkdir()
    (root / "corpus.zip").write_bytes(data)
    with pytest.raises(SerError, match=message):
        unpack(root / "corpus.zip", root)
    assert names_in(root) == ["corpus.zip"] and names_in(tmp_path) == ["root"]


def test_unpack_bounds_the_whole(tmp_path, monkeypatch):
    monkeypatch.setattr(download, "MAX_UNPACKED", 1000)
    (tmp_path / "corpus.zip").write_bytes(zipped())
    with pytest.raises(SerError, match="1000 bytes are allowed"):
        unpack(tmp_path / "corpus.zip", tmp_path)


def test_unpack_keeps_a_folder_that_is_there(tmp_path):
    (tmp_path / "corpus.zip").write_bytes(zipped())
    assert unpack(tmp_path / "corpus.zip", tmp_path, progress=False) == tmp_path / "corpus"
    with pytest.raises(SerError, match="exists"):
        unpack(tmp_path / "corpus.zip", tmp_path)


def test_unpack_killed_midway_shows_nothing(tmp_path, monkeypatch):
    (tmp_path / "corpus.zip").write_bytes(zipped())
    shown = []

    def interrupt(source, file, length):
        shown.extend(p.name for p in tmp_path.iterdir() if not p.name.startswith("."))
        raise KeyboardInterrupt

    monkeypatch.setattr(download.shutil, "copyfileobj", interrupt)
    with pytest.raises(KeyboardInterrupt):
        unpack(tmp_path / "corpus.zip", tmp_path)
    assert shown == ["corpus.zip"]


# Download


@contextmanager
def server(data, *, ranges=True, cut_at=None, status=None):
    """A web server with one file; `cut_at` ends the first answer after as many bytes."""
    asked = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.headers.get("Range"))
            start = int(self.headers["Range"][6:-1]) if ranges and self.headers["Range"] else 0
            if status or start >= len(data):
                return self.send_error(status or 416)
            self.send_response(206 if ranges else 200)
            self.send_header("Content-Length", str(len(data) - start))
            self.end_headers()
            end = cut_at if len(asked) == 1 else None
            self.wfile.write(data[start:end])

        def log_message(self, *_):
            pass

    httpd = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=httpd.serve_forever, kwargs={"poll_interval": 0.01}).start()
    try:
        yield f"http://127.0.0.1:{httpd.server_port}/corpus.zip?download=1", asked
    finally:
        httpd.shutdown()
        httpd.server_close()


def expected(data):
    return {"md5": hashlib.md5(data).hexdigest(), "size": len(data)}


def test_load_fetches_and_unpacks_what_is_not_there(tmp_path, monkeypatch):
    data = zipped()
    with server(data) as (url, asked):
        monkeypatch.setattr(ravdess, "ARCHIVE", Archive(url, "speech.zip", **expected(data)))
        first = ravdess.load(tmp_path / "new" / "root")
        assert ravdess.load(tmp_path / "new" / "root").equals(first)
    assert list(first["actor"]) == [1, 2, 10] and len(asked) == 1


@pytest.mark.parametrize("ranges", [True, False])
def test_fetch_goes_on_after_a_cut(tmp_path, ranges):
    data = os.urandom(500_000)
    with server(data, ranges=ranges, cut_at=300_000) as (url, asked):
        with pytest.raises(SerError, match=r"Could not fetch .* of 500000 bytes are kept"):
            fetch(url, tmp_path / "a.zip", **expected(data))
        kept = (tmp_path / "a.zip.part").stat().st_size
        assert 200_000 < kept <= 300_000 and not (tmp_path / "a.zip").exists()
        assert fetch(url, tmp_path / "a.zip", **expected(data)) == tmp_path / "a.zip"
        assert fetch(url, tmp_path / "a.zip", **expected(data)).read_bytes() == data
    assert asked == ["bytes=0-", f"bytes={kept}-"]
    assert names_in(tmp_path) == ["a.zip"]


@pytest.mark.parametrize("wrong", [{"md5": "0" * 32}, {"size": 999}, {"size": 1001}])
def test_fetch_removes_what_is_wrong(tmp_path, wrong):
    data = os.urandom(1000)
    right = expected(data)
    with server(data) as (url, _), pytest.raises(SerError) as caught:
        fetch(url, tmp_path / "a.zip", **(right | wrong))
    message = str(caught.value)
    assert url in message and str(*wrong.values()) in message
    assert f"1000 bytes with md5 {right['md5']}" in message
    assert names_in(tmp_path) == []


def test_fetch_starts_afresh_where_the_part_is_beyond_the_file(tmp_path):
    data = os.urandom(1000)
    (tmp_path / "a.zip.part").write_bytes(bytes(1000))
    with server(data) as (url, _), pytest.raises(SerError, match="416"):
        fetch(url, tmp_path / "a.zip", md5="0" * 32, size=2000)
    assert (tmp_path / "a.zip.part").stat().st_size == 0


def test_fetch_tells_the_status_of_the_server(tmp_path):
    with server(b"data", status=503) as (url, _), pytest.raises(SerError, match="503"):
        fetch(url, tmp_path / "a.zip", md5="0" * 32, size=4)


def test_load_offline_says_what_to_do(tmp_path, monkeypatch):
    with server(b"") as (url, _):
        pass  # nobody listens there any more
    monkeypatch.setattr(ravdess, "ARCHIVE", Archive(url, "speech.zip", 10, "0" * 32))
    for allowed in (True, False):
        with pytest.raises(SerError) as caught:
            ravdess.load(tmp_path / "root", download=allowed)
        for words in (str(tmp_path / "root"), url, "data.root=", "data=demo"):
            assert words in str(caught.value)


# The real corpus


@pytest.mark.ravdess
@pytest.mark.skipif("SER_RAVDESS_ROOT" not in os.environ, reason="SER_RAVDESS_ROOT is not set")
def test_load_real_corpus():
    table = ravdess.load(os.environ["SER_RAVDESS_ROOT"], download=False)
    assert len(table) == 1440 and table["actor"].nunique() == 24
    assert (table.groupby("actor").size() == 60).all()
    assert table["emotion"].value_counts().to_dict() == {
        emotion: 96 if emotion == "neutral" else 192 for emotion in EMOTIONS
    }
    assert table["duration"].sum() == pytest.approx(5329, abs=0.5) and set(table["sr"]) == {48000}
    stereo = [path for path in table["path"] if sf.info(path).channels == 2]
    assert len(stereo) == 5
    for path in stereo:
        both, _ = sf.read(path, dtype="float32")
        np.testing.assert_array_equal(read_audio(path)[0], both.mean(axis=1))
