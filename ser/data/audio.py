"""One audio file -> (y, sr), validated: the only reader of audio.

libsndfile opens much that holds no usable sound: it shortens a cut WAV or OGG without a word,
believes the length an MP3 header claims, and returns zero samples, silence and NaN as they come. A
clip like that would spoil a result in silence, so each of these is an `AudioError` here that says
which file and why. Of libsndfile's two dozen containers only those meet a file that are named here:
the others have no check for a cut, and parsers that few files have tried.
"""

from __future__ import annotations

import hashlib
import io
import math
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np
import soundfile as sf

from ser.core.errors import SerError
from ser.core.paths import meant_instead
from ser.core.printable import printable, shown
from ser.data import containers, mpeg, not_audio
from ser.data.file_bytes import Bytes, FileBytes

BLOCK_SAMPLES = 2**20  # decoded at once, over all channels: 4 MiB, several times an ordinary clip
# Of one clip: 1 GiB of float32, 93 min at 48 kHz.
MAX_SAMPLES = 2**28
MAX_BYTES = 8 * MAX_SAMPLES + 2**20  # of one file: as many samples of 64 bits, and a header
# Hz. Speech is gone below, and F0 up to 800 Hz needs more than 3200; no converter is faster.
MIN_SR, MAX_SR = 4000, 768_000
MAX_PEAK = 2.0**31  # floats in the scale of 32-bit integers; squares of far larger ones overflow

_FORMATS = ("WAV", "WAVEX", "RF64", "AIFF", "FLAC", "OGG", "MP3")  # as libsndfile calls them
_N_BYTES = {"PCM_S8": 1, "PCM_16": 2, "PCM_24": 3}  # of a FLAC's sample
_HEAD = 2**16  # bytes at a file's start that hold most tags
_TOO_LONG = "it is longer than {} samples: cut it into clips"
_NO_LENGTH = 2**63 - 1  # libsndfile's SF_COUNT_MAX: the header does not tell


class AudioError(SerError):
    """A file that cannot be used as a clip.

    Attributes
    ----------
    path : str
        The file.
    cause : str
        What is wrong with it.
    advice : str
        A sentence, or nothing.
    """

    def __init__(self, path: str, cause: str, advice: str = "") -> None:
        super().__init__(path, cause, advice)  # in args, so that it survives pickling by joblib
        self.path = path
        self.cause = cause
        self.advice = advice

    def advising(self, advice: str) -> AudioError:
        """The same, with what to do."""
        return AudioError(self.path, self.cause, advice)

    def __str__(self) -> str:
        return printable(f"Cannot use {shown(self.path)}: {self.cause}. {self.advice}".rstrip())


def read_audio(
    source: str | Path | bytes,
    *,
    name: str | None = None,
    min_samples: int = 2048,
    max_samples: int = MAX_SAMPLES,
) -> tuple[np.ndarray, int]:
    """Samples of a WAV, FLAC, OGG, MP3 or AIFF file, mixed to mono by the mean over channels.

    Parameters
    ----------
    source : str, Path or bytes
        The file, or what it holds.
    name : str, optional
        What errors call the file; by default its path.
    min_samples : int
        Fewest samples that make a clip.
    max_samples : int
        Most samples that are decoded, over all channels: compressed bombs stop here.

    Returns
    -------
    y : (n_samples,) float32
        Samples, nominally in [-1, 1]; float files may go beyond, and are left so.
    sr : int
        Sampling rate in Hz, as in the file.

    Raises
    ------
    AudioError
        The file is missing, unreadable, not audio, cut short, corrupt, empty, of several streams,
        of a length that nobody knows, too short, too long, silent (a constant is), at a rate
        outside of `MIN_SR` to `MAX_SR`, or holds NaN, infinite or absurdly large samples.
    """
    name = name or _name(source)
    data = source if isinstance(source, bytes) else read_file(source)
    blocks, rates = zip(*_blocks(data, name, min_samples, max_samples), strict=True)
    return blocks[0] if len(blocks) == 1 else np.concatenate(blocks), rates[0]


def read_blocks(
    source: str | Path | bytes, *, name: str | None = None, min_samples: int = 2048
) -> Iterator[tuple[np.ndarray, int]]:
    """The same samples a block at a time: of a file of any length, in memory for a block.

    Of an MP3 without a length its bytes are in memory, as those that are given.

    Parameters
    ----------
    source, name, min_samples
        See `read_audio`.

    Yields
    ------
    y : (n_samples,) float32
    sr : int

    Raises
    ------
    AudioError
        As `read_audio`, but of length; at the end for what only the end tells, so that nothing is
        to be believed before.
    """
    name = name or _name(source)
    if isinstance(source, bytes):
        yield from _blocks(source, name, min_samples, None)
        return
    with _opened(source) as file:
        yield from _blocks(FileBytes(file), name, min_samples, None)


def _name(source: str | Path | bytes) -> str:
    return "<bytes>" if isinstance(source, bytes) else str(source)


