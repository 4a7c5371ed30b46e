"""How good the recordings of a corpus are, and how its emotions are spoken.

From the recordings' facts (`ser.data.facts`) and prosodic features (`ser.features.prosody`), which
the store keeps: no audio is read again.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from ser.data.dataset import Dataset
from ser.data.facts import SILENCE
from ser.features.level import CLIPPED_RUN

NEAR_FULL_SCALE = -0.1  # dBFS
LONG_SILENCE = 1.0  # seconds before or after the speech
LITTLE_VOICE = 0.1  # share of the sounding frames
LOUDNESS = {"low": 0.25, "median": 0.5, "high": 0.75}
QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)

# Prosodic feature -> its name and unit on axes.
SPOKEN = {
    "f0_median": "median F0 (Hz)",
    "f0_range": "F0 range (semitones)",
    "energy_mean": "level of speech (dBFS)",
    "energy_range": "level range (dB)",
    "duration": "duration (s)",
    "voiced_share": "voiced share of speech",
}


def clip_quality(data: Dataset, prosody: pd.DataFrame) -> pd.DataFrame:
    """What is known of every clip's recording.

    Parameters
    ----------
    data : Dataset
        Its features say which clips have the same sound, in whatever container.
    prosody : (n_clips, ...) DataFrame
        The columns of `ProsodyFeatures`.

    Returns
    -------
    (n_clips, ...) DataFrame
        path, emotion, actor, channels, sr (Hz), encoding, noise (dBFS), the prosodic columns,
        duplicate_of (path of the first clip with the same sound; empty for others) and same_bytes
        (whether the file is the same, too).
    """
    clips, recordings = data.clips, data.recordings
    assert recordings is not None and data.digests is not None, "of a data set that is extracted"
    facts = recordings[["channels", "sr", "subtype", "noise"]].rename(
        columns={"subtype": "encoding"}
    )
    table = pd.concat([clips[["path", "emotion", "actor"]], facts, prosody], axis=1)
    both = np.hstack([data.features, prosody.to_numpy(dtype=np.float32)]).astype(np.float32)
    sound = pd.Series([row.tobytes() for row in both])
    first = sound.map({key: i for i, key in reversed(list(enumerate(sound)))}).to_numpy()
    again = first != np.arange(len(clips))
    paths = clips["path"].to_numpy(dtype=object)
    table["duplicate_of"] = np.where(again, paths[first], "")
    table["same_bytes"] = again & (data.digests == data.digests[first])
    return table


def findings(quality: pd.DataFrame) -> pd.DataFrame:
    """What a user of the corpus should know: each issue, the clips that have it, and a note.

    Parameters
    ----------
    quality : DataFrame
        See `clip_quality`, with near_copy_of (path of the clip that it is a copy of; or empty).

    Returns
    -------
    DataFrame
        issue, clips (their number), note.
    """
    rows = [(issue, int(has.sum()), note) for issue, has, note in _issues(quality)]
    return pd.DataFrame(rows, columns=["issue", "clips", "note"])


def _issues(q: pd.DataFrame) -> Iterator[tuple[str, pd.Series, str]]:
    for column, what in (
        ("duplicate_of", "same sound as another clip"),
        ("near_copy_of", "encoded, cut or amplified copy of another clip"),
    ):
        copy = q[column] != ""
        pairs = zip(q["path"][copy], q[column][copy], strict=True)
        yield what, copy, _first(f"{_name(a)} = {_name(b)}" for a, b in pairs)
        names = ["emotion", "actor"]
        of_first = q.set_index("path")[names].reindex(q[column]).to_numpy()
        renamed = copy & (q[names].to_numpy() != of_first).any(axis=1)
        note = _first(map(_name, q["path"][renamed]))
        yield f"{what}, under another emotion or actor", renamed, note
    stereo = q["channels"] > 1
    yield "not mono", stereo, "mixed by the mean: " + _first(map(_name, q["path"][stereo]))
    rates = q["sr"].value_counts()
    rare = q["sr"] != rates.index[0]
    counts = ", ".join(f"{count} of {rate} Hz" for rate, count in rates.items())
    yield "another sampling rate than most", rare, counts
    clipped = q["clipping_share"] > 0
    worst = f", at worst {100 * q['clipping_share'].max():.2g} % of a clip" if clipped.any() else ""
    yield "clipped", clipped, f"{CLIPPED_RUN} or more samples in a row at full scale{worst}"
    loud = q["energy_peak"] > NEAR_FULL_SCALE
    yield "peak within 0.1 dB of full scale", loud, _shared_peak(q["energy_peak"][loud])
    for column, where in (("silence_start", "before"), ("silence_end", "after")):
        long, median = q[column] > LONG_SILENCE, q[column].median()
        note = f"{SILENCE:.0f} dB below the loudest; median {median:.2f} s"
        yield f"more than {LONG_SILENCE:g} s of silence {where} the speech", long, note
    little = q["voiced_share"] < LITTLE_VOICE
    yield "hardly a voiced frame", little, _first(map(_name, q["path"][little]))
    middle = q["duration"].median()
    odd = (q["duration"] > 2 * middle) | (q["duration"] < middle / 2)
    yield "twice or half the median duration", odd, f"median {middle:.2f} s"


def loudness(quality: pd.DataFrame) -> pd.DataFrame:
    """Level of each actor's speech: actor, clips, and quartiles in dBFS; the quietest first."""
    grouped = quality.groupby("actor", sort=True)["energy_mean"]
    quartiles = {name: grouped.quantile(q) for name, q in LOUDNESS.items()}
    table = pd.DataFrame({"clips": grouped.size(), **quartiles})
    return table.sort_values("median").reset_index()


