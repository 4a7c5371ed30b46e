"""Recordings of different kinds in one corpus, and whether the label can be told from the kind.

A model that is given happy clips of 48 kHz and sad ones of 16 kHz learns the rate. So clips are
brought to one rate, and what no voice decides (rate, channels, encoding) may not go along with
emotion, speaker or partition.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd

from ser.data.audio import probe
from ser.data.dataset import Dataset
from ser.data.told import OF_THE_FILE, OF_THE_SOUND, told_by_sound

UNITS = {"sr": " Hz", "channels": " channels", "subtype": ""}
# Kinds that fewer clips have move no score by more than a point.
MIN_SHARE = 0.01
SHUFFLES, BY_CHANCE = 999, 4  # of the labels, and how many may be as far from chance
_NAMED = 12  # labels that a sentence lists


def rates(clips: pd.DataFrame) -> list[int]:
    """Sampling rates of clips in Hz, each once, without those that are not known.

    Parameters
    ----------
    clips : DataFrame
        With the column path; the column sr spares the reading of headers.
    """
    known = clips["sr"] if "sr" in clips else [probe(path).sr for path in clips["path"]]
    return sorted({int(rate) for rate in known if rate > 0})


def rates_said(data: Dataset, rate: int) -> str | None:
    """What is to be said of clips of several rates that are resampled to one (Hz), if they are."""
    counts = _recordings(data)["sr"].value_counts()
    if len(counts) < 2:
        return None
    listed = ", ".join(f"{sr} Hz ({count} clips)" for sr, count in counts.items())
    said = f"Sampling rates: {listed}; all are resampled to {rate} Hz."
    lowest = int(counts.index.min())
    if rate <= lowest:
        return said
    return (
        f"{said} Clips of {lowest} Hz hold nothing above {lowest // 2} Hz, the others do: the "
        f"model can hear which they are. features.sr={lowest} takes that away."
    )


def warnings(data: Dataset, parts: np.ndarray | None = None, *, grouped: bool) -> Iterator[str]:
    """What makes a corpus's numbers doubtful: its labels can be told from the recordings.

    Each corpus of two is looked at by itself.

    Parameters
    ----------
    data : Dataset
        With `recordings`.
    parts : (n_clips,) str, optional
        Partition of each clip.
    grouped : bool
        Whether the split keeps actors apart.
    """
    recordings = _recordings(data)
    for rows in _by_corpus(data.clips):
        part = recordings.iloc[rows]
        labels = {"emotion": data.labels[rows], "speaker": data.groups[rows].astype(str)}
        more = {} if parts is None else {"partition": parts[rows]}
        for fact, name in OF_THE_FILE.items():
            kinds = part[fact].to_numpy()
            along = {what: y for what, y in (labels | more).items() if goes_along(kinds, y)}
            if along:
                yield _along(fact, name, kinds, along)
        yield from told_by_sound(part[list(OF_THE_SOUND)], *labels.values(), grouped=grouped)


def goes_along(kinds: np.ndarray, labels: np.ndarray) -> bool:
    """Whether kinds of recordings and labels go together more than by chance.

    By mutual information against `SHUFFLES` shuffles of the labels (p of 0.005). Kinds that fewer
    than `MIN_SHARE` of the clips have are left out.

    Parameters
    ----------
    kinds, labels : (n_clips,)

    Examples
    --------
    >>> goes_along(np.repeat([48_000, 16_000], 10), np.repeat(["happy", "sad"], 10))
    True
    >>> goes_along(np.tile([48_000, 16_000], 10), np.repeat(["happy", "sad"], 10))
    False
    """
    kind, counts = np.unique(kinds, return_inverse=True, return_counts=True)[1:]
    kept = counts[kind] >= MIN_SHARE * len(kinds)
    kind, label = kind[kept], np.unique(labels[kept], return_inverse=True)[1]
    if len(np.unique(kind)) < 2:
        return False
    size = label.max() + 1
    rng = np.random.default_rng(0)

    def together(label: np.ndarray) -> float:
        """Mutual information, but for what no shuffle changes."""
        cells = np.bincount(kind * size + label)
        return float((cells * np.log(np.maximum(cells, 1))).sum())

    found = together(label) - 1e-9
    return sum(together(rng.permutation(label)) >= found for _ in range(SHUFFLES)) <= BY_CHANCE


def _recordings(data: Dataset) -> pd.DataFrame:
    assert data.recordings is not None, "of a data set whose features are extracted"
    return data.recordings


def _by_corpus(clips: pd.DataFrame) -> list[np.ndarray]:
    if "corpus" not in clips:
        return [np.arange(len(clips))]
    return list(clips.groupby("corpus", sort=False).indices.values())


def _along(fact: str, name: str, kinds: np.ndarray, along: dict[str, np.ndarray]) -> str:
    """The warning, with the clips of each kind by label."""
    lines = [
        f"The {name} of the clips goes along with {' and '.join(along)}: a model can learn how "
        "they were recorded instead of the emotion."
    ]
    for what, labels in along.items():
        table = pd.crosstab(kinds, labels)
        for kind, counts in table.iterrows():
            some = counts[counts > 0].sort_values(ascending=False, kind="stable")
            listed = ", ".join(f"{label} {count}" for label, count in some[:_NAMED].items())
            more = f" and {len(some) - _NAMED} more" if len(some) > _NAMED else ""
            lines.append(f"  {what}, {kind}{UNITS[fact]}: {listed}{more}")
    return "\n".join(lines)
