"""A study -> Optuna's pictures of it, as matplotlib figures."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import partial

import matplotlib.pyplot as plt
import optuna
from matplotlib.figure import Figure
from optuna.importance import (
    FanovaImportanceEvaluator,
    PedAnovaImportanceEvaluator,
    get_param_importances,
)
from optuna.search_space import intersection_search_space
from optuna.study import Study
from optuna.trial import TrialState
from optuna.visualization import matplotlib as views

MIN_TRIALS = 4  # fewer say nothing about a parameter


def figures(study: Study) -> dict[str, Callable[[], Figure]]:
    """What draws the optimisation history, and from `MIN_TRIALS` on what the parameters do.

    Parameters
    ----------
    study : Study

    Returns
    -------
    dict of str to callable
        optimization_history, intermediate_values, slice, parallel_coordinate; and where the trials
        differ in their scores, contour (of the two most important parameters) and two importances:
        by variance (fANOVA) and by what the best tenth has in common (PED-ANOVA), as the two
        disagree where parameters are conditional.
    """
    study = _with_short_names(study)
    complete = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    drawn: dict[str, Callable[[], object]] = {
        "optimization_history": partial(views.plot_optimization_history, study),
        "intermediate_values": partial(views.plot_intermediate_values, study),
    }
    if len(complete) >= MIN_TRIALS:
        drawn["slice"] = partial(views.plot_slice, study)
        drawn["parallel_coordinate"] = partial(views.plot_parallel_coordinate, study)
        if len({trial.value for trial in complete}) > 1:  # else nothing has moved the score
            fanova, ped_anova = FanovaImportanceEvaluator(seed=0), PedAnovaImportanceEvaluator()
            importances = partial(views.plot_param_importances, study)
            drawn["importance_fanova"] = partial(importances, evaluator=fanova)
            drawn["importance_ped_anova"] = partial(importances, evaluator=ped_anova)
            varied = intersection_search_space(complete).values()
            if sum(not distribution.single() for distribution in varied) >= 2:
                drawn["contour"] = partial(_contour, study)
    return {name: partial(_drawn, draw) for name, draw in drawn.items()}


def _contour(study: Study) -> None:
    importances = get_param_importances(study, evaluator=PedAnovaImportanceEvaluator())
    views.plot_contour(study, params=list(importances)[:2])


def _with_short_names(study: Study) -> Study:
    """A copy in memory whose parameters are called by the last part of their name."""
    trials = study.get_trials()
    names = {name for trial in trials for name in trial.params}
    short = {name: name.rsplit(".", 1)[-1] for name in names}
    if len(set(short.values())) < len(short):
        return study
    copy = optuna.create_study(direction=study.direction)
    copy.add_trials(
        optuna.trial.create_trial(
            state=trial.state,
            value=trial.value,
            params={short[name]: value for name, value in trial.params.items()},
            distributions={short[name]: kind for name, kind in trial.distributions.items()},
            intermediate_values=trial.intermediate_values,
        )
        for trial in trials
        if trial.state in (TrialState.COMPLETE, TrialState.PRUNED)
    )
    return copy


def _drawn(draw: Callable[[], object]) -> Figure:
    backend = plt.get_backend()
    plt.switch_backend("agg")  # Optuna draws by pyplot, which a notebook shows
    try:
        with warnings.catch_warnings(), plt.rc_context():  # Optuna sets a style for all
            warnings.simplefilter("ignore")  # Optuna calls its matplotlib pictures experimental
            draw()
        figure = plt.gcf()
        plt.close(figure)
    finally:
        plt.switch_backend(backend)
    figure.set_size_inches(min(max(9, 1.7 * (len(figure.axes) - 1)), 24), 5.5)
    if len(figure.axes) <= 2:  # one picture, perhaps with a colour bar
        figure.subplots_adjust(left=0.18, bottom=0.2, right=0.8)
    for axes in figure.axes:
        legend = axes.get_legend()
        if legend is not None and len(legend.get_texts()) > 10:
            legend.remove()  # a line for each of hundreds of trials
        if len(figure.axes) > 2:
            axes.tick_params("x", labelrotation=30)
    return figure
