"""A check from end to end: what is checked -> findings -> one MLflow run, a page and a table."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from ser.check.confidence import confidence
from ser.check.fairness import fairness
from ser.check.figures import check_figures
from ser.check.findings import Finding, counts, findings_table
from ser.check.foreign import SUFFIXES, is_table, read_predictions
from ser.check.new_speaker import new_speaker
from ser.check.page import check_text, render_check_page
from ser.check.robustness import alter, robustness
from ser.check.scores import score_findings, units_of
from ser.check.sides import both_sides, protocol
from ser.check.speaker import speaker
from ser.check.subject import Subject, subject_of_model, subject_of_run
from ser.check.suite import Suite, read_suite
from ser.core import paths
from ser.core.errors import SerError
from ser.core.process import temporary_folder
from ser.report import terminal
from ser.tracking.queries import LoggedRun, find_run
from ser.tracking.registry import Model, find_model
from ser.tracking.run import Run, start_run

PAGE = "check.html"  # in the run's artifacts
TABLES = "checks"  # MLflow experiment of tables, which belong to none


@dataclass(frozen=True, kw_only=True)
class Options:
    """What the command line may say besides what is checked: see `ser.check`.

    Attributes
    ----------
    clips, suite : Path or None
    experiment, uri : str or None
    trust : tuple of str
    n_jobs : int
    """

    clips: Path | None = None
    suite: Path | None = None
    experiment: str | None = None
    uri: str | None = None
    trust: tuple[str, ...] = ()
    n_jobs: int = -1

    @property
    def log(self) -> str:
        """MLflow's tracking URI."""
        return self.uri or paths.tracking_uri()


@dataclass(frozen=True)
class Checked:
    """What was found.

    Attributes
    ----------
    name : str
        Of what was checked.
    about : tuple of str
        Sentences: which clips were answered by what, which protocol it is, what was taken for what.
    over : {"speakers", "clips"}
        What the intervals are over.
    predictions : DataFrame
        On the clips as they are.
    findings : tuple of Finding
    """

    name: str
    about: tuple[str, ...]
    over: str
    predictions: pd.DataFrame
    findings: tuple[Finding, ...] = field(repr=False)


def check(what: str, options: Options) -> str:
    """Check a run, a model or a table of predictions, and track it as a run.

    Parameters
    ----------
    what : str
        See `ser.check`.
    options : Options

    Returns
    -------
    str
        What the terminal shows.

    Raises
    ------
    SerError
        If there is no such thing, the suite is at fault, clips are missing or in the way, or a run
        needs code that is not trusted.
    """
    suite = read_suite(options.suite)
    command = shlex.join(["python", "-m", "ser.check", what, *_given(options)])
    if is_table(what):
        if options.clips is not None:
            raise SerError(f"{what} is a table of predictions, which needs no --clips.")
        checked = _of_table(Path(what), suite)
        with _started(checked.name, TABLES, options, {"command": command}) as run:
            return _log(run, checked)
    if Path(what).is_file():
        raise SerError(f"{what} is no table that can be read: give one of {', '.join(SUFFIXES)}.")
    return _check_model(what, suite, options, command)


def _check_model(what: str, suite: Suite, options: Options, command: str) -> str:
    if options.clips is not None and not options.clips.is_file():
        raise SerError(f"There is no table {options.clips}: give --clips TABLE.")
    logged, model = _found(what, options)
    name = logged.name if logged else Path(what).name
    experiment = logged.experiment if logged else TABLES
    tags = {"command": command, **({"checked": logged.id} if logged else {})}
    with _started(name, experiment, options, tags) as run:
        if model is not None and options.clips is not None:
            subject = subject_of_model(model, options.clips, n_jobs=options.n_jobs)
        elif logged is not None:
            with temporary_folder() as folder:
                logged.download(folder)
                subject = subject_of_run(
                    Path(folder), logged.id, trust=options.trust, n_jobs=options.n_jobs
                )
        return _log(run, _of_subject(subject, name, suite))


