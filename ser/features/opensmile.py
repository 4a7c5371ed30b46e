"""openSMILE's feature sets: eGeMAPS and ComParE, the field's common ground.

openSMILE (Eyben et al. 2010, doi 10.1145/1873951.1874246) is audEERING's and has a licence of its
own: free for private use, research and education, not for products. It is an optional package,
``pip install 'ser[opensmile]'``, and is loaded when a clip's features are first asked for.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any, ClassVar

import numpy as np

from ser.core.errors import SerError
from ser.features import level, resampling

SETS = ("eGeMAPSv02", "ComParE_2016")
MIN_SECONDS = 0.1  # of sound that openSMILE is given: its longest window is 60 ms


@dataclass(frozen=True, kw_only=True)
class OpensmileFeatures:
    """Functionals of one of openSMILE's sets.

    Parameters
    ----------
    set : {"eGeMAPSv02", "ComParE_2016"}
        The Geneva minimalistic set, extended: 88 columns chosen by phoneticians (Eyben et al. 2016,
        doi 10.1109/TAFFC.2015.2457417). The set of the Computational Paralinguistics Challenge:
        6373 columns (Schuller et al. 2016).
    trim : bool
        Whether the silence before and after is cut off first.
    sr : int or None
        Rate that clips are resampled to, in Hz; None for each clip's own.

    Raises
    ------
    SerError
        If the set is not known, or, when columns are asked for, openSMILE is not installed.
    """

    set: str
    trim: bool = True
    sr: int | None = None

    version: ClassVar[int] = 2  # what lies beyond [-1, 1] is clipped
    min_samples: ClassVar[int] = 2
    package: ClassVar[str] = "opensmile"

    def __post_init__(self) -> None:
        if self.set not in SETS:
            raise SerError(f"features.set={self.set!r} is not known: give {' or '.join(SETS)}.")
        resampling.check_rate(self.sr)

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Column names, as openSMILE has them."""
        return tuple(_extractor(self.set).feature_names)

    def __call__(self, y: np.ndarray, sr: int) -> np.ndarray:
        """Feature vector of one clip.

        Parameters
        ----------
        y : (n_samples,) float32
            Shorter than `MIN_SECONDS`, it is followed by silence. What lies beyond [-1, 1] is
            clipped, as in the 16-bit samples that openSMILE is given.
        sr : int
            Sampling rate, in Hz.

        Returns
        -------
        (len(names),) float32
            0 where openSMILE has no number, as for the deviation of no voiced segment.
        """
        if self.trim:
            y = level.trim(y, sr)
        if self.sr is not None:
            y, sr = resampling.resample(y, sr, self.sr), self.sr
        y = np.pad(y, (0, max(0, round(MIN_SECONDS * sr) - len(y))))
        y = np.clip(y, -1, 1 - 2**-15)  # opensmile would let 1.0 wrap around to -1
        vector = _extractor(self.set).process_signal(y, sr).to_numpy()[0]
        return np.nan_to_num(vector, nan=0.0, posinf=0.0, neginf=0.0).astype(np.float32)


@lru_cache(maxsize=2)
def _extractor(name: str) -> Any:  # opensmile.Smile, imported when needed
    try:
        import opensmile
    except ImportError as error:
        raise SerError(
            "These features are openSMILE's: pip install 'ser[opensmile]'. Its licence allows "
            "private use, research and education, not products. features=functionals needs nothing."
        ) from error
    level_of = opensmile.FeatureLevel.Functionals
    return opensmile.Smile(feature_set=opensmile.FeatureSet[name], feature_level=level_of)
