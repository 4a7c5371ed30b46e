"""Hostile archives and servers: each is refused or harmless, and what is refused leaves nothing."""

import gzip
import hashlib
import io
import os
import re
import stat
import struct
import threading
import zipfile
import zlib
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from ser.core.errors import SerError
from ser.data.corpora import download, ravdess
from ser.data.corpora.download import fetch, unpack

SOUND = b"RIFF sound " * 20
CLIP = "Actor_01/03-01-01-01-01-01-01.wav"


def zipped(*entries, method=zipfile.ZIP_DEFLATED):
    """A zip of names, or of (name or ZipInfo, bytes)."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as file:
        for entry in entries:
            name, content = entry if isinstance(entry, tuple) else (entry, SOUND)
            file.writestr(name, content)
    return buffer.getvalue()


def entry(name, *, mode=0, system=3):
    """An entry of a Unix mode; `name` is not mended, as ZipInfo would."""
    info = zipfile.ZipInfo("placeholder")
    info.filename = info.orig_filename = name
    info.create_system, info.external_attr = system, mode << 16
    return info, SOUND


def by_hand(name, flags=0):
    """A zip of one stored entry whose name is these bytes, as no writer would have it."""
    crc, size = zlib.crc32(SOUND), len(SOUND)
    fields = struct.pack("<HHHHHIIIHH", 20, flags, 0, 0, 33, crc, size, size, len(name), 0)
    body = b"PK\x03\x04" + fields + name + SOUND
    directory = b"PK\x01\x02\x14\0" + fields + bytes(14) + name
    end = struct.pack("<HHHHIIH", 0, 0, 1, 1, len(directory), len(body), 0)
    return body + directory + b"PK\x05\x06" + end


def in_directory(data, offset, content):
    """Overwrite a field of the first entry in the central directory."""
    at = data.index(b"PK\x01\x02") + offset
    return data[:at] + content + data[at + len(content) :]


def zip64_claiming(size):
    """A stored entry whose zip64 sizes, in the central directory, are not true."""
    data = zipped("a.wav", method=zipfile.ZIP_STORED)
    at, end = data.index(b"PK\x01\x02"), data.index(b"PK\x05\x06")
    extra = struct.pack("<HHQQ", 1, 16, size, size)
    directory = bytearray(data[at:end])
    directory[20:28] = b"\xff" * 8
    directory[30:32] = struct.pack("<H", len(extra))
    directory += extra
    last = bytearray(data[end:])
    last[12:16] = struct.pack("<I", len(directory))
    return data[:at] + bytes(directory) + bytes(last)


def overlapping(n_entries, size):
    """Many entries that share one packed content, as in the quoted bombs of Fifield (2019)."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    content = bytes(size)
    packed = packer.compress(content) + packer.flush()
    sizes = struct.pack("<III", zlib.crc32(content), len(packed), size)
    local = b"PK\x03\x04" + struct.pack("<HHHHH", 20, 0, 8, 0, 33) + sizes
    body = local + struct.pack("<HH", 1, 0) + b"0" + packed
    directory = b"".join(
        b"PK\x01\x02"
        + struct.pack("<HHHHHH", 20, 20, 0, 8, 0, 33)
        + sizes
        + struct.pack("<HHHHHII", 5, 0, 0, 0, 0, 0, 0)
        + f"{number:05d}".encode()
        for number in range(n_entries)
    )
    counts = struct.pack("<HHHH", 0, 0, n_entries, n_entries)
    return (
        body
        + directory
        + b"PK\x05\x06"
        + counts
        + struct.pack("<IIH", len(directory), len(body), 0)
    )


NFC, NFD = "\N{LATIN SMALL LETTER E WITH ACUTE}.wav", "e\N{COMBINING ACUTE ACCENT}.wav"

