"""Arrays -> matplotlib figures. Nothing is computed that a table does not hold, saved or logged."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from ser.curves import Curve

# Okabe & Ito's palette, told apart with every common colour blindness.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#999933")


def confusion_matrix(counts: np.ndarray, labels: Sequence[str], *, title: str) -> Figure:
    """Confusion matrix twice: clips, and recall in percent of each true emotion.

    Parameters
    ----------
    counts : (n_labels, n_labels) int
        Rows are true, columns predicted.
    labels : sequence of str
    title : str
        What was predicted; the number of clips is added.
    """
    figure = Figure(figsize=(13, 6), layout="constrained")
    figure.suptitle(f"{title} · {counts.sum()} clips")
    support = counts.sum(axis=1, keepdims=True)
    percent = 100 * counts / np.maximum(support, 1)
    panels = ((counts, "clips", None), (percent, "percent of the true emotion's clips", 100))
    for axes, (values, unit, top) in zip(figure.subplots(1, 2), panels, strict=True):
        image = axes.imshow(values, cmap="Blues", vmin=0, vmax=top)
        axes.set_xticks(range(len(labels)), labels, rotation=45, ha="right")
        axes.set_yticks(range(len(labels)), labels)
        axes.set(xlabel="predicted emotion", ylabel="true emotion", title=unit)
        middle = image.norm.vmax / 2
        for row, column in np.ndindex(*values.shape):
            colour = "white" if values[row, column] > middle else "black"
            axes.text(
                column, row, f"{values[row, column]:.0f}", ha="center", va="center", color=colour
            )
    return figure


def roc_curves(
    curves: dict[str, tuple[np.ndarray, np.ndarray, float]], *, macro_auc: float, n_clips: int
) -> Figure:
    """One-vs-rest ROC curve of every emotion.

    Parameters
    ----------
    curves : dict
        Emotion -> (false positive rate, true positive rate, area under the curve).
    macro_auc : float
        Mean of the areas.
    n_clips : int
    """
    figure = Figure(figsize=(7, 6.5), layout="constrained")
    axes = figure.subplots()
    for (emotion, (fpr, tpr, auc)), colour in zip(curves.items(), _colours(), strict=False):
        axes.plot(fpr, tpr, color=colour, label=f"{emotion} ({auc:.2f})")
    axes.plot([0, 1], [0, 1], color="grey", linestyle=":", label="chance (0.50)")
    axes.set(xlabel="false positive rate", ylabel="true positive rate", aspect="equal")
    axes.set_title(
        f"ROC, one emotion against the rest · macro AUC {macro_auc:.3f} · {n_clips} clips"
    )
    axes.legend(title="emotion (AUC)", loc="lower right")
    return figure


def loss_curve(loss: Sequence[float], *, n_clips: int) -> Figure:
    """Training loss after each epoch."""
    figure = Figure(figsize=(7, 5), layout="constrained")
    axes = figure.subplots()
    axes.plot(np.arange(1, len(loss) + 1), loss, color=COLOURS[0])
    axes.set(xlabel="epoch", ylabel="training loss (cross-entropy + penalty, nats)", ylim=(0, None))
    axes.set_title(f"Loss while fitting · {len(loss)} epochs · {n_clips} training clips")
    axes.grid(alpha=0.3)
    return figure


def learning_curve(curve: Curve, *, n_labels: int) -> Figure:
    """Accuracy against training clips or actors: mean and one standard deviation over folds."""
    figure = Figure(figsize=(8, 5.5), layout="constrained")
    axes = figure.subplots()
    parts = (("training clips", curve.train), ("held-out folds", curve.validation))
    for (name, values), colour in zip(parts, COLOURS, strict=False):
        mean, deviation = np.nanmean(values, axis=1), np.nanstd(values, axis=1)
        axes.plot(curve.sizes, 100 * mean, color=colour, marker="o", label=name)
        low, high = 100 * (mean - deviation), 100 * (mean + deviation)
        axes.fill_between(curve.sizes, low, high, color=colour, alpha=0.2, linewidth=0)
    axes.axhline(100 / n_labels, color="grey", linestyle=":", label="chance")
    kept = "actors known" if curve.unit == "clips" else "held-out actors"
    axes.set(xlabel=f"{curve.unit} trained on", ylabel="accuracy (%)", ylim=(0, 102))
    axes.set_title(
        f"Learning curve · {curve.validation.shape[1]} folds, {kept} · band: 1 standard deviation"
    )
    axes.grid(alpha=0.3)
    axes.legend(loc="lower right")
    return figure


def class_balance(train: Sequence[int], test: Sequence[int], labels: Sequence[str]) -> Figure:
    """Clips of every emotion in training and test.

    Parameters
    ----------
    train, test : (n_labels,) int
    labels : sequence of str
    """
    figure = Figure(figsize=(8, 4.5), layout="constrained")
    axes = figure.subplots()
    axes.bar(labels, train, color=COLOURS[0], label=f"training ({sum(train)})")
    axes.bar(labels, test, bottom=train, color=COLOURS[1], label=f"test ({sum(test)})")
    axes.set(xlabel="emotion", ylabel="clips")
    axes.set_title(f"Class balance · {sum(train) + sum(test)} clips")
    axes.margins(y=0.15)  # room for the legend above the bars
    axes.legend(loc="upper right", ncols=2)
    return figure


def _colours() -> Sequence[str]:
    # Eight emotions have a colour each; a corpus with more of them uses the colours again.
    return COLOURS * 8
