"""What a pretrained encoder learned from, and whether a corpus may have been among it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from ser.core.errors import SerError

ANSWERS = ("no", "unknown", "yes")  # to: did it hear this corpus? The last is the worst.


@dataclass(frozen=True, kw_only=True)
class Pretraining:
    """What is known of an encoder's training.

    Parameters
    ----------
    data : str
        What it was trained on, in words.
    licence : str
        Of the weights.
    source : str
        Where this is said.
    others : {"no", "unknown", "yes"}
        Whether it heard a corpus that `corpora` does not name. "no" needs a training set that is
        known, clip by clip; what is gathered from the web may hold anything: "unknown".
    corpora : mapping of str to {"no", "unknown", "yes"}
        By ``data.name``.

    Raises
    ------
    SerError
        If an answer is none of the three.
    """

    data: str
    licence: str
    source: str
    others: str = "unknown"
    corpora: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for corpus, answer in {**self.corpora, "others": self.others}.items():
            if answer not in ANSWERS:
                raise SerError(
                    f"features.pretraining: {corpus}: {answer!r} is not known: give "
                    f"{', '.join(ANSWERS)} (in YAML in quotes)."
                )


def pretraining_tags(parts: object, corpora: list[str]) -> dict[str, str]:
    """Tags of a run whose features or model come from a pretrained encoder; none where none do.

    Parameters
    ----------
    parts : object
        A feature set, an estimator, or a list of them: what they are made of is looked at too.
    corpora : list of str
        That are trained or tested on.

    Returns
    -------
    dict of str to str
        ``pretrained``: the checkpoints. ``corpus_in_pretraining``: "no", "unknown" or "yes", of
        several encoders and corpora the worst.
    """
    encoders = list(_encoders(parts))
    answers = {_answer(encoder, corpus) for encoder in encoders for corpus in corpora}
    if not encoders:
        return {}
    names = [getattr(encoder, "title", type(encoder).__name__) for encoder in encoders]
    return {
        "pretrained": ", ".join(dict.fromkeys(names)),
        "corpus_in_pretraining": max(answers, key=ANSWERS.index, default="unknown"),
    }


def _encoders(part: object) -> Iterator[object]:
    if hasattr(part, "pretraining"):
        yield part
        return
    if hasattr(part, "get_params"):
        part = part.get_params(deep=False)
    part = getattr(part, "sets", part)
    if isinstance(part, Mapping):
        part = list(part.values())
    if isinstance(part, list | tuple):
        for inner in part:
            yield from _encoders(inner)


def _answer(encoder: object, corpus: str) -> str:
    known = getattr(encoder, "pretraining", None)
    return known.corpora.get(corpus, known.others) if known is not None else "unknown"
