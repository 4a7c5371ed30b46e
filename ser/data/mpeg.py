"""MPEG audio (MP3, MP2, MP1), frame by frame: whether a file is whole, and how long it is.

libsndfile knows a length only from the Xing or Info header that an encoder may put into the first
frame. Without one it guesses: bytes of the file, tags included, over those of a mean frame. The
guess is too large for most whole files of 44.1 kHz and behind every tag, and too small for a
varying bit rate, where it would then cut the sound. See ISO 11172-3, 13818-3 and id3.org.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

from ser.data.file_bytes import Data, behind_zeros

ID3 = b"ID3"  # starts a tag that may stand before an MP3 or FLAC
MAX_FILL = 4096  # bytes of zeros behind the last frame: a block of a disk; more are a lost end

# By the version's and the layer's two bits; version 3 is MPEG 1, 0 "MPEG 2.5"; layer 1 is III.
_RATES = {3: (44_100, 48_000, 32_000), 2: (22_050, 24_000, 16_000), 0: (11_025, 12_000, 8000)}
_KBITS = {
    (1, 3): (32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),
    (1, 2): (32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (1, 1): (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (0, 3): (32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    (0, 2): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
    (0, 1): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
_MAX_TAG, _MAX_TAGS = 2**28 - 1, 100  # bytes of one; of one file
ANOTHER = "a second stream behind the first; cut it apart, or encode it as one"


class Frame(NamedTuple):
    """What the four bytes say that start a frame.

    Attributes
    ----------
    length : int
        In bytes; 0 in the "free format", whose frames do not say it.
    n_samples : int
        Of one channel.
    kind : tuple
        Version, layer, rate and whether it is mono: the same in all frames of a stream.
    """

    length: int
    n_samples: int
    kind: tuple[int, int, int, bool]


class Stream(NamedTuple):
    """A whole stream, as libsndfile can be given it.

    Attributes
    ----------
    content : bytes or FileBytes
    n_samples : int or None
        Of one channel; None where libsndfile knows it.
    """

    content: Data
    n_samples: int | None


def behind_tags(data: Data, start: int = 0) -> int:
    """Where what follows the ID3 tags starts that stand at a place; they may be filled up."""
    for _ in range(_MAX_TAGS):
        if data.startswith(ID3, start) and len(data) >= start + 10:
            a, b, c, d = data[start + 6 : start + 10]  # its length, in four times 7 bits
            footer = 10 * (data[start + 5] >> 4 & 1)
            start += 10 + (a << 21 | b << 14 | c << 7 | d) + footer
        elif data.startswith(b"TAG", start):
            start += 128
        else:
            break
        if data.startswith(b"\0", start):  # filled up beyond its length
            start = behind_zeros(data, start)
    return start


def is_mpeg(data: Data, start: int = 0) -> bool:
    """Whether a frame starts there."""
    return _frame(data, start) is not None


def says_length(data: Data) -> bool:
    """Whether the first frame, if it is there, says how many there are."""
    start = behind_tags(data)
    first = _frame(data, start)
    return first is not None and _length_header(data, start, first)[1] is not None


def whole_stream(data: Data) -> Stream:
    """The stream, if it is whole and one.

    A stream that says its length goes to libsndfile as it is. Of another one the frames alone go,
    behind an empty tag that makes libsndfile's guess too large rather than too small: it then
    decodes to the end. That a file was cut between two of its frames cannot be told of these.

    Raises
    ------
    ValueError
        The stream is cut short, corrupt, of the free format without a length, or not alone in the
        file; the error says why.
    """
    start = behind_tags(data)
    first = _frame(data, start)
    if first is None:
        raise ValueError("it is not readable as audio (no frame of MPEG audio starts it)")
    has_header, claimed = _length_header(data, start, first)
    if not first.length:
        if claimed is None:
            raise ValueError("it is an MP3 of free format without a length: encode it again")
        return Stream(data, None)  # libsndfile finds its frames, and holds them against the length
    frames = start + first.length if has_header else start
    n_frames, end = _count_frames(data, frames, first, claimed)
    if claimed is not None:
        return Stream(data, None)
    room = n_frames * (first.length + 4) - (end - frames)
    return Stream(_empty_tag(room) + data[frames:end], n_frames * first.n_samples)


def _frame(data: Data, start: int) -> Frame | None:
    head = data[start : start + 4]
    if len(head) < 4 or head[0] != 0xFF or head[1] < 0xE0:  # eleven bits that are set
        return None
    version, layer = head[1] >> 3 & 3, head[1] >> 1 & 3
    rate, kbits = head[2] >> 2 & 3, head[2] >> 4
    if version == 1 or layer == 0 or rate == 3 or kbits == 15:
        return None
    sr, n_samples = _RATES[version][rate], 576 if layer == 1 and version != 3 else 1152
    n_samples = 384 if layer == 3 else n_samples
    kind = (version, layer, rate, head[3] >> 6 == 3)
    if not kbits:
        return Frame(0, n_samples, kind)
    bits, padding = 1000 * _KBITS[version == 3, layer][kbits - 1], head[2] >> 1 & 1
    if layer == 3:
        return Frame(4 * (12 * bits // sr + padding), n_samples, kind)
    return Frame(n_samples // 8 * bits // sr + padding, n_samples, kind)


def _length_header(data: Data, start: int, frame: Frame) -> tuple[bool, int | None]:
    """Whether a frame holds no sound but an encoder's header, and how many frames that claims.

    Only the claim of a Xing or Info header is one that libsndfile knows of.
    """
    version, layer, _, is_mono = frame.kind
    if layer != 1:
        return False, None
    if data.startswith(b"VBRI", start + 36):
        return True, None
    side = (17 if is_mono else 32) if version == 3 else (9 if is_mono else 17)  # bytes
    at = start + 4 + side
    if data[at : at + 4] not in (b"Xing", b"Info"):
        return False, None
    head = data[at + 4 : at + 12]
    flags, n_frames = struct.unpack(">II", head) if len(head) == 8 else (0, 0)
    return True, n_frames if flags & 1 and n_frames else None


def _count_frames(data: Data, start: int, first: Frame, claimed: int | None) -> tuple[int, int]:
    """How many frames there are, and where the last one ends; ValueError says what is wrong."""
    stop, at, n_frames = _start_of_tags(data), start, 0
    another = f"it holds {ANOTHER}"
    while (frame := _frame(data, at)) and 0 < frame.length <= stop - at:
        if n_frames and (frame.kind != first.kind or _length_header(data, at, frame)[0]):
            raise ValueError(another)
        at, n_frames = at + frame.length, n_frames + 1
    if claimed is not None and n_frames < claimed:
        raise ValueError(
            f"its header claims {claimed} frames and the file holds {n_frames} of them"
        )
    if claimed is not None and n_frames > claimed:
        raise ValueError(f"its header claims {claimed} frames, and behind them are more: {ANOTHER}")
    if frame is not None:
        raise ValueError("it is cut short: its last frame is not whole")
    behind = behind_tags(data, at)
    if is_mpeg(data, behind):
        raise ValueError(another)
    if claimed is not None:  # all is there, whatever follows
        return n_frames, at
    if stop - behind > MAX_FILL or data[behind:stop].strip(b"\0"):
        raise ValueError(f"it is corrupt or cut short: no frame starts at its byte {at}")
    return n_frames, at


def _start_of_tags(data: Data) -> int:
    """Where the tags at the end of a file start: ID3v1, APE and Lyrics3, in any order."""
    end = len(data)
    while end > 0:
        if data[max(end - 128, 0) : end].startswith(b"TAG") and end >= 128:
            size = 128
        elif data[max(end - 32, 0) : end].startswith(b"APETAGEX") and end >= 32:
            size, _, flags = struct.unpack("<III", data[end - 20 : end - 8])
            size += 32 * (flags >> 31)  # as many bytes of a header, which `size` leaves out
        elif data.endswith(b"LYRICS200", 0, end) and data[end - 15 : end - 9].isdigit():
            size = int(data[end - 15 : end - 9]) + 15
        else:
            break
        end -= max(size, 1)
    return max(end, 0)


def _empty_tag(size: int) -> bytes:
    size = min(max(size, 0), _MAX_TAG)
    return ID3 + b"\4\0\0" + bytes(size >> shift & 127 for shift in (21, 14, 7, 0)) + bytes(size)