def spoken(clips: pd.DataFrame, prosody: pd.DataFrame) -> pd.DataFrame:
    """Distribution of pitch, energy and duration by emotion, and by gender where it is known.

    Parameters
    ----------
    clips : (n_clips, ...) DataFrame
    prosody : (n_clips, ...) DataFrame
        The columns of `ProsodyFeatures`.

    Returns
    -------
    DataFrame
        quantity (a column of `SPOKEN`), emotion, gender ("all" where unknown), clips, and the
        `QUANTILES`. Clips without a voiced frame have no pitch.
    """
    rows = []
    gender = clips["gender"] if "gender" in clips else pd.Series("all", index=clips.index)
    for quantity in SPOKEN:
        values = with_voice(prosody, quantity)
        groups = values.groupby([clips["emotion"], gender.astype(str)])
        for (emotion, name), values_of_group in groups:
            known = values_of_group.dropna()
            rows.append((quantity, emotion, name, len(known), *known.quantile(list(QUANTILES))))
    head = ["quantity", "emotion", "gender", "clips", *(f"q{100 * q:02.0f}" for q in QUANTILES)]
    return pd.DataFrame(rows, columns=head)


def with_voice(prosody: pd.DataFrame, quantity: str) -> pd.Series:
    """A prosodic column; NaN where it is of pitch, and no frame is voiced."""
    values = prosody[quantity]
    return values.where(prosody["voiced_share"] > 0) if quantity.startswith("f0") else values


def _shared_peak(peaks: pd.Series) -> str:
    """A peak that several clips share was set by somebody: they were levelled or limited."""
    counts = peaks.round(4).value_counts()
    if counts.empty or counts.iloc[0] < 3:
        return ""
    return f"{counts.iloc[0]} at exactly {counts.index[0]:.3f} dBFS: levelled, or limited"


def _name(path: str) -> str:
    return "/".join(Path(path).parts[-2:])


def _first(names: Iterator[str], shown: int = 6) -> str:
    every = list(names)
    more = f" and {len(every) - shown} more" if len(every) > shown else ""
    return ", ".join(every[:shown]) + more
