"""What is seen of one clip, or of several side by side -> matplotlib figures.

Clips beside each other share all scales, so that what looks different is different. Colours are
perceptually uniform maps.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import QuadMesh

from ser.core.printable import shown
from ser.features.filters import PITCH_CLASSES
from ser.features.spectrum import DYNAMIC_RANGE, decibels
from ser.report.clip_views import ClipViews
from ser.report.style import COLOURS, Figure

WIDTHS = (6.5, 10.0)  # inches: of one clip, and of several
MAX_COLUMNS = 1200  # of a picture: more frames than that are averaged, as no screen shows them
LOWEST = 50.0  # Hz: lower edge of the logarithmic axis
OCTAVES = (62.5, 125, 250, 500, 1000, 2000, 4000, 8000, 16000)


def plot_waveforms(clips: Sequence[ClipViews]) -> Figure:
    """Samples over time; of a long clip, the lowest and highest of every column of pixels."""
    figure, panels = _panels(clips, height=2.8)
    for axes, clip in zip(panels, clips, strict=True):
        step = max(1, len(clip.y) // (2 * MAX_COLUMNS))
        columns = clip.y[: len(clip.y) // step * step].reshape(-1, step)
        times = (np.arange(len(columns)) + 0.5) * step / clip.sr
        low, high = columns.min(axis=1), columns.max(axis=1)
        axes.fill_between(times, low, high, color=COLOURS[0], linewidth=0.6)
        axes.grid(alpha=0.3)
    top = 1.05 * max(float(np.abs(clip.y).max()) for clip in clips)
    panels[0].set(ylabel="amplitude (1 is full scale)", ylim=(-top, top))
    return figure


def plot_spectrograms(clips: Sequence[ClipViews]) -> Figure:
    """STFT power in dB below the loudest point of all clips, over a logarithmic frequency axis."""
    figure, panels = _panels(clips, height=3.8)
    reference = max(float(clip.power.max()) for clip in clips)
    for axes, clip in zip(panels, clips, strict=True):
        # The bin at 0 Hz has no place on a logarithmic axis.
        image = _image(axes, clip, clip.power[:, 1:], clip.frequencies[1:], reference)
        axes.set_yscale("log")
        _name_frequencies(axes, clip)
    top = max(clip.sr for clip in clips) / 2
    panels[0].set(ylabel="frequency (Hz)", ylim=(LOWEST, top))
    _colour_bar(figure, image, panels, "power (dB, 0 is the loudest)")
    return figure


def plot_mel_spectrograms(clips: Sequence[ClipViews]) -> Figure:
    """Power in mel bands, in dB below the loudest band of all clips."""
    figure, panels = _panels(clips, height=3.6)
    reference = max(float(clip.mel.max()) for clip in clips)
    for axes, clip in zip(panels, clips, strict=True):
        image = _image(axes, clip, clip.mel, np.arange(clip.mel.shape[1]), reference)
        marks = [f for f in OCTAVES if 250 <= f <= clip.mel_fmax]  # below, bands lie too close
        bands = np.interp(marks, clip.mel_centres, np.arange(len(clip.mel_centres)))
        axes.set_yticks(bands, [f"{mark:g}" for mark in marks])
    panels[0].set(ylabel="frequency (Hz, mel scale)")
    _colour_bar(figure, image, panels, "power (dB, 0 is the loudest)")
    return figure


def plot_mfccs(clips: Sequence[ClipViews]) -> Figure:
    """MFCCs but the first, which is the loudness and many times larger than the others."""
    figure, panels = _panels(clips, height=3.2)
    # The second, the tilt of the spectrum, may go beyond the scale: it would pale the others.
    span = max(float(np.percentile(np.abs(clip.mfcc[:, 2:]), 99)) for clip in clips)
    for axes, clip in zip(panels, clips, strict=True):
        numbers = np.arange(1, clip.mfcc.shape[1])
        image = _mesh(axes, clip, clip.mfcc[:, 1:], numbers, cmap="RdBu_r", vmin=-span, vmax=span)
        axes.set_yticks(numbers[::3])
    panels[0].set(ylabel="coefficient")
    _colour_bar(figure, image, panels, "MFCC (dB)", extend="both")
    return figure


def plot_chromagrams(clips: Sequence[ClipViews]) -> Figure:
    """Share of the twelve pitch classes, the strongest of each frame being 1."""
    figure, panels = _panels(clips, height=3.2)
    names = [name.upper() for name in PITCH_CLASSES]
    for axes, clip in zip(panels, clips, strict=True):
        image = _mesh(axes, clip, clip.chroma, np.arange(12), cmap="viridis", vmin=0, vmax=1)
        axes.set_yticks(range(12), names, fontsize=8)
    panels[0].set(ylabel="pitch class")
    _colour_bar(figure, image, panels, "share (1 is the frame's strongest)")
    return figure


def plot_contours(clips: Sequence[ClipViews]) -> Figure:
    """F0 of the voiced frames, and the level of all."""
    figure = Figure(figsize=(_width(clips), 4.8), layout="constrained")
    rows = figure.subplots(2, len(clips), sharex=True, sharey="row", squeeze=False)
    for upper, lower, clip in zip(*rows, clips, strict=True):
        upper.plot(clip.contour_times, clip.f0, ".", color=COLOURS[1], markersize=3)
        lower.plot(clip.contour_times, clip.energy, color=COLOURS[0], linewidth=1)
        upper.set(title=shown(clip.title), yscale="log")
        lower.set(xlabel="time (s)")
        for axes in (upper, lower):
            axes.grid(alpha=0.3)
    voiced = np.concatenate([clip.f0[~np.isnan(clip.f0)] for clip in clips])
    low, high = (voiced.min(), voiced.max()) if voiced.size else (100, 200)
    _name_octaves(rows[0, 0], low, high)
    rows[0, 0].set(ylabel="F0 (Hz)")
    rows[1, 0].set(ylabel="level (dBFS)")
    rows[1, 0].set_xlim(0, max(clip.duration for clip in clips))
    return figure


def _panels(clips: Sequence[ClipViews], *, height: float) -> tuple[Figure, list[Axes]]:
    figure = Figure(figsize=(_width(clips), height), layout="constrained")
    panels = list(figure.subplots(1, len(clips), sharex=True, sharey=True, squeeze=False)[0])
    for axes, clip in zip(panels, clips, strict=True):
        axes.set(title=shown(clip.title), xlabel="time (s)")
    panels[0].set_xlim(0, max(clip.duration for clip in clips))
    return figure, panels


def _width(clips: Sequence[ClipViews]) -> float:
    return WIDTHS[len(clips) > 1]


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


def _name_frequencies(axes: Axes, clip: ClipViews) -> None:
    marks = [mark for mark in OCTAVES if LOWEST <= mark <= clip.sr / 2]
    axes.set_yticks(marks, [f"{mark:g}" for mark in marks])
    axes.minorticks_off()


def _name_octaves(axes: Axes, low: float, high: float) -> None:
    """Ticks on a logarithmic axis of F0 that spans a few octaves at most."""
    marks = [m for m in (50, 75, 100, 150, 200, 300, 400, 600, 800) if low / 1.3 < m < high * 1.3]
    axes.set_yticks(marks, [str(mark) for mark in marks])
    axes.minorticks_off()
    axes.set_ylim(low / 1.15, high * 1.15)


def _colour_bar(
    figure: Figure, image: QuadMesh, panels: Sequence[Axes], label: str, extend: str = "neither"
) -> None:
    figure.colorbar(image, ax=panels, label=label, extend=extend, fraction=0.03, pad=0.01)
