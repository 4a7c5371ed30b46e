"""A study -> Optuna's pictures of it, as matplotlib figures."""

from __future__ import annotations

import warnings
from collections.abc import Callable

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
from matplotlib.figure import Figure
from optuna.importance import (
    FanovaImportanceEvaluator,
    PedAnovaImportanceEvaluator,
    get_param_importances,
)
from optuna.study import Study
from optuna.trial import TrialState
from optuna.visualization import matplotlib as views

MIN_TRIALS = 4  # fewer say nothing about a parameter


def figures(study: Study) -> dict[str, Figure]:
    """Optimisation history, and from `MIN_TRIALS` on what the parameters do.

    Parameters
    ----------
    study : Study

    Returns
    -------
    dict of str to Figure
        optimization_history, intermediate_values, slice, parallel_coordinate, contour (of the two
        most important parameters), and two importances: by variance (fANOVA) and by what the best
        tenth has in common (PED-ANOVA), as the two disagree where parameters are conditional.
    """
    drawn = {"optimization_history": _drawn(lambda: views.plot_optimization_history(study))}
    drawn["intermediate_values"] = _drawn(lambda: views.plot_intermediate_values(study))
    complete = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    if len(complete) < MIN_TRIALS:
        return drawn
    drawn["slice"] = _drawn(lambda: views.plot_slice(study))
    drawn["parallel_coordinate"] = _drawn(lambda: views.plot_parallel_coordinate(study))
    for name, evaluator in (
        ("importance_fanova", FanovaImportanceEvaluator(seed=0)),
        ("importance_ped_anova", PedAnovaImportanceEvaluator()),
    ):
        drawn[name] = _drawn(lambda e=evaluator: views.plot_param_importances(study, evaluator=e))
    importances = get_param_importances(study, evaluator=PedAnovaImportanceEvaluator())
    if len(importances) >= 2:
        two = list(importances)[:2]
        drawn["contour"] = _drawn(lambda: views.plot_contour(study, params=two))
    return drawn


def _drawn(draw: Callable[[], object]) -> Figure:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Optuna calls its matplotlib pictures experimental
        draw()
    figure = plt.gcf()
    plt.close(figure)
    figure.set_size_inches(max(8, figure.get_size_inches()[0]), 6)
    figure.subplots_adjust(left=0.3, bottom=0.15)  # room for the names of parameters
    return figure
