"""Bad and odd audio, made by code: what each kind is, and what becomes of it.

``python tests/faults/bad_audio.py`` prints the table of docs/bad-audio.md.
"""

import io
import os
import socket
import struct
from collections.abc import Callable, Iterator
from functools import cache
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

import numpy as np
import soundfile as sf

from ser.data.audio import MAX_BYTES, MAX_PEAK

SR = 16_000
N_SAMPLES = 8000


class Clip(NamedTuple):
    """It is read: as many samples, at this rate."""

    n_samples: int = N_SAMPLES
    sr: int = SR

    def __str__(self):
        return f"a clip: {self.n_samples} samples at {self.sr} Hz"


class Kind(NamedTuple):
    """One kind of file.

    `make` writes it into an empty folder and returns its path; `outcome` is a Clip, or a part of
    the cause that `AudioError` gives.
    """

    name: str
    make: Callable[[Path], str]
    outcome: Clip | str


def noise(n_samples=N_SAMPLES, channels=1):
    y = np.random.default_rng(0).uniform(-0.5, 0.5, (n_samples, channels))
    return y[:, 0] if channels == 1 else y


def encoded(y, format="WAV", subtype=None, sr=SR, endian=None):
    buffer = io.BytesIO()
    sf.write(buffer, y, sr, format=format, subtype=subtype, endian=endian)
    return buffer.getvalue()


@cache
def container(name):
    """A good file of each container."""
    long, longer = np.tile(noise(), 3), np.tile(noise(), 2)
    return {
        "WAV": lambda: encoded(noise()),
        "WAV of floats": lambda: encoded(noise(), subtype="FLOAT"),
        "RIFX": lambda: encoded(noise(), endian="BIG"),
        "RF64": lambda: encoded(noise(), "RF64"),
        "AIFF": lambda: encoded(noise(), "AIFF"),
        "FLAC": lambda: encoded(noise(), "FLAC"),
        "OGG": lambda: encoded(long, "OGG"),
        "Opus": lambda: encoded(long, "OGG", "OPUS"),
        "MP3": lambda: encoded(longer, "MP3"),
    }[name]()


def kinds():
    """All of them."""
    return [
        *_truncations(),
        *_sizes(),
        *_headers(),
        *_lengths(),
        *_encodings(),
        *_containers(),
        *_samples(),
        *_rates(),
        *_no_files(),
        *_file_names(),
    ]


def table():
    """Markdown: kinds that follow each other and end alike | outcome."""
    rows = [
        f"| {'; '.join(kind.name for kind in alike)} | {outcome} |"
        for outcome, alike in groupby(kinds(), _shown)
    ]
    return "\n".join(["| kinds | outcome |", "|---|---|", *rows]) + "\n"


def _shown(kind):
    if isinstance(kind.outcome, Clip):
        return str(kind.outcome)
    return f"refused: \N{LEFT DOUBLE QUOTATION MARK}{kind.outcome}\N{RIGHT DOUBLE QUOTATION MARK}"


def _held(data, name="clip.wav"):
    """Maker of a file that holds `data`."""

    def make(folder):
        path = os.path.join(folder, name)  # noqa: PTH118  a name may be more than a name
        with open(path, "wb") as file:  # noqa: PTH123
            file.write(data() if callable(data) else data)
        return path

    return make


def _kind(name, data, outcome=None):
    return Kind(name, _held(data), Clip() if outcome is None else outcome)


def _patched(data, at, content):
    return data[:at] + content + data[at + len(content) :]


# Truncations: before, between and inside all parts of every container

NOT_AUDIO = "it is not readable as audio"
CORRUPT = "it is corrupt or cut short"
NO_LENGTH = "nobody can tell whether it is cut"
LFS_POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a2146\nsize 12345\n"
SECOND = "a second stream behind the first"
CUT_OGG = "it is cut short: its last page is not whole"


