"""A network as a scikit-learn classifier: fitted by skorch, kept as plain arrays."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.model_selection import GroupShuffleSplit, StratifiedShuffleSplit
from sklearn.utils.validation import check_is_fitted

from ser.core.errors import SerError

if TYPE_CHECKING:
    import torch

BATCH = 128  # clips predicted at once
LEAST = 16  # frames and bands: four times halved, one is left
FORMAT = 1  # of a checkpoint's key: raised whenever the same settings would train otherwise


class NetClassifier(ClassifierMixin, BaseEstimator):
    """A network on log-mel spectrograms: see `ser.models.networks.architectures`.

    Input is scaled by each band's mean and deviation over the training clips. Early stopping holds
    out actors among those that train where `groups` are given, clips otherwise; the weights of the
    lowest validation loss are kept. One thread computes, so that folds run side by side.

    Parameters
    ----------
    network : {"cnn", "lstm", "crnn"}
    n_mels : int
        Bands of a frame: columns of X are n_frames x n_mels.
    width : int
        Channels of the first layer; others are multiples.
    dropout : float
        In [0, 1).
    epochs : int
        At most.
    batch_size : int
    learning_rate : float
        Of AdamW, at its height.
    weight_decay : float
    label_smoothing : float
        In [0, 1).
    mixup : float
        See `training.batches`; 0 for none.
    time_mask, frequency_mask, time_shift : int
        Most frames, bands and frames; 0 for none. Training clips only, drawn anew in every epoch.
    validation : float
        Share of the training actors, or clips, held out to stop by; 0 for none.
    patience : int
        Epochs without a lower validation loss after which training ends; 0 for never.
    device : {"auto", "cpu", "cuda"}
        ``auto`` takes CUDA where there is one.
    checkpoints : path or None
        Folder where a training is kept after every epoch, until it ends: the same fit, started
        again after a kill, goes on from there.
    random_state : int

    Attributes
    ----------
    classes_ : (n_classes,)
    loss_curve_, validation_loss_curve_ : list of float
        After each epoch; training loss is of smoothed, mixed and masked clips.
    n_epochs_ : int
    weights_ : dict of str to ndarray
    mean_, scale_ : (n_mels,) float32
        dB.
    """

    def __init__(
        self,
        *,
        network: str = "cnn",
        n_mels: int = 64,
        width: int = 16,
        dropout: float = 0.3,
        epochs: int = 40,
        batch_size: int = 32,
        learning_rate: float = 3e-3,
        weight_decay: float = 0.01,
        label_smoothing: float = 0.1,
        mixup: float = 0.2,
        time_mask: int = 25,
        frequency_mask: int = 10,
        time_shift: int = 10,
        validation: float = 0.15,
        patience: int = 10,
        device: str = "auto",
        checkpoints: str | Path | None = None,
        random_state: int = 0,
    ) -> None:
        self.network = network
        self.n_mels = n_mels
        self.width = width
        self.dropout = dropout
        self.epochs = epochs
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay
        self.label_smoothing = label_smoothing
        self.mixup = mixup
        self.time_mask = time_mask
        self.frequency_mask = frequency_mask
        self.time_shift = time_shift
        self.validation = validation
        self.patience = patience
        self.device = device
        self.checkpoints = checkpoints
        self.random_state = random_state

    def fit(self, X: np.ndarray, y: np.ndarray, groups: np.ndarray | None = None) -> NetClassifier:
        """Train.

        Parameters
        ----------
        X : (n_clips, n_frames * n_mels)
        y : (n_clips,)
        groups : (n_clips,) or None
            Actor of each clip; given, those that training stops by do not train.

        Raises
        ------
        SerError
            If PyTorch is missing, the columns are no frames of `n_mels` bands, or a GPU is asked
            for that is not there.
        """
        X = self._frames(X)
        self.classes_, target = np.unique(y, return_inverse=True)
        train, held_out = self._parts(target, groups)
        bands = X[train].reshape(-1, self.n_mels)
        self.mean_ = bands.mean(axis=0)
        self.scale_ = np.maximum(bands.std(axis=0), 1e-3)
        X = (X - self.mean_) / self.scale_
        with _one_thread(self.random_state) as torch:
            self._train(torch, X, target, train, held_out)
        return self

    def predict_proba(self, X: np.ndarray) -> np.ndarray:
        """(n_clips, n_classes) probabilities, rows summing to 1, columns as `classes_`."""
        check_is_fitted(self)
        X = (self._frames(X) - self.mean_) / self.scale_
        with _one_thread(self.random_state) as torch, torch.inference_mode():
            module = self._module()
            module.load_state_dict({k: torch.from_numpy(v) for k, v in self.weights_.items()})
            module.eval()
            some = (torch.from_numpy(X[i : i + BATCH]) for i in range(0, len(X), BATCH))
            logits = [module(one).double() for one in some]
            return torch.softmax(torch.cat(logits), dim=1).numpy()

    def predict(self, X: np.ndarray) -> np.ndarray:
        """(n_clips,) the most probable emotion."""
        return self.classes_[self.predict_proba(X).argmax(axis=1)]

    def _train(
        self,
        torch: Any,
        X: np.ndarray,
        target: np.ndarray,
        train: np.ndarray,
        held_out: np.ndarray,
    ) -> None:
        from skorch import NeuralNet
        from skorch.helper import predefined_split
        from torch.utils.data import TensorDataset

        from ser.models.networks.training import Course, batches

        def dataset(rows: np.ndarray) -> Any:
            return TensorDataset(torch.from_numpy(X[rows]), torch.from_numpy(target[rows]))

        file = self._checkpoint(X, target, train)
        course = Course(
            epochs=self.epochs,
            learning_rate=self.learning_rate,
            patience=self.patience if len(held_out) else 0,
            seed=self.random_state,
            file=file,
        )
        masks = {"time": self.time_mask, "frequency": self.frequency_mask, "shift": self.time_shift}
        net = NeuralNet(
            module=self._module(),
            criterion=torch.nn.CrossEntropyLoss,
            optimizer=torch.optim.AdamW,
            optimizer__weight_decay=self.weight_decay,
            max_epochs=self.epochs,
            batch_size=self.batch_size,
            iterator_train__shuffle=True,
            iterator_train__collate_fn=batches(
                n_classes=len(self.classes_),
                smoothing=self.label_smoothing,
                mixup=self.mixup,
                masks=masks,
            ),
            # A last batch of one clip has no deviation for batch normalisation to learn.
            iterator_train__drop_last=len(train) % self.batch_size == 1,
            train_split=predefined_split(dataset(held_out)) if len(held_out) else None,
            callbacks=[course],
            device=self._device(torch),
            verbose=0,
        )
        net.initialize()
        course.resume(net)
        if not course.ended:
            net.partial_fit(dataset(train), y=None, epochs=self.epochs - len(course.losses))
        self.loss_curve_ = [train_loss for train_loss, _ in course.losses]
        self.validation_loss_curve_ = [loss for _, loss in course.losses] if len(held_out) else []
        self.n_epochs_ = len(course.losses)
        self.weights_ = {k: v.cpu().numpy() for k, v in course.best.items()}
        if file is not None:
            file.unlink(missing_ok=True)

    def _frames(self, X: np.ndarray) -> np.ndarray:
        """(n_clips, n_frames, n_mels) float32."""
        X = np.ascontiguousarray(X, dtype=np.float32)
        if self.n_mels < LEAST or X.shape[1] % self.n_mels or X.shape[1] < LEAST * self.n_mels:
            raise SerError(
                f"A network needs {LEAST} or more frames of {LEAST} or more mel bands; here are "
                f"{X.shape[1]} columns with n_mels={self.n_mels}. Train it with features=logmel."
            )
        return X.reshape(len(X), -1, self.n_mels)

    def _parts(
        self, target: np.ndarray, groups: np.ndarray | None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Rows that train, and rows that training stops by."""
        rows = np.arange(len(target))
        if not self.validation:
            return rows, rows[:0]
        splitter = StratifiedShuffleSplit if groups is None else GroupShuffleSplit
        one = splitter(1, test_size=self.validation, random_state=self.random_state)
        try:
            return next(one.split(rows, target, groups))
        except ValueError as error:
            raise SerError(
                f"validation={self.validation}: too few clips or actors to hold some out of "
                f"training ({error}). Set model.classifier.validation=0 to train on all."
            ) from error

    def _module(self) -> torch.nn.Module:
        from ser.models.networks.architectures import NETWORKS

        if self.network not in NETWORKS:
            raise SerError(f"network={self.network!r} is not known: give {', '.join(NETWORKS)}.")
        return NETWORKS[self.network](
            n_mels=self.n_mels,
            n_classes=len(self.classes_),
            width=self.width,
            dropout=self.dropout,
        )

    def _device(self, torch: Any) -> str:
        there = torch.cuda.is_available()
        if self.device == "cuda" and not there:
            raise SerError("device=cuda: PyTorch finds no GPU here. Set device=auto or cpu.")
        return "cuda" if there and self.device != "cpu" else "cpu"

    def _checkpoint(self, X: np.ndarray, target: np.ndarray, train: np.ndarray) -> Path | None:
        """File of this very fit: its data and all settings that change what is learned."""
        if self.checkpoints is None:
            return None
        import torch

        same = {k: v for k, v in self.get_params().items() if k != "checkpoints"}
        key = hashlib.sha256(json.dumps([FORMAT, torch.__version__, same], sort_keys=True).encode())
        for array in (X, target, train):
            key.update(np.ascontiguousarray(array).tobytes())
        return Path(self.checkpoints) / f"{key.hexdigest()[:32]}.pt"


@contextmanager
def _one_thread(seed: int) -> Iterator[Any]:
    """PyTorch on one thread, with random numbers of its own; as it was afterwards."""
    try:
        import skorch  # noqa: F401
        import torch
    except ImportError as error:
        raise SerError("Networks need PyTorch and skorch: pip install 'ser[deep]'.") from error
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            yield torch
    finally:
        torch.set_num_threads(threads)
