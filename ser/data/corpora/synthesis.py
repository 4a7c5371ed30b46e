"""A source-filter voice: glottal pulses and breath through moving formants (Fant 1960).

The demo corpus speaks with it. The source is Rosenberg's pulse (1971), differentiated, with
jitter, shimmer, spectral tilt and aspiration noise; the filter a cascade of second-order
resonators, as in Klatt's synthesiser (Klatt 1980; Klatt & Klatt 1990 for the voice source).

References
----------
Fant (1960), Acoustic Theory of Speech Production.
Rosenberg (1971), JASA 49(2B): 583-590, doi 10.1121/1.1912389.
Klatt (1980), JASA 67(3): 971-995, doi 10.1121/1.383940.
Klatt & Klatt (1990), JASA 87(2): 820-857, doi 10.1121/1.398894.
Peterson & Barney (1952), JASA 24(2): 175-184, doi 10.1121/1.1906875: vowel formants of men.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.signal import butter, lfilter, sosfilt

SR = 16_000  # Hz: what most of the field works at
LEVEL = 0.02  # root mean square at 0 dB: low, so that a shout has room above it
BLOCK = SR // 50  # samples with one set of formants: 20 ms
BANDWIDTHS = (80.0, 100.0, 140.0, 250.0)  # Hz, of the four formants

# F1 to F4 in Hz, of an adult man; F4 is nearly the same in all.
VOWELS = {
    "i": (270, 2290, 3010, 3500),
    "I": (390, 1990, 2550, 3500),
    "a": (730, 1090, 2440, 3500),
    "o": (570, 840, 2410, 3500),
    "E": (530, 1840, 2480, 3500),
    "@": (500, 1500, 2500, 3500),
    "U": (440, 1020, 2240, 3500),
    "r": (490, 1350, 1690, 3300),
}
# Onset consonants: centre (Hz), relative level, seconds of noise, seconds of silence before it.
CONSONANTS = {
    "k": (2200, 0.5, 0.03, 0.05),
    "t": (4500, 0.5, 0.02, 0.04),
    "s": (6500, 0.4, 0.09, 0.0),
    "d": (3500, 0.25, 0.015, 0.03),
    "g": (1800, 0.25, 0.02, 0.03),
    "b": (700, 0.25, 0.01, 0.03),
    "h": (1500, 0.15, 0.05, 0.0),
    "": (1000, 0.0, 0.0, 0.01),
}


@dataclass(frozen=True)
class Syllable:
    """An onset consonant and one or two vowels, the second of which a diphthong glides to."""

    onset: str
    vowels: tuple[str, ...]
    length: float  # of an average syllable
    stress: float  # 0 to 1


@dataclass(frozen=True)
class Manner:
    """How an utterance is spoken.

    Attributes
    ----------
    f0 : float
        Mean fundamental frequency, Hz.
    f0_range : float
        Height of a full accent, semitones.
    f0_end : float
        Rise (or, negative, fall) at the end, semitones.
    rate : float
        Syllables per second.
    level : float
        Gain, dB.
    brightness : float
        0 to 1: how little the source's spectrum falls off.
    attack : float
        Seconds that a vowel takes to its full level.
    jitter, shimmer : float
        Deviation of period and of amplitude from pulse to pulse, relative.
    breath : float
        Aspiration noise, relative to the voiced source.
    tract : float
        Factor on the formants: 1 for a man, about 1.17 for a woman.
    """

    f0: float
    f0_range: float
    f0_end: float
    rate: float
    level: float
    brightness: float
    attack: float
    jitter: float
    shimmer: float
    breath: float
    tract: float


def speak(syllables: Sequence[Syllable], manner: Manner, rng: np.random.Generator) -> np.ndarray:
    """Samples of an utterance.

    Parameters
    ----------
    syllables : sequence of Syllable
    manner : Manner
    rng : Generator
        Of everything that is never the same twice.

    Returns
    -------
    (n_samples,) float64
        At `SR`, about `LEVEL` in root mean square at 0 dB, with silence before and after.
    """
    spans = _timing(syllables, manner, rng)
    n = int(SR * (spans[-1][1] + rng.uniform(0.15, 0.3)))
    n += -n % BLOCK
    f0 = _f0_contour(syllables, manner, spans, n, rng)
    voiced = _voicing(syllables, manner, spans, n)
    source = _source(f0, voiced, manner, rng)
    y = _tract_filter(source, _formants(syllables, manner, spans, n // BLOCK))
    loudness = LEVEL * 10 ** (manner.level / 20)
    y *= loudness / _source_level(manner)
    for syllable, (start, _) in zip(syllables, spans, strict=True):
        _add_consonant(y, syllable.onset, start, manner, loudness, rng)
    return y


def _timing(
    syllables: Sequence[Syllable], manner: Manner, rng: np.random.Generator
) -> list[tuple[float, float]]:
    """Start and end (s) of every vowel."""
    spans, now = [], rng.uniform(0.15, 0.3)
    for syllable in syllables:
        _, _, noise, closure = CONSONANTS[syllable.onset]
        length = syllable.length / manner.rate * rng.uniform(0.9, 1.1)
        now += min(noise + closure, 0.5 * length)
        vowel = max(0.5 * length, length - noise - closure)
        spans.append((now, now + vowel))
        now += vowel
    return spans


def _f0_contour(
    syllables: Sequence[Syllable],
    manner: Manner,
    spans: Sequence[tuple[float, float]],
    n: int,
    rng: np.random.Generator,
) -> np.ndarray:
    """(n,) Hz: declination, an accent on every stressed vowel, and a final rise or fall."""
    times, semitones = [0.0], [0.0]
    for i, (syllable, (start, end)) in enumerate(zip(syllables, spans, strict=True)):
        declination = -2.0 * i / max(1, len(spans) - 1)
        accent = manner.f0_range * (syllable.stress - 0.3) * rng.uniform(0.8, 1.2)
        times += [start, 0.6 * start + 0.4 * end, end]
        semitones += [declination + 0.3 * accent, declination + accent, declination]
    semitones[-1] += manner.f0_end
    contour = np.interp(np.arange(n) / SR, times, semitones)
    return manner.f0 * 2 ** (contour / 12)


def _voicing(
    syllables: Sequence[Syllable],
    manner: Manner,
    spans: Sequence[tuple[float, float]],
    n: int,
) -> np.ndarray:
    """(n,) amplitude of voicing: a rise within the attack, a decay to the next onset."""
    times, levels = [spans[0][0] - 0.03], [0.0]
    for syllable, (start, end) in zip(syllables, spans, strict=True):
        peak = 0.6 + 0.4 * syllable.stress
        rise = min(manner.attack, 0.4 * (end - start))
        times += [start, start + rise, end - 0.03, end]
        levels += [0.08, peak, 0.7 * peak, 0.1]
    times.append(times[-1] + 0.08)
    levels.append(0.0)
    return np.interp(np.arange(n) / SR, times, levels)


def _source(
    f0: np.ndarray, voiced: np.ndarray, manner: Manner, rng: np.random.Generator
) -> np.ndarray:
    """(n,) glottal flow derivative with tilt, and breath that comes while the glottis is open."""
    n_pulses = int(f0.sum() / SR) + 2
    # Each pulse has its own period and amplitude.
    pulse = (np.cumsum(f0) / SR).astype(int)
    period = 1 + manner.jitter * rng.standard_normal(n_pulses)
    phase = np.cumsum(f0 * period[pulse]) / SR
    pulse = np.minimum(phase.astype(int), n_pulses - 1)
    amplitude = 1 + manner.shimmer * rng.standard_normal(n_pulses)
    open_quotient = 0.75 - 0.25 * manner.brightness
    flow = _rosenberg(phase - np.floor(phase), open_quotient) * amplitude[pulse]
    flow_derivative = np.diff(flow, prepend=0.0) * SR / f0 / 10
    pole = np.exp(-2 * np.pi * (400 * 15**manner.brightness) / SR)
    tilted = lfilter([1 - pole], [1, -pole], flow_derivative)
    noise = manner.breath * rng.standard_normal(len(f0)) * (0.3 + 0.7 * flow)
    return voiced * (tilted + 0.3 * noise)


def _rosenberg(phase: np.ndarray, open_quotient: float) -> np.ndarray:
    """Rosenberg's trigonometric pulse over a period's phase in [0, 1): opens, closes, is closed."""
    opening = open_quotient * 0.67
    flow = np.zeros_like(phase)
    rising = phase < opening
    flow[rising] = 0.5 * (1 - np.cos(np.pi * phase[rising] / opening))
    falling = (phase >= opening) & (phase < open_quotient)
    flow[falling] = np.cos(0.5 * np.pi * (phase[falling] - opening) / (open_quotient - opening))
    return flow


def _formants(
    syllables: Sequence[Syllable],
    manner: Manner,
    spans: Sequence[tuple[float, float]],
    n_blocks: int,
) -> np.ndarray:
    """(n_blocks, 4) Hz: targets of the vowels, with glides between them."""
    times, targets = [], []
    for syllable, (start, end) in zip(syllables, spans, strict=True):
        marks = np.linspace(start, end, 2 * len(syllable.vowels) + 1)[1::2]
        times += list(marks)
        targets += [VOWELS[vowel] for vowel in syllable.vowels]
    middle = (np.arange(n_blocks) + 0.5) * BLOCK / SR
    tracks = [np.interp(middle, times, track) for track in np.transpose(targets)]
    return manner.tract * np.transpose(tracks)


def _tract_filter(source: np.ndarray, formants: np.ndarray) -> np.ndarray:
    """Cascade of resonators of unit gain at 0 Hz, whose state goes on from block to block."""
    radius = np.exp(-np.pi * np.array(BANDWIDTHS) / SR)
    b = -2 * radius * np.cos(2 * np.pi * formants / SR)
    c = np.broadcast_to(radius**2, b.shape)
    sections = np.zeros((*b.shape, 6))
    sections[..., 0] = 1 + b + c
    sections[..., 3] = 1
    sections[..., 4] = b
    sections[..., 5] = c
    y = np.empty_like(source)
    state = np.zeros((len(BANDWIDTHS), 2))
    for block, sos in enumerate(sections):
        part = slice(block * BLOCK, (block + 1) * BLOCK)
        y[part], state = sosfilt(sos, source[part], zi=state)
    return y


def _add_consonant(
    y: np.ndarray,
    onset: str,
    vowel_start: float,
    manner: Manner,
    loudness: float,
    rng: np.random.Generator,
) -> None:
    middle, level, seconds, _ = CONSONANTS[onset]
    n = int(seconds * SR)
    end = int(vowel_start * SR)
    if n == 0 or end < n:
        return
    centre = min(middle * (0.8 + 0.2 * manner.tract) * (0.9 + 0.2 * manner.brightness), 0.4 * SR)
    band = butter(1, (0.6 * centre, min(1.5 * centre, 0.49 * SR)), "bandpass", fs=SR, output="sos")
    noise = sosfilt(band, rng.standard_normal(n)) * np.hanning(n)
    y[end - n : end] += 1.5 * level * loudness * noise


def _source_level(manner: Manner) -> float:
    """Level of the filtered source by its brightness, so that `level` alone sets loudness."""
    return 0.12 * 15 ** (0.6 * manner.brightness)
