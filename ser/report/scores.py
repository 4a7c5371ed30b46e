"""A run's scores in one table, and its protocol in words: for terminal, page and model card."""

from __future__ import annotations

from collections.abc import Mapping

from ser.evaluation.metrics import METRICS, Metric, table_metrics

PARTS = {
    "train": "training clips",
    "cv": "cross-validation",
    "validation": "validation clips",
    "test": "test clips",
}


def table_of_scores(
    numbers: Mapping[str, float], *, over: str, n_labels: int | None, heads: Mapping[str, str]
) -> list[list[str]]:
    """A row for each part that a run has, then for what its scores are to be held against.

    Parameters
    ----------
    numbers : mapping of str to float
        The run's metrics.
    over : str
        What its intervals are over: "actors" or "clips", and empty where it is not known.
    n_labels : int or None
        Emotions, for chance; None where that is not known.
    heads : mapping of str to str
        Part, or "permuted" -> the row's head, where more is known than the metrics tell.

    Returns
    -------
    list of list of str
        Cells, all rows of one length; first the headings: nothing, and each of `table_metrics`.
        Empty of a run without scores.
    """
    metrics, rows = table_metrics(), []
    for part, name in PARTS.items():
        cells = [metric.text_of_part(numbers, part) for metric in metrics]
        if any(cells):
            rows.append([heads.get(part, name), *cells])
    if not rows:
        return []
    intervals = [metric.text_of_interval(numbers) for metric in metrics]
    if any(intervals):
        rows.append([f"  95 % interval over {over}" if over else "  95 % interval", *intervals])
    elif over and "test_uar" in numbers:
        rows.append([f"  {_no_interval(over)}", *intervals])
    if "oob_accuracy" in numbers:
        accuracy = METRICS["accuracy"].text(numbers["oob_accuracy"])
        rows.append(_row("out of bag", "accuracy", accuracy))
    uar = METRICS["uar"]
    if "permuted_uar_mean" in numbers:
        shuffled = uar.text(numbers["permuted_uar_mean"], numbers["permuted_uar_std"])
        rows.append(_row(heads.get("permuted", "emotions shuffled"), "uar", shuffled))
    if n_labels:
        rows.append(_row("chance", "uar", uar.text(1 / n_labels)))
    return [["", *(metric.heading for metric in metrics)], *rows]


def interval_in_words(metric: Metric, numbers: Mapping[str, float], over: str) -> str:
    """The 95 % interval of a test score, over "actors" or "clips", or that there is none."""
    if ends := metric.text_of_interval(numbers):
        return f"95 % interval over {over}: {ends}" if over else f"95 % interval: {ends}"
    return _no_interval(over) if over else ""


def _no_interval(over: str) -> str:
    return f"no interval: one {over.removesuffix('s')}"


def _row(head: str, name: str, cell: str) -> list[str]:
    return [head, *(cell if metric.name == name else "" for metric in table_metrics())]
