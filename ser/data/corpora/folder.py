"""A user's own corpus: a folder whose names say the emotion and, where known, who speaks.

Without a pattern the clips lie in a folder of their emotion, below it in one of their speaker, if
that is known: ``happy/ann/1.wav`` or ``happy/1.wav``. A pattern names other layouts.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from ser.core.errors import SerError
from ser.core.paths import meant_instead
from ser.data.corpora import UNKNOWN, absolute, audio_files, check_name, with_durations
from ser.data.corpora.table import check_labels
from ser.data.names import numbers_if_whole, relabelled, tidied

_FIELD = re.compile(r"\{([a-z_]+)\}")
_TAKEN = {"path", "actor", "duration", "sr"}  # columns of every clip table
_SHOWN = 3  # files that an error names


def load(
    root: str | Path | None,
    *,
    pattern: str | None = None,
    speaker: str | None = "speaker",
    labels: Mapping[str, str | None] | None = None,
    min_clips: int = 2,
) -> pd.DataFrame:
    """Clip table of the audio files below a folder.

    Parameters
    ----------
    root : str or Path
        The folder.
    pattern : str, optional
        What the files are called: ``{speaker}_{emotion}_{n}.wav``, or with folders,
        ``{speaker}/{emotion}/*``. A field has none of the signs that part it from others, ``*``
        stands for anything but ``/``. Without a ``/`` the files may lie in any folder. The default
        is ``{emotion}/{speaker}/*``, or ``{emotion}/*`` where the speakers are unknown.
    speaker : str or None
        Field that says who speaks; None where nobody knows.
    labels : mapping of str to str or None, optional
        Word in the name -> emotion; None leaves its clips out.
    min_clips : int
        Fewest clips of an emotion.

    Returns
    -------
    DataFrame
        path, emotion, actor (`UNKNOWN` without a speaker), the pattern's other fields, duration
        (s) and sr (Hz), sorted by path.

    Raises
    ------
    SerError
        If there is no such folder, a file does not fit the pattern, or the emotions do not do.

    Examples
    --------
    >>> fields("ann_happy_3.wav", "{speaker}_{emotion}_{n}.wav")
    {'speaker': 'ann', 'emotion': 'happy', 'n': '3'}
    """
    if not root:
        raise SerError("No folder of clips. Set data.root=FOLDER, with a folder per emotion.")
    root = absolute(root)
    if not root.is_dir():
        raise SerError(f"There is no folder {root}.{meant_instead(root)} Set data.root=FOLDER.")
    pattern = pattern or ("{emotion}/*" if speaker is None else f"{{emotion}}/{{{speaker}}}/*")
    _check_pattern(pattern, speaker)
    rows = _rows(root, pattern, speaker)
    clips = pd.DataFrame(rows).rename(columns={speaker: "actor"} if speaker else {})
    if speaker is None:
        clips["actor"] = UNKNOWN
    clips["actor"] = numbers_if_whole(clips["actor"])
    clips = tidied(relabelled(clips, labels) if labels else clips).reset_index(drop=True)
    check_labels(clips["emotion"], root, min_clips)
    return with_durations(clips)


def fields(name: str, pattern: str) -> dict[str, str] | None:
    """What a file's path below the root says; None where it does not fit the pattern."""
    found = _expression(pattern).fullmatch(name)
    return found.groupdict() if found else None


def _expression(pattern: str) -> re.Pattern[str]:
    levels = []
    for level in pattern.split("/"):
        parts = re.split(r"(\{[a-z_]+\}|\*)", level)
        signs = {sign for part in parts[::2] for sign in part if not sign.isalnum()}
        no_sign = f"[^/{re.escape(''.join(sorted(signs)))}]+"
        for place, part in enumerate(parts):
            if part == "*":
                parts[place] = "[^/]*"
            else:
                field = _FIELD.fullmatch(part)
                parts[place] = f"(?P<{field[1]}>{no_sign})" if field else re.escape(part)
        levels.append("".join(parts))
    return re.compile("/".join(levels) if len(levels) > 1 else f"(?:.*/)?{levels[0]}")


def _check_pattern(pattern: str, speaker: str | None) -> None:
    named = _FIELD.findall(pattern)
    if "{" in _FIELD.sub("", pattern) or len(set(named)) < len(named) or _TAKEN & set(named):
        raise SerError(
            f"data.pattern={pattern!r}: give each field once, in small letters, as in "
            f"'{{speaker}}_{{emotion}}_{{n}}.wav'; {', '.join(sorted(_TAKEN))} are no fields."
        )
    for field in ("emotion", speaker):
        if field is not None and field not in named:
            raise SerError(
                f"data.pattern={pattern!r} has no {{{field}}}. Add it"
                + ("." if field == "emotion" else ", or set data.speaker=null if nobody knows.")
            )


def _rows(root: Path, pattern: str, speaker: str | None) -> list[dict[str, str]]:
    rows, others = [], []
    for path in audio_files(root):
        check_name(path)
        name = path.relative_to(root).as_posix()
        said = fields(name, pattern)
        rows.append({"path": str(path), **(said or {})})
        if said is None:
            others.append(name)
    if not rows:
        raise SerError(f"There is no audio file in {root}.")
    if others:
        unknown = (
            "" if speaker is None else " Where nobody knows who speaks, set data.speaker=null."
        )
        raise SerError(
            f"{len(others)} of {len(rows)} files in {root} are not called {pattern!r}: "
            f"{', '.join(others[:_SHOWN])}{', ...' if len(others) > _SHOWN else ''}. Set "
            f"data.pattern='...' to what they are called, or move them away.{unknown}"
        )
    return rows
