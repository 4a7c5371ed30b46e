"""The demo corpus: synthetic voices in RAVDESS's shape, made here, so that no download is needed.

24 speakers x 60 clips, 16 kHz mono WAV, named by RAVDESS's grammar (`ser.data.corpora.ravdess`). A
source-filter voice (`ser.data.corpora.synthesis`) says two statements; emotion and intensity move
its prosody in the directions that the literature reports (`CUES`), each speaker in their own
measure. The clips are hard enough to teach with, but they are nobody's speech: a number on them
says nothing about people.

References
----------
Juslin & Laukka (2003), Communication of emotions in vocal expression and music performance,
Psychological Bulletin 129(5): 770-814, doi 10.1037/0033-2909.129.5.770.
Scherer (2003), Vocal communication of emotion: a review of research paradigms, Speech
Communication 40(1-2): 227-256, doi 10.1016/S0167-6393(02)00084-5.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import soundfile

from ser.core import compute
from ser.core.errors import SerError
from ser.core.process import writing
from ser.core.progress import announce, bar
from ser.data.corpora import EMOTIONS, absolute, ravdess
from ser.data.corpora.synthesis import SR, Manner, Syllable, speak

N_SPEAKERS = 24
CORPUS = replace(ravdess.CORPUS, name="the demo corpus", choice="demo")
VERSION = 2  # raised whenever the same names would hold other samples; 1 was at 48 kHz
CLIP_COST = (0.008, 0.06)  # CPU seconds, MB
SEED = 1  # of the speakers and of their takes

STATEMENTS = {
    1: (
        Syllable("k", ("I",), 1.1, 1.0),
        Syllable("", ("a", "r"), 0.7, 0.2),
        Syllable("t", ("o",), 1.0, 0.8),
        Syllable("k", ("I",), 0.8, 0.1),
        Syllable("b", ("a", "I"), 0.9, 0.4),
        Syllable("d", ("@",), 0.5, 0.0),
        Syllable("d", ("o", "r"), 1.4, 0.9),
    ),
    2: (
        Syllable("d", ("o",), 1.2, 1.0),
        Syllable("g", ("E", "r"), 0.7, 0.2),
        Syllable("s", ("I",), 0.9, 0.9),
        Syllable("t", ("i",), 0.8, 0.2),
        Syllable("h", ("U", "@"), 0.8, 0.4),
        Syllable("s", ("E",), 0.7, 0.1),
        Syllable("t", ("a", "i"), 1.4, 0.8),
    ),
}


@dataclass(frozen=True)
class Cue:
    """What an emotion changes in a voice, at normal intensity, against neutral.

    f0, f0_range and f0_end in semitones, rate as a factor, level in dB, brightness on its scale
    of 0 to 1, attack as a factor, jitter as a factor, breath added.
    """

    f0: float = 0.0
    f0_range: float = 0.0
    f0_end: float = 0.0
    rate: float = 1.0
    level: float = 0.0
    brightness: float = 0.0
    attack: float = 1.0
    jitter: float = 1.0
    breath: float = 0.0


# Directions: Juslin & Laukka 2003, table 11 (anger, fear, happiness, sadness, tenderness for calm)
# and Scherer 2003, table 1 (also disgust and surprise, less agreed on); sizes are this corpus's.
CUES = {
    "neutral": Cue(),
    "calm": Cue(-0.8, -0.6, 0.0, 0.90, -2.5, -0.06, 1.6, 0.9, 0.10),
    "happy": Cue(2.6, 2.2, 0.8, 1.08, 2.5, 0.08, 0.8, 1.0, 0.00),
    "sad": Cue(-0.6, -1.4, -0.8, 0.82, -4.0, -0.12, 1.8, 1.3, 0.18),
    "angry": Cue(1.8, 1.2, -1.0, 1.10, 5.0, 0.18, 0.5, 1.5, -0.02),
    "fearful": Cue(3.6, -0.6, 0.6, 1.18, 0.5, 0.02, 0.9, 2.2, 0.14),
    "disgust": Cue(-1.2, 0.4, -1.4, 0.86, 0.5, 0.04, 1.2, 1.9, 0.04),
    "surprised": Cue(3.4, 3.2, 3.2, 0.98, 2.0, 0.05, 0.7, 1.1, 0.05),
}
STRONG = 1.7  # a strong clip's cues against a normal one's


def load(root: str | Path, *, speakers: int = N_SPEAKERS, progress: bool = True) -> pd.DataFrame:
    """Clip table of the demo corpus; clips that are missing are synthesised first.

    Parameters
    ----------
    root : str or Path
        Folder of the corpus.
    speakers : int
        The first so many, 1 to 24; odd ones are male. A speaker's clips do not depend on it.
    progress : bool
        Whether to draw a bar while clips are made.

    Returns
    -------
    DataFrame, (60 * speakers, 11)
        As `ser.data.corpora.ravdess.load`.

    Raises
    ------
    SerError
        `speakers` is out of bounds, or the folder cannot be written or holds something else.
    """
    if not 1 <= speakers <= N_SPEAKERS:
        raise SerError(f"data.speakers={speakers} is not in 1 .. {N_SPEAKERS}.")
    root = absolute(root)
    missing = [path for path in _paths(root, speakers) if not path.is_file()]
    try:
        _check_version(root)
        _synthesise(missing, progress=progress)
    except OSError as error:
        raise SerError(
            f"The demo corpus cannot be written to {root}: {error.strerror or error}. "
            "Set data.root=<folder that can be written, with 100 MB free>."
        ) from error
    clips = ravdess.clip_table(CORPUS.parsed_clips(root))
    return clips[clips["actor"] <= speakers].reset_index(drop=True)


def synthesise(name: str) -> np.ndarray:
    """Samples of the clip of a RAVDESS name, the same every time.

    Returns
    -------
    (n_samples,) float64
        In (-1, 1), at 16 kHz.
    """
    clip = ravdess.parse_name(name)
    rng = np.random.default_rng([SEED, *(int(code) for code in name.split("-"))])
    manner = _manner(clip, rng)
    y = speak(STATEMENTS[int(clip["statement"])], manner, rng)
    y += 10 ** (-75 / 20) * rng.standard_normal(len(y))  # the room
    return np.tanh(y)  # a microphone does not clip hard


def _manner(clip: dict, rng: np.random.Generator) -> Manner:
    """A speaker's neutral voice, moved by the clip's emotion in that speaker's way."""
    speaker = np.random.default_rng([SEED, clip["actor"]])
    female = clip["gender"] == "female"
    f0 = (205 if female else 115) * 2 ** (speaker.normal(0, 2.2) / 12)
    tract = (1.17 if female else 1.0) * np.exp(speaker.normal(0, 0.04))
    rate = 4.6 * np.exp(speaker.normal(0, 0.10))
    level, brightness = speaker.normal(0, 3.0), np.clip(speaker.normal(0.45, 0.10), 0.2, 0.7)
    breath, jitter = speaker.uniform(0.05, 0.2), speaker.uniform(0.004, 0.012)
    # Speakers use the cues in their own measure: some hardly a cue, some against the rule.
    gains = speaker.normal(1.0, 0.7, size=9)
    styles = speaker.normal(0, 1.3, size=(len(EMOTIONS), 9))

    cue = CUES[clip["emotion"]]
    strength = STRONG if clip["intensity"] == "strong" else 1.0
    scale = np.array([1.4, 1.0, 0.8, 0.07, 1.8, 0.05, 0.25, 0.20, 0.04])  # of style, by cue
    own = scale * styles[EMOTIONS.index(clip["emotion"])] * (clip["emotion"] != "neutral")
    # From one take to the next.
    take = scale * np.array([0.9, 0.9, 0.9, 0.8, 0.8, 0.7, 0.8, 0.8, 0.7]) * rng.normal(size=9)
    move = np.array(
        [
            cue.f0,
            cue.f0_range,
            cue.f0_end,
            np.log(cue.rate),
            cue.level,
            cue.brightness,
            np.log(cue.attack),
            np.log(cue.jitter),
            cue.breath,
        ]
    )
    m = strength * (gains * move + own) + take
    return Manner(
        f0=f0 * 2 ** (m[0] / 12),
        f0_range=max(0.5, 4.0 + m[1]),
        f0_end=-1.5 + m[2],
        rate=rate * np.exp(m[3]),
        level=level + m[4],
        brightness=float(np.clip(brightness + m[5], 0.0, 1.0)),
        attack=0.05 * np.exp(m[6]),
        jitter=jitter * np.exp(m[7]),
        shimmer=3 * jitter * np.exp(m[7]),
        breath=max(0.0, breath + m[8]),
        tract=tract,
    )


