"""Window and filter banks: what turns a spectrum into mel bands and pitch classes.

The definitions are those of librosa 0.11 with its defaults (McFee et al. 2015, doi
10.25080/Majora-7b98e3ed-003), and the tests compare every one with librosa's own. They are written
out here because importing librosa costs a worker, a served model and a prediction 1.4 s each for
code that it compiles and this project does not call, and because processes that load a fresh
librosa at the same time can leave a compiled cache that crashes later ones (numba issue 10128).
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

A440 = 440.0  # Hz
# Of chroma, from C up.
PITCH_CLASSES = ("c", "c#", "d", "d#", "e", "f", "f#", "g", "g#", "a", "a#", "b")
CHROMA_CENTRE = 5.0  # octaves above 27.5 Hz: where the pitch classes weigh most
CHROMA_WIDTH = 2.0  # octaves: deviation of that weight
BANDS_AT_ONCE = 8  # mel bands in one product

# Slaney's mel scale: linear up to 1 kHz, then 27 steps for every factor of 6.4.
_HZ_PER_MEL = 200 / 3
_KNEE = 1000.0  # Hz
_STEP = np.log(6.4) / 27


@lru_cache(maxsize=8)
def hann(n_fft: int) -> np.ndarray:
    """Periodic Hann window: ``scipy.signal.get_window("hann", n_fft)``, bit for bit.

    Returns
    -------
    (n_fft,) float64
    """
    return 0.5 + 0.5 * np.cos(np.linspace(-np.pi, np.pi, n_fft + 1)[:-1])


def fft_frequencies(sr: int, n_fft: int) -> np.ndarray:
    """Centres of the bins of a real FFT.

    Returns
    -------
    (1 + n_fft // 2,) float64
        In Hz, from 0 to sr/2.
    """
    return np.fft.rfftfreq(n_fft, 1 / sr)


def mel_frequencies(n_mels: int, fmax: float) -> np.ndarray:
    """Frequencies at equal distances on Slaney's mel scale, from 0 Hz to `fmax`.

    Returns
    -------
    (n_mels,) float64
        In Hz: ``librosa.mel_frequencies``.
    """
    return _mel_to_hz(np.linspace(0, _hz_to_mel(fmax), n_mels))


def mel_bank(sr: int, n_fft: int, n_mels: int, fmax: float) -> np.ndarray:
    """Slaney's triangular mel filters from 0 Hz to `fmax`, each of the same area.

    Parameters
    ----------
    sr : int
        Hz.
    n_fft : int
        Samples in a frame, even.
    n_mels : int
    fmax : float
        Upper edge, in Hz. Bands that lie past sr/2 are all zero.

    Returns
    -------
    (n_mels, 1 + n_fft // 2) float32
        ``librosa.filters.mel``.
    """
    edges = mel_frequencies(n_mels + 2, fmax)
    bins = fft_frequencies(sr, n_fft)
    rising = (bins - edges[:-2, None]) / np.diff(edges)[:-1, None]
    falling = (edges[2:, None] - bins) / np.diff(edges)[1:, None]
    bank = np.maximum(0, np.minimum(rising, falling)).astype(np.float32)
    bank *= (2 / (edges[2:] - edges[:-2]))[:, None]
    return bank


@lru_cache(maxsize=8)
def mel_blocks(
    sr: int, n_fft: int, n_mels: int, fmax: float
) -> tuple[tuple[slice, slice, np.ndarray], ...]:
    """The filters of `mel_bank`, eight at a time, with the few bins that they cover.

    Of the whole matrix 1 % is not zero. Blocks along its diagonal are small dense products: a
    quarter of a sparse product's time, an eighth of that of the whole.

    Returns
    -------
    tuple of (bands, bins, weights)
        Slices of the bands and of the bins, and the (n_bins, n_bands) float32 between them.
    """
    bank = mel_bank(sr, n_fft, n_mels, fmax)
    blocks = []
    for first in range(0, n_mels, BANDS_AT_ONCE):
        bands = slice(first, min(first + BANDS_AT_ONCE, n_mels))
        covered = np.flatnonzero(bank[bands].any(axis=0))
        bins = slice(covered[0], covered[-1] + 1) if covered.size else slice(0, 0)
        blocks.append((bands, bins, np.ascontiguousarray(bank[bands, bins].T)))
    return tuple(blocks)


@lru_cache(maxsize=256)  # tuning comes in steps of 0.01: 101 banks serve every clip of one rate
def chroma_bank(sr: int, n_fft: int, tuning: float) -> np.ndarray:
    """Weight of every bin in the 12 pitch classes, C first: a Gaussian around each semitone.

    Parameters
    ----------
    sr : int
        Hz.
    n_fft : int
        Samples in a frame, even.
    tuning : float
        Deviation from A440, in semitones.

    Returns
    -------
    (12, 1 + n_fft // 2) float32
        ``librosa.filters.chroma``: columns have norm 1, then weigh by their distance from
        `CHROMA_CENTRE`.
    """
    frequencies = np.arange(1, n_fft // 2 + 2) * (sr / n_fft)
    semitones = 12 * octaves(frequencies, tuning)
    # 0 Hz has no pitch: it is put 1.5 octaves below the first bin, and as wide.
    semitones = np.concatenate(([semitones[0] - 18], semitones))
    semitones, width = semitones[:-1], np.maximum(np.diff(semitones), 1)
    distance = np.remainder(semitones - np.arange(12)[:, None] + 126, 12) - 6
    bank = np.exp(-0.5 * (2 * distance / width) ** 2)
    bank /= np.linalg.norm(bank, axis=0)
    bank *= np.exp(-0.5 * ((semitones / 12 - CHROMA_CENTRE) / CHROMA_WIDTH) ** 2)
    from_c = np.roll(bank, -3, axis=0)  # A440 puts A first
    return np.ascontiguousarray(from_c, dtype=np.float32)


def octaves(frequencies: np.ndarray, tuning: float = 0.0) -> np.ndarray:
    """Octaves above 27.5 Hz, for a tuning in semitones away from A440."""
    return np.log2(frequencies / (A440 * 2 ** (tuning / 12) / 16))


def _hz_to_mel(hz: float) -> float:
    return hz / _HZ_PER_MEL if hz < _KNEE else _KNEE / _HZ_PER_MEL + np.log(hz / _KNEE) / _STEP


def _mel_to_hz(mels: np.ndarray) -> np.ndarray:
    knee = _KNEE / _HZ_PER_MEL
    return np.where(mels < knee, mels * _HZ_PER_MEL, _KNEE * np.exp(_STEP * (mels - knee)))
