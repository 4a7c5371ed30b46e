"""A run -> what a paper needs of it: figures as PDF, a LaTeX table, and a paragraph of methods."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path

import pandas as pd
import yaml

from ser.core.comparable import INDUCTIVE, kind_of, reason
from ser.core.errors import SerError
from ser.core.printable import file_name, printable
from ser.evaluation.metrics import METRICS, Metric, table_metrics
from ser.report.comparison_figures import plot_intervals
from ser.report.run_figures import run_figures
from ser.tracking.queries import LoggedRun
from ser.tracking.tables import read_table, reading

METHODS = "methods.txt"
_NAMED = ("ser", "python", "scikit-learn", "numpy", "scipy", "torch", "opensmile")
_INTERVALS = {
    "actors": " over actors, Student's t",
    "clips": " over clips, Price and Bonett 2004",
}
_SPECIAL = re.compile(r"[\\&%$#_{}~^]")


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
        If a file of the run is damaged, or the folder cannot be written.
    """
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
    drawn = run_figures(run, tables, (config.get("data") or {}).get("listeners") or {})
    if "variants" in tables:
        drawn["variants"] = partial(plot_intervals, tables["variants"], chance=None, title=run.name)
    try:
        (folder / "figures").mkdir(parents=True, exist_ok=True)
        for name, draw in drawn.items():
            draw().savefig(folder / "figures" / f"{file_name(name)}.pdf")
        for name, text in (
            ("table.tex", latex_table(run, tables)),
            (METHODS, methods(run, tables, config, packages)),
        ):
            (folder / name).write_text(printable(text), encoding="utf-8", newline="\n")
    except OSError as error:
        cause = f"{folder} cannot be written: {error.strerror}."
        raise SerError(f"{cause} Give another --out.") from error


def latex_table(run: LoggedRun, tables: Mapping[str, pd.DataFrame]) -> str:
    """Test scores with their 95 % intervals: of the run, its variants, or its sweep's configs.

    Needs the LaTeX package booktabs.
    """
    over = run.tags.get("interval_over")
    spread = f"95 % intervals{f' over {over}' if over else ''} in brackets"
    if "sweep" in tables:
        spread = "mean ± standard deviation over seeds"
    metrics = [metric for metric in table_metrics() if metric.unit == "%"]
    heads = " & ".join(["", *(_escaped(metric.heading) for metric in metrics)])
    caption = _escaped(f"{run.name}: test scores, {spread}.")
    lines = [r"\begin{table}", r"\centering", rf"\caption{{{caption}}}"]
    lines += [rf"\begin{{tabular}}{{l{'r' * len(metrics)}}}", r"\toprule", rf"{heads} \\"]
    last = None
    for name, kind, numbers in _rows(run, tables):
        if kind != last:  # what knew more of the test stands apart
            lines.append(r"\midrule")
        last, shown = kind, name if kind == INDUCTIVE else f"{name} ({kind})"
        cells = [_cell(metric, numbers) for metric in metrics]
        lines.append(" & ".join([_escaped(shown), *cells]) + r" \\")
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}", r"\end{table}", ""])


def methods(
    run: LoggedRun, tables: Mapping[str, pd.DataFrame], config: Mapping, packages: str
) -> str:
    """What was done, in sentences: model, features, protocol, folds, seeds, scores, versions."""
    tags = run.tags
    sentences = _trained(tags, tables.get("predictions"))
    if (kind := kind_of(tags)) != INDUCTIVE:
        sentences.append(f"The result is {kind}: {reason(kind)}.")
    seeds: set = {config.get("seed")}
    if "seed" in tables.get("jobs", ()):
        seeds = set(tables["jobs"]["seed"])
    if seeds != {None}:
        sentences.append(f"Seeds: {', '.join(map(str, sorted(seeds, key=int)))}.")
    over = _INTERVALS.get(tags.get("interval_over", ""), "")
    for name, _, numbers in _rows(run, tables):
        if score := METRICS["uar"].text_of_part(numbers, "test"):
            ends = METRICS["uar"].text_of_interval(numbers)
            of = "" if name == run.name else f" of {name}"
            between = f" (95 % interval{over}: {ends})" if ends else ""
            sentences.append(f"The unweighted average recall{of} was {score} %{between}.")
    found = dict(line.split("==", 1) for line in packages.splitlines() if "==" in line)
    versions = [f"{name} {found[name]}" for name in _NAMED if name in found]
    facts = {
        "Versions": ", ".join(versions),
        "Code": tags.get("mlflow.source.git.commit", ""),
        "Fingerprint of clips and labels": tags.get("data_fingerprint", ""),
        "Command": tags.get("command", ""),
    }
    told = [f"{head}: {text}" for head, text in facts.items() if text]
    return "\n".join([" ".join(sentences), *told, ""])


def _trained(tags: Mapping[str, str], predictions: pd.DataFrame | None) -> list[str]:
    if predictions is None or "model" not in tags:
        return []
    test, cv = (predictions[predictions["part"] == part] for part in ("test", "cv"))
    n_folds, n_inner = test["fold"].nunique(), cv["fold"].nunique()
    sentence = (
        f"We trained the model {tags['model']} on {tags['features']} features of {tags['corpus']} "
        f"(scaler: {tags['scaler']}) and tested it on {len(test)} clips of "
        f"{test['actor'].nunique()} actors in {n_folds} fold{'s' if n_folds > 1 else ''} "
        f"(protocol {tags['split']}: {tags.get('protocol', '')})."
    )
    inner = [f"Cross-validation on the training clips had {n_inner} folds."] if n_inner else []
    return [sentence, *inner]


def _rows(
    run: LoggedRun, tables: Mapping[str, pd.DataFrame]
) -> Iterator[tuple[str, str, Mapping[str, float]]]:
    """Name, kind and metrics of what stands in a row: variants, a sweep's configs, or the run."""
    for name in ("variants", "sweep"):
        if name in tables:
            for row in tables[name].to_dict("records"):
                yield row["name"], row["kind"], row
            return
    if "test_uar" in run.metrics:
        yield run.name, kind_of(run.tags), run.metrics


def _cell(metric: Metric, numbers: Mapping[str, float]) -> str:
    ends = metric.text_of_interval(numbers).replace(" to ", ", ")
    text = metric.text_of_part(numbers, "test").replace("±", r"$\pm$")
    return f"{text} [{ends}]" if ends else text


def _escaped(text: str) -> str:
    """A text as LaTeX prints it to the letter."""
    named = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
    escaped = _SPECIAL.sub(lambda sign: named.get(sign[0], rf"\{sign[0]}"), text)
    return escaped.replace("±", r"$\pm$").replace("·", r"$\cdot$")
