"""What is seen of one clip -> matplotlib figures.

Each takes the clips that will stand beside it (`beside`): they share all scales, so that what looks
different is different. Colours are perceptually uniform maps.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import QuadMesh

from ser.features.filters import PITCH_CLASSES
from ser.features.spectrum import DYNAMIC_RANGE, decibels
from ser.report.clip_views import ClipViews
from ser.report.style import COLOURS, NARROW, Figure, in_style, new_figure

MAX_COLUMNS = 1200  # of a picture: more frames than that are averaged, as no screen shows them
LOWEST = 50.0  # Hz: lower edge of the logarithmic axis
OCTAVES = (62.5, 125, 250, 500, 1000, 2000, 4000, 8000, 16000)
F0_MARKS = (50, 75, 100, 150, 200, 300, 400, 600, 800)
_POWER = "power (dB, 0 is the loudest)"


@in_style
def plot_waveforms(clip: ClipViews, beside: Sequence[ClipViews] = ()) -> Figure:
    """Samples over time; of a long clip, the lowest and highest of every column of pixels."""
    figure, axes = _panel(clip, beside, height=2.6)
    step = max(1, len(clip.y) // (2 * MAX_COLUMNS))
    columns = clip.y[: len(clip.y) // step * step].reshape(-1, step)
    times = (np.arange(len(columns)) + 0.5) * step / clip.sr
    low, high = columns.min(axis=1), columns.max(axis=1)
    axes.fill_between(times, low, high, color=COLOURS[0], linewidth=0.6)
    axes.grid()
    top = 1.05 * max(float(np.abs(each.y).max()) for each in (clip, *beside))
    axes.set(ylabel="amplitude (1 is full scale)", ylim=(-top, top))
    return figure


@in_style
def plot_spectrograms(clip: ClipViews, beside: Sequence[ClipViews] = ()) -> Figure:
    """STFT power in dB below the loudest point of all clips, over a logarithmic frequency axis."""
    figure, axes = _panel(clip, beside, height=3.4)
    reference = max(float(each.power.max()) for each in (clip, *beside))
    # The bin at 0 Hz has no place on a logarithmic axis.
    image = _image(axes, clip, clip.power[:, 1:], clip.frequencies[1:], reference)
    axes.set_yscale("log")
    top = max(each.sr for each in (clip, *beside)) / 2
    _name_ticks(axes, [mark for mark in OCTAVES if LOWEST <= mark <= top])
    axes.set(ylabel="frequency (Hz)", ylim=(LOWEST, top))
    figure.colorbar(image, label=_POWER)
    return figure


@in_style
def plot_mel_spectrograms(clip: ClipViews, beside: Sequence[ClipViews] = ()) -> Figure:
    """Power in mel bands, in dB below the loudest band of all clips."""
    figure, axes = _panel(clip, beside, height=3.2)
    reference = max(float(each.mel.max()) for each in (clip, *beside))
    image = _image(axes, clip, clip.mel, np.arange(clip.mel.shape[1]), reference)
    marks = [f for f in OCTAVES if 250 <= f <= clip.mel_fmax]  # below, bands lie too close
    bands = np.interp(marks, clip.mel_centres, np.arange(len(clip.mel_centres)))
    axes.set_yticks(bands, [f"{mark:g}" for mark in marks])
    axes.set(ylabel="frequency (Hz, mel scale)")
    figure.colorbar(image, label=_POWER)
    return figure


@in_style
def plot_mfccs(clip: ClipViews, beside: Sequence[ClipViews] = ()) -> Figure:
    """MFCCs but the first, which is the loudness and many times larger than the others."""
    figure, axes = _panel(clip, beside, height=3)
    # The second, the tilt of the spectrum, may go beyond the scale: it would pale the others.
    span = max(float(np.percentile(np.abs(each.mfcc[:, 2:]), 99)) for each in (clip, *beside))
    numbers = np.arange(1, clip.mfcc.shape[1])
    image = _mesh(axes, clip, clip.mfcc[:, 1:], numbers, cmap="RdBu_r", vmin=-span, vmax=span)
    axes.set_yticks(numbers[::3])
    axes.set(ylabel="coefficient")
    figure.colorbar(image, label="MFCC (dB)", extend="both")
    return figure


@in_style
def plot_chromagrams(clip: ClipViews, beside: Sequence[ClipViews] = ()) -> Figure:
    """Share of the twelve pitch classes, the strongest of each frame being 1."""
    figure, axes = _panel(clip, beside, height=3)
    image = _mesh(axes, clip, clip.chroma, np.arange(12), cmap="viridis", vmin=0, vmax=1)
    axes.set_yticks(range(12), [name.upper() for name in PITCH_CLASSES])
    axes.set(ylabel="pitch class")
    figure.colorbar(image, label="share (1 is the frame's strongest)")
    return figure


@in_style
def plot_contours(clip: ClipViews, beside: Sequence[ClipViews] = ()) -> Figure:
    """F0 of the voiced frames, and the level of all."""
    clips = (clip, *beside)
    figure = new_figure(NARROW, 4.4, clip.title)
    upper, lower = figure.subplots(2, 1, sharex=True)
    upper.plot(clip.contour_times, clip.f0, ".", color=COLOURS[1], markersize=3)
    lower.plot(clip.contour_times, clip.energy, color=COLOURS[0], linewidth=1)
    for axes in (upper, lower):
        axes.grid()
    voiced = np.concatenate([each.f0[~np.isnan(each.f0)] for each in clips])
    low, high = (voiced.min(), voiced.max()) if voiced.size else (100, 200)
    upper.set(ylabel="F0 (Hz)", yscale="log")
    _name_ticks(upper, [m for m in F0_MARKS if low / 1.3 < m < high * 1.3])
    upper.set_ylim(low / 1.15, high * 1.15)
    levels = [edge(each.energy) for each in clips for edge in (np.min, np.max)]
    lower.set(xlabel="time (s)", ylabel="level (dBFS)", ylim=(min(levels) - 3, max(levels) + 3))
    lower.set_xlim(0, max(each.duration for each in clips))
    return figure


def _panel(clip: ClipViews, beside: Sequence[ClipViews], *, height: float) -> tuple[Figure, Axes]:
    figure = new_figure(NARROW, height, clip.title)
    axes = figure.subplots()
    axes.set(xlabel="time (s)", xlim=(0, max(each.duration for each in (clip, *beside))))
    return figure, axes


def _image(
    axes: Axes, clip: ClipViews, power: np.ndarray, rows: np.ndarray, reference: float
) -> QuadMesh:
    """Power in dB: averaged over columns before the logarithm."""
    step = -(-len(power) // MAX_COLUMNS)
    values = decibels(_averaged(power, step), reference=reference)
    return _mesh(axes, clip, values, rows, step, cmap="magma", vmin=-DYNAMIC_RANGE, vmax=0)


def _mesh(
    axes: Axes,
    clip: ClipViews,
    values: np.ndarray,
    rows: np.ndarray,
    step: int | None = None,
    **colours: Any,
) -> QuadMesh:
    """A picture of (n_frames, n_rows); with `step`, so many frames are in each already."""
    if step is None:
        step = -(-len(values) // MAX_COLUMNS)
        values = _averaged(values, step)
    times = clip.times[: len(values) * step].reshape(-1, step).mean(axis=1)
    return axes.pcolormesh(
        times, rows, values.T, shading="nearest", rasterized=True, antialiased=False, **colours
    )


def _averaged(values: np.ndarray, step: int) -> np.ndarray:
    """Means of `step` frames each; what is left over at the end is dropped."""
    if step == 1:
        return values
    return values[: len(values) // step * step].reshape(-1, step, values.shape[1]).mean(axis=1)


def _name_ticks(axes: Axes, marks: Sequence[float]) -> None:
    """Ticks on a logarithmic axis of frequency, in Hz rather than powers."""
    axes.set_yticks(marks, [f"{mark:g}" for mark in marks])
    axes.minorticks_off()
