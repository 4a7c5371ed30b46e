"""What a model answers to altered clips: extraction of them, and what they change."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ser.check.findings import Finding
from ser.core.progress import bar
from ser.data.dataset import Dataset
from ser.evaluation.uncertainty import uar_over_units
from ser.features.alteration import KINDS, altered, lacking
from ser.features.store import extract

VOICES = 6  # of a babble, each of another actor


@dataclass(frozen=True)
class Altered:
    """One alteration of the scored clips.

    Attributes
    ----------
    kind, name : str
        One of `alteration.KINDS`, and what it does in words.
    X : (n_rows, n_features) float32, or None
        NaN where it could not be computed; None where it cannot be made at all.
    why : str
        Why it cannot be made.
    """

    kind: str
    name: str
    X: np.ndarray | None
    why: str = ""


def alter(
    data: Dataset,
    rows: np.ndarray,
    alterations: Mapping[str, Sequence[float]],
    *,
    store: str | Path,
    n_jobs: int,
) -> list[Altered]:
    """Features of altered clips, from the store where they are in it.

    Parameters
    ----------
    data : Dataset
        With a feature set.
    rows : (n_rows,) int
        Positions of the clips.
    alterations : mapping of str to sequence of float
        Kind -> its values.
    store : path
    n_jobs : int
    """
    wanted = [(kind, float(value)) for kind, values in alterations.items() for value in values]
    made = []
    for kind, value in bar(wanted, desc="Altering", unit="alteration"):
        name = KINDS[kind].words.format(value)
        if why := _lacking(data, rows, kind, value):
            made.append(Altered(kind, name, None, why))
            continue
        X = np.full((len(rows), len(data.names)), np.nan, dtype=np.float32)
        for members, settings in _calls(data, rows, kind):
            feature_set = altered(data.feature_set, kind, value, **settings)
            paths = data.clips["path"].iloc[rows[members]].tolist()
            found = extract(
                paths, feature_set, store=store, on_error="skip", n_jobs=n_jobs, progress=False
            )
            X[members] = found.X
        made.append(Altered(kind, name, X))
    return made


def robustness(
    versions: Sequence[Altered],
    answers: Sequence[np.ndarray],
    predictions: pd.DataFrame,
    units: np.ndarray,
    limits: Mapping[str, float],
) -> Iterator[Finding]:
    """What each alteration costs in UAR, and the share of answers that are others than before.

    Parameters
    ----------
    versions : sequence of Altered
    answers : sequence of (n_rows, n_labels)
        Probabilities, of the versions that could be made.
    predictions : DataFrame
        On the clips as they are; with ``p_EMOTION``, as columns of the answers.
    units : (n_rows,)
        What the intervals are over.
    limits : mapping of str to float
        Of uar_lost and flipped.
    """
    labels = np.array([name[2:] for name in predictions if name.startswith("p_")])
    true, before = predictions["true"].to_numpy(str), predictions["predicted"].to_numpy(str)
    given = iter(answers)
    for version in versions:
        if version.X is None:
            yield from _not_made(version, limits)
            continue
        usable = ~np.isnan(version.X).any(axis=1)
        after = labels[next(given).argmax(axis=1)]
        lost = (before == true).astype(float) - (after == true)
        uar = float(
            uar_over_units((after == true)[None, usable] * 1.0, true[usable], units[usable])[0][0]
        )
        note = f"UAR {100 * uar:.1f} %"
        if not usable.all():
            note += f"; {(~usable).sum()} clips could not be used"
        one = np.full(len(true), "")
        for key, measure, values, group in (
            ("uar_lost", "UAR lost", lost, true),
            ("flipped", "answers that flip", (after != before).astype(float), one),
        ):
            value, low, high = (
                float(end[0])
                for end in uar_over_units(values[None, usable], group[usable], units[usable])
            )
            yield Finding(
                part="robustness",
                check=version.name,
                measure=measure,
                value=value,
                low=low if key == "uar_lost" else max(low, 0.0),
                high=high,
                limit=limits[key],
                unit="points" if key == "uar_lost" else "%",
                note=note,
            )


def _not_made(version: Altered, limits: Mapping[str, float]) -> Iterator[Finding]:
    for key, measure in (("uar_lost", "UAR lost"), ("flipped", "answers that flip")):
        yield Finding(
            part="robustness",
            check=version.name,
            measure=measure,
            value=np.nan,
            limit=limits[key],
            note=f"not made: {version.why}",
        )


def _lacking(data: Dataset, rows: np.ndarray, kind: str, value: float) -> str:
    if kind == "babble" and len(np.unique(data.groups)) < 2:
        return "there are no other actors"
    rates = np.ones(1) if data.recordings is None else data.recordings["sr"].to_numpy()[rows]
    heard = getattr(data.feature_set, "sr", None) or np.inf
    return lacking(kind, value, int(min(rates.max(), heard)))


def _calls(
    data: Dataset, rows: np.ndarray, kind: str
) -> Iterator[tuple[np.ndarray, dict[str, Any]]]:
    """Rows that are extracted together, with what their alteration needs.

    Of a babble there are two crowds, so that nobody talks over their own clip.
    """
    if kind != "babble":
        yield np.arange(len(rows)), {}
        return
    actors, first = np.unique(data.groups, return_index=True)
    for half in (0, 1):
        crowd = first[half::2][:VOICES]
        members = np.flatnonzero(np.isin(data.groups[rows], actors[1 - half :: 2]))
        voices = data.clips["path"].iloc[crowd].tolist()
        contents = "".join(voices if data.digests is None else data.digests[crowd].tolist())
        digest = hashlib.sha256(contents.encode("utf-8", "surrogatepass")).hexdigest()[:16]
        if len(members):
            yield members, {"voices": voices, "babble": digest}
