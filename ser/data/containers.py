"""Whether an audio file is whole, and one, by its container: what libsndfile does not say.

It takes what is there of a cut or damaged WAV, AIFF or OGG, as many samples of a FLAC as its header
claims and of an MP3 as it guessed beforehand, and of several streams in a file the first.
"""

from __future__ import annotations

import struct
import zlib
from typing import NamedTuple

from ser.data import mpeg
from ser.data.file_bytes import Data, behind_zeros

NAMES = "WAV, FLAC, OGG, MP3 or AIFF"

# Container -> byte order and name of the chunk with the samples.
_CHUNKED = {
    b"RIFF": ("<", b"data"),
    b"RF64": ("<", b"data"),
    b"RIFX": (">", b"data"),
    b"FORM": (">", b"SSND"),
}
_OGG, _FLAC = b"OggS", b"fLaC"
_STREAMINFO = (b"\0\0\0\x22", b"\x80\0\0\x22")  # how the first block starts, the last one or not
_REVERSED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))
_NO_LENGTH = 0x7FFF_0000  # bytes; who writes into a pipe claims more, or 0
_NO_LENGTH_ADVICE = (
    "it was written into a pipe or not to its end, and nobody can tell whether it is cut: if it is "
    "whole, 'ffmpeg -i FILE whole.wav' gives it a length"
)
_MAX_JUNK = 4096  # bytes behind the samples that are no chunk


class Content(NamedTuple):
    """What libsndfile is given, and what must come out.

    Attributes
    ----------
    data : bytes or FileBytes
    n_samples : int or None
        Of one channel, where libsndfile knows no better.
    md5 : bytes or None
        Of a FLAC's samples, as its encoder computed it.
    """

    data: Data
    n_samples: int | None = None
    md5: bytes | None = None


def is_known(data: Data) -> bool:
    """Whether a file starts as one of the containers that `ser` reads."""
    return data.startswith((*_CHUNKED, _OGG, _FLAC, mpeg.ID3)) or mpeg.is_mpeg(data)


def content(data: Data) -> Content:
    """A file that is whole, as far as its container tells.

    Raises
    ------
    ValueError
        It is not; the error says why. What libsndfile finds out itself is left to it.
    """
    if data[:4] in _CHUNKED:
        _check_chunks(data)
    elif data.startswith(_OGG):
        _check_pages(data)
    else:
        start = mpeg.behind_tags(data)
        if data.startswith(_FLAC, start):
            return Content(data, md5=_check_flac(data, start))
        if mpeg.is_mpeg(data, start):
            return Content(*mpeg.whole_stream(data))
    return Content(data)


def _check_chunks(data: Data) -> None:
    """ValueError where the chunk of samples is not what its header says.

    See "Multimedia Programming Interface and Data Specifications 1.0" (RIFF), EBU Tech 3306 (RF64)
    and "Audio Interchange File Format 1.3" (AIFF).
    """
    order, samples_chunk = _CHUNKED[data[:4]]
    start, long_size = 12, None
    while start + 8 <= len(data):
        kind, size = struct.unpack(f"{order}4sI", data[start : start + 8])
        start += 8
        held = len(data) - start
        if kind == b"ds64" and held >= 16:  # RF64 keeps the 64-bit size of its data chunk here
            long_size = struct.unpack("<8xQ", data[start : start + 16])[0]
        if kind == samples_chunk:
            if size == 0xFFFFFFFF and long_size is not None:
                size = long_size
            _check_size(size, held, order)
            _check_behind(data, start + size)
            return
        start += size + size % 2  # chunks start at even bytes


def _check_size(size: int, held: int, order: str) -> None:
    if size <= held and (size or not held):
        return
    cause = f"its header claims {size} bytes of samples and the file holds {held}"
    if size and size < _NO_LENGTH:
        raise ValueError(cause)
    # A recorder or encoder was killed, or wrote into a pipe. ffmpeg refuses such an AIFF, too.
    raise ValueError(f"{cause}; {_NO_LENGTH_ADVICE if order == '<' else 'encode it again'}")


def _check_behind(data: Data, end: int) -> None:
    """ValueError where more samples follow those that the header claims, or another file does."""
    marks = (data[end : end + 4], data[end + 1 : end + 5])  # some forget the byte that fills up
    if not _CHUNKED.keys().isdisjoint(marks):
        raise ValueError(f"it holds {mpeg.ANOTHER}")
    is_chunk = any(mark.isascii() and mark.decode().isprintable() for mark in marks)
    if len(data) - end > _MAX_JUNK and not is_chunk and behind_zeros(data, end) < len(data):
        raise ValueError(
            f"its header claims fewer bytes of samples than there are: behind them are "
            f"{len(data) - end} more, and no chunk starts there"
        )


def _check_pages(data: Data) -> None:
    """ValueError where the pages of an OGG are not whole, or of two streams.

    libsndfile skips a damaged page; the first and the last of a stream are marked. See RFC 3533,
    section 6.
    """
    start, number, is_last, heads_end = 0, 0, False, False
    while data.startswith(_OGG, start):
        number += 1
        head = data[start : start + 27]
        lengths = data[start + 27 : start + 27 + head[-1]]
        page = data[start : start + 27 + head[-1] + sum(lengths)]
        if len(head) < 27 or len(lengths) < head[-1] or len(page) < 27 + head[-1] + sum(lengths):
            break
        if _checksum(page) != struct.unpack_from("<I", head, 22)[0]:
            raise ValueError(f"it is corrupt: its page {number} fails its checksum")
        is_first = bool(head[5] & 2)
        if is_first and heads_end:
            raise ValueError(f"it holds {mpeg.ANOTHER}")
        is_last, heads_end = bool(head[5] & 4), not is_first
        start += len(page)
    else:
        if is_last:
            return
    raise ValueError("it is cut short: its last page is not whole")


def _checksum(page: bytes) -> int:
    """OGG's CRC: that of zlib, but for the order of bits, and from 0."""
    blank = page[:22] + bytes(4) + page[26:]
    crc = zlib.crc32(blank.translate(_REVERSED), 0xFFFFFFFF) ^ 0xFFFFFFFF
    return int(f"{crc:032b}"[::-1], 2)


def _check_flac(data: Data, start: int) -> bytes | None:
    """The MD5 of a FLAC's samples, None where it was not set; ValueError where it is not one whole.

    See RFC 9639, sections 8.2 and 9.1.
    """
    info = data[start + 8 : start + 42]
    if len(info) < 34 or data[start + 4 : start + 8] not in _STREAMINFO:
        return None
    if (last := data.rfind(_FLAC)) > start and data[last + 4 : last + 8] in _STREAMINFO:
        raise ValueError(f"it holds {mpeg.ANOTHER}")
    if not int.from_bytes(info[13:18]) % 2**36:
        raise ValueError(f"its header gives no length; {_NO_LENGTH_ADVICE}")
    return info[18:] if any(info[18:]) else None