def _blocks(
    data: bytes | FileBytes, name: str, min_samples: int, max_samples: int | None
) -> Iterator[tuple[np.ndarray, int]]:
    """Blocks of samples, mono, with their rate; checked as they come, and at the end."""
    if not data:
        raise AudioError(name, "the file is empty (0 bytes)")
    what = not_audio.described(data)
    if what or not containers.is_known(data):
        what = f"it is {what}" if what else f"it does not start as {containers.NAMES} do"
        raise AudioError(name, f"it is not readable as audio: {what}")
    try:
        content = containers.content(data)
    except ValueError as error:
        raise AudioError(name, str(error)) from None
    n_samples, lowest, highest = 0, np.float32(np.inf), np.float32(-np.inf)
    for y, sr in _decode(content, name, max_samples):
        n_samples += y.size
        if y.size:
            lowest, highest = np.minimum(lowest, y.min()), np.maximum(highest, y.max())  # or NaN
        yield y, sr
    _check_samples(n_samples, float(lowest), float(highest), name, min_samples)


def _check_samples(
    n_samples: int, lowest: float, highest: float, name: str, min_samples: int
) -> None:
    if not n_samples:
        raise AudioError(name, "it holds no samples")
    if n_samples < min_samples:
        raise AudioError(
            name, f"{n_samples} samples are too few, at least {min_samples} are needed"
        )
    if not (math.isfinite(lowest) and math.isfinite(highest)):
        raise AudioError(name, "it holds NaN or infinite samples")
    if lowest == highest:
        raise AudioError(name, f"it is silent: all samples are {lowest + 0.0:g} (mixed to mono)")
    if max(-lowest, highest) > MAX_PEAK:
        cause = f"it holds samples up to {max(-lowest, highest):.3g}, full scale is 1"
        raise AudioError(name, cause)


def read_file(path: str | Path) -> bytes:
    """What a file holds.

    Raises
    ------
    AudioError
        There is no such file, it cannot be read, it is a folder, pipe or device, or larger than
        `MAX_BYTES`.
    """
    with _opened(path) as file:
        size = os.fstat(file.fileno()).st_size
        if size > MAX_BYTES:  # a sparse file claims what no disk holds
            raise AudioError(str(path), f"it has {size} bytes, more than {MAX_BYTES}")
        return file.read()


@contextmanager
def _opened(path: str | Path) -> Iterator[BinaryIO]:
    """A file to read from; AudioError, also while it is read, if that is not possible."""
    try:
        path = Path(path)
        if path.exists() and not path.is_file():  # a pipe or device could be read for ever
            raise AudioError(str(path), f"it is {'a folder' if path.is_dir() else 'not a file'}")
        with path.open("rb") as file:
            yield file
    except FileNotFoundError:
        cause = "there is no such file"
        if Path(path).is_symlink():
            cause = not_audio.broken_link(str(Path(path).readlink()))
        elif meant := meant_instead(Path(path)):
            cause += f" ({meant.strip()})"
        raise AudioError(str(path), cause) from None
    except (OSError, ValueError, MemoryError) as error:
        raise AudioError(str(path), f"it cannot be read ({error})") from None


class Header(NamedTuple):
    """What the header of an audio file tells.

    Attributes
    ----------
    duration : float
        In seconds; NaN where it gives no length.
    sr : int
        Sampling rate in Hz.
    channels : int
    subtype : str
        Encoding of the samples, in libsndfile's words: ``PCM_16``, ``VORBIS``, ...
    """

    duration: float
    sr: int
    channels: int
    subtype: str


_NO_HEADER = Header(math.nan, 0, 0, "")


def probe(source: str | Path | bytes) -> Header:
    """Duration, sampling rate, channels and encoding, by a file's header or an MP3's frames.

    Nothing is decoded, and nothing raised: `(nan, 0, 0, "")` where the header cannot be read, or
    what is there is no file (`read_audio` says why).

    Parameters
    ----------
    source : str, Path or bytes
        The file, or what it holds.
    """
    try:
        if isinstance(source, bytes):
            with sf.SoundFile(Bytes(source)) as file:
                return _header(file)
        if not Path(source).is_file():  # opening a pipe would wait for somebody to write to it
            return _NO_HEADER
        # Given a path, libsndfile takes macOS's ._ file beside an MP3 for a part of it.
        with (
            Path(source).open("rb") as opened,
            sf.SoundFile(opened.fileno(), closefd=False) as file,
        ):
            if file.format == "MP3" and not mpeg.says_length(_start_of(source)):
                return _header(file, containers.content(read_file(source)).n_samples)
            return _header(file)
    except (sf.SoundFileError, AudioError, OSError, ValueError):
        return _NO_HEADER


def _header(file: sf.SoundFile, n_samples: int | None = None) -> Header:
    known = math.nan if file.frames == _NO_LENGTH else file.frames
    duration = (n_samples or known) / file.samplerate
    return Header(duration, file.samplerate, file.channels, file.subtype)


