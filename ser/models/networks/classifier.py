"""A network as a scikit-learn classifier: fitted by skorch, kept as plain arrays."""

from __future__ import annotations

import hashlib
import json
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.model_selection import GroupShuffleSplit, StratifiedShuffleSplit
from sklearn.utils.validation import check_is_fitted

from ser.core.errors import SerError

if TYPE_CHECKING:
    import torch

PREDICTION_BATCH = 128  # clips
MIN_SIZE = 16  # frames and bands: four times halved, one is left
FORMAT = 1  # of a checkpoint's key: raised whenever the same settings would train otherwise
CNN = {"_target_": "ser.models.networks.architectures.CNN"}
_PREFIX = "network__"  # of the network's arguments, among the estimator's parameters
# What version 0.1.0 called the networks: a model's own `network` was one of these names.
_NAMES_0_1 = {"cnn": "CNN", "lstm": "LSTM", "crnn": "CRNN"}


class NetClassifier(ClassifierMixin, BaseEstimator):
    """A network on log-mel spectrograms, as a scikit-learn classifier.

    Input is scaled by each band's mean and deviation over the training clips. Early stopping holds
    out actors among those that train where `groups` names two or more, clips otherwise; the weights
    of the lowest validation loss are kept. One thread computes, so that folds run side by side.

    Parameters
    ----------
    network : mapping
        ``_target_``, the dotted path of a `torch.nn.Module` from (n_clips, n_frames, n_mels) to
        (n_clips, n_classes) logits (see `ser.models.networks.architectures`), and the arguments
        that it gets besides `n_mels` and `n_classes`: numbers, texts and lists of them. As
        parameters of this estimator they are called ``network__width`` and so on.
    n_mels : int
        Bands of a frame: columns of X are n_frames x n_mels.
    epochs : int
        At most.
    batch_size : int
    learning_rate : float
        Of AdamW, at its height.
    weight_decay : float
    label_smoothing : float
        In [0, 1).
    mixup : float
        See `training.batch_collator`; 0 for none.
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
        network: Mapping[str, Any] = CNN,
        n_mels: int = 64,
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

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Parameters; with `deep`, the network's arguments too, as ``network__NAME``."""
        params = super().get_params(deep=deep)
        if deep:
            params |= {f"{_PREFIX}{name}": value for name, value in self.network.items()}
        return params

    def set_params(self, **params: Any) -> NetClassifier:
        """Set parameters; ``network__NAME`` sets one of the network's arguments."""
        arguments = {
            name.removeprefix(_PREFIX): params.pop(name)
            for name in list(params)
            if name.startswith(_PREFIX)
        }
        super().set_params(**params)
        if arguments:
            self.network = {**self.network, **arguments}
        return self

    def __setstate__(self, state: dict[str, Any]) -> None:
        if isinstance(state.get("network"), str):  # saved by version 0.1.0
            path = f"ser.models.networks.architectures.{_NAMES_0_1[state['network']]}"
            arguments = {name: state[name] for name in ("width", "dropout")}
            state = {k: v for k, v in state.items() if k not in arguments}
            state["network"] = {"_target_": path, **arguments}
        network = state.get("network")
        # What a file may import was read from such a mapping: see ser.models.plugins.
        if type(network) is not dict or type(network.get("_target_")) is not str:
            raise ValueError("its network is no mapping with a _target_")
        super().__setstate__(state)

    @property
    def plugin_modules(self) -> tuple[str, ...]:
        """Modules outside of `ser` that the network comes from: to build it imports them."""
        module = str(self.network.get("_target_")).rpartition(".")[0]
        return () if module.split(".")[0] == "ser" else (module,)

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
            If PyTorch is missing, the network is not one or refuses its arguments, the columns are
            no frames of `n_mels` bands, or a GPU is asked for that is not there.
        """
        X = self._frames(X)
        self.classes_, target = np.unique(y, return_inverse=True)
        train, validation = self._training_rows(target, groups)
        bands = X[train].reshape(-1, self.n_mels)
        self.mean_ = bands.mean(axis=0)
        self.scale_ = np.maximum(bands.std(axis=0), 1e-3)
        X = (X - self.mean_) / self.scale_
        with _one_thread(self.random_state) as torch:
            self._train(torch, X, target, train, validation)
        return self

    def predict_proba(self, X: np.ndarray) -> np.ndarray:
        """(n_clips, n_classes) probabilities, rows summing to 1, columns as `classes_`."""
        check_is_fitted(self)
        X = (self._frames(X) - self.mean_) / self.scale_
        with _one_thread(self.random_state) as torch, torch.inference_mode():
            module = self._module()
            module.load_state_dict({k: torch.from_numpy(v) for k, v in self.weights_.items()})
            module.eval()
            starts = range(0, len(X), PREDICTION_BATCH)
            batches = (torch.from_numpy(X[i : i + PREDICTION_BATCH]) for i in starts)
            logits = torch.cat([module(batch).double() for batch in batches])
            return torch.softmax(logits, dim=1).numpy()

    def check_weights(self) -> None:
        """Refuse weights that are not of this network, before it is made (only one that is ser's).

        Raises
        ------
        ValueError
            If their names or shapes differ.
        """
        if self.plugin_modules:  # may need memory to be made at all
            return
        import torch

        with torch.device("meta"):  # shapes without numbers
            wanted = {k: tuple(v.shape) for k, v in self._module().state_dict().items()}
        if wanted != {k: v.shape for k, v in self.weights_.items()}:
            raise ValueError("its weights are not those of its network")

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
        masks = {"time": self.time_mask, "frequency": self.frequency_mask, "shift": self.time_shift}
        net = NeuralNet(
            module=self._module(),
            criterion=torch.nn.CrossEntropyLoss,
            optimizer=torch.optim.AdamW,
            optimizer__weight_decay=self.weight_decay,
            max_epochs=self.epochs,
            batch_size=self.batch_size,
            iterator_train__shuffle=True,
            iterator_train__collate_fn=training.batch_collator(
                n_classes=len(self.classes_),
                smoothing=self.label_smoothing,
                mixup=self.mixup,
                masks=masks,
            ),
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

    def _frames(self, X: np.ndarray) -> np.ndarray:
        """(n_clips, n_frames, n_mels) float32."""
        X = np.ascontiguousarray(X, dtype=np.float32)
        n_frames, remainder = divmod(X.shape[1], max(1, self.n_mels))
        if remainder or min(n_frames, self.n_mels) < MIN_SIZE:
            raise SerError(
                f"A network needs {MIN_SIZE} or more frames of {MIN_SIZE} or more mel bands; here "
                f"are {X.shape[1]} columns with n_mels={self.n_mels}. Train it with "
                "features=logmel."
            )
        return X.reshape(len(X), -1, self.n_mels)

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

    def _module(self) -> torch.nn.Module:
        network = dict(self.network)
        path = network.pop("_target_", None)
        try:
            return _network_class(path)(n_mels=self.n_mels, n_classes=len(self.classes_), **network)
        except (TypeError, ValueError) as error:
            raise SerError(f"The network {path} does not take {network}: {error}") from error

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

        settings = {k: v for k, v in self.get_params(deep=False).items() if k != "checkpoints"}
        made_by = [FORMAT, torch.__version__, settings]
        key = hashlib.sha256(json.dumps(made_by, sort_keys=True).encode())
        for array in (X, target, train):
            key.update(np.ascontiguousarray(array).tobytes())
        return Path(self.checkpoints) / f"{key.hexdigest()[:32]}.pt"


def _network_class(path: str | None) -> type[torch.nn.Module]:
    """The class of a dotted path. Nothing else is called: a saved model names it."""
    import torch

    module, _, name = str(path).rpartition(".")
    try:
        network = getattr(import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise SerError(
            f"network._target_={path} cannot be imported ({error}): give the dotted path of a "
            "torch.nn.Module of an installed package."
        ) from error
    if not (isinstance(network, type) and issubclass(network, torch.nn.Module)):
        raise SerError(f"network._target_={path} is no class of torch.nn.Module.")
    return network


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