def _found(what: str, options: Options) -> tuple[LoggedRun | None, Model | None]:
    """The run, or the model and its run if the log has it.

    Raises
    ------
    SerError
        If there is no such thing, or a model has no run here and no clips are given.
    """
    is_run = what == "latest" or set(what.lower()) <= set("0123456789abcdef")
    if is_run and options.clips is None and not Path(what).is_dir():
        return find_run(options.log, what, options.experiment, with_model=True), None
    model = find_model(what, uri=options.log, experiment=options.experiment, trust=options.trust)
    if model.run is None and options.clips is None:
        raise SerError(
            f"{what} is a model whose run is not in {options.log}: give --clips TABLE (path, "
            "emotion, speaker) with clips that it has not learned from."
        )
    return model.run, model


def _of_table(file: Path, suite: Suite) -> Checked:
    foreign = read_predictions(file)
    table = foreign.predictions
    units, over = units_of(table)
    found = both_sides(foreign) + score_findings(table, units)
    found += _of_predictions(table, suite)
    name, why = protocol(foreign)
    about = (
        f"Protocol: {name}. {why}",
        *(f"{note[0].upper()}{note[1:]}." for note in foreign.notes),
    )
    return Checked(file.stem, about, over, table, tuple(found))


def _of_subject(subject: Subject, name: str, suite: Suite) -> Checked:
    rows, settings = subject.rows, subject.settings
    versions = []
    if suite.robustness is not None:
        versions = alter(
            subject.data,
            rows,
            suite.robustness["alterations"],
            store=paths.feature_store(),
            n_jobs=settings.n_jobs,
        )
    answers = subject.ask([version.X for version in versions if version.X is not None])
    predictions = subject.predictions(answers.plain)
    units, over = units_of(predictions)
    found = score_findings(predictions, units)
    if suite.robustness is not None:
        limits = suite.robustness["limits"]
        found += robustness(versions, answers.altered, predictions, units, limits)
    found += _of_predictions(predictions, suite)
    if suite.speaker is not None:
        found += speaker(subject, answers, units, suite.speaker["limits"])
    if suite.new_speaker is not None:
        found += new_speaker(subject, suite.new_speaker["clips"], suite.new_speaker["draws"])
    return Checked(name, _about(subject, predictions), over, predictions, tuple(found))


def _of_predictions(table: pd.DataFrame, suite: Suite) -> list[Finding]:
    """Fairness and, with probabilities, confidence."""
    (units, _), found = units_of(table), []
    if suite.fairness is not None:
        found += fairness(table, units, suite.fairness["limits"])
    if suite.confidence is not None and any(name.startswith("p_") for name in table):
        settings = suite.confidence
        found += confidence(table, units, settings["level"], settings["limits"])
    return found


def _about(subject: Subject, predictions: pd.DataFrame) -> tuple[str, ...]:
    about, n = [subject.how], subject.differing(predictions)
    if n is not None:
        about.append(
            f"{n} of {len(predictions)} answers are others than the run's own."
            if n
            else "All answers are the run's own."
        )
    if subject.scaler is not None:
        about.append(
            "The model is transductive: each speaker's clips are scaled by their own statistics, "
            "altered test clips by those of the altered ones."
        )
    return tuple(about)


def _started(
    name: str, experiment: str, options: Options, tags: dict[str, str]
) -> AbstractContextManager[Run]:
    return start_run(
        uri=options.log,
        experiment=experiment,
        name=f"check-{name}",
        tags={"kind": "check", **tags},
        description=f"`{tags['command']}`",
    )


def _log(run: Run, checked: Checked) -> str:
    """Send the run its numbers, table, pictures and page; return what the terminal shows."""
    table = findings_table(checked.findings)
    run.metrics(
        {f"check_{name.replace(' ', '_')}": n for name, n in counts(checked.findings).items()}
    )
    run.table(table, "check")
    run.table(checked.predictions, "predictions")
    for name, draw in check_figures(checked.findings, checked.over).items():
        run.figure(draw, name)
    with run.decoration(PAGE):
        page = render_check_page(
            run.so_far(), checked.about, checked.over, checked.findings, run.folder
        )
        run.text(page, PAGE)
    place = run.artifacts
    lines = [check_text(checked.name, checked.about, checked.over, checked.findings), ""]
    lines += [f"page    {place}/{PAGE}", f"table   {place}/tables/check.csv", terminal.where(run)]
    return "\n".join(lines)


def _given(options: Options) -> Sequence[str]:
    named = {"--clips": options.clips, "--suite": options.suite, "--experiment": options.experiment}
    return [word for key, value in named.items() if value is not None for word in (key, str(value))]
