"""A pretrained speech encoder, fine-tuned: a scikit-learn classifier of waveforms."""

from __future__ import annotations

import copyreg
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar
from weakref import WeakKeyDictionary

import numpy as np

from ser.core.errors import SerError
from ser.features import restore, settings
from ser.features.checkpoint import check_installed
from ser.features.speech_model import SpeechModelFeatures
from ser.features.waveform import FRAME
from ser.models.networks.module_classifier import ModuleClassifier
from ser.models.networks.tuned_encoder import STEP, TunedEncoder, check_layers

if TYPE_CHECKING:
    import torch

_KIND = {"_target_": "ser.features.speech_model.SpeechModelFeatures"}
# Loading an encoder takes longer than a prediction: estimator -> module with what it learned.
_FITTED: WeakKeyDictionary[FineTunedEncoder, TunedEncoder] = WeakKeyDictionary()


class FineTunedEncoder(ModuleClassifier):
    """A speech encoder whose last layers, or adapters in them, learn together with a head.

    Input is `ser.features.waveform`. Matrices are multiplied in bfloat16 while it trains on a GPU
    that has it, in float32 elsewhere. A saved model has what was learned and the SHA-256 of the
    encoder that it belongs to, whose weights are looked for when it is loaded. The training:
    `ModuleClassifier`.

    Parameters
    ----------
    encoder : SpeechModelFeatures
        Whose checkpoint, tail and pretraining are taken.
    n_layers : int or None
        Last layers that learn; None for all.
    rank : int or None
        Of adapters on these layers' queries and values (LoRA), which learn in their stead; None for
        the layers themselves.
    dropout : float
        Before the head, in [0, 1).
    epochs : int
        At most.
    batch_size : int
    learning_rate, head_learning_rate : float
        Of AdamW, at its height: of what is the encoder's, and of what is new.
    weight_decay, label_smoothing, validation, patience, device, checkpoints, random_state
        As `NetClassifier` has them.
    """

    prediction_batch: ClassVar[int] = 16

    def __init__(
        self,
        encoder: SpeechModelFeatures,
        *,
        n_layers: int | None = 2,
        rank: int | None = None,
        dropout: float = 0.3,
        epochs: int = 15,
        batch_size: int = 16,
        learning_rate: float = 1e-4,
        head_learning_rate: float = 1e-3,
        weight_decay: float = 0.01,
        label_smoothing: float = 0.1,
        validation: float = 0.15,
        patience: int = 5,
        device: str = "auto",
        checkpoints: str | Path | None = None,
        random_state: int = 0,
    ) -> None:
        self.encoder = encoder
        self.n_layers = n_layers
        self.rank = rank
        self.dropout = dropout
        self.epochs = epochs
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.head_learning_rate = head_learning_rate
        self.weight_decay = weight_decay
        self.label_smoothing = label_smoothing
        self.validation = validation
        self.patience = patience
        self.device = device
        self.checkpoints = checkpoints
        self.random_state = random_state

    def check(self) -> None:
        """Refuse an encoder that cannot be tuned so, before a clip is read.

        Raises
        ------
        SerError
        """
        self.encoder.check()
        check_layers(self.encoder.found, self.n_layers, self.rank)

    def check_columns(self, n_columns: int, before: Sequence[str]) -> None:
        """As `NetClassifier.check_columns`; what is scaled or chosen from is no sound any more."""
        if before:
            raise SerError(f"A speech encoder is fine-tuned on sound itself: set {before[0]}=none.")
        self._rows(np.zeros((1, n_columns), dtype=np.float32))

    def fit(
        self, X: np.ndarray, y: np.ndarray, groups: np.ndarray | None = None
    ) -> FineTunedEncoder:
        """Train: see `ModuleClassifier.fit`."""
        self.check()
        _FITTED.pop(self, None)
        super().fit(X, y, groups)
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        """For a worker, which is told where the encoder is; a file is not: `__getstate__`."""
        return copyreg.__newobj__, (type(self),), vars(self)  # type: ignore[attr-defined]

    def __getstate__(self) -> dict[str, Any]:
        told = {k: v for k, v in settings(self.encoder).items() if k != "_target_"}
        return {**super().__getstate__(), "encoder": told}

    def __setstate__(self, state: dict[str, Any]) -> None:
        if isinstance(state["encoder"], dict):
            check_installed()  # an exported encoder has learned nothing
            state = {**state, "encoder": restore(state["encoder"] | _KIND)}
        super().__setstate__(state)

    def check_weights(self) -> None:
        """Refuse weights that are not of this model.

        Raises
        ------
        ValueError
            If their names or shapes differ.
        """
        wanted = {k: tuple(v.shape) for k, v in self._module().state_dict().items()}
        if wanted != {k: v.shape for k, v in self.weights_.items()}:
            raise ValueError("its weights are not those of its network")

    def _rows(self, X: np.ndarray) -> np.ndarray:
        X = np.ascontiguousarray(X, dtype=np.float32)
        if X.shape[1] <= STEP * FRAME or X.shape[1] % FRAME != 1:
            raise SerError(
                f"A speech encoder is fine-tuned on waveforms; here are {X.shape[1]} columns. "
                "Train it with features=waveform."
            )
        return X

    def _module(self) -> TunedEncoder:
        found = self.encoder.found
        return TunedEncoder(
            found,
            self.encoder.tail,
            n_classes=len(self.classes_),
            n_layers=check_layers(found, self.n_layers, self.rank),
            rank=self.rank,
            dropout=self.dropout,
        )

    def _fitted_module(self) -> TunedEncoder:
        import torch

        if self not in _FITTED:
            has_gpu = torch.cuda.is_available() and self.device != "cpu"
            module = super()._fitted_module().to("cuda" if has_gpu else "cpu")
            _FITTED[self] = module  # type: ignore[assignment]
        return _FITTED[self]

    def _collate(self) -> Callable[[list], tuple[torch.Tensor, torch.Tensor]]:
        from ser.models.networks import training

        return training.batch_collator(
            n_classes=len(self.classes_), smoothing=self.label_smoothing, mixup=0.0, masks={}
        )

    def _groups_of_weights(self) -> list[tuple[str, dict[str, Any]]]:
        faster = {"scale": self.head_learning_rate / self.learning_rate}
        return [("layer_weights", faster), ("head.*", faster)]
