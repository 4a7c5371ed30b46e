"""Findings -> the page, and what the terminal shows of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path

from ser.check.findings import CANNOT_TELL, FAIL, PASS, Finding, counts
from ser.core.printable import shown
from ser.report.html import render
from ser.report.pictures import pictures
from ser.tracking.queries import LoggedRun

ABOUT = {
    "protocol": "Whether what is tested was heard in training.",
    "scores": "Over all clips that are answered, as they are.",
    "robustness": "The same clips are altered by one known step, and the same models are asked "
    "again.",
    "fairness": "The largest difference between two groups of clips. It was chosen by looking, so "
    "its interval is widened for all that it was chosen from (Bonferroni).",
    "confidence": "Whether the model is surer where it is right, how far its probabilities are "
    "from how often it is right, and sets of answers that are made to hold the right one in a "
    "given share of clips. A speaker's sets rest on other speakers' clips alone.",
    "speaker": "How well a linear model tells who speaks, and what the UAR is once that is erased "
    "from the features inside each fold (LEACE).",
    "new speaker": "The same classifier on features that are scaled by speaker. The speaker's "
    "statistics come from so many unlabelled clips, blended with those of the training actors.",
}
FIGURES = {
    "robustness": ("check_robustness", "check_flips"),
    "confidence": ("check_sets",),
    "new speaker": ("check_new_speaker",),
}


def render_check_page(
    run: LoggedRun, about: Sequence[str], over: str, findings: Sequence[Finding], folder: Path
) -> str:
    """The page of a check.

    Parameters
    ----------
    run : LoggedRun
        Its name and command.
    about : sequence of str
        Sentences on top.
    over : str
        What the intervals are over.
    findings : sequence of Finding
    folder : Path
        The run's files, with ``figures/``.

    Returns
    -------
    str
        HTML.
    """
    return render(
        "check.html",
        title=run.name,
        about=about,
        over=over,
        cards=[
            *((verdict, str(n), "") for verdict, n in counts(findings).items()),
            *((f.measure, f"{f.text(f.value)} %", f.interval) for f in _headlines(findings)),
        ],
        parts=[
            (part, ABOUT[part], [f for f in of if f.verdict], [f for f in of if not f.verdict])
            for part, of in _by_part(findings)
        ],
        pictures=pictures(folder / "figures") if (folder / "figures").is_dir() else {},
        figures=FIGURES,
        command=run.tags["command"],
    )


def check_text(name: str, about: Sequence[str], over: str, findings: Sequence[Finding]) -> str:
    """What the terminal shows."""
    lines = ["", shown(name), *map(shown, about), ""]
    lines += [
        f"{f.measure:12}{f.text(f.value):>6} %   {f.interval and f'{f.interval} over {over}'}"
        for f in findings
        if f.part == "scores"
    ]
    lines += ["", f"{'':14}{PASS:>6}{FAIL:>6}{CANNOT_TELL:>13}"]
    for part, of in _by_part(findings):
        n = counts(of)
        if sum(n.values()):
            lines.append(f"{part:14}{n[PASS]:>6}{n[FAIL]:>6}{n[CANNOT_TELL]:>13}")
    failed = [finding for finding in findings if finding.verdict == FAIL]
    lines += ["", *(["Failed:"] if failed else [])]
    for (part, check), rows in groupby(failed, key=lambda finding: (finding.part, finding.check)):
        known = [
            _said(f) + (f" [{shown(f.note)}]" if part != "robustness" and f.note else "")
            for f in rows
        ]
        lines.append(f"  {shown(check)}: {'; '.join(known)}")
    curve = [finding for finding in findings if finding.part == "new speaker"]
    if curve:
        of_clips = ", ".join(f"{f.check.split()[0]}: {f.text(f.value)}" for f in curve)
        lines += ["", f"UAR % after unlabelled clips of a new speaker: {of_clips}"]
    return "\n".join(lines)


def _said(finding: Finding) -> str:
    """A measure, its value and its interval.

    >>> _said(Finding(part="", check="", measure="UAR", value=0.5, low=0.4, high=0.6))
    'UAR 50.0 (40.0 to 60.0)'
    """
    interval = f" ({finding.interval})" if finding.interval else ""
    return f"{finding.measure} {finding.text(finding.value)}{interval}"


def _headlines(findings: Sequence[Finding]) -> Iterator[Finding]:
    return (f for f in findings if f.part == "scores" and f.measure in ("UAR", "accuracy"))


def _by_part(findings: Sequence[Finding]) -> list[tuple[str, list[Finding]]]:
    return [(part, list(of)) for part, of in groupby(findings, key=lambda finding: finding.part)]
