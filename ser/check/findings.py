"""What a check found: a number with its interval, held against a limit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import isnan, nan

import pandas as pd

PASS, FAIL, CANNOT_TELL = "pass", "fail", "cannot tell"


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One row of the table.

    Attributes
    ----------
    part : str
        ``robustness``, ``fairness``, ...
    check : str
        What was looked at: the alteration, the group of clips.
    measure : str
        What was measured of it.
    value : float
    low, high : float
        Ends of its 95 % interval; not numbers where there is none.
    limit : float or None
        What the value must not be beyond; None of what is only told.
    at_least : bool
        Whether the limit is the least value that passes; else the largest.
    unit : {"%", "points", ""}
        The first two of what is written times 100.
    exact : bool
        Whether the value is counted, not estimated: it needs no interval.
    note : str
    """

    part: str
    check: str
    measure: str
    value: float
    low: float = nan
    high: float = nan
    limit: float | None = None
    at_least: bool = False
    unit: str = "%"
    exact: bool = False
    note: str = ""

    @property
    def verdict(self) -> str:
        """Pass or fail where the whole interval says so; empty without a limit.

        >>> of = {"part": "", "check": "", "measure": "", "limit": 0.1}
        >>> [Finding(value=0.05, low=a, high=b, **of).verdict for a, b in ((0, 0.1), (0, 0.2))]
        ['pass', 'cannot tell']
        >>> Finding(value=0.2, low=0.15, high=0.3, **of).verdict
        'fail'
        """
        if self.limit is None:
            return ""
        low, high = (self.value, self.value) if self.exact else (self.low, self.high)
        if isnan(low) or isnan(high):
            return CANNOT_TELL
        worst, best = (low, high) if self.at_least else (-high, -low)
        limit = self.limit if self.at_least else -self.limit
        return PASS if worst >= limit else FAIL if best < limit else CANNOT_TELL

    def text(self, value: float) -> str:
        """A number of its kind, as it is written.

        >>> of = {"part": "", "check": "", "measure": "", "value": 0.0}
        >>> Finding(**of).text(0.4567), Finding(**of, unit="").text(0.4567)
        ('45.7', '0.457')
        """
        if isnan(value):
            return ""
        digits = 1 if self.unit else 3
        # Rounded, and 0 added, so that there is no -0.0.
        return f"{round((100 if self.unit else 1) * value, digits) + 0.0:.{digits}f}"

    @property
    def interval(self) -> str:
        """``60.8 to 71.3``; empty without one."""
        ends = (self.low, self.high)
        return "" if any(map(isnan, ends)) else " to ".join(map(self.text, ends))

    @property
    def wanted(self) -> str:
        """``at most 5.0``; empty without a limit."""
        if self.limit is None:
            return ""
        return f"at {'least' if self.at_least else 'most'} {self.text(self.limit)}"


def findings_table(findings: Sequence[Finding]) -> pd.DataFrame:
    """Every finding as a row, with its verdict."""
    columns = ["part", "check", "measure", "value", "low", "high", "limit", "at_least"]
    rows = [
        {name: getattr(finding, name) for name in columns}
        | {"verdict": finding.verdict, "note": finding.note}
        for finding in findings
    ]
    return pd.DataFrame(rows, columns=[*columns, "verdict", "note"])


def counts(findings: Sequence[Finding]) -> dict[str, int]:
    """How many pass, fail, or cannot be told."""
    verdicts = [finding.verdict for finding in findings]
    return {verdict: verdicts.count(verdict) for verdict in (PASS, FAIL, CANNOT_TELL)}
