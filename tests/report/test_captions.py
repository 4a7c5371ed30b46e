"""Every figure and table that a run may log has a title and a caption."""

import ast
from pathlib import Path

import matplotlib
import matplotlib.pyplot as plt
import optuna
import pytest

import ser
from ser.report.captions import FIGURES, TABLES, caption_of, in_order
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
                if isinstance(name, ast.JoinedStr):  # f"validation_curve_{...}"
                    name = ast.Constant(name.values[0].value + "x")
                if isinstance(name, ast.Constant):
                    yield file.name, node.lineno, node.func.attr, name.value


def test_whatever_is_logged_by_name_has_a_caption():
    names = list(logged_names())
    assert len({(method, name) for *_, method, name in names}) > 25
    for file, line, method, name in names:
        assert caption_of(LOGGED[method], name).text, f"{file}:{line}"


def test_figures_of_a_study_have_captions():
    study = optuna.create_study()
    study.optimize(lambda t: t.suggest_float("x", 0, 1) + t.suggest_float("y", 0, 1), n_trials=6)
    for name in figures(study):
        assert caption_of(FIGURES, name).text


def test_figures_of_a_study_leave_matplotlib_as_it_is():
    study = optuna.create_study()
    study.optimize(lambda t: t.suggest_float("x", 0, 1), n_trials=2)
    plt.switch_backend("svg")
    style = dict(matplotlib.rcParams)
    for draw in figures(study).values():
        draw()
    assert dict(matplotlib.rcParams) == style
    plt.switch_backend("agg")


def test_a_name_without_a_caption_is_an_error():
    with pytest.raises(KeyError):
        caption_of(FIGURES, "class_balance_by_hand")
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
