"""How a network is trained: batches, masks, the learning rate, when to stop, and what to keep.

Everything that changes from epoch to epoch follows from the epoch's number and the seed, the state
of the random numbers too. So a checkpoint needs weights, optimiser and history, and a training that
was killed goes on to the very weights that it would have had.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ser.core import interrupts
from ser.core.process import writing

try:
    import torch
    from skorch.callbacks import Callback
    from torch.nn.functional import one_hot
except ImportError:  # the extra ser[deep] is not installed
    Callback = object

if TYPE_CHECKING:
    from skorch import NeuralNet

WARM_UP = 0.1  # of the epochs


def batch_collator(
    *, n_classes: int, smoothing: float, mixup: float, masks: dict[str, int]
) -> Callable[[list], tuple[torch.Tensor, torch.Tensor]]:
    """A function that collates clips into a training batch, for PyTorch's DataLoader.

    Parameters
    ----------
    n_classes : int
    smoothing : float
        Of a clip's emotion that is shared among all (Szegedy et al. 2016).
    mixup : float
        Two clips are mixed by a share from Beta(mixup, mixup); 0 for none (Zhang et al. 2018).
    masks : dict of str to int
        ``time`` and ``frequency``: most frames and bands that are blanked (SpecAugment, Park et al.
        2019); ``shift``: most frames that the clip is moved by. Empty for none.
    """

    def collate(clips: list) -> tuple[torch.Tensor, torch.Tensor]:
        X = torch.stack([mask_blocks(x, masks) if masks else x for x, _ in clips])
        target = one_hot(torch.stack([y for _, y in clips]), n_classes).float()
        target = (1 - smoothing) * target + smoothing / n_classes
        if mixup:
            share = torch.distributions.Beta(mixup, mixup).sample()
            other = torch.randperm(len(X))
            X = share * X + (1 - share) * X[other]
            target = share * target + (1 - share) * target[other]
        return X, target

    return collate


def mask_blocks(x: torch.Tensor, masks: dict[str, int]) -> torch.Tensor:
    """One clip, (n_frames, n_mels), moved, with some frames and bands at the mean, which is 0."""
    if masks["shift"]:
        shift = int(torch.randint(-masks["shift"], masks["shift"] + 1, ()))
        x = torch.roll(x, shift, dims=0)
    x = x.clone()
    for axis, name in enumerate(("time", "frequency")):
        width = int(torch.randint(0, min(masks[name], x.shape[axis]) + 1, ()))
        start = int(torch.randint(0, x.shape[axis] - width + 1, ()))
        x.narrow(axis, start, width).zero_()
    return x


class TrainingEndedError(Exception):
    """All epochs are done, or patience is at its end.

    skorch's own way to end a fit early is a KeyboardInterrupt, which it takes for Ctrl-C's too.
    """


class TrainingCallback(Callback):
    """Learning rate schedule, seed of every epoch, best weights, early stopping and checkpoints.

    Parameters
    ----------
    epochs : int
        At most.
    learning_rate : float
        At its height: it rises for a tenth of the epochs and falls as a cosine. A group of weights
        of the optimiser's with a ``scale`` learns so many times as fast.
    patience : int
        Epochs without a lower validation loss after which training ends; 0 for never.
    seed : int
    checkpoint : Path or None
        File that is written after every epoch; None for none.

    Attributes
    ----------
    losses : list of (float, float)
        Of training and of validation, after each epoch.
    best_weights : dict of str to Tensor
        Of the epoch with the lowest validation loss.
    """

    def __init__(
        self,
        *,
        epochs: int,
        learning_rate: float,
        patience: int,
        seed: int,
        checkpoint: Path | None,
    ) -> None:
        self.epochs = epochs
        self.learning_rate = learning_rate
        self.patience = patience
        self.seed = seed
        self.checkpoint = checkpoint
        self.losses: list[tuple[float, float]] = []
        self.best_weights: dict[str, torch.Tensor] = {}

    @property
    def finished(self) -> bool:
        """Whether all epochs are done, or patience is at its end."""
        if len(self.losses) >= self.epochs:
            return True
        validation = [loss for _, loss in self.losses]
        if not self.patience or not validation or math.isnan(validation[0]):
            return False
        return len(validation) - 1 - validation.index(min(validation)) >= self.patience

    def on_epoch_begin(self, net: NeuralNet, **kwargs: object) -> None:
        """Set what the epoch's number decides."""
        done = len(self.losses)
        rising = (done + 1) / max(1, WARM_UP * self.epochs)
        falling = 0.5 * (1 + math.cos(math.pi * done / self.epochs))
        for group in net.optimizer_.param_groups:
            height = self.learning_rate * group.get("scale", 1.0)
            group["lr"] = height * min(1.0, rising) * falling
        torch.manual_seed(self.seed + 1_000_003 * (done + 1))

    def on_epoch_end(self, net: NeuralNet, **kwargs: object) -> None:
        """Keep the losses, the weights if they are the best, and a checkpoint."""
        row = net.history[-1]
        self.losses.append((float(row["train_loss"]), float(row.get("valid_loss", math.nan))))
        validation = [loss for _, loss in self.losses]
        if math.isnan(validation[-1]) or validation[-1] == min(validation):
            self.best_weights = {k: v.detach().clone() for k, v in net.module_.state_dict().items()}
        if self.checkpoint is not None:
            state = {
                "weights": net.module_.state_dict(),
                "optimiser": net.optimizer_.state_dict(),
                "losses": self.losses,
                "best": self.best_weights,
            }
            _write(state, self.checkpoint)
        interrupts.check()
        if self.finished:
            raise TrainingEndedError

    def resume(self, net: NeuralNet) -> None:
        """Go on from the checkpoint where there is one that can be read; start anew otherwise."""
        if self.checkpoint is None or not self.checkpoint.exists():
            return
        try:
            state: dict[str, Any] = torch.load(
                self.checkpoint, weights_only=True, map_location=net.device
            )
            net.module_.load_state_dict(state["weights"])
            net.optimizer_.load_state_dict(state["optimiser"])
        except Exception:  # torch raises whatever a torn file happens to hit
            return
        self.losses = [tuple(pair) for pair in state["losses"]]
        self.best_weights = state["best"]


def _write(state: dict[str, Any], file: Path) -> None:
    """Write a file so that a kill leaves the old one or the new one."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with writing(file) as part, part.open("wb") as opened:
        torch.save(state, opened)
        opened.flush()
        os.fsync(opened.fileno())
