"""Recordings of different kinds in one corpus, and whether the label can be told from the kind.

A model that is given happy clips of 48 kHz and sad ones of 16 kHz learns the rate. So clips are
brought to one rate, and what no voice decides (rate, channels, encoding) may not go along with
emotion, speaker or partition. Level, silence, noise and duration are cues of emotion as well: what
a small tree tells by them alone is what a model has to beat.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd
from sklearn.metrics import balanced_accuracy_score, f1_score
from sklearn.model_selection import GroupKFold, StratifiedKFold
from sklearn.tree import DecisionTreeClassifier

from ser.data.audio import probe
from ser.data.dataset import Dataset

OF_THE_FILE = {"sr": "sampling rate", "channels": "number of channels", "subtype": "encoding"}
UNITS = {"sr": " Hz", "channels": " channels", "subtype": ""}
SOUND_UNITS = {"level": "dBFS", "leading_silence": "s", "noise": "dBFS", "duration": "s"}
OF_THE_SOUND = tuple(SOUND_UNITS)
# Kinds that fewer clips have move no score by more than a point.
MIN_SHARE = 0.01
SHUFFLES, BY_CHANCE = 999, 4  # of the labels, and how many may be as far from chance
# From when on level, silence, noise or duration tell too much of 5 emotions or more, and of fewer.
# Voices alone reach 0.73 in EMO-DB's seven emotions, and 0.98 where only angry and sad are left.
TOLD, TOLD_OF_FEW, FEW = 0.9, 0.99, 4
MIN_CLIPS = 20  # of an emotion, so that it is not told by luck
TREE = {"max_depth": 4, "min_samples_leaf": 5, "class_weight": "balanced", "random_state": 0}
N_SPLITS = 5
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
        yield from _told_by_sound(part[list(OF_THE_SOUND)], *labels.values(), grouped=grouped)


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


def told_by(
    facts: pd.DataFrame, labels: np.ndarray, groups: np.ndarray, grouped: bool
) -> np.ndarray:
    """What a small tree answers for each clip from facts of its recording alone.

    Parameters
    ----------
    facts : (n_clips, n_facts) DataFrame
        Numbers.
    labels, groups : (n_clips,)
        Emotion and actor of each clip.
    grouped : bool
        Whether an actor's clips are answered by a tree that knows none of them.

    Returns
    -------
    (n_clips,) str
        Cross-validated; empty where there are too few clips or actors for two folds.
    """
    told = np.full(len(labels), "", dtype=object)
    fewest = len(np.unique(groups)) if grouped else np.unique(labels, return_counts=True)[1].min()
    if (n_splits := min(N_SPLITS, int(fewest))) < 2:
        return told
    X = facts.to_numpy(dtype=np.float64)
    kind = GroupKFold if grouped else StratifiedKFold
    folds = kind(n_splits, shuffle=True, random_state=0)
    for train, test in folds.split(X, labels, groups if grouped else None):
        told[test] = DecisionTreeClassifier(**TREE).fit(X[train], labels[train]).predict(X[test])
    return told


def told_table(data: Dataset, *, shuffles: int = 24) -> pd.DataFrame:
    """How well the emotion of a clip is told from its recording alone, in a new voice.

    Parameters
    ----------
    data : Dataset
        With `recordings`.
    shuffles : int
        Of the emotions, for p.

    Returns
    -------
    DataFrame
        fact (or ``all``), uar and chance (in [0, 1]), and p (of `uar` or more by chance, of all
        facts together; NaN of one).
    """
    facts = _numbers(_recordings(data))
    labels, groups = data.labels, data.groups.astype(str)
    grouped = len(np.unique(groups)) > 1
    chance = 1 / len(data.emotions)

    def uar(facts: pd.DataFrame, labels: np.ndarray) -> float:
        told = told_by(facts, labels, groups, grouped)
        return balanced_accuracy_score(labels, told) if told.all() else np.nan

    facts = facts.loc[:, facts.min() < facts.max()]
    rows = [(name, uar(facts[[name]], labels), chance, np.nan) for name in facts]
    if len(rows):
        rng = np.random.default_rng(0)
        whole = uar(facts, labels)
        by_chance = [uar(facts, rng.permutation(labels)) >= whole for _ in range(shuffles)]
        rows.append(("all", whole, chance, (1 + sum(by_chance)) / (1 + shuffles)))
    return pd.DataFrame(rows, columns=["fact", "uar", "chance", "p"])


def _numbers(recordings: pd.DataFrame) -> pd.DataFrame:
    """Facts that a tree can ask for: an encoding becomes a number."""
    facts = recordings[[*OF_THE_FILE, *OF_THE_SOUND]]
    return facts.assign(subtype=pd.factorize(facts["subtype"])[0])


def _recordings(data: Dataset) -> pd.DataFrame:
    assert data.recordings is not None, "of a data set whose features are extracted"
    return data.recordings


def _by_corpus(clips: pd.DataFrame) -> list[np.ndarray]:
    if "corpus" not in clips:
        return [np.arange(len(clips))]
    return list(clips.groupby("corpus", sort=False).indices.values())


def _told_by_sound(
    facts: pd.DataFrame, labels: np.ndarray, groups: np.ndarray, *, grouped: bool
) -> Iterator[str]:
    """Warnings of facts that tell the emotion nearly always, alone or together."""
    emotions, counts = np.unique(labels, return_counts=True)
    enough = TOLD_OF_FEW if len(emotions) <= FEW else TOLD
    if len(emotions) < 2 or counts.min() < MIN_CLIPS:
        return
    alone = False
    for name in facts:
        share, threshold, above = divided(facts[name].to_numpy(), labels)
        if share >= enough:
            alone = True
            yield (
                f"The {name.replace('_', ' ')} is {threshold:.3g} {SOUND_UNITS[name]} or more in "
                f"{', '.join(above)}, and less in the other emotions, in {100 * share:.0f} % of "
                "the clips of each or more: a model can learn how they were recorded or cut."
            )
    if alone:
        return
    told = told_by(facts, labels, groups, grouped).astype(str)
    scores = f1_score(labels, told, labels=emotions, average=None, zero_division=0)
    if len(surely := emotions[scores >= enough]):
        yield (
            f"Level, silence, noise and duration alone tell {', '.join(surely)}: a small tree that "
            "knows nothing else finds these clips. Look whether they were recorded or cut in "
            "another way."
        )


def divided(values: np.ndarray, labels: np.ndarray) -> tuple[float, float, list[str]]:
    """The threshold that best divides the labels: each lies on one side, and both have some.

    Parameters
    ----------
    values, labels : (n_clips,)

    Returns
    -------
    share : float
        Of a label's clips that lie on its side, for the label where that is least; in [0, 1].
    threshold : float
    above : list of str
        Labels whose clips lie at the threshold or above.

    Examples
    --------
    >>> divided(np.array([0.1, 0.2, 0.9, 1.0]), np.array(["a", "a", "b", "b"]))
    (1.0, 0.9, ['b'])
    """
    order = np.argsort(values, kind="stable")
    names, label = np.unique(labels, return_inverse=True)
    is_label = label[order][:, None] == np.arange(len(names))
    below = is_label.cumsum(axis=0)[:-1] / is_label.sum(axis=0)  # share of each up to a clip
    share = np.maximum(below, 1 - below).min(axis=1)
    both = (below.max(axis=1) > 0.5) & (below.min(axis=1) < 0.5)
    share[~both | (np.diff(values[order]) <= 0)] = 0
    best = int(share.argmax())
    return float(share[best]), float(values[order][best + 1]), names[below[best] < 0.5].tolist()


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
