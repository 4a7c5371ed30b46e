"""Whether the emotion of a clip can be told from its recording alone, not from the voice.

Level, silence, noise and duration are cues of emotion as well: what a small tree tells by them is
what a model has to beat, and only where they tell nearly everything is something wrong.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd
from sklearn.metrics import balanced_accuracy_score, f1_score
from sklearn.model_selection import GroupKFold, StratifiedKFold
from sklearn.tree import DecisionTreeClassifier

OF_THE_FILE = {"sr": "sampling rate", "channels": "number of channels", "subtype": "encoding"}
SOUND_UNITS = {"level": "dBFS", "leading_silence": "s", "noise": "dBFS", "duration": "s"}
OF_THE_SOUND = tuple(SOUND_UNITS)
# From when on level, silence, noise or duration tell too much of 5 emotions or more, and of fewer.
# Voices alone reach 0.73 in EMO-DB's seven emotions, and 0.98 where only angry and sad are left.
TOLD, TOLD_OF_FEW, FEW = 0.9, 0.99, 4
MIN_CLIPS = 20  # of an emotion, so that it is not told by luck
TREE = {"max_depth": 4, "min_samples_leaf": 5, "class_weight": "balanced", "random_state": 0}
N_SPLITS = 5
SHUFFLES = 24  # of the emotions, for p


def told_table(recordings: pd.DataFrame, labels: np.ndarray, groups: np.ndarray) -> pd.DataFrame:
    """How well the emotion of a clip is told from its recording alone, in a new voice.

    Parameters
    ----------
    recordings : (n_clips, ...) DataFrame
        See `ser.data.facts`.
    labels, groups : (n_clips,)
        Emotion and actor of each clip.

    Returns
    -------
    DataFrame
        fact (or ``all``), uar and chance (in [0, 1]), and p (of `uar` or more by chance, of all
        facts together; NaN of one).
    """
    facts, groups = _numbers(recordings), groups.astype(str)
    grouped = len(np.unique(groups)) > 1
    chance = 1 / len(np.unique(labels))

    def uar(facts: pd.DataFrame, labels: np.ndarray) -> float:
        told = told_by(facts, labels, groups, grouped)
        return balanced_accuracy_score(labels, told) if told.all() else np.nan

    facts = facts.loc[:, facts.min() < facts.max()]
    rows = [(name, uar(facts[[name]], labels), chance, np.nan) for name in facts]
    if len(rows):
        rng = np.random.default_rng(0)
        whole = uar(facts, labels)
        by_chance = [uar(facts, rng.permutation(labels)) >= whole for _ in range(SHUFFLES)]
        rows.append(("all", whole, chance, (1 + sum(by_chance)) / (1 + SHUFFLES)))
    return pd.DataFrame(rows, columns=["fact", "uar", "chance", "p"])


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


def told_by_sound(
    facts: pd.DataFrame, labels: np.ndarray, groups: np.ndarray, *, grouped: bool
) -> Iterator[str]:
    """Warnings of facts of the sound that tell the emotion nearly always, alone or together.

    Parameters
    ----------
    facts : (n_clips, ...) DataFrame
        The columns `OF_THE_SOUND`.
    labels, groups : (n_clips,)
        Emotion and actor of each clip.
    grouped : bool
        See `told_by`.
    """
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


def _numbers(recordings: pd.DataFrame) -> pd.DataFrame:
    """Facts that a tree can ask for: an encoding becomes a number."""
    facts = recordings[[*OF_THE_FILE, *OF_THE_SOUND]]
    return facts.assign(subtype=pd.factorize(facts["subtype"])[0])
