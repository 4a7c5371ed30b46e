"""What a pretrained speech encoder hears: mean and deviation over time of every layer's output.

Which layer tells most of emotion differs by encoder and is chosen inside each fold
(``selection=layer``), so all of them are kept. The encoder is frozen: it learns nothing here. What
it learned before, and on whose voices, is another matter: docs/speech-models.md.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from ser.core.errors import SerError
from ser.features import check_bounds
from ser.features import checkpoint as checkpoints
from ser.features.encoder import Encoder, check_weights, encoder_of
from ser.features.onnx_encoder import (
    OnnxEncoder,
    check_runtime,
    is_runtime_installed,
    onnx_encoder_of,
)
from ser.features.pretraining import Pretraining
from ser.features.resampling import resample

MIN_SECONDS = 0.1  # of sound that an encoder is given: its first frames see 25 ms
STATISTICS = ("mean", "std")
PRECISIONS = {"torch": ("float32", "bfloat16"), "onnx": ("float32", "int8")}
LARGEST = float(np.finfo(np.float16).max)


@dataclass(frozen=True, kw_only=True)
class SpeechModelFeatures:
    """Mean and deviation over the frames of every layer of a frozen encoder.

    Parameters
    ----------
    checkpoint : str or None
        A folder, or a hub's id. Not part of what a run or the store keeps: that is `weights`.
    revision : str or None
        Of an id.
    download : bool
        Whether an id that is not in the hub's cache is fetched.
    weights : str or None
        SHA-256 of the checkpoint's weights and config; of a trained model's, which has no name of
        them. With `checkpoint` it must be that one's.
    n_layers, width : int or None
        Of the encoder; read from the checkpoint.
    piece : float
        Seconds. A longer clip is heard in pieces that overlap by a tenth, and their frames are
        pooled. Whisper hears 30 s at most.
    tail : float
        Seconds of silence after a clip, for Whisper, which was trained on clips with silence up to
        30 s: with 30, so it is here. Other encoders hear the clip alone.
    backend : {None, "torch", "onnx"}
        What computes: PyTorch, or ONNX Runtime from a file that is exported once. None for PyTorch,
        and for ONNX Runtime where that alone is installed. No part of the key: both say the same.
    precision : {None, "float32", "bfloat16", "int8"}
        Of the encoder's matrix products; None for the one that this processor is fast in. PyTorch
        has the first two, ONNX Runtime float32 and int8.
    pretraining : Pretraining or None
        What the encoder learned from; None where nothing is known of it.

    Raises
    ------
    SerError
        If the checkpoint is not there, cannot be fetched, or is of no kind that is known.
    """

    checkpoint: str | None = field(default=None, metadata={"place": True})
    revision: str | None = field(default=None, metadata={"place": True})
    download: bool = field(default=True, metadata={"place": True})
    weights: str | None = None
    n_layers: int | None = None
    width: int | None = None
    piece: float = 20.0
    tail: float = 0.5
    backend: str | None = field(default=None, metadata={"place": True})
    precision: str | None = None
    pretraining: Pretraining | None = field(default=None, metadata={"place": True})
    _folder: str = field(default="", init=False, repr=False, metadata={"place": True})
    _hashes: Mapping[tuple[str, int, int], str] = field(
        default_factory=dict, init=False, repr=False, compare=False, metadata={"place": True}
    )

    version: ClassVar[int] = 1
    min_samples: ClassVar[int] = 2
    sr: ClassVar[int] = 16_000
    stored: ClassVar[str] = "<f2"  # half the room; no score changed by it (docs/speech-models.md)

    def __post_init__(self) -> None:
        check_bounds(self, {"piece": (1, 29), "tail": (0, 30)})
        self._choose_backend()
        if self.checkpoint is None and self.weights is None:
            raise SerError(
                "features.checkpoint is missing: give a folder or a hub's id, as "
                "features.checkpoint=microsoft/wavlm-base-plus."
            )
        if self.checkpoint is None:
            if self.backend == "onnx":
                self._encoder  # noqa: B018  a server without it does not start
            else:
                self._take(checkpoints.with_digest(str(self.weights), self.n_layers, self.width))
            return
        found = checkpoints.find(self.checkpoint, revision=self.revision, download=self.download)
        if self.weights is not None and self.weights != found.digest:
            raise SerError(
                f"features.checkpoint={self.checkpoint} has other weights (SHA-256 {found.digest}) "
                f"than features.weights={self.weights} asks for."
            )
        if found.sr != self.sr:
            raise SerError(f"{found.folder} hears {found.sr} Hz; ser reads encoders of {self.sr}.")
        self._take(found)

    def _choose_backend(self) -> None:
        if self.backend is None:
            alone = is_runtime_installed() and not checkpoints.is_installed()
            here = "onnx" if alone or self.precision == "int8" else "torch"
            object.__setattr__(self, "backend", here)
        if self.backend not in PRECISIONS:
            raise SerError(f"features.backend={self.backend!r}: give {' or '.join(PRECISIONS)}.")
        if self.precision is None:
            here = _precision_here() if self.backend == "torch" else "float32"
            object.__setattr__(self, "precision", here)
        if self.precision not in PRECISIONS[self.backend]:
            raise SerError(
                f"features.precision={self.precision}: features.backend={self.backend} has "
                f"{' and '.join(PRECISIONS[self.backend])}. A model is served as it was trained."
            )
        (check_runtime if self.backend == "onnx" else checkpoints.check_installed)()

    def _take(self, found: checkpoints.Checkpoint) -> None:
        object.__setattr__(self, "weights", found.digest)
        object.__setattr__(self, "n_layers", found.n_layers)
        object.__setattr__(self, "width", found.width)
        # Workers need neither look nor hash again.
        object.__setattr__(self, "_folder", str(found.folder))
        object.__setattr__(self, "_hashes", found.hashes)

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        checkpoints.know_hashes(self._hashes)

    def check(self) -> None:
        """Refuse weights that do not fit their config, before a clip is read.

        Raises
        ------
        SerError
        """
        if self.backend == "torch":
            check_weights(self.found)
        else:
            self._encoder  # noqa: B018  exported if it is not

    @property
    def _encoder(self) -> Encoder | OnnxEncoder:
        of = encoder_of if self.backend == "torch" else onnx_encoder_of
        return of(str(self.weights), self._folder, str(self.precision))

    @property
    def found(self) -> checkpoints.Checkpoint:
        """The checkpoint; a SerError where its folder has other weights by now."""
        return checkpoints.in_folder(self._folder, str(self.weights))

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Column names: the layer, the statistic, and the number in the layer's frame."""
        if self.n_layers is None or self.width is None:
            raise SerError(
                "features.n_layers and features.width are missing beside features.weights."
            )
        return tuple(
            f"layer{layer:02d}_{statistic}_{i:04d}"
            for layer in range(self.n_layers)
            for statistic in STATISTICS
            for i in range(self.width)
        )

    @property
    def title(self) -> str:
        """How a run names the checkpoint: a hub's id or a folder's name, and its weights."""
        told = self.checkpoint or "unnamed"
        name = Path(told).expanduser().name if Path(told).expanduser().is_dir() else told
        return f"{name} ({str(self.weights)[:12]})"

    def __call__(self, y: np.ndarray, sr: int) -> np.ndarray:
        """Feature vector of one clip.

        Parameters
        ----------
        y : (n_samples,) float32
            Shorter than `MIN_SECONDS`, it is followed by silence.
        sr : int
            Sampling rate, in Hz: brought to the encoder's.

        Returns
        -------
        (len(names),) float32
        """
        y = resample(y, sr, self.sr)
        y = np.pad(y, (0, max(0, round(MIN_SECONDS * self.sr) - len(y))))
        moments = [self._encoder.moments(piece, self.tail) for piece in self._pieces(y)]
        n, total, squares = (sum(each) for each in zip(*moments, strict=True))
        mean = total / n
        deviation = np.sqrt(np.maximum(squares / n - mean**2, 0))
        vector = np.stack([mean, deviation], axis=1).reshape(-1)
        return np.clip(vector, -LARGEST, LARGEST).astype(self.stored).astype(np.float32)

    def _pieces(self, y: np.ndarray) -> Iterator[np.ndarray]:
        """A clip, or of a long one pieces of the same length that overlap by a tenth at least."""
        longest = round(self.piece * self.sr)
        if len(y) <= longest:
            yield y
            return
        n = 1 + int(np.ceil((len(y) - longest) / (0.9 * longest)))
        for start in np.linspace(0, len(y) - longest, n).round().astype(int):
            yield y[start : start + longest]


def _precision_here() -> str:
    """bfloat16 where the processor multiplies matrices of it; known without importing torch."""
    with suppress(OSError):
        if "amx_bf16" in Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace"):
            return "bfloat16"
    return "float32"