def _truncations():
    for name, order in {"WAV": "<", "WAV of floats": "<", "RIFX": ">", "RF64": "<"}.items():
        yield from _cut_chunks(name, order, wanted="data", headless="it holds no samples")
    yield from _cut_chunks("AIFF", ">", wanted="SSND", headless=NOT_AUDIO)
    yield from _cut(
        "FLAC",
        _flac_parts(container("FLAC")),
        _outcome_of_cut_flac,
    )
    for name in ("OGG", "Opus"):
        yield from _cut(name, _ogg_parts(container(name)), lambda where: CUT_OGG)
    yield from _cut(
        "MP3",
        _mp3_parts(container("MP3")),
        {
            "inside its first header": NOT_AUDIO,
            "after its first header": "it is cut short: its last frame is not whole",
            "half": "its header claims 30 frames and the file holds 13 of them",
            "a byte short": "its header claims 30 frames and the file holds 29 of them",
        }.get,
        "its header claims 30 frames and the file holds 0 of them",
    )


def _outcome_of_cut_flac(where):
    # Without its frames, libsndfile finds out when the first one is read.
    found_late = "frame" in where or where in ("before header 4", "a byte short")
    return CORRUPT if found_late else NOT_AUDIO


def _cut(name, parts, outcome, otherwise=None):
    data = container(name)
    for where, at in parts:
        yield _kind(f"{name} cut {where}", data[:at], outcome(where) or otherwise)


def _cut_chunks(name, order, *, wanted, headless):
    data = container(name)
    claimed = len(data) - data.index(wanted.encode()) - 8  # it stands last

    def outcome(where):
        if where == f"inside {wanted}" or where == "a byte short":
            return f"its header claims {claimed} bytes of samples and the file holds"
        if where == f"before the content of {wanted}":
            return f"its header claims {claimed} bytes of samples and the file holds 0"
        return headless if where == f"inside the size of {wanted}" else NOT_AUDIO

    yield from _cut(name, _chunk_parts(data, order), outcome)


def _chunk_parts(data, order) -> Iterator[tuple[str, int]]:
    yield "inside its first mark", 2
    yield "after its first mark", 4
    yield "inside its size", 6
    yield "after its size", 8
    yield "after its form", 12
    start = 12
    while start < len(data):
        mark, size = struct.unpack_from(f"{order}4sI", data, start)
        name, end = mark.decode().strip(), min(start + 8 + size, len(data))
        yield f"after the mark {name}", start + 4
        yield f"inside the size of {name}", start + 6
        yield f"before the content of {name}", start + 8
        yield f"inside {name}", (start + 8 + end) // 2
        yield (f"after {name}", end) if end < len(data) else ("a byte short", end - 1)
        start = end + end % 2


def _flac_parts(data) -> Iterator[tuple[str, int]]:
    yield "inside its mark", 2
    start, last = 4, False
    while not last:
        last, kind = data[start] & 0x80, data[start] & 0x7F
        size = int.from_bytes(data[start + 1 : start + 4])
        yield f"before header {kind}", start
        yield f"before block {kind}", start + 4
        yield f"inside block {kind}", start + 4 + size // 2
        start += 4 + size
    yield "before its frames", start
    yield "inside a frame's header", start + 3
    yield "half through its frames", (start + len(data)) // 2
    yield "a byte short", len(data) - 1


def _ogg_pages(data) -> Iterator[tuple[int, int, int]]:
    """Start, start of the body, and end of every page."""
    start = 0
    while start < len(data):
        body = start + 27 + data[start + 26]
        yield start, body, body + sum(data[start + 27 : body])
        start = body + sum(data[start + 27 : body])


def _ogg_parts(data) -> Iterator[tuple[str, int]]:
    for number, (start, body, end) in enumerate(_ogg_pages(data), start=1):
        yield f"inside the header of page {number}", start + 14
        yield f"before the lengths of page {number}", start + 27
        yield f"before the body of page {number}", body
        yield f"inside page {number}", (body + end) // 2
        yield (f"after page {number}", end) if end < len(data) else ("a byte short", end - 1)


def _mp3_parts(data) -> Iterator[tuple[str, int]]:
    second = data.index(data[:2], 4)
    yield from {
        "inside its first header": 3,
        "after its first header": 4,
        "inside its Xing header": 30,
        "after its first frame": second,
        "inside its second frame": second + 50,
        "half": len(data) // 2,
        "a byte short": len(data) - 1,
    }.items()


