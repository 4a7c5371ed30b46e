"""Which runs' numbers may stand side by side: never one that knew more of the test."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

INDUCTIVE = "inductive"
_REASONS = {
    "transductive": "each speaker's test clips, without labels, went into their scaling",
    "pretrained": "the encoder's own training heard this corpus, or may have",
}
# In the order of tables.
KINDS = (INDUCTIVE, "transductive", "pretrained", "pretrained, transductive")
TAGS = ("transductive", "pretrained", "corpus_in_pretraining")  # of a run, that say its kind
NOT_COMPARABLE = "Not to be compared with numbers of inductive runs."


def kind_of(tags: Mapping[str, str]) -> str:
    """Of a run, by its tags: one of `KINDS`.

    >>> kind_of({"transductive": "true", "corpus_in_pretraining": "unknown"})
    'pretrained, transductive'
    >>> kind_of({"corpus_in_pretraining": "no"})
    'inductive'
    """
    pretrained = tags.get("corpus_in_pretraining", "no") != "no"
    return kind(transductive=tags.get("transductive") == "true", pretrained=pretrained)


def kind(*, transductive: bool, pretrained: bool) -> str:
    """One of `KINDS`."""
    return KINDS[transductive + 2 * pretrained]


def is_synthetic(tags: Mapping[str, str]) -> bool:
    """Whether a run's model was trained on synthetic voices; runs of an older ser only have a name.

    >>> is_synthetic({"corpus": "demo"}), is_synthetic({"corpus": "demo", "synthetic": "false"})
    (True, False)
    """
    return tags.get("synthetic", str(tags.get("corpus") == "demo").lower()) == "true"


def order(kinds: pd.Series) -> pd.Series:
    """Places in `KINDS`, to sort a table by."""
    return kinds.map(KINDS.index)


def reason(kind: str) -> str:
    """Why numbers of a kind stand apart; empty for inductive ones."""
    return "; ".join(text for name, text in _REASONS.items() if name in kind.split(", "))