def _paths(root: Path, speakers: int) -> list[Path]:
    return [
        root / f"Actor_{actor:02d}" / f"03-01-{e:02d}-{i:02d}-{s:02d}-{r:02d}-{actor:02d}.wav"
        for actor in range(1, speakers + 1)
        for e in range(1, len(EMOTIONS) + 1)
        for i in ((1,) if e == 1 else (1, 2))
        for s in STATEMENTS
        for r in (1, 2)
    ]


def _check_version(root: Path) -> None:
    """Refuse to mix clips of two definitions, or to write among somebody else's."""
    mark = root / "DEMO_VERSION"
    if mark.is_file():
        version = mark.read_text().strip()
        if version != str(VERSION):
            raise SerError(
                f"{root} holds version {version} of the demo corpus, this ser makes version "
                f"{VERSION}: delete the folder, or set data.root=<another>."
            )
        return
    root.mkdir(parents=True, exist_ok=True)
    if any(root.iterdir()):
        raise SerError(
            f"{root} is not empty and holds no demo corpus: set data.root=<an empty folder>."
        )
    mark.write_text(f"{VERSION}\n")


def _synthesise(paths: list[Path], *, progress: bool) -> None:
    if not paths:
        return
    announce(
        f"Synthesising {len(paths)} clips, once: about {len(paths) * CLIP_COST[0]:.0f} CPU seconds "
        f"and {len(paths) * CLIP_COST[1]:.0f} MB in {paths[0].parents[1]}.",
        shown=progress,
    )
    from joblib import delayed

    jobs = compute.results((delayed(_write)(path) for path in paths), n_jobs=-1, ordered=False)
    title = "Synthesising demo voices"
    for _ in bar(jobs, total=len(paths), desc=title, unit="clip", shown=progress):
        pass


def _write(path: Path) -> None:
    """Write one clip; a name without the temporary's suffix is a whole clip."""
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with writing(path) as part:
            soundfile.write(part, synthesise(path.stem), SR, format="WAV", subtype="PCM_16")
    except soundfile.SoundFileError as error:  # what libsndfile makes of a full disk
        raise OSError(f"{path}: {error}") from error