# Sizes and lengths that are not true


def _sizes():
    wav, aiff, flac, mp3 = (container(name) for name in ("WAV", "AIFF", "FLAC", "MP3"))
    size = 40  # of the chunk data
    for name, claimed, outcome in (
        ("0, as of a pipe", 0, NO_LENGTH),
        ("0xFFFFFFFF, as of a pipe", 2**32 - 1, NO_LENGTH),
        ("2 bytes too large", 16_002, "its header claims 16002 bytes of samples"),
        ("half of the truth", 8000, "its header claims fewer bytes of samples than there are"),
        ("odd", 15_999, Clip(7999)),
        ("1", 1, "its header claims fewer bytes of samples than there are"),
    ):
        data = _patched(wav, size, struct.pack("<I", claimed))
        yield _kind(f"WAV, size of data {name}", data, outcome)
    for name, claimed in (("0", 0), ("0xFFFFFFFF", 2**32 - 1), ("too small", 32)):
        yield _kind(f"WAV, size of RIFF {name}", _patched(wav, 4, struct.pack("<I", claimed)))
    for name, claimed in (("0", 0), ("14", 14), ("0xFFFFFFFF", 2**32 - 1)):
        data = _patched(wav, 16, struct.pack("<I", claimed))
        yield _kind(f"WAV, size of fmt {name}", data, NOT_AUDIO)
    endless = wav[:36] + b"LIST" + b"\xff" * 4 + wav[36:]
    yield _kind("WAV, a chunk of 4 GB before data", endless, NOT_AUDIO)
    at = aiff.index(b"SSND") + 4
    yield _kind("AIFF, size of SSND 0", _patched(aiff, at, bytes(4)), "claims 0 bytes")
    data = _patched(aiff, at, b"\xff" * 4)
    yield _kind("AIFF, size of SSND 0xFFFFFFFF", data, "claims 4294967295 bytes")
    at = aiff.index(b"COMM") + 10
    for claimed in (0, 9000):  # libsndfile goes by the bytes
        data = _patched(aiff, at, struct.pack(">I", claimed))
        yield _kind(f"AIFF, {claimed} frames in COMM", data)
    rf64 = container("RF64")
    data = _patched(rf64, 28, struct.pack("<Q", 2**40))
    yield _kind("RF64, a terabyte in ds64", data, "its header claims 1099511627776 bytes")
    unknown = _patched(flac, 21, bytes([flac[21] & 0xF0]) + bytes(4))
    yield _kind("FLAC without a length, as of a pipe", unknown, NO_LENGTH)
    data = _patched(flac, 22, struct.pack(">I", 4000))
    yield _kind("FLAC, half of its length", data, "its samples are not those of its MD5")
    data = _patched(flac, 22, struct.pack(">I", 9000))
    yield _kind("FLAC, more than its length", data, "it is corrupt or cut short")
    data = _patched(flac, 21, bytes([flac[21] | 0x0F]) + b"\xff" * 4)
    yield _kind("FLAC, 2^36 samples", data, "it is longer than 268435456 samples")
    data = _patched(flac, 26, bytes([flac[26] ^ 1]))
    yield _kind("FLAC of another MD5", data, "its samples are not those of its MD5")
    yield _kind("FLAC without an MD5", _patched(flac, 26, bytes(16)))
    at = mp3.index(b"Xing") + 8
    yield _kind(
        "MP3 that claims 41 minutes", _patched(mp3, at, struct.pack(">I", 103_114)), "claims"
    )
    data = _patched(mp3, at, struct.pack(">I", 1))
    yield _kind("MP3 that claims one frame", data, SECOND)
    frames = mp3[mp3.index(mp3[:2], 4) :]
    yield _kind("MP3 of varying bit rate without a Xing header", frames, Clip(17_280))
    cut = "it is cut short: its last frame is not whole"
    yield _kind("MP3 without a Xing header cut a byte short", frames[:-1], cut)
    cut = "it is corrupt or cut short: no frame starts at its byte"
    yield _kind("MP3 without a Xing header with a gap", _patched(frames, 2000, bytes(300)), cut)
    yield _kind("MP3 without a Xing header, its end lost", frames + bytes(5000), cut)
    free = bytes([*frames[:2], frames[2] & 0x0F]) + frames[3:]
    yield _kind("MP3 of the free format", free, "it is an MP3 of free format without a length")


