"""What other libraries take for one clip on one core, and what nothing can be faster than.

    pip install kaldi-native-fbank opensmile python_speech_features audioflux torch
    python benchmarks/alternatives.py data/ravdess [--clips 120] [--rounds 5]

Libraries that are not installed are left out. Every way but the floor's starts from a WAV's path;
rounds go through all ways, so that a drift of the machine's speed meets them all, and what is
printed is the median over rounds. Only the first two give the tutorial's numbers.
"""

import argparse
import os
import statistics
import sys
import time
import warnings
from pathlib import Path

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[variable] = "1"  # before numpy: one core is one core

import librosa
import numpy as np
import scipy.fft
import soundfile

from ser.data.audio import read_audio
from ser.features.notebook import NotebookFeatures
from ser.features.spectrum import frame


def read(path):
    y, sr = soundfile.read(path, dtype="float32")
    return (y.mean(axis=1) if y.ndim == 2 else y), sr


def tutorial(path):
    y, sr = read(path)
    stft = np.abs(librosa.stft(y))
    librosa.feature.chroma_stft(S=stft, sr=sr).mean(axis=1)
    librosa.feature.melspectrogram(y=y, sr=sr, n_mels=128, fmax=8000).mean(axis=1)
    librosa.feature.mfcc(y=y, sr=sr, n_mfcc=40).mean(axis=1)


def librosa_one_stft(path):
    y, sr = read(path)
    magnitude = np.abs(librosa.stft(y))
    power = magnitude**2
    librosa.feature.chroma_stft(S=magnitude, sr=sr).mean(axis=1)
    librosa.feature.melspectrogram(S=power, sr=sr, n_mels=128, fmax=8000).mean(axis=1)
    mel = librosa.feature.melspectrogram(S=power, sr=sr)
    librosa.feature.mfcc(S=librosa.power_to_db(mel), n_mfcc=40).mean(axis=1)


def ser_features(path):
    NotebookFeatures()(*read_audio(path))


def kaldi():
    import kaldi_native_fbank as knf

    def options(kind):
        made = kind()
        made.frame_opts.samp_freq = 48_000
        made.frame_opts.dither = 0
        made.frame_opts.frame_length_ms = 1000 * 2048 / 48_000
        made.frame_opts.frame_shift_ms = 1000 * 512 / 48_000
        made.mel_opts.num_bins = 128
        return made

    def both(path):
        y, sr = read(path)
        mfcc = options(knf.MfccOptions)
        mfcc.num_ceps = 40
        for extractor in (knf.OnlineFbank(options(knf.FbankOptions)), knf.OnlineMfcc(mfcc)):
            extractor.accept_waveform(sr, y.tolist())
            extractor.input_finished()
            np.mean([extractor.get_frame(i) for i in range(extractor.num_frames_ready)], axis=0)

    return both


def speech_features():
    import python_speech_features as psf

    def both(path):
        y, sr = read(path)
        how = {"winlen": 2048 / sr, "winstep": 512 / sr, "nfilt": 128, "nfft": 2048}
        psf.logfbank(y, sr, **how).mean(axis=0)
        psf.mfcc(y, sr, numcep=40, **how).mean(axis=0)

    return both


def audioflux_features():
    import audioflux as af
    from audioflux.type import SpectralFilterBankScaleType

    def all_three(path):
        y, sr = read(path)
        mel = af.BFT(
            num=128,
            radix2_exp=11,
            samplate=sr,
            slide_length=512,
            scale_type=SpectralFilterBankScaleType.MEL,
        )
        power = np.abs(mel.bft(y))
        power.mean(axis=1)
        xxcc = af.XXCC(num=128)
        xxcc.set_time_length(power.shape[1])
        xxcc.xxcc(power, cc_num=40).mean(axis=1)
        af.chroma_linear(y, samplate=sr, chroma_num=12, radix2_exp=11, slide_length=512).mean(
            axis=1
        )

    return all_three


def egemaps():
    import opensmile

    smile = opensmile.Smile(opensmile.FeatureSet.eGeMAPSv02, num_workers=1)
    return lambda path: smile.process_signal(*read(path))


def floor_read(path):
    Path(path).read_bytes()


def ffts(precision):
    """The FFTs of a clip's frames alone; the samples are not timed."""
    samples = {}

    def transform(path):
        if path not in samples:
            samples[path] = frame(read(path)[0], n_fft=2048, hop_length=512)
        frames, start = samples[path], time.perf_counter()
        for i in range(0, len(frames), 32):
            scipy.fft.rfft(frames[i : i + 32].astype(precision), axis=1, overwrite_x=True)
        return time.perf_counter() - start

    return transform


def torch_ffts():
    import torch

    torch.set_num_threads(1)
    samples = {}

    def transform(path):
        if path not in samples:
            frames = frame(read(path)[0], n_fft=2048, hop_length=512)
            samples[path] = torch.from_numpy(frames.copy())
        frames, start = samples[path], time.perf_counter()
        for block in frames.split(32):
            torch.fft.rfft(block)
        return time.perf_counter() - start

    return transform


WAYS = {
    "the tutorial: three librosa calls": lambda: tutorial,
    "ser": lambda: ser_features,
    "librosa, one STFT for all three": lambda: librosa_one_stft,
    "kaldi-native-fbank: 128 mel bands, 40 MFCCs": kaldi,
    "python_speech_features: 128 mel bands, 40 MFCCs": speech_features,
    "audioflux: 128 mel bands, 40 MFCCs, chroma": audioflux_features,
    "openSMILE: eGeMAPSv02": egemaps,
    "floor: reading the bytes": lambda: floor_read,
    "floor: decoding the WAV": lambda: read_audio,
    "floor: the FFTs alone, float32 (scipy)": lambda: ffts("float32"),
    "floor: the FFTs alone, float64 (scipy)": lambda: ffts("float64"),
    "floor: the FFTs alone, float32 (torch)": torch_ffts,
}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("root", type=Path, help="folder with WAVs")
    parser.add_argument("--clips", type=int, default=120, help="evenly drawn from the folder")
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    found = sorted(str(path) for path in arguments.root.rglob("*.wav"))
    if not found:
        sys.exit(f"No WAVs under {arguments.root}.")
    paths = found[:: max(1, len(found) // arguments.clips)][: arguments.clips]
    ways, times = {}, {}
    for name, make in WAYS.items():
        try:
            ways[name] = make()
            ways[name](paths[0])
            times[name] = []
        except ImportError as error:
            print(f"left out: {name} ({error})")
            ways.pop(name, None)
    for _ in range(arguments.rounds):
        for name, way in ways.items():
            start = time.perf_counter()
            inner = [way(path) for path in paths]
            whole = time.perf_counter() - start
            spent = sum(inner) if isinstance(inner[0], float) else whole
            times[name].append(1e3 * spent / len(paths))
    tutorial_ms = statistics.median(times["the tutorial: three librosa calls"])
    for name, values in times.items():
        median = statistics.median(values)
        print(f"{name:50}{median:8.2f} ms a clip{tutorial_ms / median:8.1f} x the tutorial's speed")


if __name__ == "__main__":
    main()
