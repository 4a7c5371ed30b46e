"""A PyTorch module as a scikit-learn classifier: fitted by skorch, kept as plain arrays."""

from __future__ import annotations

import hashlib
import json
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.model_selection import GroupShuffleSplit, StratifiedShuffleSplit
from sklearn.utils.validation import check_is_fitted

from ser.core.errors import SerError
from ser.core.threads import one_torch_thread
from ser.features import settings

if TYPE_CHECKING:
    import torch

FORMAT = 1  # of a checkpoint's key: raised whenever the same settings would train otherwise


class ModuleClassifier(ClassifierMixin, BaseEstimator):
    """What the classifiers that PyTorch trains share: `NetClassifier` and `FineTunedEncoder`.

    One says what its module is (`_module`), what of X it gets (`_rows`), and how clips become a
    training batch (`_collate`). Early stopping holds out actors among those that train where
    `groups` names two or more, clips otherwise; the weights of the lowest validation loss are
    kept. One thread computes, so that folds run side by side.

    Attributes
    ----------
    classes_ : (n_classes,)
    loss_curve_, validation_loss_curve_ : list of float
        After each epoch; training loss is of smoothed and otherwise altered clips.
    n_epochs_ : int
    weights_ : dict of str to ndarray
        The module's `state_dict`.
    """

    epochs: int
    batch_size: int
    learning_rate: float
    weight_decay: float
    label_smoothing: float
    validation: float
    patience: int
    device: str
    checkpoints: str | Path | None
    random_state: int

    prediction_batch: ClassVar[int] = 128  # clips

    def _module(self) -> torch.nn.Module:
        """A new module, with the weights that it begins with."""
        raise NotImplementedError

    def _rows(self, X: np.ndarray) -> np.ndarray:
        """(n_clips, ...) float32, as the module gets them; refuses what it cannot take."""
        raise NotImplementedError

    def _collate(self) -> Callable[[list], tuple[torch.Tensor, torch.Tensor]]:
        """What makes a training batch of clips."""
        raise NotImplementedError

    def _learn_scale(self, X: np.ndarray, train: np.ndarray) -> None:
        """Learn from the training rows what `_rows` needs."""

    def _groups_of_weights(self) -> list[tuple[str, dict[str, Any]]]:
        """Names of weights, as a pattern, and what the optimiser does otherwise with them."""
        return []

    def _fitted_module(self) -> torch.nn.Module:
        """The module with what it has learned."""
        import torch

        module = self._module()
        module.load_state_dict({k: torch.from_numpy(v) for k, v in self.weights_.items()})
        return module.eval()

    def fit(
        self, X: np.ndarray, y: np.ndarray, groups: np.ndarray | None = None
    ) -> ModuleClassifier:
        """Train.

        Parameters
        ----------
        X : (n_clips, n_features)
        y : (n_clips,)
        groups : (n_clips,) or None
            Actor of each clip; given, those that training stops by do not train.

        Raises
        ------
        SerError
            If PyTorch is missing, the module cannot be made or does not take such columns, or a GPU
            is asked for that is not there.
        """
        self.classes_, target = np.unique(y, return_inverse=True)
        train, validation = self._training_rows(target, groups)
        self._learn_scale(X, train)
        X = self._rows(X)
        with one_thread(self.random_state) as torch:
            self._train(torch, X, target, train, validation)
        return self

    def predict_proba(self, X: np.ndarray) -> np.ndarray:
        """(n_clips, n_classes) probabilities, rows summing to 1, columns as `classes_`."""
        check_is_fitted(self)
        X = self._rows(X)
        with one_thread(self.random_state) as torch, torch.inference_mode():
            module = self._fitted_module()
            device = next(module.parameters(), torch.empty(0)).device
            starts = range(0, len(X), self.prediction_batch)
            batches = (torch.tensor(X[i : i + self.prediction_batch]) for i in starts)
            logits = torch.cat([module(batch.to(device)).cpu().double() for batch in batches])
            return torch.softmax(logits, dim=1).numpy()

    def predict(self, X: np.ndarray) -> np.ndarray:
        """(n_clips,) the most probable emotion."""
        return self.classes_[self.predict_proba(X).argmax(axis=1)]

    def _train(
        self,
        torch: Any,
        X: np.ndarray,
        target: np.ndarray,
        train: np.ndarray,
        validation: np.ndarray,
    ) -> None:
        from skorch import NeuralNet
        from skorch.helper import predefined_split
        from torch.utils.data import TensorDataset

        from ser.models.networks import training

        def dataset(rows: np.ndarray) -> Any:
            return TensorDataset(torch.from_numpy(X[rows]), torch.from_numpy(target[rows]))

        checkpoint = self._checkpoint(X, target, train)
        callback = training.TrainingCallback(
            epochs=self.epochs,
            learning_rate=self.learning_rate,
            patience=self.patience if len(validation) else 0,
            seed=self.random_state,
            checkpoint=checkpoint,
        )
        net = NeuralNet(
            module=self._module(),
            criterion=torch.nn.CrossEntropyLoss,
            optimizer=torch.optim.AdamW,
            optimizer__weight_decay=self.weight_decay,
            optimizer__param_groups=self._groups_of_weights(),
            max_epochs=self.epochs,
            batch_size=self.batch_size,
            iterator_train__shuffle=True,
            iterator_train__collate_fn=self._collate(),
            # A last batch of one clip has no deviation for batch normalisation to learn.
            iterator_train__drop_last=len(train) % self.batch_size == 1,
            train_split=predefined_split(dataset(validation)) if len(validation) else None,
            callbacks=[callback],
            device=self._device(torch),
            verbose=0,
        )
        net.initialize()
        callback.resume(net)
        if not callback.finished:
            # Not its `partial_fit`, which takes Ctrl-C for the end of the training.
            with suppress(training.TrainingEndedError):
                net.fit_loop(dataset(train), epochs=self.epochs - len(callback.losses))
        self.loss_curve_ = [train_loss for train_loss, _ in callback.losses]
        losses = [loss for _, loss in callback.losses]
        self.validation_loss_curve_ = losses if len(validation) else []
        self.n_epochs_ = len(callback.losses)
        self.weights_ = {k: v.cpu().numpy() for k, v in callback.best_weights.items()}
        if checkpoint is not None:
            checkpoint.unlink(missing_ok=True)

    def _training_rows(
        self, target: np.ndarray, groups: np.ndarray | None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Rows that train, and validation rows, by which training stops."""
        rows = np.arange(len(target))
        if not self.validation:
            return rows, rows[:0]
        if groups is not None and len(np.unique(groups)) < 2:
            groups = None
            warnings.warn("Training stops by clips of its only actor: add actors.", stacklevel=2)
        splitter = StratifiedShuffleSplit if groups is None else GroupShuffleSplit
        splits = splitter(1, test_size=self.validation, random_state=self.random_state)
        try:
            return next(splits.split(rows, target, groups))
        except ValueError as error:
            raise SerError(
                f"validation={self.validation}: too few clips or actors to hold some out of "
                f"training ({error}). Set model.classifier.validation=0 to train on all."
            ) from error

    def _device(self, torch: Any) -> str:
        has_gpu = torch.cuda.is_available()
        if self.device == "cuda" and not has_gpu:
            raise SerError("device=cuda: PyTorch finds no GPU here. Set device=auto or cpu.")
        return "cuda" if has_gpu and self.device != "cpu" else "cpu"

    def _checkpoint(self, X: np.ndarray, target: np.ndarray, train: np.ndarray) -> Path | None:
        """File of this fit: its name is a digest of the data and of all settings but the folder."""
        if self.checkpoints is None:
            return None
        import torch

        told = {k: v for k, v in self.get_params(deep=False).items() if k != "checkpoints"}
        made_by = [FORMAT, torch.__version__, told]
        key = hashlib.sha256(json.dumps(made_by, sort_keys=True, default=settings).encode())
        for array in (X, target, train):
            key.update(np.ascontiguousarray(array).tobytes())
        return Path(self.checkpoints) / f"{key.hexdigest()[:32]}.pt"


@contextmanager
def one_thread(seed: int) -> Iterator[Any]:
    """PyTorch on one thread, with random numbers of its own; as it was afterwards."""
    try:
        import skorch  # noqa: F401
        import torch
    except ImportError as error:
        raise SerError("Networks need PyTorch and skorch: pip install 'ser[deep]'.") from error
    with one_torch_thread(), torch.random.fork_rng():
        torch.manual_seed(seed)
        yield torch
