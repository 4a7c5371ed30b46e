"""``python -m ser.report RUN``: everything a run found out, as one HTML page.

The page holds its pictures and loads nothing, so it can be mailed, printed or put beside a paper.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from ser.core import streams
from ser.core.printable import file_name, shown
from ser.core.process import temporary_folder

if TYPE_CHECKING:
    from ser.tracking.run import Run

PAGE = "report.html"  # in the run's artifacts


@streams.command
def main() -> None:
    """Entry point of ``python -m ser.report`` and of the console script ``ser-report``."""
    parser = argparse.ArgumentParser(
        prog="python -m ser.report",
        description="Everything a run found out, as one HTML page that loads nothing.",
    )
    parser.add_argument("run", metavar="RUN", help="run id, its first characters, or 'latest'")
    parser.add_argument("--out", type=Path, help="the page's file, or folder (default: NAME-ID)")
    parser.add_argument(
        "--paper",
        action="store_true",
        help="a folder instead: figures as PDF, a LaTeX table, and the methods in sentences",
    )
    parser.add_argument("--experiment", help="MLflow experiment to look in (default: all)")
    parser.add_argument("--uri", help="MLflow tracking URI; by default where ser.train logs")
    given = parser.parse_args()
    write = paper if given.paper else report
    print(write(given.run, out=given.out, experiment=given.experiment, uri=given.uri))


def report(
    wanted: str, *, out: Path | None = None, experiment: str | None = None, uri: str | None = None
) -> str:
    """Write a run's page, and put it among the run's artifacts where it is missing.

    Parameters
    ----------
    wanted : str
        Run id, its first characters, or ``latest``.
    out : Path, optional
        Where to; by default the run's name and id in the working folder.
    experiment : str, optional
        MLflow experiment to look in; all unless given.
    uri : str, optional
        MLflow's tracking URI.

    Returns
    -------
    str
        What the terminal shows.

    Raises
    ------
    SerError
        If there is no such run, its artifacts cannot be read, or the page cannot be written.
    """
    from ser.core import paths
    from ser.report.html import check_free, write_page
    from ser.report.run_page import render_run_page
    from ser.tracking.queries import find_run

    run = find_run(uri or paths.tracking_uri(), wanted, experiment)
    out = out or Path(f"{file_name(run.name)}-{run.id[:8]}.html")
    check_free(out)
    with temporary_folder() as folder:
        run.download(folder)
        html = render_run_page(run, Path(folder))
        logged = Path(folder, PAGE)
        if not logged.exists():
            logged.write_text(html, encoding="utf-8")
            run.add(logged)
    return f"{shown(out)}  ({write_page(out, html, 'Give another --out.')}, run {run.id})"


def paper(
    wanted: str, *, out: Path | None = None, experiment: str | None = None, uri: str | None = None
) -> str:
    """Write what a paper needs of a run into a folder; arguments and errors as of `report`."""
    from ser.core import paths
    from ser.report.paper import check_place, write_paper
    from ser.tracking.queries import find_run

    run = find_run(uri or paths.tracking_uri(), wanted, experiment)
    out = out or Path(f"{file_name(run.name)}-{run.id[:8]}-paper")
    check_place(out)
    with temporary_folder() as folder:
        run.download(folder)
        write_paper(run, Path(folder), out)
    return f"{shown(out)}  (run {run.id})"


def attach(run: Run, *, with_paper: bool = False) -> None:
    """Put the page among the artifacts of a run that is about to end, and perhaps ``paper/``."""
    from ser.report.paper import write_paper
    from ser.report.run_page import render_run_page

    with run.decoration(PAGE):
        run.text(render_run_page(run.so_far(), run.folder), PAGE)
    if with_paper:
        with run.decoration("paper"):
            write_paper(run.so_far(), run.folder, run.folder / "paper")
