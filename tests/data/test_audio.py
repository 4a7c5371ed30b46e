import io
import math
import pickle
import struct
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf

import ser.data.audio
from ser.core.errors import SerError
from ser.data.audio import AudioError, as_flac, probe, read_audio

SR = 16000


def noise(n_samples=8000, channels=1, seed=0):
    y = np.random.default_rng(seed).uniform(-0.5, 0.5, (n_samples, channels))
    return y[:, 0] if channels == 1 else y


def encoded(y, format="WAV", subtype=None, sr=SR, endian=None):
    buffer = io.BytesIO()
    sf.write(buffer, y, sr, format=format, subtype=subtype, endian=endian)
    return buffer.getvalue()


def patched(data, after, content, skip=4):
    """The file with `content` written `skip` bytes after the start of the mark `after`."""
    at = data.index(after) + skip
    return data[:at] + content + data[at + len(content) :]


def flac_without_length():
    data = bytearray(encoded(noise(), "FLAC"))
    data[21] &= 0xF0  # STREAMINFO's 36-bit count of samples: 0 is unknown
    data[22:26] = bytes(4)
    return bytes(data)


WAV = encoded(noise())
SILENCE = encoded(np.zeros(8000))
NAN = encoded(np.where(np.arange(8000) == 77, np.nan, 0.1), subtype="FLOAT")
INF = encoded(np.where(np.arange(8000) == 77, np.inf, 0.1), subtype="FLOAT")

BAD = {
    "no bytes": (b"", "empty"),
    "text": (b"not audio at all " * 500, "not readable as audio"),
    "AppleDouble": (b"\x00\x05\x16\x07\x00\x02\x00\x00Mac OS X" + bytes(200), "not readable"),
    "header only": (WAV[:30], "not readable as audio"),
    "no samples": (encoded(np.zeros(0)), "no samples"),
    "short": (encoded(noise(2047)), "2047 samples are too few, at least 2048"),
    "NaN": (NAN, "NaN or infinite"),
    "infinite": (INF, "NaN or infinite"),
    "beyond float32": (encoded(noise() * 1e300, subtype="DOUBLE"), "NaN or infinite"),
    "silence": (SILENCE, "silent"),
    "opposite channels": (encoded(np.outer(noise(), [1, -1]), subtype="FLOAT"), "silent"),
    "cut WAV": (WAV[:9000], "claims 16000 bytes of samples and the file holds 8956"),
    "WAV of a pipe": (patched(WAV, b"data", b"\xff" * 4), "'ffmpeg -i FILE whole.wav' gives it"),
    "WAV that claims 0": (patched(WAV, b"data", bytes(4)), "'ffmpeg -i FILE whole.wav' gives it"),
    "WAV that claims half": (
        patched(WAV, b"data", struct.pack("<I", 8000)),
        "behind them are 8000 more, and no chunk starts there",
    ),
    "cut RF64": (encoded(noise(), "RF64")[:9000], "claims 16000 bytes"),
    "cut big-endian WAV": (encoded(noise(), endian="BIG")[:9000], "claims 16000 bytes"),
    "cut AIFF": (encoded(noise(), "AIFF")[:9000], "bytes of samples and the file holds"),
    "AIFF that claims 0": (
        patched(encoded(noise(), "AIFF"), b"SSND", bytes(4)),
        "claims 0 bytes",
    ),
    "cut FLAC": (encoded(noise(), "FLAC")[:9000], "it is corrupt or cut short"),
    "FLAC without length": (flac_without_length(), "gives no length; it was written into a pipe"),
    "cut MP3": (encoded(noise(40000), "MP3")[:5000], "claims 72 frames and the file holds"),
    "Git LFS pointer": (
        b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n",
        "it is a Git LFS pointer, not the audio: fetch that by 'git lfs pull'",
    ),
    "web page": (b"\n<!DOCTYPE html>\n<html>404" * 9, "it is a web page"),
    "M4A": (b"\0\0\0\x20ftypM4A " + bytes(4000), "convert it to WAV, as by 'ffmpeg -i FILE clip"),
    "MP3 that claims 41 minutes": (
        patched(
            encoded(noise(48000, seed=1), "MP3", sr=48000), b"Xing", struct.pack(">I", 103114), 8
        ),
        "claims 103114 frames",
    ),
}


@pytest.mark.parametrize("case", BAD)
@pytest.mark.parametrize("from_path", [False, True])
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_read_audio_names_file_and_cause_of_bad_audio(case, from_path, tmp_path):
    data, cause = BAD[case]
    path = tmp_path / "clip.wav"
    path.write_bytes(data)
    with pytest.raises(AudioError) as caught:
        if from_path:
            read_audio(path)
        else:
            read_audio(data, name=str(path))
    assert cause in caught.value.cause
    assert caught.value.path == str(path)
    assert str(path) in str(caught.value) and cause in str(caught.value)


