"""Every figure and table that a run may log has a title and a caption."""

import ast
from datetime import datetime
from pathlib import Path

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import optuna
import pandas as pd
import pytest

import ser
from ser.evaluation.metrics import METRICS
from ser.evaluation.probabilities import precision_recall
from ser.report.captions import FIGURES, TABLES, caption_of, in_order
from ser.report.comparison_figures import plot_by_actor, plot_intervals
from ser.report.figures import plot_precision_recall
from ser.report.paper import Logged, latex_table, methods
from ser.report.run_figures import run_figures
from ser.report.style import wilson
from ser.report.training_figures import plot_loss_curve
from ser.tracking.queries import LoggedRun
from ser.tune.figures import figures

PACKAGE = Path(ser.__file__).parent
LOGGED = {"figure": FIGURES, "table": TABLES}  # method of a run -> its captions


def logged_names():
    """(file, line, method, name) of each ``run.figure(..., NAME)`` and ``run.table(..., NAME)``."""
    for file in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Attribute)
                and node.func.attr in LOGGED
                and len(node.args) == 2
            ):
                name = node.args[1]
                if isinstance(name, ast.Constant):
                    yield file.name, node.lineno, node.func.attr, name.value


def test_whatever_is_logged_by_name_has_a_caption():
    names = list(logged_names())
    assert len({(method, name) for *_, method, name in names}) > 15
    for file, line, method, name in names:
        assert caption_of(LOGGED[method], name).text, f"{file}:{line}"


def test_figures_of_a_run_have_captions():
    rows = [{"part": part, "true": true, "predicted": "a", "p_a": 0.6, "p_b": 0.4, "actor": "1"}
            for part in ("cv", "test") for true in "ab"]  # fmt: skip
    tables = {"predictions": pd.DataFrame(rows), "validation_curve_C": None, "layers": None}
    run = LoggedRun("1", "demo", "e", datetime(2026, 1, 1), {}, {"test_uar": 0.5}, "")
    drawn = run_figures(run, tables, {})
    assert {"roc", "confusion_matrix_cv", "validation_curve_C", "layers"} <= drawn.keys()
    for name, draw in drawn.items():
        assert caption_of(FIGURES, name).text
        if tables.get(name, run) is run:
            assert draw().png().startswith(b"\x89PNG")


def test_figures_of_a_study_have_captions():
    study = optuna.create_study()
    study.optimize(lambda t: t.suggest_float("x", 0, 1) + t.suggest_float("y", 0, 1), n_trials=6)
    for name in figures(study, METRICS["uar"]):
        assert caption_of(FIGURES, name).text


def test_figures_of_a_study_leave_matplotlib_as_it_is():
    study = optuna.create_study()
    study.optimize(lambda t: t.suggest_float("x", 0, 1), n_trials=2)
    plt.switch_backend("svg")
    style = dict(matplotlib.rcParams)
    for draw in figures(study, METRICS["uar"]).values():
        draw().png()
    assert dict(matplotlib.rcParams) == style
    plt.switch_backend("agg")


def test_a_name_without_a_caption_is_an_error():
    with pytest.raises(KeyError):
        caption_of(FIGURES, "sweep_by_hand")
    assert caption_of(FIGURES, "validation_curve_classifier.C").title.endswith(": classifier.C")


def test_pages_keep_the_order_and_what_they_do_not_know_last():
    names = [
        "of_an_older_ser",
        "class_balance",
        "validation_curve_b",
        "sweep",
        "validation_curve_a",
    ]
    ordered = in_order(FIGURES, names)
    assert list(ordered)[-2:] == ["class_balance", "of_an_older_ser"]
    assert list(ordered)[:3] == ["sweep", "validation_curve_a", "validation_curve_b"]
    assert ordered["of_an_older_ser"].title == "Of an older ser"


def test_figures_look_alike_whatever_style_the_process_has():
    loss = {"train": [1.0, 0.5]}
    plain = plot_loss_curve(loss, about="a").png()
    with plt.style.context("ggplot"):
        assert plot_loss_curve(loss, about="a").png() == plain


