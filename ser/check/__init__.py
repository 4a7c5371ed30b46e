"""``python -m ser.check``: how a run, a model or a table of predictions holds up."""

from __future__ import annotations

import argparse
from pathlib import Path

from ser.core import streams

_EXAMPLES = """examples:
  python -m ser.check latest                              the newest run's folds, fitted again
  python -m ser.check models:/ser@champion --clips clips.csv   a model, on clips new to it
  python -m ser.check predictions.csv                     anybody's table: clip, true, predicted
"""


@streams.command
def main() -> None:
    """Entry point of ``python -m ser.check`` and of the console script ``ser-check``."""
    parser = _parser()
    given = parser.parse_args()
    if given.n_jobs == 0:
        parser.error("--n-jobs 0 is no number of processes: give 1 or more, or -1: one per core.")
    from ser.check.run import Options, check

    options = Options(
        clips=given.clips,
        suite=given.suite,
        experiment=given.experiment,
        uri=given.uri,
        trust=tuple(given.trust),
        n_jobs=given.n_jobs,
    )
    print(check(given.what, options))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m ser.check",
        description="Robustness, fairness, confidence and more: pass, fail or cannot tell, by "
        "intervals over actors, as a page and a table.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "what",
        metavar="RUN|MODEL|TABLE",
        help="run id or its first characters, latest, best; models:/NAME@ALIAS or a model's "
        "folder; or a .csv or .parquet of predictions",
    )
    parser.add_argument(
        "--clips",
        type=Path,
        metavar="TABLE",
        help="check the model itself on these clips, which it must not have learned from: path, "
        "emotion, speaker",
    )
    parser.add_argument(
        "--suite",
        type=Path,
        metavar="YAML",
        help="what is measured and what passes, where it differs from conf/check.yaml",
    )
    parser.add_argument("--experiment", help="MLflow experiment to look in (default: all)")
    parser.add_argument("--uri", help="MLflow tracking URI; by default where ser.train logs")
    parser.add_argument(
        "--trust",
        metavar="PACKAGE",
        action="append",
        default=[],
        help="let run or model use code of this package; may be given several times",
    )
    parser.add_argument("--n-jobs", type=int, default=-1, metavar="N", help="-1: one per core")
    return parser
