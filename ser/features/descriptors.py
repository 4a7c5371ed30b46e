"""Low-level descriptors: what a voice does from one hundredth of a second to the next.

A clip becomes a table with a row for every frame: mel bands, MFCCs, F0 and how periodic the voice
is, level, the spectrum's shape, pitch classes, zero crossings. All come from one short-time
spectrum and one pass of the pitch tracker; `ser.features.functionals` says what becomes of them.

Definitions are librosa's where librosa has one (McFee et al. 2015, doi
10.25080/Majora-7b98e3ed-003), the tilt of the spectrum is that of the Geneva set (Eyben et al.
2016, doi 10.1109/TAFFC.2015.2457417).
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import scipy.fft

from ser.features import f0, level, spectrum
from ser.features.filters import fft_frequencies

REFERENCE = 55.0  # Hz: 0 semitones
ROLLOFFS = (0.25, 0.5, 0.85, 0.95)  # of the power
CONTRAST_EDGES = (0, 200, 400, 800, 1600, 3200, 6400)  # Hz: librosa's octaves
CONTRAST_QUANTILE = 0.02
TILTS = {"low": (50, 500), "high": (500, 1500)}  # Hz: eGeMAPS' two slopes
DELTA_WIDTH = 4  # frames on each side: librosa's width of 9


@dataclass(frozen=True)
class Descriptors:
    """What every frame of a clip is like.

    Attributes
    ----------
    spectral : dict of str to (n_frames,) or (n_frames, n_columns) float32
        Defined in every frame, by name: `mel` and `level` in dB, `centroid` in Hz, ...
    f0 : (n_frames,) float32
        Semitones above 55 Hz; NaN where a frame is unvoiced.
    sounding : (n_frames,) bool
        Less than 40 dB below the loudest frame.
    voiced : (n_frames,) bool
        Sounding, and with an F0.
    """

    spectral: dict[str, np.ndarray]
    f0: np.ndarray
    sounding: np.ndarray
    voiced: np.ndarray


@dataclass(frozen=True, kw_only=True)
class Analysis:
    """How a clip is cut into frames, and what they are measured by.

    Attributes
    ----------
    n_fft, hop_length : int
        Samples in a frame, and from one frame to the next.
    n_mels, n_mfcc : int
        Mel bands from 0 Hz to sr/2, and MFCCs of them.
    fmin, fmax : float
        Bounds of F0, in Hz.
    """

    n_fft: int
    hop_length: int
    n_mels: int
    n_mfcc: int
    fmin: float = f0.FMIN
    fmax: float = f0.FMAX


def describe(y: np.ndarray, sr: int, analysis: Analysis) -> Descriptors:
    """Descriptors of every frame of a clip.

    Parameters
    ----------
    y : (n_samples,) float32
    sr : int
        Hz.
    analysis : Analysis
    """
    frames = spectrum.frame(y, n_fft=analysis.n_fft, hop_length=analysis.hop_length)
    magnitude = spectrum.magnitude_spectrum(frames)
    power = np.square(magnitude)
    energy = level.levels(frames)
    mel = spectrum.decibels(spectrum.mel_power(power, sr=sr, n_mels=analysis.n_mels, fmax=sr / 2))
    hertz, aperiodicity = f0.estimate(
        y, sr, hop_length=analysis.hop_length, fmin=analysis.fmin, fmax=analysis.fmax
    )
    spectral = {
        "level": energy,
        "mel": mel,
        "mfcc": scipy.fft.dct(mel, type=2, norm="ortho", axis=1)[:, : analysis.n_mfcc],
        "aperiodicity": aperiodicity,
        "zero_crossings": zero_crossings(frames),
        "flux": flux(magnitude),
        "chroma": spectrum.chroma_frames(magnitude, frames, sr=sr),
        **shape(power, sr=sr),
        **tilt(power, sr=sr),
        "contrast": contrast(power, sr=sr),
    }
    with np.errstate(invalid="ignore"):
        semitones = 12 * np.log2(hertz / np.float32(REFERENCE))
    sounding = ~level.silent(energy)
    return Descriptors(spectral, semitones, sounding, sounding & ~np.isnan(semitones))


def zero_crossings(frames: np.ndarray) -> np.ndarray:
    """Share of a frame's samples at which its sign changes.

    Parameters
    ----------
    frames : (n_frames, n_fft) float32

    Returns
    -------
    (n_frames,) float32
    """
    negative = np.signbit(frames)
    return (negative[:, 1:] != negative[:, :-1]).mean(axis=1, dtype=np.float32)


def flux(magnitude: np.ndarray) -> np.ndarray:
    """How much the shape of the spectrum has changed since the frame before; 0 for the first.

    Parameters
    ----------
    magnitude : (n_frames, n_bins) float32

    Returns
    -------
    (n_frames,) float32
        Euclidean distance of the two spectra, each of norm 1: in [0, sqrt(2)].
    """
    norm = np.sqrt(np.einsum("ij,ij->i", magnitude, magnitude))
    unit = magnitude / np.maximum(norm, np.finfo(np.float32).tiny)[:, None]
    change = np.zeros(len(unit), dtype=np.float32)
    difference = unit[1:] - unit[:-1]
    change[1:] = np.sqrt(np.einsum("ij,ij->i", difference, difference))
    return change


def shape(power: np.ndarray, *, sr: int) -> dict[str, np.ndarray]:
    """Centroid, bandwidth, rolloffs and flatness of the power spectrum.

    Parameters
    ----------
    power : (n_frames, n_bins) float32

    Returns
    -------
    dict of str to (n_frames,) float32
        In Hz; ``flatness`` in dB, 0 for white noise (geometric over arithmetic mean).
    """
    n_bins = power.shape[1]
    frequencies = fft_frequencies(sr, 2 * (n_bins - 1)).astype(np.float32)
    power = power + np.float32(spectrum.MIN_POWER)  # a silent frame is flat
    cumulative = np.cumsum(power, axis=1)
    total = cumulative[:, -1]
    centroid = power @ frequencies / total
    spread = np.maximum(power @ np.square(frequencies) / total - np.square(centroid), 0)
    rolloffs = {
        f"rolloff_{100 * share:.0f}": frequencies[
            (cumulative >= share * total[:, None]).argmax(axis=1)  # the first
        ]
        for share in ROLLOFFS
    }
    flatness = 10 * (np.log10(power).mean(axis=1) - np.log10(total / n_bins))
    return {"centroid": centroid, "bandwidth": np.sqrt(spread), **rolloffs, "flatness": flatness}


def tilt(power: np.ndarray, *, sr: int) -> dict[str, np.ndarray]:
    """How the spectrum falls: a tense voice has more of its energy high up.

    Parameters
    ----------
    power : (n_frames, n_bins) float32

    Returns
    -------
    dict of str to (n_frames,) float32
        ``alpha_ratio`` (50 Hz to 1 kHz over 1 to 5 kHz) and ``hammarberg`` (peak below over peak
        above 2 kHz), in dB; ``slope_low`` and ``slope_high`` (50 to 500 and 500 to 1500 Hz), in dB
        for every kHz.
    """
    frequencies = fft_frequencies(sr, 2 * (power.shape[1] - 1))

    def part(low: float, high: float) -> slice:
        return slice(*np.searchsorted(frequencies, (low, high)))

    def ratio(above: np.ndarray, below: np.ndarray) -> np.ndarray:
        floor = np.float32(spectrum.MIN_POWER)
        return 10 * np.log10((above + floor) / (below + floor))

    slopes = {}
    for name, bounds in TILTS.items():
        bins = part(*bounds)
        kilohertz = frequencies[bins] / 1000
        centred = (kilohertz - kilohertz.mean()).astype(np.float32)
        decibels = 10 * np.log10(power[:, bins] + np.float32(spectrum.MIN_POWER))
        slopes[f"slope_{name}"] = decibels @ (centred / np.square(centred).sum())
    return {
        "alpha_ratio": ratio(power[:, part(50, 1000)].sum(1), power[:, part(1000, 5000)].sum(1)),
        "hammarberg": ratio(power[:, part(0, 2000)].max(1), power[:, part(2000, 5000)].max(1)),
        **slopes,
    }


def contrast(power: np.ndarray, *, sr: int) -> np.ndarray:
    """Peaks over valleys of the spectrum in seven octaves: clear harmonics against breath.

    Parameters
    ----------
    power : (n_frames, n_bins) float32

    Returns
    -------
    (n_frames, 7) float32
        dB: the mean of each octave's largest bins over that of its smallest, as
        ``librosa.feature.spectral_contrast``, but that no bin is in two octaves.
    """
    frequencies = fft_frequencies(sr, 2 * (power.shape[1] - 1))
    edges = np.append(np.searchsorted(frequencies, CONTRAST_EDGES), len(frequencies))
    columns = np.empty((len(power), len(CONTRAST_EDGES)), dtype=np.float32)
    by_bin = np.ascontiguousarray(power.T)  # where a minimum of all frames at once is quick
    for i, (start, stop) in enumerate(pairwise(edges)):
        n_extreme = max(1, round(CONTRAST_QUANTILE * (stop - start)))
        if n_extreme == 1:
            valley, peak = by_bin[start:stop].min(axis=0), by_bin[start:stop].max(axis=0)
        else:
            ordered = np.sort(power[:, start:stop], axis=1)  # a tenth of the time of np.partition
            valley, peak = ordered[:, :n_extreme].mean(axis=1), ordered[:, -n_extreme:].mean(axis=1)
        floor = np.float32(spectrum.MIN_POWER)
        columns[:, i] = 10 * np.log10((peak + floor) / (valley + floor))
    return columns


def delta(values: np.ndarray) -> np.ndarray:
    """Slope of each column around each frame, by least squares over nine frames.

    Parameters
    ----------
    values : (n_frames, n_columns) float32

    Returns
    -------
    (n_frames, n_columns) float32
        Per frame: ``librosa.feature.delta(values.T, mode="nearest").T``.
    """
    n_frames = len(values)
    padded = np.concatenate([values[:1]] * DELTA_WIDTH + [values] + [values[-1:]] * DELTA_WIDTH)
    slope = np.zeros_like(values)
    for step in range(1, DELTA_WIDTH + 1):
        after = padded[DELTA_WIDTH + step :][:n_frames]
        before = padded[DELTA_WIDTH - step :][:n_frames]
        slope += np.float32(step) * (after - before)
    return slope / np.float32(2 * sum(step**2 for step in range(1, DELTA_WIDTH + 1)))
