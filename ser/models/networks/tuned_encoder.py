"""A speech encoder that goes on learning: its last layers, or adapters in them, and a head.

Without PyTorch the module can be imported, but no network made.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ser.core.errors import SerError
from ser.features.checkpoint import Checkpoint
from ser.features.encoder import Encoder
from ser.features.waveform import FRAME

try:
    import torch
    from torch import nn
    from torch.nn import Module
    from torch.nn.utils import parametrize
except ImportError:  # the extra ser[speech] is not installed
    Module = object  # type: ignore[assignment, misc]

STEP = 10  # frames: a clip is followed by silence up to a whole number of them


class LowRank(Module):
    """A frozen matrix plus the product of two thin ones, which learn (Hu et al. 2022).

    Parameters
    ----------
    n_out, n_in : int
        Rows and columns of the matrix.
    rank : int
        Columns of the first, rows of the second.
    """

    def __init__(self, n_out: int, n_in: int, rank: int) -> None:
        super().__init__()
        self.up = nn.Parameter(torch.zeros(n_out, rank))  # 0: it begins as the frozen one
        self.down = nn.Parameter(torch.randn(rank, n_in) / np.sqrt(n_in))

    def forward(self, weight: torch.Tensor) -> torch.Tensor:
        """The matrix that is used."""
        return weight + self.up @ self.down


class TunedEncoder(Module):
    """Encoder and head: (n_clips, 1 + n_samples) of `WaveformFeatures` -> (n_clips, n_classes).

    No clip is changed by the others in its batch: those that are equally long, in steps of 0.2 s,
    are heard together, without padding or a mask, which only some encoders take rightly. The head
    takes mean and deviation, over the clip's own frames, of a weighted sum of the layers.

    Its `state_dict` has what learns alone: the frozen weights are those of the checkpoint.

    Parameters
    ----------
    checkpoint : Checkpoint
    tail : float
        Seconds of silence after a clip, for Whisper.
    n_classes : int
    n_layers : int
        Last ones, that learn.
    rank : int or None
        Of adapters on their attention's queries and values, which learn instead of the layers.
    dropout : float
        In [0, 1).
    """

    def __init__(
        self,
        checkpoint: Checkpoint,
        tail: float,
        *,
        n_classes: int,
        n_layers: int,
        rank: int | None = None,
        dropout: float = 0.3,
    ) -> None:
        super().__init__()
        self._hearing = Encoder(checkpoint)
        self._tail = tail
        self.encoder = self._hearing.model.cpu()  # where it goes, skorch says
        layers = getattr(self.encoder, "encoder", self.encoder).layers
        self._learning = list(layers)[len(layers) - n_layers :]
        for layer in self._learning:
            _let_learn(layer, rank)
        self.layer_weights = nn.Parameter(torch.zeros(checkpoint.n_layers))
        self.scale = nn.BatchNorm1d(2 * checkpoint.width, affine=False)
        self.head = nn.Sequential(nn.Dropout(dropout), nn.Linear(2 * checkpoint.width, n_classes))
        named = self.named_parameters()
        self._learned = {name for name, weight in named if weight.requires_grad}
        self.register_state_dict_post_hook(_without_frozen)
        self.register_load_state_dict_post_hook(_frozen_are_there)

    def learns(self, name: str) -> bool:
        """Whether what is called so in a `state_dict` is learned."""
        return not name.startswith("encoder.") or name in self._learned

    def train(self, mode: bool = True) -> TunedEncoder:
        """Dropout as the checkpoint says, in the layers that learn; none in the others."""
        super().train(mode)
        self.encoder.eval()
        for layer in self._learning:
            layer.train(mode)
        return self

    def forward(self, X: torch.Tensor) -> torch.Tensor:
        """Logits."""
        samples = X.cpu().numpy()
        most = (samples.shape[1] - 1) // FRAME
        frames = np.clip(np.nan_to_num(samples[:, 0]), 1, most).astype(int)
        heard = -(-frames // STEP) * STEP
        pooled, order = [], []
        for length in np.unique(heard):
            rows = np.flatnonzero(heard == length)
            pooled.append(self._pooled(samples[rows, 1 : 1 + length * FRAME], frames[rows]))
            order.append(rows)
        back = torch.from_numpy(np.argsort(np.concatenate(order))).to(X.device)
        return self.head(self.scale(torch.cat(pooled)[back]))

    def _pooled(self, y: np.ndarray, frames: np.ndarray) -> torch.Tensor:
        """(n_clips, 2 * width) mean and deviation of clips of one length."""
        device = self.layer_weights.device
        with torch.autocast(device.type, torch.bfloat16, enabled=self.training and _mixes(device)):
            layers = self._hearing.layers(y, self._tail)
        shares = torch.softmax(self.layer_weights, dim=0)
        mixed = sum(
            share * nn.functional.layer_norm(layer.float(), layer.shape[-1:])
            for share, layer in zip(shares, layers, strict=True)
        )
        n_own = np.maximum(1, np.round(frames / (y.shape[1] / FRAME) * mixed.shape[1]))
        own = torch.from_numpy(n_own).to(device)[:, None, None]
        is_own = (torch.arange(mixed.shape[1], device=device)[None, :, None] < own).float()
        own = own.float().clamp(max=mixed.shape[1])[:, 0]
        mean = (mixed * is_own).sum(1) / own
        squares = ((mixed - mean[:, None]) ** 2 * is_own).sum(1) / own
        return torch.cat([mean, torch.sqrt(squares + 1e-6)], dim=1)


def _let_learn(layer: Any, rank: int | None) -> None:
    if rank is None:
        layer.requires_grad_(True)
        return
    attention = getattr(layer, "attention", None) or layer.self_attn
    for linear in (attention.q_proj, attention.v_proj):
        n_out, n_in = linear.weight.shape
        parametrize.register_parametrization(linear, "weight", LowRank(n_out, n_in, rank))


def _mixes(device: torch.device) -> bool:
    """Whether a device multiplies bfloat16 in its hardware."""
    return device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)


def _without_frozen(module: TunedEncoder, state: dict[str, Any], prefix: str, _: Any) -> None:
    for name in [name for name in state if not module.learns(name.removeprefix(prefix))]:
        del state[name]


def _frozen_are_there(module: TunedEncoder, keys: Any) -> None:
    keys.missing_keys[:] = [name for name in keys.missing_keys if module.learns(name)]


def check_layers(checkpoint: Checkpoint, n_layers: int | None, rank: int | None) -> int:
    """How many layers learn; None stands for all.

    Raises
    ------
    SerError
        If the encoder has fewer, or `rank` is none of a matrix of its.
    """
    most = checkpoint.n_layers - 1
    if most < 1 or not 1 <= (most if n_layers is None else n_layers) <= most:
        raise SerError(
            f"model.classifier.n_layers={n_layers}: the encoder in {checkpoint.folder} has "
            f"{most} layers. Give 1 to {most}, or null for all."
        )
    if rank is not None and not 1 <= rank <= checkpoint.width:
        raise SerError(
            f"model.classifier.rank={rank}: give 1 to {checkpoint.width}, the width of the "
            "encoder's layers, or null to train the layers themselves."
        )
    return most if n_layers is None else n_layers