def _headers():
    wav = container("WAV")
    yield _kind("WAV of 0 channels", _patched(wav, 22, b"\0\0"), NOT_AUDIO)
    yield _kind("WAV of 65535 channels", _patched(wav, 22, b"\xff\xff"), NOT_AUDIO)
    yield _kind("WAV of one channel that claims two", _patched(wav, 22, b"\2\0"), Clip(4000))
    yield _kind("WAV of 0 bits", _patched(wav, 34, b"\0\0"), NOT_AUDIO)
    yield _kind("WAV of 1000 bits", _patched(wav, 34, b"\xe8\3"), NOT_AUDIO)
    yield _kind("WAV, block align 0", _patched(wav, 32, b"\0\0"))
    yield _kind("WAV, block align 65535", _patched(wav, 32, b"\xff\xff"))
    yield _kind("WAV, byte rate 0", _patched(wav, 28, bytes(4)))
    yield _kind("WAV of an unknown codec", _patched(wav, 20, b"\xfe\xee"), NOT_AUDIO)
    yield _kind("WAV that holds MP3", _patched(wav, 20, b"\x55\0"), NOT_AUDIO)
    odd = b"JUNK" + struct.pack("<I", 3) + b"abc\0"
    yield _kind("WAV with odd chunks before and after", wav[:12] + odd + wav[12:] + odd)
    yield _kind("WAV with a kilobyte of zeros behind", wav + bytes(1024))
    yield _kind("OGG with junk behind", container("OGG") + b"TAG" + bytes(125), Clip(24_000))
    for name in ("WAV", "AIFF", "FLAC", "OGG", "Opus", "MP3"):
        yield _kind(f"{name} twice in one file", 2 * container(name), SECOND)
    for name, at, outcome in (
        ("FLAC", 8000, CORRUPT),
        ("OGG", 6000, "it is corrupt: its page 3 fails its checksum"),
        ("Opus", 4800, "it is corrupt: its page 4 fails its checksum"),
    ):
        data = container(name)
        damaged = _patched(data, at, bytes([data[at] ^ 0xFF]))
        yield _kind(f"{name} with a damaged byte", damaged, outcome)
    data = _patched(container("MP3"), 2000, bytes(300))
    yield _kind("MP3 with a gap", data, "its header claims 30 frames and the file holds 11")
    tag = b"ID3\x03\0\0\0\0\0\x0a" + bytes(10)
    yield _kind("MP3 behind an ID3 tag", tag + container("MP3"), Clip(16_000))
    yield _kind("MP3 with an ID3v1 tag", container("MP3") + b"TAG" + bytes(125), Clip(16_000))
    yield _kind("FLAC behind an ID3 tag", tag + container("FLAC"))
    # libsndfile would take the tag's length off the samples, and there is no check for a cut.
    yield _kind("WAV behind an ID3 tag", tag + wav, "it is WAV behind an ID3 tag")
    yield _kind("AIFF behind an ID3 tag", tag + container("AIFF"), "it is AIFF behind an ID3 tag")
    yield _kind("OGG behind an ID3 tag", tag + container("OGG"), NOT_AUDIO)
    yield _kind("an ID3 tag alone", tag, NOT_AUDIO)
    longer = b"ID3\x03\0\0\x7f\x7f\x7f\x7f" + container("MP3")
    yield _kind("an ID3 tag longer than the file", longer, NOT_AUDIO)


def _lengths():
    for name in ("WAV", "AIFF"):
        yield _kind(f"{name} of no samples", encoded(np.zeros(0), name), "it holds no samples")
    yield _kind("one sample", encoded(noise(1)), "1 samples are too few, at least 2048")
    yield _kind("2047 samples", encoded(noise(2047)), "2047 samples are too few, at least 2048")
    yield _kind("2048 samples", encoded(noise(2048)), Clip(2048))


