"""MP3s frame by frame, FLACs by their MD5, and several streams in a file."""

import io
import struct

import numpy as np
import pytest
import soundfile as sf

import ser.data.audio
from ser.data import mpeg
from ser.data.audio import AudioError, probe, read_audio

RATES = (8000, 16_000, 22_050, 44_100, 48_000)
ID3V2 = b"ID3\x04\0\0\0\x06\0\0" + bytes(6 * 2**14)  # a cover picture's size: 96 KiB
ID3V1 = b"TAG" + bytes(125)
_APE = b"APETAGEX" + struct.pack("<III", 2000, 132, 1)
APE = _APE + b"\0\0\0\xa0" + bytes(108) + _APE + b"\0\0\0\x80" + bytes(8)


def noise(n_samples=12_000, channels=1, seed=0):
    y = np.random.default_rng(seed).uniform(-0.5, 0.5, (n_samples, channels))
    return y[:, 0] if channels == 1 else y


def encoded(y, sr=16_000, format="FLAC", subtype=None, **how):
    buffer = io.BytesIO()
    sf.write(buffer, y, sr, format=format, subtype=subtype, **how)
    return buffer.getvalue()


def frames_of(mp3):
    """Where the frames start that hold sound, and the end."""
    first = mpeg._frame(mp3, 0)
    starts = [first.length if mpeg._length_header(mp3, 0, first)[0] else 0]
    while frame := mpeg._frame(mp3, starts[-1]):
        starts.append(starts[-1] + frame.length)
    return starts


def bare_mp3(sr, mode="CONSTANT", seed=0):
    """An MP3 without a Xing or Info header, and how many frames it has."""
    mp3 = encoded(noise(seed=seed), sr, "MP3", bitrate_mode=mode, compression_level=0.5)
    starts = frames_of(mp3)
    return mp3[starts[0] :], len(starts) - 1


def cause_of(data):
    with pytest.raises(AudioError) as caught:
        read_audio(data)
    return caught.value.cause


@pytest.mark.parametrize("mode", ["CONSTANT", "VARIABLE"])
@pytest.mark.parametrize("sr", RATES)
def test_an_mp3_without_a_length_is_read_whole_with_its_tags(sr, mode, tmp_path):
    mp3, n_frames = bare_mp3(sr, mode)
    expected, _ = read_audio(mp3)
    assert expected.size == n_frames * (1152 if sr > 24_000 else 576)
    for tagged in (ID3V2 + mp3, mp3 + ID3V1, ID3V2 + mp3 + APE + ID3V1, mp3 + bytes(1000)):
        np.testing.assert_array_equal(read_audio(tagged)[0], expected)
        (tmp_path / "clip.mp3").write_bytes(tagged)
        assert probe(tmp_path / "clip.mp3")[:3] == (expected.size / sr, sr, 1)


def test_a_bare_mp3_is_the_sound_of_the_one_with_a_length():
    tone = 0.5 * np.sin(2 * np.pi * 440 * np.arange(40_000) / 44_100)
    mp3 = encoded(tone, 44_100, "MP3")
    whole, _ = read_audio(mp3)
    bare, _ = read_audio(mp3[frames_of(mp3)[0] :])
    assert 0 < bare.size - whole.size < 3000  # the encoder's delay, and what fills the last frame
    delay = 1105  # samples, of LAME and the decoder
    np.testing.assert_allclose(bare[delay : delay + whole.size], whole, atol=1e-6)


def test_a_bare_mp3_cut_in_a_frame_is_noticed_and_between_two_it_cannot_be():
    mp3, n_frames = bare_mp3(44_100)
    starts = frames_of(mp3)
    for cut in (1, 5, 50):
        assert cause_of(mp3[:-cut]) == "it is cut short: its last frame is not whole"
        assert cause_of(mp3[:-cut] + ID3V1) == "it is cut short: its last frame is not whole"
    assert read_audio(mp3[: starts[-3]])[0].size == (n_frames - 2) * 1152
    assert "no frame starts at its byte" in cause_of(mp3[: starts[-3]] + bytes(5000))


def test_layer_1_and_2_are_counted_as_their_frames():
    for head, n_samples, length in (  # 44.1 kHz, 128 kbit/s of mono
        (b"\xff\xff\x40\xc0", 384, 4 * (12 * 128_000 // 44_100)),
        (b"\xff\xfd\x80\xc0", 1152, 144 * 128_000 // 44_100),
    ):
        data = 9 * (head + bytes(length - 4))  # allocates no bits: silence
        content, counted = mpeg.whole_stream(ID3V2 + data)
        assert counted == 9 * n_samples
        with sf.SoundFile(io.BytesIO(content)) as file:
            assert file.frames >= counted
            assert len(file.read(file.frames)) == counted


@pytest.mark.parametrize("format", ["WAV", "AIFF", "FLAC", "OGG", "MP3"])
def test_a_second_stream_is_noticed(format):
    first, second = (encoded(noise(24_000, seed=n), format=format) for n in (0, 1))
    assert "a second stream behind the first" in cause_of(first + second)


def test_mp3s_joined_are_one_sound_or_refused():
    (one, n_one), (two, n_two) = (bare_mp3(44_100, seed=n) for n in (0, 1))
    assert read_audio(one + two)[0].size == (n_one + n_two) * 1152  # all of it is read
    with_length = encoded(noise(), 44_100, "MP3")
    other_rate, _ = bare_mp3(22_050)
    for joined in (
        one + ID3V1 + two,
        one + ID3V2 + two,
        one + with_length,
        with_length + one,
        with_length + ID3V2 + with_length,
        one + other_rate,
    ):
        assert "a second stream behind the first" in cause_of(joined)


@pytest.mark.parametrize("subtype", ["PCM_S8", "PCM_16", "PCM_24"])
@pytest.mark.parametrize("channels", [1, 2, 5])
def test_a_flac_is_held_against_its_md5(subtype, channels, monkeypatch):
    monkeypatch.setattr(ser.data.audio, "BLOCK_SAMPLES", 5000)  # several blocks
    flac = encoded(noise(channels=channels), subtype=subtype)
    y, _ = read_audio(flac)
    assert y.dtype == np.float32
    step = {"PCM_S8": 2**-7, "PCM_16": 2**-15, "PCM_24": 2**-22}[subtype]
    np.testing.assert_allclose(y, noise(channels=channels).reshape(12_000, -1).mean(1), atol=step)
    assert flac[26:42] != bytes(16)
    changed = flac[:26] + bytes([flac[26] ^ 1]) + flac[27:]
    assert cause_of(changed) == "it is corrupt: its samples are not those of its MD5"
    np.testing.assert_array_equal(read_audio(flac[:26] + bytes(16) + flac[42:])[0], y)  # not set
