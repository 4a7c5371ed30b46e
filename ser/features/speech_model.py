"""What a pretrained speech encoder hears: mean and deviation over time of every layer's output.

Which layer tells most of emotion differs by encoder and is chosen inside each fold
(``selection=layer``), so all of them are kept. The encoder is frozen: it learns nothing here. What
it learned before, and on whose voices, is another matter: docs/speech-models.md.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from typing import Any, ClassVar

import numpy as np

from ser.core.errors import SerError
from ser.features import checkpoint as checkpoints

MIN_SECONDS = 0.1  # of sound that an encoder is given: its first frames see 25 ms
STATISTICS = ("mean", "std")


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
        Seconds of silence after a clip, of which Whisper hears 30 s in all when it is trained.
        Other encoders hear the clip alone.

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

    version: ClassVar[int] = 1
    sr: ClassVar[int] = 16_000

    def __post_init__(self) -> None:
        if not 1 <= self.piece <= 29 or not 0 <= self.tail <= 30 - self.piece:
            raise SerError(
                f"features.piece={self.piece} and features.tail={self.tail}: give 1 to 29 seconds, "
                "and what is left of 30 at most."
            )
        if self.checkpoint is None and self.weights is None:
            raise SerError(
                "features.checkpoint is missing: give a folder or a hub's id, as "
                "features.checkpoint=microsoft/wavlm-base-plus."
            )
        if self.checkpoint is None:
            return
        found = checkpoints.find(self.checkpoint, revision=self.revision, download=self.download)
        if self.weights is not None and self.weights != found.digest:
            raise SerError(
                f"features.checkpoint={self.checkpoint} has other weights (SHA-256 {found.digest}) "
                f"than features.weights={self.weights} asks for."
            )
        if found.sr != self.sr:
            raise SerError(f"{found.folder} hears {found.sr} Hz; ser reads encoders of {self.sr}.")
        object.__setattr__(self, "weights", found.digest)
        object.__setattr__(self, "n_layers", found.n_layers)
        object.__setattr__(self, "width", found.width)
        object.__setattr__(self, "_folder", str(found.folder))  # workers need not look again

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
    def min_samples(self) -> int:
        """Samples that a clip must have."""
        return 2

    def __call__(self, y: np.ndarray, sr: int) -> np.ndarray:
        """Feature vector of one clip.

        Parameters
        ----------
        y : (n_samples,) float32
            Shorter than `MIN_SECONDS`, it is followed by silence.
        sr : int
            Sampling rate, in Hz: brought to the encoder's by soxr.

        Returns
        -------
        (len(names),) float32
        """
        if sr != self.sr:
            import soxr

            y = soxr.resample(y, sr, self.sr)
        y = np.pad(y, (0, max(0, round(MIN_SECONDS * self.sr) - len(y))))
        encoder = _encoder(str(self.weights), getattr(self, "_folder", ""))
        moments = [encoder.moments(piece, self.tail) for piece in self._pieces(y)]
        n, total, squares = (sum(each) for each in zip(*moments, strict=True))
        mean = total / n
        deviation = np.sqrt(np.maximum(squares / n - mean**2, 0))
        return np.stack([mean, deviation], axis=1).reshape(-1).astype(np.float32)

    def _pieces(self, y: np.ndarray) -> Iterator[np.ndarray]:
        """A clip, or of a long one pieces of the same length that overlap by a tenth at least."""
        longest = round(self.piece * self.sr)
        if len(y) <= longest:
            yield y
            return
        n = 1 + int(np.ceil((len(y) - longest) / (0.9 * longest)))
        for start in np.linspace(0, len(y) - longest, n).round().astype(int):
            yield y[start : start + longest]


class Encoder:
    """A frozen encoder, which hears one clip at a time: no padding changes what it says."""

    def __init__(self, checkpoint: checkpoints.Checkpoint) -> None:
        self.checkpoint = checkpoint
        self.model = checkpoint.encoder()
        if checkpoint.kind == "whisper":
            from transformers import WhisperFeatureExtractor

            known = {"feature_size", "hop_length", "n_fft", "sampling_rate", "chunk_length"}
            told = {k: v for k, v in checkpoint.preprocessing.items() if k in known}
            told.setdefault("feature_size", checkpoint.config.get("num_mel_bins", 80))
            self.spectrogram = WhisperFeatureExtractor(**told)
            self.positions = self.model.embed_positions.weight

    def moments(self, y: np.ndarray, tail: float) -> tuple[int, np.ndarray, np.ndarray]:
        """Number of frames, and over them the sums and sums of squares of each layer's output.

        Parameters
        ----------
        y : (n_samples,) float32
            At the checkpoint's rate.
        tail : float
            Seconds of silence after it, for Whisper.

        Returns
        -------
        n_frames : int
            Of the clip itself, without the tail.
        total, squares : (n_layers, width) float64
        """
        import torch

        before = torch.get_num_threads()
        torch.set_num_threads(1)  # wherever it is computed, the same numbers
        try:
            with torch.inference_mode():
                whisper = self.checkpoint.kind == "whisper"
                layers = self._whisper(y, tail) if whisper else self._waveform(y)
                frames = torch.stack(layers)[:, 0].double()
                return frames.shape[1], frames.sum(1).numpy(), (frames**2).sum(1).numpy()
        finally:
            torch.set_num_threads(before)

    def _waveform(self, y: np.ndarray) -> list[Any]:
        import torch

        if self.checkpoint.normalized:
            y = (y - y.mean()) / np.sqrt(y.var() + 1e-7)
        heard = torch.from_numpy(np.ascontiguousarray(y, dtype=np.float32))[None]
        return list(self.model(heard, output_hidden_states=True).hidden_states)

    def _whisper(self, y: np.ndarray, tail: float) -> list[Any]:
        """As the encoder hears 30 s, but cut shortly after the clip: a seventh of the time."""
        import torch

        hop = 2 * self.spectrogram.hop_length  # the second convolution takes every other frame
        n_frames = max(1, round(len(y) / hop))
        n_heard = min(len(self.positions), n_frames + round(tail * self.checkpoint.sr / hop))
        padded = np.pad(y, (0, max(0, n_heard * hop - len(y))))[: n_heard * hop]
        mel = self.spectrogram(
            padded,
            sampling_rate=self.checkpoint.sr,
            padding="do_not_pad",
            truncation=False,
            return_tensors="pt",
        ).input_features
        self.model.config.max_source_positions = n_heard
        self.model.embed_positions = torch.nn.Embedding.from_pretrained(self.positions[:n_heard])
        heard = self.model(mel[:, :, : 2 * n_heard], output_hidden_states=True)
        return [layer[:, : min(n_frames, n_heard)] for layer in heard.hidden_states]


@lru_cache(maxsize=1)
def _encoder(weights: str, folder: str) -> Encoder:
    """The encoder of these weights: loaded once in a process."""
    from pathlib import Path

    found = checkpoints.Checkpoint(Path(folder)) if folder else checkpoints.with_digest(weights)
    if found.digest != weights:
        raise SerError(f"The weights in {found.folder} have changed since the run began.")
    return Encoder(found)
