"""``python -m ser.compare RUN RUN ...``: whether runs differ by more than luck.

Runs are compared over actors, as a clip more or less of the same voice is no new evidence: each
actor gives one pair of accuracies to a Wilcoxon signed-rank test (Demsar 2006), and the p-values of
all pairs of runs are corrected for their number (Holm 1979).
"""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from ser.errors import SerError

if TYPE_CHECKING:
    from ser.logged_runs import LoggedRun


def main() -> None:
    """Entry point of ``python -m ser.compare`` and of the console script ``ser-compare``."""
    parser = argparse.ArgumentParser(
        prog="python -m ser.compare",
        description="Whether runs differ by more than luck: paired tests over actors.",
        epilog="""examples (a run says its id at its end):
  python -m ser.compare 3f1c2a 9be014                     two runs on RAVDESS
  python -m ser.compare 3f1c2a 9be014 --experiment demo   two runs on the demo corpus
  python -m ser.compare --filter "tags.split = 'loso'"    all finished runs under that split
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
        "--experiment", default="ravdess", help="MLflow experiment (default: %(default)s)"
    )
    parser.add_argument("--uri", help="MLflow tracking URI; by default where ser.train logs")
    arguments = parser.parse_args()
    try:
        print(compare(arguments.runs, arguments.filter, arguments.experiment, arguments.uri))
    except SerError as error:
        sys.exit(str(error))


def compare(
    run_ids: Sequence[str], query: str | None, experiment: str, uri: str | None = None
) -> str:
    """Compare runs with each other, and track the comparison as a run.

    Parameters
    ----------
    run_ids : sequence of str
        At least two, or none with a query.
    query : str or None
        MLflow search string; all finished runs that it finds.
    experiment : str
        Where the runs are, and where the comparison goes.
    uri : str or None
        MLflow's tracking URI.

    Returns
    -------
    str
        What the terminal shows.

    Raises
    ------
    SerError
        If there are fewer than two runs, or they cannot be set side by side: other clips, or
        transductive and inductive ones together.
    """
    from ser import logged_runs, plots, project, report, summary, tracking

    uri = uri or project.tracking_uri()
    runs = logged_runs.finished_runs(uri, experiment, run_ids, query)
    if len(runs) < 2:
        raise SerError(
            f"{len(runs)} runs found in {experiment!r}: a comparison needs at least two."
        )
    _check_transductive({run.name: run.tags.get("transductive") == "true" for run in runs})
    names = _distinct({run.id: run.name for run in runs})
    accuracy = accuracy_by_actor({names[run.id]: run.test_predictions() for run in runs})
    table = paired_tests(accuracy)
    with tracking.start_run(
        uri=uri,
        experiment=experiment,
        name=f"compare-{len(runs)}-runs",
        tags={"study": "compare", "command": _command(runs, experiment)},
        description="Compared: " + ", ".join(f"{names[run.id]} ({run.id})" for run in runs),
    ) as parent:
        parent.table(table, "comparison")
        parent.table(accuracy.reset_index(), "accuracy_by_actor")
        parent.figure(plots.by_actor(accuracy), "accuracy_by_actor")
        parent.metrics({f"accuracy_over_actors_{i}": v for i, v in enumerate(accuracy.mean())})
        report.attach(parent)
    return f"{_text(accuracy, table)}\n\n{summary.where(parent.id, experiment, uri)}"


def accuracy_by_actor(predictions: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Accuracy of every actor's test clips in every run.

    Parameters
    ----------
    predictions : mapping of str to DataFrame
        Run -> its test rows of `evaluation.predictions_table`.

    Returns
    -------
    (n_actors, n_runs) DataFrame

    Raises
    ------
    SerError
        If the runs were not tested on the same clips.
    """
    columns, reference = {}, None
    for name, table in predictions.items():
        clips = set(table["clip"])
        reference = reference or (name, clips)
        if clips != reference[1]:
            raise SerError(
                f"{name} was tested on {len(clips)} clips and {reference[0]} on "
                f"{len(reference[1])}, {len(clips & reference[1])} of them the same: only runs on "
                "the same test clips (the same split and seed) can be compared in pairs."
            )
        hit = table["true"] == table["predicted"]
        columns[name] = hit.groupby(table["actor"]).mean()
    return pd.DataFrame(columns)


def paired_tests(accuracy: pd.DataFrame) -> pd.DataFrame:
    """Wilcoxon signed-rank test of every pair of runs over actors, corrected by Holm's method.

    Parameters
    ----------
    accuracy : (n_actors, n_runs) DataFrame

    Returns
    -------
    DataFrame
        a, b, difference (mean over actors of b minus a), better_actors (where b is better),
        actors, p and p_holm.
    """
    from scipy.stats import wilcoxon

    rows = []
    for a, b in combinations(accuracy.columns, 2):
        difference = (accuracy[b] - accuracy[a]).to_numpy()
        # Rounded: 7/60 - 6/60 and 2/60 - 1/60 must tie.
        difference = np.round(difference, 9)
        p = float(wilcoxon(difference).pvalue) if difference.any() else 1.0
        rows.append((a, b, difference.mean(), int((difference > 0).sum()), len(difference), p))
    table = pd.DataFrame(rows, columns=["a", "b", "difference", "better_actors", "actors", "p"])
    return table.assign(p_holm=holm(table["p"].to_numpy()))


def holm(p: np.ndarray) -> np.ndarray:
    """Holm's step-down correction.

    >>> holm(np.array([0.01, 0.04, 0.03])).round(2).tolist()
    [0.03, 0.06, 0.06]
    """
    order = np.argsort(p)
    stepped = np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1))
    corrected = np.empty_like(p)
    corrected[order] = np.minimum(stepped, 1)
    return corrected


def _check_transductive(transductive: Mapping[str, bool]) -> None:
    kinds = {kind: name for name, kind in transductive.items()}
    if len(kinds) > 1:
        raise SerError(
            f"{kinds[True]} is transductive (it was scaled with the test speakers' clips) and "
            f"{kinds[False]} is not: they answer different questions. Compare them apart."
        )


def _command(runs: Sequence[LoggedRun], experiment: str) -> str:
    ids = " ".join(run.id for run in runs)
    return f"python -m ser.compare {ids} --experiment {shlex.quote(experiment)}"


def _distinct(names: Mapping[str, str]) -> dict[str, str]:
    """Run id -> name, with the id's start where a name is not the only one."""
    given = list(names.values())
    return {i: n if given.count(n) == 1 else f"{n} {i[:6]}" for i, n in names.items()}


def _text(accuracy: pd.DataFrame, table: pd.DataFrame) -> str:
    width = max(map(len, accuracy.columns)) + 2
    lines = [f"\nAccuracy, mean over {len(accuracy)} actors\n"]
    lines += [f"{name:{width}}{100 * mean:6.1f} %" for name, mean in accuracy.mean().items()]
    lines += ["", f"{'':{2 * width}}{'points':>8}{'better for':>14}{'p':>10}{'p (Holm)':>10}"]
    for row in table.itertuples():
        actors = f"{row.better_actors} of {row.actors}"
        lines.append(
            f"{row.a:{width}}{row.b:{width}}{100 * row.difference:+8.1f}{actors:>14}"
            f"{row.p:10.2g}{row.p_holm:10.2g}"
        )
    lines += [
        "",
        "points: accuracy of the second minus the first; paired Wilcoxon test over actors.",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