def test_read_audio_rejects_what_is_no_readable_file(tmp_path, monkeypatch):
    with pytest.raises(AudioError, match=r"missing\.wav: there is no such file"):
        read_audio(tmp_path / "missing.wav")
    with pytest.raises(AudioError, match="it is a folder"):
        read_audio(str(tmp_path))
    (tmp_path / "clip.wav").write_bytes(WAV)

    def deny(path, mode):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", deny)
    with pytest.raises(AudioError, match=r"cannot be read .*Permission denied"):
        read_audio(tmp_path / "clip.wav")


def test_read_audio_stops_at_the_longest_clip(monkeypatch):
    monkeypatch.setattr(ser.data.audio, "BLOCK_SAMPLES", 1000)
    with pytest.raises(AudioError, match="longer than 7000 samples"):
        read_audio(WAV, max_samples=7000)


def test_audio_error_survives_pickling():
    error = pickle.loads(pickle.dumps(AudioError("a.wav", "it is silent")))
    assert isinstance(error, SerError)
    assert (error.path, error.cause) == ("a.wav", "it is silent")
    assert str(error) == "Cannot use a.wav: it is silent."


@pytest.mark.parametrize(
    ("format", "subtype", "tolerance"),
    [
        ("WAV", "PCM_U8", 2**-7),
        ("WAV", "PCM_16", 2**-15),
        ("WAV", "PCM_24", 2**-23),
        ("WAV", "PCM_32", 2**-23),
        ("WAV", "FLOAT", 2**-24),
        ("WAV", "DOUBLE", 2**-24),
        ("RF64", "PCM_16", 2**-15),
        ("FLAC", "PCM_16", 2**-15),
        ("FLAC", "PCM_24", 2**-23),
        ("AIFF", "PCM_16", 2**-15),
        ("AIFF", "FLOAT", 2**-24),
    ],
)
def test_read_audio_returns_lossless_samples(format, subtype, tolerance):
    y, sr = read_audio(encoded(noise(), format, subtype))
    assert (y.shape, y.dtype, sr) == ((8000,), np.float32, SR)
    np.testing.assert_allclose(y, noise(), rtol=0, atol=tolerance)


@pytest.mark.parametrize("format", ["MP3", "OGG"])
def test_read_audio_returns_lossy_samples_close_to_the_sound(format):
    tone = 0.5 * np.sin(2 * np.pi * 440 * np.arange(48000) / 48000)
    y, sr = read_audio(encoded(tone, format, sr=48000))
    assert (y.shape, sr) == ((48000,), 48000)
    np.testing.assert_allclose(y[1000:-1000], tone[1000:-1000], atol=0.05)


@pytest.mark.parametrize("sr", [8000, 11025, 22050, 44100, 96000])
def test_read_audio_keeps_the_rate(sr, tmp_path):
    path = tmp_path / "clip.wav"
    path.write_bytes(encoded(noise(), sr=sr))
    assert read_audio(path)[1] == sr
    assert probe(path) == probe(path.read_bytes()) == (8000 / sr, sr, 1, "PCM_16")


@pytest.mark.parametrize("channels", [2, 5, 208])
@pytest.mark.parametrize("block", [999, 2**20])
def test_read_audio_mixes_channels_by_the_mean(channels, block, monkeypatch):
    monkeypatch.setattr(
        ser.data.audio, "BLOCK_SAMPLES", block
    )  # a block that ends in the clip, too
    y = noise(4000, channels).astype(np.float32)
    mono, _ = read_audio(encoded(y, subtype="FLOAT"))
    np.testing.assert_array_equal(mono, y.mean(axis=1))


def test_read_audio_keeps_floats_beyond_one():
    y, _ = read_audio(encoded(4 * noise(), subtype="FLOAT"))
    np.testing.assert_array_equal(y, (4 * noise()).astype(np.float32))


def test_read_audio_finds_the_samples_behind_other_chunks():
    odd = b"JUNK" + struct.pack("<I", 3) + b"abc\0"  # padded to an even length
    assert read_audio(WAV[:12] + odd + WAV[12:] + odd)[0].size == 8000


def test_probe_of_what_has_no_header_is_nan(tmp_path):
    (tmp_path / "text.wav").write_bytes(b"text")
    for path in (tmp_path / "text.wav", tmp_path / "missing.wav", tmp_path):
        duration, *others = probe(path)
        assert math.isnan(duration) and others == [0, 0, ""]
    (tmp_path / "endless.flac").write_bytes(flac_without_length())
    duration, *others = probe(tmp_path / "endless.flac")
    assert math.isnan(duration) and others == [SR, 1, "PCM_16"]


def test_as_flac_is_the_clip_scaled_into_its_bounds():
    y = noise(4000).astype(np.float32)
    again, sr = read_audio(as_flac(y, SR))
    assert sr == SR
    np.testing.assert_allclose(again, y, atol=2**-15)
    louder, _ = read_audio(as_flac(4 * y, SR))
    np.testing.assert_allclose(louder, y / np.abs(y).max(), atol=2**-14)
