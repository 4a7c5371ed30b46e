"""``python -m ser.compare RUN RUN ...``: whether runs differ by more than luck.

Runs are compared over actors, as a clip more or less of the same voice is no new evidence: each
actor gives one pair of scores to a sign-flip permutation test (Fisher 1935), and the p-values of
all pairs of runs are corrected for their number (Holm 1979).
"""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING

import pandas as pd

from ser.core import streams
from ser.core.printable import shown

if TYPE_CHECKING:
    from ser.evaluation.metrics import Metric
    from ser.tracking.queries import LoggedRun
    from ser.tracking.run import Run

_NOTE = (
    "points: the second minus the first. p: sign-flip permutation test over actors; with n actors "
    "it is\nat least 2 / 2^n."
)


@streams.command
def main() -> None:
    """Entry point of ``python -m ser.compare`` and of the console script ``ser-compare``."""
    parser = argparse.ArgumentParser(
        prog="python -m ser.compare",
        description="Whether runs differ by more than luck: paired tests over actors.",
        epilog="""examples (a run says its id at its end):
  python -m ser.compare 3f1c2a 9be014                    two runs
  python -m ser.compare --filter "tags.split = 'loso'"   all runs on RAVDESS under that split
""",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("runs", nargs="*", metavar="RUN", help="run id, or its first characters")
    parser.add_argument(
        "--filter",
        metavar="QUERY",
        help="MLflow search instead of ids: \"tags.split = 'loso' and tags.model = 'svm'\"",
    )
    parser.add_argument(
        "--experiment", help="MLflow experiment (default: the runs' own; with --filter, ravdess)"
    )
    parser.add_argument("--uri", help="MLflow tracking URI; by default where ser.train logs")
    given = parser.parse_args()
    from ser.core import paths

    uri = given.uri or paths.tracking_uri()
    print(compare(given.runs, given.filter, experiment=given.experiment, uri=uri))


def compare(run_ids: Sequence[str], query: str | None, *, experiment: str | None, uri: str) -> str:
    """Compare runs with each other, and track the comparison as a run.

    Parameters
    ----------
    run_ids : sequence of str
        At least two, or none with a query.
    query : str or None
        MLflow search string; all finished runs that it finds.
    experiment : str or None
        Where the runs are, and where the comparison goes; None: wherever the named runs are,
        and ravdess for a query.
    uri : str
        MLflow's tracking URI.

    Returns
    -------
    str
        What the terminal shows.

    Raises
    ------
    SerError
        If there are fewer than two runs, or they cannot be set side by side: other splits, clips,
        emotions or folds, or transductive and inductive ones together.
    """
    from ser import report
    from ser.evaluation.metrics import HEADLINES, METRICS
    from ser.evaluation.significance import check_comparable, paired_tests, scores_by_actor
    from ser.report import terminal
    from ser.tracking.queries import finished_runs
    from ser.tracking.run import start_run

    runs = finished_runs(uri, experiment, run_ids, query)
    experiment = runs[0].experiment if runs else "ravdess"
    names = _distinct({run.id: run.name for run in runs})
    predictions = {names[run.id]: run.test_predictions() for run in runs}
    check_comparable(predictions, {names[run.id]: run.tags for run in runs})
    by_actor = {METRICS[name]: scores_by_actor(predictions, name) for name in HEADLINES}
    tests = {metric: paired_tests(scores) for metric, scores in by_actor.items()}
    with start_run(
        uri=uri,
        experiment=experiment,
        name=f"compare-{len(runs)}-runs",
        tags={"kind": "compare", "command": _command(runs, experiment)},
        description="Compared: " + ", ".join(f"{names[run.id]} ({run.id})" for run in runs),
    ) as parent:
        whole = [table.assign(metric=metric.name) for metric, table in tests.items()]
        parent.table(pd.concat(whole, ignore_index=True), "comparison")
        _log_by_actor(parent, by_actor, (runs[0].config().get("data") or {}).get("listeners") or {})
        report.attach(parent)
    texts = [_comparison_text(metric, by_actor[metric], tests[metric]) for metric in by_actor]
    lines = [*texts, "", _NOTE, "", terminal.where(parent, report="report.html")]
    return "\n".join(lines)


def _log_by_actor(
    run: Run, by_actor: Mapping[Metric, pd.DataFrame], listeners: Mapping[str, float]
) -> None:
    from ser.report.comparison_figures import plot_by_actor

    recalls = {emotion: recall for emotion, recall in listeners.items() if emotion != "overall"}
    for metric, scores in by_actor.items():
        name = f"{metric.name}_by_actor"
        run.table(scores.reset_index(), name)
        known = recalls if metric.name == "uar" else None
        run.figure(partial(plot_by_actor, scores, label=metric.label, listeners=known), name)
        means = enumerate(scores.mean())
        run.metrics({f"{metric.name}_over_actors_{i}": mean for i, mean in means})


def _command(runs: Sequence[LoggedRun], experiment: str) -> str:
    ids = " ".join(run.id for run in runs)
    return f"python -m ser.compare {ids} --experiment {shlex.quote(experiment)}"


def _distinct(names: Mapping[str, str]) -> dict[str, str]:
    """Run id -> name, with the id's start where a name is not the only one."""
    names = {i: shown(name) for i, name in names.items()}
    every = list(names.values())
    return {i: n if every.count(n) == 1 else f"{n} {i[:6]}" for i, n in names.items()}


def _comparison_text(metric: Metric, by_actor: pd.DataFrame, table: pd.DataFrame) -> str:
    width = max(map(len, by_actor.columns)) + 2
    lines = [f"\n{metric.label}, mean over {len(by_actor)} actors\n"]
    lines += [f"{name:{width}}{100 * mean:6.1f} %" for name, mean in by_actor.mean().items()]
    head = f"{'points':>8}{'95 % interval':>18}{'better for':>14}{'p':>10}{'p (Holm)':>10}"
    lines += ["", f"{'':{2 * width}}{head}"]
    for row in table.itertuples():
        actors = f"{row.better_actors} of {row.actors}"
        interval = f"{100 * row.low:+.1f} to {100 * row.high:+.1f}" if row.low == row.low else ""
        lines.append(
            f"{row.a:{width}}{row.b:{width}}{100 * row.difference:+8.1f}{interval:>18}{actors:>14}"
            f"{row.p:10.2g}{row.p_holm:10.2g}"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    main()