def _encodings():
    for channels in (2, 208, 1024):
        data = encoded(noise(2048, channels), subtype="PCM_U8")
        yield _kind(f"{channels} channels", data, Clip(2048))
    for format, subtype in (
        *(("WAV", bits) for bits in ("PCM_U8", "PCM_24", "PCM_32", "FLOAT", "DOUBLE")),
        *(("WAV", codec) for codec in ("ALAW", "ULAW")),
        ("WAVEX", "PCM_16"),
        ("AIFF", "PCM_S8"),
        ("AIFF", "DOUBLE"),
        ("AIFF", "ULAW"),
        ("FLAC", "PCM_24"),
        ("RF64", "FLOAT"),
    ):
        yield _kind(f"{format} of {subtype}", encoded(noise(), format, subtype))
    for codec, n_samples in (("MS_ADPCM", 8096), ("IMA_ADPCM", 8136), ("GSM610", 8320)):
        yield _kind(f"WAV of {codec}", encoded(noise(), subtype=codec), Clip(n_samples))
    for name in ("RIFX", "RF64", "AIFF", "FLAC"):
        yield _kind(f"a good {name}", container(name))
    for name, n_samples in (("OGG", 24_000), ("Opus", 24_000), ("MP3", 16_000)):
        yield _kind(f"a good {name}", container(name), Clip(n_samples))


def _containers():
    """Of libsndfile's other containers none has a check for a cut, and few files try them."""
    for format in ("W64", "AU", "AVR", "VOC", "NIST", "MAT5"):
        yield _kind(f"{format}", encoded(noise(), format), NOT_AUDIO)
    yield _kind("8SVX, which starts as AIFF does", encoded(noise(), "SVX"), "it is SVX, not WAV")
    wav = container("WAV")
    for name, data, outcome in (
        ("AVI", _patched(wav, 8, b"AVI "), "it is AVI, which ser does not read"),
        ("MP4, as .m4a is", b"\0\0\0\x20ftypM4A " + bytes(4000), "'ffmpeg -i FILE clip.wav'"),
        ("WebM", b"\x1a\x45\xdf\xa3" + bytes(4000), "it is WebM or Matroska"),
        ("WMA", bytes.fromhex("3026b2758e66cf11") + bytes(4000), "it is Windows Media (WMA)"),
        ("AMR", b"#!AMR\n" + bytes(4000), "it is AMR"),
        ("AAC", b"\xff\xf1\x4c\x80" + bytes(4000), "it is AAC"),
        ("FLAC in OGG", b"OggS" + bytes(24) + b"\x7fFLAC" + bytes(400), "it is FLAC in OGG"),
        ("ZIP", b"PK\x03\x04" + bytes(4000), "it is a ZIP archive: unpack it"),
        ("bare samples", wav[44:], NOT_AUDIO),
        ("zeros", bytes(5000), NOT_AUDIO),
        ("0xFF all over", b"\xff" * 5000, NOT_AUDIO),
        ("text", b"not audio at all " * 500, "it is text"),
        ("HTML that a server sent", b"<!DOCTYPE html><html>" * 99, "it is a web page"),
        ("a Git LFS pointer", LFS_POINTER, "'git lfs pull'"),
        ("a git-annex pointer", b"/annex/objects/SHA256E-s1--1.wav\n", "'git annex get FILE'"),
        ("one byte", b"R", NOT_AUDIO),
    ):
        yield _kind(name, data, outcome)
    yield _kind("an empty file", b"", "the file is empty (0 bytes)")
    apple = b"\x00\x05\x16\x07\x00\x02\x00\x00Mac OS X" + bytes(200)
    yield Kind("AppleDouble, ._clip.wav", _held(apple, "._clip.wav"), "(AppleDouble)")

    def beside(folder):
        _held(apple, "._clip.mp3")(folder)
        return _held(container("MP3"), "clip.mp3")(folder)

    yield Kind("MP3 beside its AppleDouble", beside, Clip(16_000))
    for name, suffix, clip in (
        ("AIFF", "wav", Clip()),
        ("MP3", "wav", Clip(16_000)),
        ("WAV", "mp3", Clip()),
        ("FLAC", "ogg", Clip()),
    ):
        yield Kind(f"{name} named .{suffix}", _held(container(name), f"clip.{suffix}"), clip)


