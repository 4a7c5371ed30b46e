"""Networks on log-mel spectrograms, as scikit-learn classifiers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ser.core.errors import SerError
from ser.models.networks.module_classifier import ModuleClassifier

if TYPE_CHECKING:
    import torch

MIN_SIZE = 16  # frames and bands: four times halved, one is left
CNN = {"_target_": "ser.models.networks.architectures.CNN"}
_PREFIX = "network__"  # of the network's arguments, among the estimator's parameters
# What version 0.1.0 called the networks: a model's own `network` was one of these names.
_NAMES_0_1 = {"cnn": "CNN", "lstm": "LSTM", "crnn": "CRNN"}


class NetClassifier(ModuleClassifier):
    """A network on log-mel spectrograms, as a scikit-learn classifier.

    Input is scaled by each band's mean and deviation over the training clips; the rest of the
    training: `ModuleClassifier`.

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

    def check_columns(self, n_columns: int, before: Sequence[str]) -> None:
        """Refuse features that it cannot take, before a clip is read.

        Parameters
        ----------
        n_columns : int
            Of the features.
        before : sequence of str
            Names of the pipeline's steps before it, which may change their number.

        Raises
        ------
        SerError
        """
        if "selection" not in before:
            self._frames(np.zeros((1, n_columns), dtype=np.float32))

    @property
    def plugin_modules(self) -> tuple[str, ...]:
        """Modules outside of `ser` that the network comes from: to build it imports them."""
        module = str(self.network.get("_target_")).rpartition(".")[0]
        return () if module.split(".")[0] == "ser" else (module,)

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

    def _learn_scale(self, X: np.ndarray, train: np.ndarray) -> None:
        bands = self._frames(X)[train].reshape(-1, self.n_mels)
        self.mean_ = bands.mean(axis=0)
        self.scale_ = np.maximum(bands.std(axis=0), 1e-3)

    def _rows(self, X: np.ndarray) -> np.ndarray:
        return (self._frames(X) - self.mean_) / self.scale_

    def _collate(self) -> Callable[[list], tuple[torch.Tensor, torch.Tensor]]:
        from ser.models.networks import training

        return training.batch_collator(
            n_classes=len(self.classes_),
            smoothing=self.label_smoothing,
            mixup=self.mixup,
            masks={
                "time": self.time_mask,
                "frequency": self.frequency_mask,
                "shift": self.time_shift,
            },
        )

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

    def _module(self) -> torch.nn.Module:
        network = dict(self.network)
        path = network.pop("_target_", None)
        try:
            return _network_class(path)(n_mels=self.n_mels, n_classes=len(self.classes_), **network)
        except (TypeError, ValueError) as error:
            raise SerError(f"The network {path} does not take {network}: {error}") from error


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