def as_flac(y: np.ndarray, sr: int) -> bytes:
    """A clip as a FLAC file of 16 bits, which browsers play.

    Parameters
    ----------
    y : (n_samples,) float32
        Scaled down where it goes beyond [-1, 1].
    sr : int
        Hz.
    """
    file = io.BytesIO()
    sf.write(file, y / max(1.0, float(np.abs(y).max())), sr, format="FLAC", subtype="PCM_16")
    return file.getvalue()


def _start_of(path: str | Path) -> bytes:
    with Path(path).open("rb") as file:
        return file.read(_HEAD)


def _decode(
    content: containers.Content, name: str, max_samples: int | None
) -> Iterator[tuple[np.ndarray, int]]:
    """Blocks, mono, with their rate: memory goes by what is there, not by what is claimed."""
    data = content.data
    # libsndfile takes the tag's length off the samples of the others.
    is_tagged = data.startswith(mpeg.ID3)
    try:
        if isinstance(data, bytes):
            file = sf.SoundFile(Bytes(data))
        else:  # given a path, libsndfile takes macOS's ._ file beside an MP3 for a part of it
            file = sf.SoundFile(data.rewound(), closefd=False)
    except (sf.LibsndfileError, ValueError) as error:
        convert = f": {not_audio.CONVERT}" if "unimplemented" in _reason(error) else ""
        cause = f"it is not readable as audio ({_reason(error)}){convert}"
        raise AudioError(name, cause) from None
    with file:
        if is_tagged and file.format not in ("MP3", "FLAC"):
            raise AudioError(name, f"it is {file.format} behind an ID3 tag")
        claimed = content.n_samples or file.frames
        _check_header(file, claimed, name, max_samples)
        md5 = hashlib.md5(usedforsecurity=False) if content.md5 else None
        n_frames = 0
        try:
            for block in _mono_blocks(file, md5):
                n_frames += block.size
                if max_samples is not None and n_frames * file.channels > max_samples:
                    raise AudioError(name, _TOO_LONG.format(max_samples))
                yield block, file.samplerate
        except (sf.LibsndfileError, ValueError, MemoryError) as error:
            cause = f"it is corrupt or cut short ({_reason(error)})"
            raise AudioError(name, cause) from None
        if n_frames != claimed:
            cause = f"its header claims {claimed} samples and the file holds {n_frames}"
            raise AudioError(name, cause)
        if md5 and md5.digest() != content.md5:
            raise AudioError(name, "it is corrupt: its samples are not those of its MD5")


def _check_header(file: sf.SoundFile, claimed: int, name: str, max_samples: int | None) -> None:
    """Refuse what need not be decoded; `claimed` samples of each channel."""
    if file.format not in _FORMATS:
        raise AudioError(name, f"it is {file.format}, not {containers.NAMES}")
    if not MIN_SR <= file.samplerate <= MAX_SR:
        cause = f"its sampling rate is {file.samplerate} Hz, not in {MIN_SR} .. {MAX_SR}"
        raise AudioError(name, cause)
    is_too_long = max_samples is not None and claimed * file.channels > max_samples
    if is_too_long and claimed != _NO_LENGTH:
        raise AudioError(name, _TOO_LONG.format(max_samples))


def _mono_blocks(file: sf.SoundFile, md5: hashlib._Hash | None) -> Iterator[np.ndarray]:
    """Samples in blocks; a FLAC's, as integers and of all channels, go into its MD5 as well."""
    block_frames = max(BLOCK_SAMPLES // file.channels, 1)
    dtype = "int16" if file.subtype == "PCM_16" else "int32" if md5 else "float32"
    # libsndfile takes four times as long to scale 16-bit samples itself, to the same numbers.
    scale = {"int16": np.float32(2**-15), "int32": np.float32(2**-31)}.get(dtype)
    more = True
    while more:
        block = file.read(block_frames, dtype=dtype, always_2d=True)
        more = len(block) == block_frames
        if md5:
            md5.update(_little_endian(block, _N_BYTES[file.subtype]))
        if scale:
            block = np.multiply(block, scale, dtype=np.float32)
        with np.errstate(over="ignore", invalid="ignore"):  # inf and NaN are looked for later
            yield block[:, 0] if file.channels == 1 else block.mean(axis=1)


def _little_endian(block: np.ndarray, n_bytes: int) -> bytes | memoryview:
    """Integers as the bytes of their upper part, the least one first."""
    if block.itemsize == n_bytes and sys.byteorder == "little":
        return block.data
    octets = block.astype(f"<i{block.itemsize}").view(np.uint8).reshape(-1, block.itemsize)
    return octets[:, -n_bytes:].tobytes()


def _reason(error: Exception) -> str:
    """Libsndfile's own words, without the address of the buffer it read from."""
    return str(getattr(error, "error_string", error)).rstrip(". ") or type(error).__name__