def test_a_precision_recall_curve_has_the_area_of_its_average_precision():
    y, proba = np.array(["a", "b", "a", "b", "b"]), np.array([0.9, 0.8, 0.8, 0.3, 0.1])
    curves = precision_recall(y, np.column_stack([proba, 1 - proba]), ["a", "b"])
    axes = plot_precision_recall(curves, shares={"a": 0.4, "b": 0.6}, about="").axes[0]
    for line, (_, _, average) in zip(axes.lines[::2], curves.values(), strict=True):
        recall, precision = line.get_data(orig=True)
        assert -np.sum(np.diff(recall) * precision[:-1]) == pytest.approx(average)
    assert [line.get_ydata()[0] for line in axes.lines[1::2]] == [0.4, 0.6]  # chance


def test_intervals_of_rates_are_wilsons():
    down, up = wilson([0.0, 0.5, 1.0], [2, 200, 2])
    # scipy.stats.binomtest(k, n).proportion_ci(method="wilson")
    assert (down[0], up[0]) == (0, pytest.approx(0.658, abs=1e-3))
    assert (0.5 - down[1], 0.5 + up[1]) == pytest.approx((0.431, 0.569), abs=1e-3)
    assert (down[2], up[2]) == (pytest.approx(0.658, abs=1e-3), 0)


def test_a_latex_table_is_to_the_letter_and_keeps_kinds_apart():
    scores = {"test_uar": 0.5, "test_uar_low": 0.4, "test_uar_high": 0.6}
    rows = [{"name": "a_b & 5 %", "kind": "inductive", **scores}]
    rows += [{"name": "c", "kind": "transductive", **scores}]
    run = LoggedRun("1", "demo", "e", datetime(2026, 1, 1), {"interval_over": "actors"}, {}, "")
    text = latex_table(run, {"variants": pd.DataFrame(rows)})
    assert r"a\_b \& 5 \% &  & 50.0 [40.0, 60.0] &  \\" in text
    assert text.count(r"\midrule") == 2 and "c (transductive)" in text
    assert "95 \\% intervals over actors" in text


def test_methods_of_a_sweep_tell_its_protocols_and_seeds_once():
    tags = {"model": "svm", "features": "notebook", "corpus": "demo", "scaler": "standard"}
    tags |= {"split": "loso", "protocol": "never heard", "data_fingerprint": "f0"}
    run = LoggedRun("1", "sweep", "e", datetime(2026, 1, 1), tags, {}, "")
    test = pd.DataFrame({"part": "test", "fold": [0, 1], "actor": ["1", "2"]})
    jobs = [Logged(run, {"predictions": test}, {"seed": n}, "numpy==2.0") for n in (3, 1)]
    text = methods(Logged(run, {}, {}, ""), jobs)
    assert text.count("We trained the model svm") == 1 and "Seeds: 1, 3." in text
    assert "2 clips of 2 actors in 2 folds (protocol loso: never heard)" in text
    assert "Versions: numpy 2.0\n" in text and "labels: f0\n" in text


def test_a_picture_of_runs_has_their_intervals_though_their_folds_have_a_mean():
    row = {"name": "loso", "kind": "inductive", "test_uar": 0.4, "test_uar_low": 0.35}
    row |= {"test_uar_high": 0.45, "clips": 60, "chance": 0.125}
    row |= {"test_uar_mean": 0.4, "test_uar_std": 0.1}
    figure = plot_intervals(pd.DataFrame([row]), about="demo")
    (bar,) = figure.axes[0].containers[0].lines[2]
    assert bar.get_segments()[0][:, 0] == pytest.approx([35, 45])
    assert figure.axes[0].get_yticklabels()[0].get_text() == "loso\n(60 clips)"


def test_each_actor_stands_beside_the_listeners():
    scores = pd.DataFrame({"svm": [0.2, 0.6], "best": [0.5, 0.9]}, index=["1", "2"])
    heard = {"angry": 80.0, "sad": 40.0, "happy": 30.0}
    (axes,) = plot_by_actor(scores, label="UAR", listeners=heard).axes
    labels = axes.get_legend_handles_labels()[1]
    assert "human listeners: 50.0 %; band: hardest to easiest emotion" in labels
    (band,) = axes.patches
    assert (band.get_y(), band.get_height()) == (30.0, 50.0)
    (alone,) = plot_by_actor(scores, label="UAR").axes
    assert not alone.patches