def _samples():
    y, t = noise(), np.arange(N_SAMPLES)
    odd = {"NaN": np.nan, "inf": np.inf, "-inf": -np.inf}
    for name, value in odd.items():
        data = encoded(np.where(t == 77, value, y), subtype="FLOAT")
        yield _kind(f"a sample of {name}", data, "it holds NaN or infinite samples")
    data = encoded(np.outer(y, [1, 1]) + np.array([np.inf, -np.inf]), subtype="FLOAT")
    yield _kind("inf on the left, -inf on the right", data, "it holds NaN or infinite samples")
    data = encoded(1e300 * y, subtype="DOUBLE")
    yield _kind("doubles beyond float32", data, "it holds NaN or infinite samples")
    data = encoded(3 * MAX_PEAK * y, subtype="FLOAT")
    yield _kind("floats up to 3e9", data, "full scale is 1")
    yield _kind("floats in the scale of 32-bit integers", encoded(MAX_PEAK * y, subtype="FLOAT"))
    yield _kind("floats up to 2", encoded(4 * y, subtype="FLOAT"))
    yield _kind("floats of full scale, 1.0", encoded(2 * y / np.abs(2 * y).max(), subtype="FLOAT"))
    yield _kind("floats of 1e-30", encoded(1e-30 * y, subtype="FLOAT"))
    yield _kind("floats of 1e-42, below normal ones", encoded(1e-42 * y, subtype="FLOAT"))
    yield _kind("a square wave at full scale", encoded(np.sign(y)))
    yield _kind("the highest frequency", encoded(0.5 * (-1.0) ** t))
    yield _kind("one sample of sound in silence", encoded(0.5 * (t == 4000)))
    yield _kind("sound in the last sample alone", encoded(0.5 * (t == t[-1])))
    yield _kind("a step", encoded(0.5 * (t > 4000)))
    yield _kind("the least sound of 16 bits", encoded(2.0**-15 * (t % 2)))
    yield _kind("noise on a large constant", encoded(0.9 + 1e-3 * y))
    for format in ("WAV", "AIFF", "FLAC", "OGG"):
        silent = encoded(np.zeros(N_SAMPLES), format)
        yield _kind(f"silence in {format}", silent, "it is silent: all samples are 0")
    yield _kind(
        "silence of -0.0", encoded(-np.zeros(N_SAMPLES), subtype="FLOAT"), "samples are 0 ("
    )
    for value in (0.5, -1.0):
        data = encoded(np.full(N_SAMPLES, value), subtype="FLOAT")
        yield _kind(f"a constant of {value}", data, f"it is silent: all samples are {value:g}")
    data = encoded(np.outer(y, [1, -1]), subtype="FLOAT")
    yield _kind("opposite channels", data, "it is silent: all samples are 0 (mixed to mono)")


def _rates():
    wav = container("WAV")
    for sr in (0, 2**31, 2**32 - 1):
        yield _kind(f"{sr} Hz", _patched(wav, 24, struct.pack("<I", sr)), NOT_AUDIO)
    for sr in (1, 8, 1000, 3999, 768_001, 2**31 - 1):
        data = _patched(wav, 24, struct.pack("<I", sr))
        yield _kind(f"{sr} Hz", data, f"its sampling rate is {sr} Hz, not in 4000 .. 768000")
    for sr in (4000, 4001, 8000, 11_025, 22_050, 44_100, 48_000, 96_000, 192_000, 767_999):
        yield _kind(f"{sr} Hz", _patched(wav, 24, struct.pack("<I", sr)), Clip(sr=sr))


# What is no file


