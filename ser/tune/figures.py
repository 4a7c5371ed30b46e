"""A study -> matplotlib figures of its trials."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import LogLocator, NullFormatter
from matplotlib.tri import Triangulation
from optuna.importance import (
    FanovaImportanceEvaluator,
    PedAnovaImportanceEvaluator,
    get_param_importances,
)
from optuna.search_space import intersection_search_space
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from ser.evaluation.metrics import Metric
from ser.report.style import COLOURS, NARROW, Figure, in_style, new_figure, short, whole

_KINDS = {True: ("pruned", "silver"), False: ("complete", COLOURS[0])}
MIN_TRIALS = 4  # fewer say nothing about a parameter


def figures(study: Study, metric: Metric) -> dict[str, Callable[[], Figure]]:
    """What draws the history of a study, and from `MIN_TRIALS` on what the parameters do.

    Parameters
    ----------
    study : Study
    metric : Metric
        That the trials' values are of.

    Returns
    -------
    dict of str to callable
        optimization_history, intermediate_values, slice; and where the trials differ in their
        scores, contour (of the two most important parameters) and two importances: by variance
        (fANOVA) and by what the best tenth has in common (PED-ANOVA), as the two disagree where
        parameters are conditional.
    """
    trials = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE, TrialState.PRUNED))
    complete = [trial for trial in trials if not _is_pruned(trial)]
    if not complete:
        return {}
    best = (max if metric.higher_is_better else min)(complete, key=lambda t: t.value or 0.0)
    about = f"{study.study_name} · {len(complete)} complete trials, {len(trials) - len(complete)} "
    about += f"pruned · best: trial {best.number}, {metric.text_with_unit(best.value or 0.0)}"
    drawn: dict[str, Callable[[], Figure]] = {
        "optimization_history": partial(plot_history, trials, metric, about),
        "intermediate_values": partial(plot_steps, trials, metric, best.number, about),
    }
    scored = [trial for trial in trials if trial.state == TrialState.COMPLETE]
    if len(scored) >= MIN_TRIALS:
        drawn["slice"] = partial(plot_slices, scored, metric, about)
        if len({trial.value for trial in scored}) > 1:  # else nothing has moved the score
            ways = {
                "fanova": get_param_importances(study, evaluator=FanovaImportanceEvaluator(seed=0)),
                "ped_anova": get_param_importances(study, evaluator=PedAnovaImportanceEvaluator()),
            }
            for way, importances in ways.items():
                drawn[f"importance_{way}"] = partial(plot_importances, importances, way, about)
            varied = intersection_search_space(scored)
            names = [n for n in ways["ped_anova"] if n in varied and not varied[n].single()]
            if len(names) >= 2:
                drawn["contour"] = partial(plot_contour, scored, names[:2], metric, about)
    return drawn


@in_style
def plot_history(trials: Sequence[FrozenTrial], metric: Metric, about: str) -> Figure:
    """Score of each trial, and the best complete one so far."""
    figure = new_figure(NARROW, 4.2, "History of the search", about)
    axes = figure.subplots()
    for pruned, (label, colour) in _KINDS.items():
        own = [t for t in trials if _is_pruned(t) == pruned and t.value is not None]
        axes.plot(_numbers(own), _scores(own, metric), "o", color=colour, label=label, markersize=4)
    complete = [trial for trial in trials if not _is_pruned(trial)]
    best = np.maximum if metric.higher_is_better else np.minimum
    so_far = best.accumulate(_scores(complete, metric))
    ends = [*_numbers(complete), trials[-1].number], [*so_far, so_far[-1]]
    axes.step(*ends, where="post", color=COLOURS[1], label="best so far")
    _whole(axes, "trial")
    axes.set(ylabel=_label(metric))
    axes.grid()
    axes.legend()
    return figure


@in_style
def plot_steps(trials: Sequence[FrozenTrial], metric: Metric, best: int, about: str) -> Figure:
    """Scores of each trial after each fold, or epoch; the best trial stands out."""
    figure = new_figure(NARROW, 4.2, "Trials step by step", about)
    axes = figure.subplots()
    for trial in sorted(trials, key=lambda trial: (trial.number == best, not _is_pruned(trial))):
        label, colour = _KINDS[_is_pruned(trial)]
        label, colour = ("best", COLOURS[1]) if trial.number == best else (label, colour)
        steps, values = list(trial.intermediate_values), list(trial.intermediate_values.values())
        scores = metric.scale * np.array(values)
        strength: dict[str, Any] = {
            "alpha": 1 if trial.number == best else 0.5,
            "linewidth": 1,
            "marker": ".",
        }
        axes.plot(steps, scores, color=colour, label=label, **strength)
    handles, labels = axes.get_legend_handles_labels()
    once = dict(zip(labels, handles, strict=True))
    axes.legend(once.values(), once.keys())
    _whole(axes, "fold, or epoch")
    axes.set(ylabel=_label(metric))
    axes.grid()
    return figure


@in_style
def plot_slices(trials: Sequence[FrozenTrial], metric: Metric, about: str) -> Figure:
    """Score against each parameter, a dot for each trial, the later the darker."""
    names = _parameters(trials)
    columns = min(len(names), 3)
    rows = -(-len(names) // columns)
    width = max(NARROW, 2.6 * columns + 1)
    figure = new_figure(width, 0.9 + 2.4 * rows, "Score against each parameter", about)
    panels = figure.subplots(rows, columns, sharey=True, squeeze=False)
    scale = {"cmap": "Blues", "vmin": 0, "vmax": max(_numbers(trials)), "linewidths": 0.4}
    for axes in panels.flat[len(names) :]:
        axes.set_axis_off()
    for axes, name in zip(panels.flat, names, strict=False):
        own = [trial for trial in trials if name in trial.params]
        x = _place(axes, own, name)
        image = axes.scatter(
            x, _scores(own, metric), s=18, c=_numbers(own), edgecolors="grey", **scale
        )
        axes.grid()
    for row in panels:
        row[0].set(ylabel=_label(metric))
    bar = figure.colorbar(image, ax=panels, label="trial")
    whole(bar.ax.yaxis)
    return figure


@in_style
def plot_importances(importances: Mapping[str, float], way: str, about: str) -> Figure:
    """Share of each parameter in what moves the score."""
    name = {"fanova": "fANOVA", "ped_anova": "PED-ANOVA"}[way]
    title = f"Importance of the parameters ({name})"
    figure = new_figure(NARROW, 1.4 + 0.35 * len(importances), title, about)
    axes = figure.subplots()
    shares = [100 * share for share in reversed(list(importances.values()))]
    bars = axes.barh(
        [_last(each) for each in reversed(list(importances))], shares, color=COLOURS[0]
    )
    axes.bar_label(bars, fmt=" %.0f", fontsize=8)
    axes.set(xlabel="share of the importance (%)", xlim=(0, 108))
    axes.grid(axis="x")
    return figure


@in_style
def plot_contour(
    trials: Sequence[FrozenTrial], names: Sequence[str], metric: Metric, about: str
) -> Figure:
    """Score of each trial over two parameters; between those of numbers it is interpolated."""
    title = f"Score over {' and '.join(map(_last, names))}"
    numbers = not any(_values(trials, name)[1] for name in names)  # nothing is between choices
    if numbers:
        title += " · between the trials interpolated"
    figure = new_figure(NARROW, 4.6, title, about)
    axes = figure.subplots()
    x, scores = _place(axes, trials, names[0]), _scores(trials, metric)
    y = _place(axes, trials, names[1], of_y=True)
    places = np.column_stack([_values(trials, name)[0] for name in names])
    scale: dict[str, Any] = {"cmap": "Blues", "vmin": scores.min(), "vmax": scores.max()}
    if numbers and np.linalg.matrix_rank(places - places[0]) == 2:  # else they lie on a line
        triangles = Triangulation(*places.T).triangles  # of what is drawn: logarithms
        axes.tricontourf(Triangulation(x, y, triangles), scores, levels=12, **scale)
    dots: dict[str, Any] = {
        "s": 24,
        "edgecolors": "black",
        "linewidths": 0.6,
        "clip_on": False,
        "zorder": 3,
    }
    image = axes.scatter(x, y, c=scores, **dots, **scale)
    figure.colorbar(image, label=_label(metric))
    return figure


def _is_pruned(trial: FrozenTrial) -> bool:
    """Whether it has a score of a part of the folds only."""
    return trial.state == TrialState.PRUNED or bool(trial.user_attrs.get("pruned"))


def _label(metric: Metric) -> str:
    unit = f" ({metric.unit})" if metric.unit else ""
    return f"{metric.label}{unit}, cross-validation"


def _numbers(trials: Sequence[FrozenTrial]) -> list[int]:
    return [trial.number for trial in trials]


def _scores(trials: Sequence[FrozenTrial], metric: Metric) -> np.ndarray:
    return metric.scale * np.array([trial.value for trial in trials], dtype=float)


def _whole(axes: Axes, name: str) -> None:
    axes.set(xlabel=name)
    whole(axes.xaxis)


def _parameters(trials: Sequence[FrozenTrial]) -> list[str]:
    return list(dict.fromkeys(name for trial in trials for name in trial.params))


def _last(name: str) -> str:
    """A parameter by the last part of its name."""
    return short(name.rsplit(".", 1)[-1])


def _is_log(trials: Sequence[FrozenTrial], name: str) -> bool:
    return any(getattr(t.distributions.get(name), "log", False) for t in trials)


def _values(trials: Sequence[FrozenTrial], name: str) -> tuple[list[float], dict[float, str]]:
    """A parameter's values, or their logarithms; and its choices' names, where it has some."""
    given = [trial.params[name] for trial in trials]
    if hasattr(trials[0].distributions[name], "choices"):
        choices = sorted({str(value) for value in given})
        return [float(choices.index(str(value))) for value in given], {
            float(place): short(choice) for place, choice in enumerate(choices)
        }
    return [float(np.log10(v)) if _is_log(trials, name) else float(v) for v in given], {}


def _place(
    axes: Axes, trials: Sequence[FrozenTrial], name: str, *, of_y: bool = False
) -> np.ndarray:
    """Where the trials stand on an axis that is named and scaled after a parameter."""
    values, ticks = _values(trials, name)
    axis, letter = (axes.yaxis, "y") if of_y else (axes.xaxis, "x")
    axes.set(**{f"{letter}label": _last(name)})
    if ticks:
        axis.set_ticks(list(ticks), list(ticks.values()))
        return np.array(values)
    if _is_log(trials, name):
        axes.set(**{f"{letter}scale": "log"})
        if max(values) - min(values) < 2:  # decades: powers of ten would be too few, or overlap
            axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
            axis.set_major_formatter("{x:g}")
            axis.set_minor_formatter(NullFormatter())
        return 10 ** np.array(values)
    return np.array(values)
