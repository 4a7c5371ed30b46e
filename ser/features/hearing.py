"""What a pretrained encoder is given of a clip: its samples, or Whisper's mel spectrogram."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ser.features.checkpoint import Checkpoint, number_of
from ser.features.spectrum import magnitude_spectrum, mel_power

CONVOLUTION = 2  # Whisper's second one takes every other frame
_ALL = 2**31 - 1  # frames: more than any clip has


@dataclass(frozen=True, kw_only=True)
class Hearing:
    """How an encoder's checkpoint says that clips are brought to it.

    Parameters
    ----------
    normalized : bool
        Whether a clip is brought to mean 0 and deviation 1.
    n_mels : int
        Bands of its mel spectrogram; 0 where it hears the samples.
    sr, n_fft, hop, n_positions : int
        Of the spectrogram: Hz, samples, and the longest clip, in the encoder's frames.
    """

    normalized: bool
    n_mels: int = 0
    sr: int = 16_000
    n_fft: int = 400
    hop: int = 160
    n_positions: int = 0

    def __call__(self, y: np.ndarray, tail: float) -> tuple[np.ndarray, int]:
        """What the encoder is given of clips of one length.

        Parameters
        ----------
        y : (n_clips, n_samples) float32
        tail : float
            Seconds of silence after them, for Whisper.

        Returns
        -------
        heard : (n_clips, n_samples) or (n_clips, n_mels, n_frames) float32
            Whisper's ends with the tail and not after 30 s: a seventh of the time.
        n_own : int
            At most so many of the encoder's frames are the clip's.
        """
        if not self.n_mels:
            if self.normalized:
                y = (y - y.mean(1, keepdims=True)) / np.sqrt(y.var(1, keepdims=True) + 1e-7)
            return np.ascontiguousarray(y, dtype=np.float32), _ALL
        step = CONVOLUTION * self.hop
        n_own = max(1, round(y.shape[1] / step))
        n_heard = min(self.n_positions, n_own + round(tail * self.sr / step))
        padded = np.pad(y, ((0, 0), (0, max(0, n_heard * step - y.shape[1]))))
        return np.stack([self._log_mel(clip[: n_heard * step]) for clip in padded]), n_own

    def _log_mel(self, y: np.ndarray) -> np.ndarray:
        """``WhisperFeatureExtractor`` of transformers: (n_mels, n_samples // hop)."""
        padded = np.pad(y, self.n_fft // 2, mode="reflect").astype(np.float32)
        frames = np.lib.stride_tricks.sliding_window_view(padded, self.n_fft)[:: self.hop][:-1]
        power = np.square(magnitude_spectrum(frames))
        mel = mel_power(power, sr=self.sr, n_mels=self.n_mels, fmax=8000.0)
        level = np.log10(np.maximum(mel, 1e-10))
        return np.maximum(level, level.max() - 8).T / 4 + 1


def hearing_of(checkpoint: Checkpoint) -> Hearing:
    """As the checkpoint's config and preprocessor say."""
    if checkpoint.kind != "whisper":
        return Hearing(normalized=checkpoint.normalized)
    told, config, where = checkpoint.preprocessing, checkpoint.config, checkpoint.folder
    n_mels = number_of(config, "num_mel_bins", where, default=80)
    return Hearing(
        normalized=False,
        n_mels=number_of(told, "feature_size", where, default=n_mels),
        sr=checkpoint.sr,
        n_fft=number_of(told, "n_fft", where, default=400),
        hop=number_of(told, "hop_length", where, default=160),
        n_positions=number_of(config, "max_source_positions", where, default=1500),
    )