def _no_files():
    def missing(folder):
        return os.path.join(folder, "missing.wav")  # noqa: PTH118

    def through_a_file(folder):
        return _held(container("WAV"))(folder) + "/clip.wav"

    def folder_of_that_name(folder):
        (folder / "clip.wav").mkdir()
        return str(folder / "clip.wav")

    def linked(target):
        def make(folder):
            (folder / "clip.wav").symlink_to(target)
            return str(folder / "clip.wav")

        return make

    def good_link(folder):
        (folder / "other").mkdir()
        return linked(_held(container("WAV"))(folder / "other"))(folder)

    def fifo(folder):
        os.mkfifo(folder / "clip.wav")
        return str(folder / "clip.wav")

    def bound_socket(folder):
        here = Path.cwd()
        os.chdir(folder)  # a socket's name has at most 107 bytes
        try:
            socket.socket(socket.AF_UNIX).bind("clip.wav")
        finally:
            os.chdir(here)
        return str(folder / "clip.wav")

    def unreadable(folder):
        path = _held(container("WAV"))(folder)
        Path(path).chmod(0)
        return path

    def sparse(folder):
        path = _held(container("WAV"))(folder)
        os.truncate(path, MAX_BYTES + 1)
        return path

    yield Kind("a missing file", missing, "there is no such file")
    yield Kind("a file below a file", through_a_file, "it cannot be read")
    yield Kind("a folder", lambda folder: str(folder), "it is a folder")
    yield Kind("a folder named clip.wav", folder_of_that_name, "it is a folder")
    yield Kind("a link to a good file", good_link, Clip())
    yield Kind("a broken link", linked("gone.wav"), "it is a link to gone.wav")
    annexed = ".git/annex/objects/gone.wav"
    yield Kind("a link that git-annex left", linked(annexed), "'git annex get FILE'")
    yield Kind("a link to itself", linked("clip.wav"), "it cannot be read")
    yield Kind("a link to its folder", linked("."), "it is a folder")
    yield Kind("a pipe that nobody writes to", fifo, "it is not a file")
    yield Kind("a socket", bound_socket, "it is not a file")
    yield Kind("a link to /dev/zero", linked("/dev/zero"), "it is not a file")
    yield Kind("a file whose reading fails", linked("/proc/self/mem"), "it cannot be read")
    yield Kind(UNREADABLE, unreadable, "it cannot be read ([Errno 13] Permission denied")
    yield Kind("a sparse file of 2 GiB", sparse, f"more than {MAX_BYTES}")


UNREADABLE = "a file that may not be read"


# Names


def _file_names():
    for name, called in {
        "a newline": "two\nlines.wav",
        "an emoji": "\N{SLIGHTLY SMILING FACE}.wav",
        "quotes": 'it\'s "quoted" `so`.wav',
        "a leading dash": "-rf.wav",
        "spaces": " a  b .wav",
        "glob characters": "[a]*?.wav",
        "percent signs": "%s%n%2e%2e.wav",
        "a backslash": "a\\b.wav",
        "a semicolon and a dollar sign": "a;$(id)&.wav",
        "HTML": "<img src=x onerror=alert(1)>.wav",
        "decomposed accents": "e\N{COMBINING ACUTE ACCENT}.wav",
        "text that runs from right to left": "\N{RIGHT-TO-LEFT OVERRIDE}vaw.exe.wav",
        "control characters": "\x01\x1b[31m\x7f.wav",
        "a tilde": "~root.wav",
        "no suffix": "clip",
        "255 bytes": "x" * 251 + ".wav",
        "bytes that are no text": os.fsdecode(b"\xff\xfe\xe9.wav"),
    }.items():
        yield Kind(f"a name with {name}", _held(container("WAV"), called), Clip())

    def long_path(folder):
        deep = folder
        while len(str(deep)) < 3000:
            deep = deep / ("d" * 200)
        deep.mkdir(parents=True)
        return _held(container("WAV"))(deep)

    def named(called):
        return lambda folder: os.path.join(folder, called)  # noqa: PTH118

    yield Kind("a path of 3000 bytes", long_path, Clip())
    yield Kind("a name of 256 bytes", named("x" * 252 + ".wav"), "it cannot be read")
    yield Kind("a path of 5000 bytes", named("x/" * 2500 + "clip.wav"), "it cannot be read")
    yield Kind("a name with a NUL", named("a\0b.wav"), "it cannot be read (embedded null byte")
    yield Kind("a name that is no Unicode", named("\ud800.wav"), "it cannot be read")


if __name__ == "__main__":
    print(table(), end="")
