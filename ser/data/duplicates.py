"""The same sound twice: found by what the clips' files hold, and refused unless told otherwise.

A copy on the other side of a split is a test clip that the model knows; under another speaker's
name it makes "test actor never heard" false. So copies may stay only where they cannot be parted:
under one speaker and one emotion, in a split that keeps actors apart.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from ser.core.errors import SerError
from ser.data.corpora.ravdess import SAME_SOUND
from ser.data.dataset import Dataset
from ser.data.folds import Split

_SHOWN = 3  # sounds that a message lists before it only counts
_WAYS = (
    "Mend the corpus, or set data.duplicates=drop (the first clip of each sound stays; of a sound "
    "under two speakers or emotions, none), or data.duplicates=keep (all stay, and the run is "
    "tagged as such)."
)
_NEAR = (
    " Files are compared byte by byte: python -m ser.explore finds copies that were encoded again, "
    "cut or made louder."
)


def copies(data: Dataset) -> list[np.ndarray]:
    """Rows of the clips that hold the same sound, byte by byte, for each such sound.

    Returns
    -------
    list of (n >= 2,) int
        By first clip; none where the clips' digests are not known.
    """
    if data.digests is None:
        return []
    _, sound, counts = np.unique(data.digests, return_inverse=True, return_counts=True)
    repeated = np.flatnonzero(counts[sound] > 1)
    if not len(repeated):
        return []
    order = repeated[np.argsort(sound[repeated], kind="stable")]
    groups = np.split(order, np.flatnonzero(np.diff(sound[order])) + 1)
    return sorted(groups, key=lambda rows: int(rows[0]))


def without_copies(data: Dataset, *, say: Callable[[str], object]) -> Dataset:
    """The data set with every sound once, where its `duplicates` is "drop"; else the same.

    A sound that stands under two speakers or two emotions goes altogether, as nothing tells which
    of them is right.

    Parameters
    ----------
    data : Dataset
        With digests.
    say : callable
        Is told what was left out.

    Raises
    ------
    SerError
        If no clip is left.
    """
    groups = copies(data) if data.duplicates == "drop" else []
    if not groups:
        return data
    contradictory = [rows for rows in groups if _contradiction(data, rows)]
    kept = np.ones(len(data), dtype=bool)
    for rows in groups:
        kept[rows[1:]] = False
    for rows in contradictory:
        kept[rows] = False
    if not kept.any():
        raise SerError(
            f"Every clip holds a sound that stands under two speakers or emotions, and "
            f"data.duplicates=drop leaves none: {_listed(data, groups)}. Mend the corpus."
        )
    all_of = ""
    if contradictory:
        all_of = (
            f", among them all {sum(map(len, contradictory))} clips of {len(contradictory)} sounds "
            f"under two speakers or emotions ({_listed(data, contradictory)})"
        )
    say(
        f"Left out as the same sound as another clip (data.duplicates=drop): {(~kept).sum()} of "
        f"{len(data)} clips{all_of}.{_NEAR}"
    )
    return data.select(kept)


def check_copies(data: Dataset, split: Split) -> str:
    """Refuse copies that the split, or a cross-validation inside of it, may part.

    Parameters
    ----------
    data : Dataset
    split : Split
        Of `data`.

    Returns
    -------
    str
        What is to be said of the copies that stay; empty where there are none.

    Raises
    ------
    SerError
        If clips with the same sound have two speakers or emotions, or the split does not keep
        actors apart; unless `data.duplicates` is "keep", or the corpus is known for them.
    """
    groups = copies(data)
    if not groups:
        return ""
    n_copies = sum(len(rows) - 1 for rows in groups)
    count = f"{n_copies} of {len(data)} clips {'holds' if n_copies == 1 else 'hold'}"
    if data.duplicates == "keep":
        return (
            f"{count} the same sound as another clip, and stay (data.duplicates=keep): numbers are "
            f"too good where a copy is trained on and another tested. {_listed(data, groups)}."
            f"{_NEAR}"
        )
    bad = [
        rows
        for rows in groups
        if _contradiction(data, rows) or not (split.grouped or _is_published(data, rows))
    ]
    if bad:
        because = "may be on both sides of the split or of its cross-validation"
        if any(_contradiction(data, rows) for rows in bad):
            because = "under two speakers or emotions cannot all be right"
        raise SerError(
            f"{sum(len(rows) - 1 for rows in bad)} of {len(data)} clips hold the same sound as "
            f"another: {_listed(data, bad)}. Copies {because}. {_WAYS}{_NEAR}"
        )
    known = (
        " (as the corpus was published)"
        if all(_is_published(data, rows) for rows in groups)
        else ""
    )
    where = f"{'never' if split.grouped else 'perhaps'} one in training and one in test"
    return f"{count} the same sound as another{known}, {where}: {_listed(data, groups)}."


def _is_published(data: Dataset, rows: np.ndarray) -> bool:
    return {Path(path).stem for path in data.clips["path"].iloc[rows]} == SAME_SOUND


def _contradiction(data: Dataset, rows: np.ndarray) -> bool:
    """Whether clips with one sound have two speakers or emotions."""
    return len(set(data.groups[rows])) > 1 or len(set(data.labels[rows])) > 1


def _listed(data: Dataset, groups: Sequence[np.ndarray]) -> str:
    """The first sounds, by their clips, with what these contradict each other in."""
    sounds = []
    for rows in groups[:_SHOWN]:
        parts = []
        for row in rows[:_SHOWN].tolist():
            clip = data.clips.iloc[row]
            said = f" ({clip['emotion']}, speaker {clip['actor']})"
            parts.append(clip["path"] + (said if _contradiction(data, rows) else ""))
        parts += [f"{len(rows) - _SHOWN} more"] if len(rows) > _SHOWN else []
        sounds.append(" = ".join(parts))
    more = [f"and {len(groups) - _SHOWN} more sounds"] if len(groups) > _SHOWN else []
    return "; ".join([*sounds, *more])
