"""A run -> what a paper needs of it: figures as PDF, a LaTeX table, and a paragraph of methods."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from ser.core.comparable import INDUCTIVE, kind_of, reason
from ser.core.errors import SerError
from ser.core.printable import file_name, printable
from ser.core.process import temporary_folder
from ser.evaluation.metrics import METRICS, Metric, table_metrics
from ser.report.comparison_figures import plot_intervals
from ser.report.run_figures import run_figures
from ser.tracking.queries import LoggedRun, runs_by_id
from ser.tracking.tables import read_table, reading

METHODS = "methods.txt"
_NAMED = ("ser", "python", "scikit-learn", "numpy", "scipy", "torch", "opensmile")
_INTERVALS = {
    "actors": " over actors, Student's t",
    "clips": " over clips, Price and Bonett 2004",
}
_SPECIAL = re.compile(r"[\\&%$#_{}~^]")


@dataclass(frozen=True)
class Logged:
    """A run with its tables, its config, and the packages that it was made with."""

    run: LoggedRun
    tables: Mapping[str, pd.DataFrame]
    config: Mapping[str, Any]
    packages: str


def check_place(folder: Path) -> None:
    """Refuse a folder that holds something else.

    Raises
    ------
    SerError
        If it is no folder, or has files and no methods of a run.
    """
    there = folder.exists() or folder.is_symlink()
    ours = folder.is_dir() and (not any(folder.iterdir()) or (folder / METHODS).exists())
    if there and not ours:
        raise SerError(f"{folder} is there and ser has not made it: give another --out.")


def write_paper(run: LoggedRun, artifacts: Path, folder: Path) -> None:
    """Write ``figures/*.pdf``, ``table.tex`` and ``methods.txt``.

    A figure that no table holds, such as a map or a study's, is there as PNG.

    Parameters
    ----------
    run : LoggedRun
    artifacts : Path
        Its files: ``config.yaml``, ``environment.txt`` and ``tables/*.csv``; any may be missing.
    folder : Path
        Where to.

    Raises
    ------
    SerError
        If a file of the run, or of one that it compares, is damaged, or the folder cannot be
        written.
    """
    logged = _read(run, artifacts)
    tables = logged.tables
    drawn = run_figures(run, tables, (logged.config.get("data") or {}).get("listeners") or {})
    for name in {"variants", "sweep"} & tables.keys():
        drawn[name] = partial(plot_intervals, tables[name], about=run.name)
    texts = {
        "table.tex": latex_table(run, tables),
        METHODS: methods(logged, list(_trained_runs(logged))),
    }
    try:
        (folder / "figures").mkdir(parents=True, exist_ok=True)
        for name, draw in drawn.items():
            draw().savefig(folder / "figures" / f"{file_name(name)}.pdf")
        for file in artifacts.glob("figures/*.png"):
            if file.stem not in map(file_name, drawn):
                shutil.copyfile(file, folder / "figures" / file.name)
        for name, text in texts.items():
            (folder / name).write_text(printable(text), encoding="utf-8", newline="\n")
    except OSError as error:
        cause = f"{folder} cannot be written: {error.strerror}."
        raise SerError(f"{cause} Give another --out.") from error


def _read(run: LoggedRun, artifacts: Path) -> Logged:
    tables = {}
    for file in sorted(artifacts.glob("tables/*.csv")):
        with reading(run.id, f"tables/{file.name}"):
            tables[file.stem] = read_table(file)
    config: dict = {}
    if (artifacts / "config.yaml").exists():
        with reading(run.id, "config.yaml"):
            config = yaml.safe_load((artifacts / "config.yaml").read_text(encoding="utf-8")) or {}
    environment = artifacts / "environment.txt"
    packages = environment.read_text(encoding="utf-8") if environment.exists() else ""
    return Logged(run, tables, config, packages)


def _trained_runs(logged: Logged) -> Iterator[Logged]:
    """The run, if it tested a model; or those that it compares, or the best that it found."""
    if "predictions" in logged.tables:
        yield logged
        return
    ids = [logged.run.tags.get("best_run")]
    for name in {"variants", "jobs"} & logged.tables.keys():
        ids += logged.tables[name]["run_id"].tolist()
    known = [
        run_id for run_id in ids if isinstance(run_id, str) and run_id
    ]  # a failed job has none
    for run in runs_by_id(logged.run.uri, known).values():
        with temporary_folder() as folder:
            run.download(folder)
            yield _read(run, Path(folder))


def latex_table(run: LoggedRun, tables: Mapping[str, pd.DataFrame]) -> str:
    """Test scores with their 95 % intervals: of the run, its variants, or its sweep's configs."""
    over = run.tags.get("interval_over")
    spread = f"95 % intervals{f' over {over}' if over else ''} in brackets"
    if "sweep" in tables:
        spread = "mean ± standard deviation over seeds"
    metrics = [metric for metric in table_metrics() if metric.unit == "%"]
    heads = " & ".join(["", *(_escaped(metric.heading) for metric in metrics)])
    caption = _escaped(f"{run.name}: test scores, {spread}.")
    lines = [r"% needs \usepackage{booktabs}", r"\begin{table}", r"\centering"]
    lines += [rf"\caption{{{caption}}}"]
    lines += [rf"\begin{{tabular}}{{l{'r' * len(metrics)}}}", r"\toprule", rf"{heads} \\"]
    last = None
    for name, kind, numbers in _rows(run, tables):
        if kind != last:  # what knew more of the test stands apart
            lines.append(r"\midrule")
        last, shown = kind, name if kind == INDUCTIVE else f"{name} ({kind})"
        cells = [_cell(metric, numbers) for metric in metrics]
        lines.append(" & ".join([_escaped(shown), *cells]) + r" \\")
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}", r"\end{table}", ""])


def methods(logged: Logged, trained: Sequence[Logged]) -> str:
    """What was done, in sentences: model, features, protocol, folds, seeds, scores, versions.

    Parameters
    ----------
    logged : Logged
        The run.
    trained : sequence of Logged
        The run itself, if it tested a model; or those that it compares, or the best that it found.
    """
    run = logged.run
    sentences = list(dict.fromkeys(map(_trained, trained)))  # those of one sentence differ in seed
    if "trials" in logged.tables:
        n_trials = len(logged.tables["trials"])
        sentences.append(f"{n_trials} trials on the training clips chose the hyperparameters.")
    for kind in dict.fromkeys(kind_of(each.run.tags) for each in trained):
        if kind != INDUCTIVE:
            sentences.append(f"A result is {kind}: {reason(kind)}.")
    seeds = {each.config["seed"] for each in trained if each.config.get("seed") is not None}
    if seeds:
        sentences.append(f"Seeds: {', '.join(map(str, sorted(seeds)))}.")
    for name, _, numbers in _rows(run, logged.tables):
        if score := METRICS["uar"].text_of_part(numbers, "test"):
            ends = METRICS["uar"].text_of_interval(numbers)
            of = "" if name == run.name else f" of {name}"
            over = _INTERVALS.get(str(numbers.get("interval_over", "")), "")
            between = f" (95 % interval{over}: {ends})" if ends else ""
            sentences.append(f"The unweighted average recall{of} was {score} %{between}.")
    packages = "\n".join(each.packages for each in trained)
    found = dict(line.split("==", 1) for line in packages.splitlines() if "==" in line)
    facts = {
        "Versions": ", ".join(f"{name} {found[name]}" for name in _NAMED if name in found),
        "Code": run.tags.get("mlflow.source.git.commit", ""),
        "Fingerprint of clips and labels": ", ".join(
            dict.fromkeys(each.run.tags.get("data_fingerprint", "") for each in trained)
        ),
        "Command": run.tags.get("command", ""),
    }
    told = [f"{head}: {text}" for head, text in facts.items() if text]
    return "\n".join([" ".join(sentences), *told, ""])


def _trained(logged: Logged) -> str:
    tags, predictions = logged.run.tags, logged.tables["predictions"]
    test, cv = (predictions[predictions["part"] == part] for part in ("test", "cv"))
    n_folds, n_inner = test["fold"].nunique(), cv["fold"].nunique()
    inner = f" Cross-validation on the training clips had {n_inner} folds." if n_inner else ""
    return (
        f"We trained the model {tags['model']} on {tags['features']} features of {tags['corpus']} "
        f"(scaler: {tags['scaler']}) and tested it on {len(test)} clips of "
        f"{test['actor'].nunique()} actors in {n_folds} fold{'s' if n_folds > 1 else ''} "
        f"(protocol {tags['split']}: {tags.get('protocol', '')}).{inner}"
    )


def _rows(
    run: LoggedRun, tables: Mapping[str, pd.DataFrame]
) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    """Name, kind and metrics of what stands in a row: variants, a sweep's configs, or the run."""
    for name in ("variants", "sweep"):
        if name in tables:
            for row in tables[name].to_dict("records"):
                yield row["name"], row["kind"], row
            return
    if "test_uar" in run.metrics:
        yield run.name, kind_of(run.tags), {**run.tags, **run.metrics}


def _cell(metric: Metric, numbers: Mapping[str, float]) -> str:
    ends = metric.text_of_interval(numbers).replace(" to ", ", ")
    text = metric.text_of_part(numbers, "test").replace("±", r"$\pm$")
    return f"{text} [{ends}]" if ends else text


def _escaped(text: str) -> str:
    """A text as LaTeX prints it to the letter."""
    named = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
    escaped = _SPECIAL.sub(lambda sign: named.get(sign[0], rf"\{sign[0]}"), text)
    return escaped.replace("±", r"$\pm$").replace("·", r"$\cdot$")
