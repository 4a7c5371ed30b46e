"""Whether an audio file is whole, by its container: what libsndfile does not say.

It takes what is there of a cut or damaged WAV, AIFF or OGG, and of an MP3 as much as it guessed
beforehand.
"""

from __future__ import annotations

import struct
import zlib

NAMES = "WAV, FLAC, OGG, MP3 or AIFF"
ID3 = b"ID3"  # starts a tag that may stand before an MP3 or FLAC

# Container -> byte order and name of the chunk with the samples.
_CHUNKED = {
    b"RIFF": ("<", b"data"),
    b"RF64": ("<", b"data"),
    b"RIFX": (">", b"data"),
    b"FORM": (">", b"SSND"),
}
_OGG, _FLAC = b"OggS", b"fLaC"
_REVERSED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))

# Of MPEG audio, by the version's and the layer's two bits (ISO 11172-3, 13818-3 and "MPEG 2.5").
_RATES = {3: (44_100, 48_000, 32_000), 2: (22_050, 24_000, 16_000), 0: (11_025, 12_000, 8000)}
_KBITS = {
    (1, 3): (32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),
    (1, 2): (32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (1, 1): (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (0, 3): (32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    (0, 2): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
    (0, 1): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}


def is_known(data: bytes) -> bool:
    """Whether a file starts as one of the containers that `ser` reads."""
    return data.startswith((*_CHUNKED, _OGG, _FLAC, ID3)) or _is_mpeg(data)


def fault(data: bytes) -> str | None:
    """Why a file is not whole; None where it is, or where libsndfile finds out itself."""
    if data[:4] in _CHUNKED:
        return _cut_chunk(data)
    if data.startswith(_OGG):
        return _broken_page(data)
    if data.startswith(ID3) and len(data) > 10:
        a, b, c, d = data[6:10]  # its length, in four times 7 bits
        data = data[10 + (a << 21 | b << 14 | c << 7 | d) :]
    return _unknown_length(data) if _is_mpeg(data) else None


def _cut_chunk(data: bytes) -> str | None:
    """Why the chunk of samples is not what its header says.

    A recorder or encoder that was killed, or that wrote into a pipe, leaves the size 0 or
    0xFFFFFFFF: nobody knows then what is missing. See "Multimedia Programming Interface and Data
    Specifications 1.0" (RIFF), EBU Tech 3306 (RF64) and "Audio Interchange File Format 1.3" (AIFF).
    """
    order, samples_chunk = _CHUNKED[data[:4]]
    start, long_size = 12, None
    while start + 8 <= len(data):
        kind, size = struct.unpack_from(f"{order}4sI", data, start)
        held = len(data) - start - 8
        if kind == b"ds64" and held >= 16:  # RF64 keeps the 64-bit size of its data chunk here
            long_size = struct.unpack_from("<8xQ", data, start + 8)[0]
        if kind == samples_chunk:
            if size == 0xFFFFFFFF and long_size is not None:
                size = long_size
            if size > held or (size == 0 and held):
                return f"its header claims {size} bytes of samples and the file holds {held}"
            return None
        start += 8 + size + size % 2  # chunks start at even bytes
    return None


def _broken_page(data: bytes) -> str | None:
    """Why the pages of an OGG are not whole: a damaged one is skipped, the last one is marked.

    See RFC 3533, section 6.
    """
    start, number, is_last = 0, 0, False
    while data.startswith(_OGG, start):
        number += 1
        head = data[start : start + 27]
        lengths = data[start + 27 : start + 27 + head[-1]]
        page = data[start : start + 27 + head[-1] + sum(lengths)]
        if len(head) < 27 or len(lengths) < head[-1] or len(page) < 27 + head[-1] + sum(lengths):
            break
        if _checksum(page) != struct.unpack_from("<I", head, 22)[0]:
            return f"it is corrupt: its page {number} fails its checksum"
        is_last = bool(head[5] & 4)
        start += len(page)
    else:
        if is_last:
            return None
    return "it is cut short: its last page is not whole"


def _checksum(page: bytes) -> int:
    """OGG's CRC: that of zlib, but for the order of bits, and from 0."""
    blank = page[:22] + bytes(4) + page[26:]
    crc = zlib.crc32(blank.translate(_REVERSED), 0xFFFFFFFF) ^ 0xFFFFFFFF
    return int(f"{crc:032b}"[::-1], 2)


def _is_mpeg(data: bytes) -> bool:
    return len(data) > 1 and data[0] == 0xFF and data[1] >= 0xE0  # eleven bits that are set


def _unknown_length(data: bytes) -> str | None:
    """Why an MP3's length cannot be known: libsndfile then guesses it from the first bit rate."""
    start, first = 0, None
    while frame := _mpeg_frame(data, start):
        length, kbits = frame
        if first is None:
            first = kbits
            if any(mark in data[:length] for mark in (b"Xing", b"Info", b"VBRI")):
                return None
        if kbits != first:
            return "it is an MP3 of varying bit rate without a length: encode it again"
        start += length
    return None


def _mpeg_frame(data: bytes, start: int) -> tuple[int, int] | None:
    """Length in bytes and bit rate (kbit/s) of the frame that starts there; None if none does."""
    head = data[start : start + 4]
    if len(head) < 4 or not _is_mpeg(head):
        return None
    version, layer = head[1] >> 3 & 3, head[1] >> 1 & 3  # version 3 is MPEG 1; layer 1 is III
    rate, kbits = head[2] >> 2 & 3, head[2] >> 4
    if version == 1 or layer == 0 or rate == 3 or not 0 < kbits < 15:
        return None
    sr, bits = _RATES[version][rate], 1000 * _KBITS[version == 3, layer][kbits - 1]
    padding = head[2] >> 1 & 1
    if layer == 3:
        return 4 * (12 * bits // sr + padding), bits // 1000
    n_samples = 576 if layer == 1 and version != 3 else 1152
    return n_samples // 8 * bits // sr + padding, bits // 1000