REFUSED = {
    "a file and a folder of one name": (zipped("a", ("a/", b"")), "twice"),
    "a file below a file": (zipped("a", "a/b.wav"), "Could not unpack"),
    "a file in the place of a folder": (zipped("a/b.wav", "a"), "Could not unpack"),
    "a name of 300 bytes": (zipped("x" * 300), "Could not unpack"),
    "a path of 60000 bytes": (zipped("d/" * 30_000 + "a.wav"), "Could not unpack"),
    "accents in two ways": (zipped(NFC, NFD), "twice"),
    "case beyond ASCII": (
        zipped("\N{LATIN SMALL LETTER SHARP S}", "SS"),
        "twice",
    ),
    "dots at the end": (zipped("a.wav", "a.wav.."), "twice"),
    "spaces at the end of a folder": (zipped("a/b.wav", "a  /b.wav"), "twice"),
    "./x and x": (zipped("x.wav", "./x.wav"), "twice"),
    "a//b and a/b": (zipped("a/b.wav", "a//b.wav"), "twice"),
    "dots and a space": (zipped(".. /a.wav"), "leads out"),
    "three dots": (zipped("a/.../b.wav"), "leads out"),
    "no name": (by_hand(b""), "has no name"),
    "a NUL before the name": (by_hand(b"\0a.wav"), "has no name"),
    "UTF-8 that is none": (by_hand(b"\xff\xfe.wav", flags=0x800), "corrupt"),
    "a stream of another file (NTFS)": (zipped("a:stream"), "drive letter"),
    "a path to another computer": (zipped("\\\\host\\share\\a.wav"), "absolute path"),
    "a path that has a drive": (zipped("c:a.wav"), "drive letter"),
    "a device": (zipped(entry("a", mode=stat.S_IFCHR | 0o666)), "a link or a device"),
    "a block device": (zipped(entry("a", mode=stat.S_IFBLK | 0o666)), "a link or a device"),
    "a pipe": (zipped(entry("a", mode=stat.S_IFIFO | 0o666)), "a link or a device"),
    "a socket": (zipped(entry("a", mode=stat.S_IFSOCK | 0o666)), "a link or a device"),
    "a link that says it is from DOS": (
        zipped(entry("a", mode=stat.S_IFLNK | 0o777, system=0)),
        "a link or a device",
    ),
    "a folder that is a link": (zipped(entry("a/", mode=stat.S_IFLNK | 0o777)), "a link"),
    "a bomb of one content under many names": (overlapping(1000, 10**7), "would grow"),
    "a bomb that claims to be small": (
        in_directory(zipped(("a", bytes(10**7))), 24, struct.pack("<I", 1000)),
        "corrupt",
    ),
    "zip64, 2^63 bytes": (zip64_claiming(2**63), "would grow"),
    "zip64, a few bytes more": (zip64_claiming(500), "corrupt"),
    "zip64 without its sizes": (
        in_directory(zip64_claiming(500), 30, struct.pack("<H", 4)),
        "corrupt",
    ),
    "an unknown method": (in_directory(zipped("a"), 10, struct.pack("<H", 77)), "corrupt"),
    "a newer version": (in_directory(zipped("a"), 6, struct.pack("<H", 99)), "corrupt"),
    "a header beyond the end": (in_directory(zipped("a"), 42, struct.pack("<I", 2**31)), "corrupt"),
    "another name in the header": (by_hand(b"a.wav").replace(b"a.wav", b"b.wav", 1), "corrupt"),
    "LZMA that is none": (
        in_directory(zipped("a", method=zipfile.ZIP_STORED), 10, struct.pack("<H", 14)),
        "corrupt",
    ),
    "BZIP2 that is none": (
        in_directory(zipped("a", method=zipfile.ZIP_STORED), 10, struct.pack("<H", 12)),
        "Could not unpack",
    ),
    "a wrong checksum": (in_directory(zipped("a"), 16, bytes(4)), "corrupt"),
    "a directory that is elsewhere": (zipped("a")[:-6] + b"\xff" * 4 + b"\0\0", "c.zip"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_unpack_refuses_and_leaves_nothing(case, tmp_path):
    data, message = REFUSED[case]
    root = tmp_path / "outer" / "root"
    root.mkdir(parents=True)
    (root / "c.zip").write_bytes(data)
    with pytest.raises(SerError, match=re.escape(message)) as caught:
        unpack(root / "c.zip", root, progress=False)
    assert "c.zip" in str(caught.value)
    assert everything(tmp_path) == ["outer", "outer/root", "outer/root/c.zip"]


HARMLESS = {
    "set-user-id and set-group-id": (zipped(entry("a.wav", mode=stat.S_IFREG | 0o6777)), ["a.wav"]),
    "no permissions": (zipped(entry("a.wav", mode=stat.S_IFREG)), ["a.wav"]),
    "a zip in a zip": (zipped(("inner.zip", zipped("../a.wav"))), ["inner.zip"]),
    "the folder itself": (zipped(("./", b""), "./a.wav"), ["a.wav"]),
    "a folder twice, with and without an entry": (zipped("a/b", "a/c"), ["a", "a/b", "a/c"]),
    "a NUL in the name": (by_hand(b"a.wav\0/../b"), ["a.wav"]),
    "names of devices": (zipped("CON", "nul.wav", "COM1"), ["COM1", "CON", "nul.wav"]),
    "a name of spaces and dashes": (zipped("- a.wav"), ["- a.wav"]),
    "a newline and an escape": (zipped("a\n\x1b[31m.wav"), ["a\n\x1b[31m.wav"]),
    "no entries": (zipped(), []),
    "bytes before the zip": (b"MZ" * 50 + zipped("a.wav"), ["a.wav"]),
}


@pytest.mark.parametrize("case", HARMLESS)
def test_unpack_writes_plain_files_into_its_folder(case, tmp_path):
    data, expected = HARMLESS[case]
    (tmp_path / "c.zip").write_bytes(data)
    folder = unpack(tmp_path / "c.zip", tmp_path, progress=False)
    assert everything(folder) == expected
    assert everything(tmp_path) == sorted(["c", "c.zip", *(f"c/{name}" for name in expected)])
    for path in folder.rglob("*"):
        mode = path.lstat().st_mode
        assert path.is_dir() or (stat.S_ISREG(mode) and not mode & 0o7111)


def test_unpack_bounds_the_entries(tmp_path, monkeypatch):
    monkeypatch.setattr(download, "MAX_ENTRIES", 2)
    (tmp_path / "c.zip").write_bytes(zipped("a", "b", "d"))
    with pytest.raises(SerError, match="has 3 entries, at most 2"):
        unpack(tmp_path / "c.zip", tmp_path)
    assert everything(tmp_path) == ["c.zip"]


def test_unpack_follows_a_root_that_is_a_link(tmp_path):
    (tmp_path / "disk").mkdir()
    (tmp_path / "disk" / "c.zip").write_bytes(zipped("a.wav"))
    (tmp_path / "root").symlink_to("disk")
    assert unpack(tmp_path / "root" / "c.zip", tmp_path / "root") == tmp_path / "root" / "c"
    assert everything(tmp_path / "disk") == ["c", "c.zip", "c/a.wav"]


@pytest.mark.parametrize("target", ["elsewhere", "gone"])
def test_unpack_does_not_write_through_a_link_in_its_place(tmp_path, target):
    root = tmp_path / "root"
    root.mkdir()
    (tmp_path / "elsewhere").mkdir()
    (root / "c.zip").write_bytes(zipped("a.wav"))
    (root / "c").symlink_to(tmp_path / target)
    with pytest.raises(SerError, match=r"exists|Could not unpack"):
        unpack(root / "c.zip", root)
    assert everything(tmp_path) == ["elsewhere", "root", "root/c", "root/c.zip"]


def test_unpack_wants_a_file(tmp_path):
    os.mkfifo(tmp_path / "pipe.zip")
    (tmp_path / "folder.zip").mkdir()
    for name in ("pipe.zip", "folder.zip", "missing.zip"):
        with pytest.raises(SerError, match=f"There is no file .*{name}"):
            unpack(tmp_path / name, tmp_path)


def test_corpus_folder_with_pipes_and_folders_named_as_zips(tmp_path):
    os.mkfifo(tmp_path / "a.zip")
    (tmp_path / "b.zip").mkdir()
    (tmp_path / "c.zip").write_bytes(zipped(CLIP))
    assert list(ravdess.load(tmp_path, download=False)["actor"]) == [1]


@pytest.mark.parametrize(
    "data", [by_hand(b"\xff\xfe.wav", flags=0x800), b"PK\x05\x06", b"", b"\0" * 99]
)
def test_corpus_folder_with_a_zip_that_cannot_be_read(data, tmp_path):
    (tmp_path / "c.zip").write_bytes(data)
    with pytest.raises(SerError, match=r"c\.zip is not a readable zip"):
        ravdess.load(tmp_path, download=False)


# Servers


@contextmanager
def server(answer):
    """A web server; `answer` gets the handler of each request."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            try:
                answer(self)
            except OSError:  # the client has had enough
                self.close_connection = True

        def log_message(self, *_):
            pass

    httpd = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=httpd.serve_forever, kwargs={"poll_interval": 0.01}).start()
    try:
        yield f"http://127.0.0.1:{httpd.server_port}/c.zip"
    finally:
        httpd.shutdown()
        httpd.server_close()


def respond(handler, status, data, **headers):
    handler.send_response(status)
    for name, value in headers.items():
        handler.send_header(name.replace("_", "-"), value)
    handler.end_headers()
    handler.wfile.write(data)


DATA = bytes(range(256)) * 1000
RIGHT = {"md5": hashlib.md5(DATA).hexdigest(), "size": len(DATA)}


def test_fetch_ends_what_a_server_does_not_end(tmp_path):
    sent = []

    def endless(handler):
        respond(handler, 200, b"")
        while True:
            handler.wfile.write(bytes(2**16))
            sent.append(2**16)

    with server(endless) as url, pytest.raises(SerError, match="is not what was expected"):
        fetch(url, tmp_path / "c.zip", **RIGHT)
    assert everything(tmp_path) == []


@pytest.mark.parametrize(
    "answer",
    [
        lambda handler: respond(handler, 200, DATA[:-1] + b"x", Content_Length=len(DATA)),
        lambda handler: respond(handler, 200, DATA[:-1], Content_Length=len(DATA) - 1),
        lambda handler: respond(handler, 206, DATA[5:] + bytes(5), Content_Length=len(DATA)),
        lambda handler: respond(handler, 200, gzip.compress(DATA), Content_Encoding="gzip"),
        lambda handler: respond(handler, 200, b"", Content_Length=0),
    ],
    ids=["other bytes", "a byte less", "another range", "packed", "nothing"],
)
def test_fetch_keeps_nothing_wrong_under_the_final_name(answer, tmp_path):
    with server(answer) as url:
        try:
            fetch(url, tmp_path / "c.zip", **RIGHT)
        except SerError as error:
            assert url in str(error) and not (tmp_path / "c.zip").exists()
        else:
            assert (tmp_path / "c.zip").read_bytes() == DATA


@pytest.mark.parametrize(
    "answer",
    [
        lambda handler: respond(handler, 302, b"", Location=handler.path),
        lambda handler: respond(handler, 302, b"", Location="file:///etc/passwd"),
        lambda handler: respond(handler, 302, b"", Location="http://["),
        lambda handler: respond(handler, 200, b"x", Content_Encoding="gzip"),
        lambda handler: respond(handler, 200, b"x", Content_Length="many"),
        lambda handler: respond(handler, 200, b"zz\r\nx", Transfer_Encoding="chunked"),
        lambda handler: handler.wfile.write(b"no HTTP at all\r\n\r\n"),
        lambda handler: handler.wfile.write(b"HTTP/1.1 200 OK\r\n" + b"x: y\r\n" * 1000),
        lambda handler: None,
    ],
    ids=[
        *("a circle", "to a file", "to nowhere", "not packed", "no length", "no chunks"),
        *("no HTTP", "too many headers", "silence"),
    ],
)
def test_fetch_says_what_a_broken_server_did(answer, tmp_path):
    with server(answer) as url, pytest.raises(SerError, match=re.escape(url)):
        fetch(url, tmp_path / "c.zip", **RIGHT)
    assert not (tmp_path / "c.zip").exists()


def test_fetch_leaves_a_folder_in_the_place_alone(tmp_path):
    (tmp_path / "c.zip").mkdir()
    with pytest.raises(SerError, match="which is a folder"):
        fetch("http://127.0.0.1:9/c.zip", tmp_path / "c.zip", **RIGHT)
    (tmp_path / "d.zip.part").mkdir()
    with pytest.raises(SerError, match="Could not fetch"):
        fetch("http://127.0.0.1:9/d.zip", tmp_path / "d.zip", **RIGHT)
    assert everything(tmp_path) == ["c.zip", "d.zip.part"]


def everything(folder):
    """Paths below a folder, sorted; links are not followed."""
    found = []
    for here, folders, files in os.walk(folder):
        found += [os.path.relpath(os.path.join(here, name), folder) for name in folders + files]  # noqa: PTH118
    return sorted(found)
