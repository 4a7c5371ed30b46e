"""``python -m ser.doctor``: whether all is well with packages, disk, feature store and log.

It says what it finds and what to do. Runs that a killed process left RUNNING are marked FAILED;
files are removed with ``--prune`` alone, after they are listed.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ser.core import streams
from ser.core.errors import SerError

if TYPE_CHECKING:
    from ser.doctor.system import Finding


@streams.command
def main() -> None:
    """Entry point of ``python -m ser.doctor`` and of the console script ``ser-doctor``."""
    parser = argparse.ArgumentParser(
        prog="python -m ser.doctor",
        description="Look at packages, disk, feature store and log; say what is wrong and what "
        "to do. Exit code 1 if something is left to do.",
    )
    parser.add_argument("--uri", help="MLflow tracking URI; by default where ser.train logs")
    parser.add_argument("--store", type=Path, help="feature store; by default ser.train's")
    parser.add_argument(
        "--fast", action="store_true", help="compare files by size only, not by content"
    )
    parser.add_argument("--look", action="store_true", help="close no run, change nothing")
    parser.add_argument(
        "--close", metavar="RUN_ID", nargs="+", help="mark these RUNNING runs FAILED, and end"
    )
    parser.add_argument(
        "--prune",
        action="store_true",
        help="list what deleted runs and killed processes left on the disk, and ask to remove it",
    )
    parser.add_argument("--yes", action="store_true", help="with --prune: do not ask")
    given = parser.parse_args()
    from ser.core import paths

    uri = given.uri or paths.tracking_uri()
    store = given.store or paths.feature_store()
    if given.close:
        from ser.doctor.log import close_runs

        for finding in close_runs(uri, given.close):
            print(finding.text)
    elif given.prune:
        prune_log(uri, store, confirm=not given.yes)
    else:
        sys.exit(1 if examine(uri, store, close=not given.look, fast=given.fast) else 0)


def examine(uri: str, store: Path, *, close: bool = True, fast: bool = False) -> int:
    """Print what is found.

    Parameters
    ----------
    uri : str
        MLflow's tracking URI.
    store : Path
        Feature store.
    close : bool
        Whether runs whose process is gone are marked FAILED.
    fast : bool
        Whether the files of runs are compared by their sizes only.

    Returns
    -------
    int
        Findings that need the user.
    """
    from ser.doctor import system
    from ser.doctor.log import examine_log
    from ser.doctor.store import check_store

    parts = (
        system.versions(),
        system.disks(_places(uri, store)),
        check_store(store),
        examine_log(uri, close=close, fast=fast),
        _leftover_finding(system.leftovers(_places(uri, store))),
    )
    n_open = 0
    for part in parts:
        for finding in part:
            print(f"{finding.part:10}{finding.text}", flush=True)
            if finding.advice:
                n_open += 1
                print(f"{'':8}! {finding.advice}")
    print(f"\n{n_open} to be done, marked '!'." if n_open else "\nAll is well.")
    return n_open


def prune_log(uri: str, store: Path, *, confirm: bool = True) -> None:
    """List what can be removed for good, and remove it once the user agrees.

    Raises
    ------
    SerError
        If the log cannot be used, or nobody is there to be asked.
    """
    from ser.doctor.prune import prunable, remove
    from ser.doctor.system import leftovers

    unused = prunable(uri)
    leftover = list(leftovers(_places(uri, store)))
    for line in (*unused.kept, *unused.folders, *leftover):
        print(line)
    if not (unused.runs or unused.folders or leftover):
        print("There is nothing to remove.")
        return
    print(
        f"{len(unused.runs)} deleted runs and {len(unused.models)} of their models, "
        f"{len(unused.folders)} folders ({unused.n_bytes / 1e6:.1f} MB) and {len(leftover)} "
        "leftovers "
        "would be removed for good."
    )
    if confirm:
        if not sys.stdin.isatty():
            raise SerError("Nothing was removed: say --yes, or answer at a terminal.")
        if input("Remove them? [y/N] ").strip().lower() != "y":
            print("Nothing was removed.")
            return
    remove(uri, unused)
    for path in leftover:
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
    if left := [path for path in (*unused.folders, *leftover) if path.exists()]:
        raise SerError(f"Not removed, for want of permission: {', '.join(map(str, left))}.")
    print("Removed.")


def _places(uri: str, store: Path) -> Sequence[Path]:
    from ser.core import paths
    from ser.tracking.database import sqlite_file

    file = sqlite_file(uri)
    log = [file.parent] if file else []
    return [*log, store.absolute().parent, paths.PROJECT / "data", paths.PROJECT / "mlruns"]


def _leftover_finding(leftovers: Iterable[Path]) -> list[Finding]:
    from ser.doctor.system import Finding

    n = len(list(leftovers))
    advice = "python -m ser.doctor --prune lists them, and removes them if you agree"
    return [Finding("leftovers", f"{n} files and folders of killed processes", advice)] if n else []
