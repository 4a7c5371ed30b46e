"""A run's model card: what its model is, how good it was found and on whom, what it is not for.

After Mitchell et al. (2019), Model cards for model reporting, doi 10.1145/3287560.3287596. Every
number is the run's own. The card is an artifact of the run, lies in its model, and is the
description of its versions in the registry.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from ser.core.comparable import NOT_COMPARABLE, kind_of, reason
from ser.core.printable import markdown, markdown_code
from ser.evaluation.breakdown import breakdown, per_class
from ser.evaluation.metrics import HEADLINES, METRICS, table_metrics
from ser.report.scores import interval_in_words

if TYPE_CHECKING:
    from ser.evaluation.protocol import Evaluation
    from ser.tracking.queries import LoggedRun

USES = """## What it is not for

Decisions about people: hiring, grading, credit, insurance, policing, health, or attention at work
or at school (where the European Union's AI Act, article 5(1)(f), forbids inferring emotions). How
a voice sounds is not how somebody feels.
"""


def card(run: LoggedRun, evaluation: Evaluation, *, about: str) -> str:
    """Model card in Markdown.

    Parameters
    ----------
    run : LoggedRun
        Its tags and metrics.
    evaluation : Evaluation
        Of the model.
    about : str
        What there is to know of the corpus before a number on it is believed: who speaks, how, and
        under which licence.
    """
    sections = (_head(run), _data(run, evaluation, about), _scores(run, evaluation), [USES])
    return "\n".join(line for section in sections for line in section)


def _head(run: LoggedRun) -> Iterator[str]:
    tags = run.tags
    yield f"# Model card: {markdown(run.name)}\n"
    yield (
        f"A {markdown(tags['model'])} on the features {markdown(tags['features'])}, scaler "
        f"{markdown(tags['scaler'])}: from a recording to the probability of each emotion."
    )
    if why := reason(kind_of(tags)):
        yield f"\n**Kind of its numbers: {kind_of(tags)}**: {why}. {NOT_COMPARABLE}"
    if tags.get("transductive") == "true":
        yield "\nThe model needs to know who speaks, and several clips of each."
    if "pretrained" in tags:
        yield f"\nPretrained encoder: {markdown(tags['pretrained'])}."
    yield f"\nRun {run.id}, made by {markdown_code(tags['command'])}."
    if "mlflow.source.git.commit" in tags:
        dirty = ", with uncommitted changes" if tags.get("git_dirty") == "true" else ""
        yield f"Commit {tags['mlflow.source.git.commit']}{dirty}."


def _data(run: LoggedRun, evaluation: Evaluation, about: str) -> Iterator[str]:
    n_clips = round(evaluation.metrics["n_development_clips"])
    corpus = markdown(run.tags["corpus"])
    yield f"\n## Data\n\nTrained on {n_clips} clips of {corpus}: {about}."
    if "test_corpus" in run.tags:
        yield f"Tested on {markdown(run.tags['test_corpus'])}."
    yield f"Emotions: {', '.join(map(markdown, evaluation.labels))}."


def _scores(run: LoggedRun, evaluation: Evaluation) -> Iterator[str]:
    test, numbers = evaluation.part("test"), evaluation.metrics
    folds, protocol = test["fold"].nunique(), markdown(run.tags["protocol"])
    yield f"\n## How good\n\nProtocol {markdown_code(run.tags['split'])}: {protocol}."
    if folds > 1:
        yield (
            f"The numbers are of {folds} models, each tested on clips that it never saw; this "
            "model was then fitted on all clips."
        )
    headlines = [METRICS[name] for name in HEADLINES]
    for metric in headlines:
        yield (
            f"- {metric.label} {metric.text_with_unit(numbers[f'test_{metric.name}'])} "
            f"({interval_in_words(metric, numbers, run.tags['interval_over'])})"
        )
    for metric in table_metrics():
        if metric not in headlines:
            yield f"- {metric.label} {metric.text_with_unit(numbers[f'test_{metric.name}'])}"
    yield f"- chance {100 / len(evaluation.labels):.1f} % UAR; {len(test)} test clips"
    error = METRICS["ece"].text_with_unit(numbers["test_ece"])
    yield f"- probabilities are off by {error} on average\n"
    yield "| emotion | recall % | clips |\n|---|---|---|"
    true, predicted = test["true"].to_numpy(), test["predicted"].to_numpy()
    for row in per_class(true, predicted, evaluation.labels).itertuples():
        yield f"| {markdown(row.emotion)} | {100 * row.recall:.1f} | {row.support} |"
    by = breakdown(test)
    by = by[by["factor"] == "gender"]
    if len(by):
        yield "\n| gender | accuracy % | clips |\n|---|---|---|"
        for row in by.itertuples():
            yield f"| {markdown(row.level)} | {100 * row.accuracy:.1f} | {row.clips} |"
    yield (
        "\n## Limits\n\nWhat it was tested on is what is known of it. Another language, other "
        "microphones and rooms, speech that is not acted, older or younger voices: expect less, "
        "and measure it first. Clips were compared byte by byte; `python -m ser.explore` finds "
        "copies that were encoded again, cut or made louder."
    )
    if not evaluation.split.grouped:
        yield (
            "The test clips' speakers were heard in training: on a new voice expect far less. "
            "Evaluate with `split=loso` before it is used on one."
        )
    for line in run.tags.get("warning", "").splitlines():  # a table's lines begin with blanks
        yield line if line.startswith(" ") else f"\n**{markdown(line)}**"
    yield ""
