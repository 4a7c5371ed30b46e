"""Whether a model serves some clips better than others: by gender, actor, statement, intensity."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import pandas as pd
from scipy.special import ndtri

from ser.check.findings import Finding
from ser.evaluation.uncertainty import uar_over_units

FACTORS = ("gender", "actor", "statement", "intensity")
MIN_CLIPS = 5  # of an emotion in a group: of fewer nothing can be told
MEASURES = {"uar_gap": "UAR gap", "recall_gap": "recall gap", "false_alarm_gap": "false alarm gap"}


@dataclass(frozen=True)
class Groups:
    """Clips by the levels of one factor.

    Attributes
    ----------
    factor : str
    level : (n_clips,) str
    names : tuple of str
        The levels.
    units : (n_clips,)
        What intervals are over.
    """

    factor: str
    level: np.ndarray
    names: tuple[str, ...]
    units: np.ndarray


@dataclass(frozen=True)
class Rate:
    """Something that happens to clips, counted over those of an emotion.

    Attributes
    ----------
    of : str
        The emotion; empty of all, for UAR.
    happened : (n_clips,) float
        0 or 1.
    clips : (n_clips,) bool
        Which clips count.
    group : (n_clips,) str
        Within which the clips' mean is taken, before that over the groups.
    """

    of: str
    happened: np.ndarray
    clips: np.ndarray
    group: np.ndarray


def fairness(table: pd.DataFrame, units: np.ndarray, limits: Mapping[str, float]) -> list[Finding]:
    """UAR, recall and false alarms of each group, and the largest gap between two of them.

    Parameters
    ----------
    table : DataFrame
        true, predicted and what is known of the clips.
    units : (n_clips,)
        What the intervals are over. Between actors it is their clips, as an actor is one unit.
    limits : mapping of str to float
        Largest gap that passes, by the keys of `MEASURES`.
    """
    rates = _rates(table["true"].to_numpy(str), table["predicted"].to_numpy(str))
    found: list[Finding] = []
    for factor in FACTORS:
        if factor not in table or table[factor].isna().any():
            continue
        level = table[factor].astype(str).to_numpy()
        over = np.arange(len(table)) if factor == "actor" else units
        groups = Groups(factor, level, tuple(np.unique(level).tolist()), over)
        if len(groups.names) < 2:
            continue
        found += [f for key in MEASURES for f in _gap(groups, key, rates[key], limits[key])]
        found += [f for key in MEASURES for rate in rates[key] for f in _each(groups, key, rate)]
    return found


def _rates(true: np.ndarray, predicted: np.ndarray) -> dict[str, list[Rate]]:
    """What is compared, by its measure."""
    hit, everything = (true == predicted).astype(float), np.ones(len(true), dtype=bool)
    one, emotions = np.full(len(true), ""), np.unique(true).tolist()
    return {
        "uar_gap": [Rate("", hit, everything, true)],
        "recall_gap": [Rate(e, hit, true == e, true) for e in emotions],
        "false_alarm_gap": [
            Rate(e, (predicted == e).astype(float), true != e, one) for e in emotions
        ],
    }


def _each(groups: Groups, key: str, rate: Rate) -> Iterator[Finding]:
    """The rate in each group."""
    for name in groups.names:
        rows = (groups.level == name) & rate.clips
        if rows.sum() < MIN_CLIPS:
            continue
        value, low, high = (
            float(end[0])
            for end in uar_over_units(
                rate.happened[None, rows], rate.group[rows], groups.units[rows]
            )
        )
        yield Finding(
            part="fairness",
            check=f"{groups.factor} {name}",
            measure=f"{MEASURES[key].removesuffix(' gap')} {rate.of}".strip(),
            value=value,
            low=max(low, 0.0),
            high=min(high, 1.0),
            note=f"{rows.sum()} clips",
        )


def _gap(groups: Groups, key: str, rates: Sequence[Rate], limit: float) -> Iterator[Finding]:
    """The largest gap between two groups, over all rates of a measure.

    It was chosen by looking, so its interval is widened for all that it was chosen from
    (Bonferroni).
    """
    pairs = [(rate, a, b) for rate in rates for a, b in combinations(groups.names, 2)]
    level = 1 - 0.05 / len(pairs)
    gaps = [(*_difference(groups, rate, a, b, level), rate.of, a, b) for rate, a, b in pairs]
    gaps = [gap for gap in gaps if not np.isnan(gap[0])]
    if not gaps:
        return
    value, half, emotion, a, b = max(gaps, key=lambda gap: abs(gap[0]))
    more, less = (a, b) if value > 0 else (b, a)
    of = f", the largest of {len(gaps)} gaps" if len(gaps) > 1 else ""
    yield Finding(
        part="fairness",
        check=groups.factor,
        measure=MEASURES[key],
        value=abs(value),
        low=max(abs(value) - half, -1.0),
        high=min(abs(value) + half, 1.0),
        limit=limit,
        unit="points",
        note=f"{emotion and f'{emotion}: '}more for {more} than for {less}{of}",
    )


def _difference(groups: Groups, rate: Rate, a: str, b: str, level: float) -> tuple[float, float]:
    """How much more of the rate a group has than another, and half of the interval's width.

    It is over what both have `MIN_CLIPS` clips of; NaN where there is nothing.
    """
    rows = np.isin(groups.level, (a, b)) & rate.clips
    is_a = groups.level == a
    cells = {
        group: (rows & is_a & (rate.group == group), rows & ~is_a & (rate.group == group))
        for group in np.unique(rate.group[rows])
    }
    cells = {
        group: both for group, both in cells.items() if min(c.sum() for c in both) >= MIN_CLIPS
    }
    if not cells:
        return np.nan, np.nan
    kept = rows & np.isin(rate.group, list(cells))
    # The mean over the cells of both, where those of b count as negative, is half the difference.
    signed = 2 * np.where(is_a, rate.happened, -rate.happened)
    cell = np.char.add(np.where(is_a, "a", "b"), rate.group)
    (value,), _, (high,) = uar_over_units(
        signed[None, kept], cell[kept], groups.units[kept], level=level
    )
    return float(value), max(float(high - value), _at_least(rate, cells, level))


def _at_least(
    rate: Rate, cells: Mapping[str, tuple[np.ndarray, np.ndarray]], level: float
) -> float:
    """Half the width that clips alone would leave (Agresti & Caffo 2000).

    Few clips that are all alike would leave none.
    """
    variance = 0.0
    for both in cells.values():
        for rows in both:
            n = rows.sum() + 2
            p = (rate.happened[rows].sum() + 1) / n
            variance += p * (1 - p) / n
    return float(ndtri((1 + level) / 2) * np.sqrt(variance)) / len(cells)
