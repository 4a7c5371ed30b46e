"""A speech encoder from its checkpoint: without head or decoder, one clip at a time, no padding."""

from __future__ import annotations

from collections.abc import Container
from functools import lru_cache
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from ser.core.errors import SerError
from ser.core.threads import one_torch_thread
from ser.features.checkpoint import INSTALL, Checkpoint, in_folder
from ser.features.hearing import CONVOLUTION, hearing_of

# model_type -> where its class is, and what stands before its weights' names in a checkpoint of
# more than the encoder.
_CLASSES = {
    "wav2vec2": ("wav2vec2.modeling_wav2vec2", "Wav2Vec2Model", ("wav2vec2.",)),
    "hubert": ("hubert.modeling_hubert", "HubertModel", ("hubert.",)),
    "wavlm": ("wavlm.modeling_wavlm", "WavLMModel", ("wavlm.",)),
    "data2vec-audio": (
        "data2vec.modeling_data2vec_audio",
        "Data2VecAudioModel",
        ("data2vec_audio.",),
    ),
    "whisper": ("whisper.modeling_whisper", "WhisperEncoder", ("model.encoder.", "encoder.")),
}
_UNUSED = "masked_spec_embed"  # of pretraining; some checkpoints lack it
# Of weight normalisation: what PyTorch called it before 2.0 -> since.
_RENAMED = {
    "conv.weight_g": "conv.parametrizations.weight.original0",
    "conv.weight_v": "conv.parametrizations.weight.original1",
}


class Encoder:
    """An encoder that hears one clip at a time: no padding changes what it says.

    Parameters
    ----------
    checkpoint : Checkpoint
    precision : {"float32", "bfloat16"}
        Of its matrix products.

    Raises
    ------
    SerError
        If PyTorch or transformers is missing, or the weights do not fit the config.
    """

    def __init__(self, checkpoint: Checkpoint, precision: str = "float32") -> None:
        self.checkpoint = checkpoint
        self.hearing = hearing_of(checkpoint)
        self.model = load_model(checkpoint)
        import torch

        self.model.to("cuda" if torch.cuda.is_available() else "cpu")
        self.dtype = getattr(torch, precision)

    @property
    def device(self) -> Any:
        """Where its weights are: it may be moved."""
        return next(self.model.parameters()).device

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
        with one_torch_thread() as torch:
            mixed = self.dtype != torch.float32
            with (
                torch.inference_mode(),
                torch.autocast(self.device.type, self.dtype, enabled=mixed),
            ):
                frames = torch.stack(self.layers(y, tail))[:, 0].double()
                total, squares = frames.sum(1), (frames**2).sum(1)
            return frames.shape[1], total.cpu().numpy(), squares.cpu().numpy()

    def layers(self, y: np.ndarray, tail: float) -> list[Any]:
        """Output of each layer for a clip, or for clips of one length.

        Parameters
        ----------
        y : (n_samples,) or (n_clips, n_samples) float32
        tail : float

        Returns
        -------
        list of (n_clips, n_frames, width) Tensor
        """
        import torch

        heard, n_own = self.hearing(np.atleast_2d(y), tail)
        return [layer[:, :n_own] for layer in self.hidden(torch.from_numpy(heard))]

    def hidden(self, heard: Any) -> list[Any]:
        """Output of each layer for what `Hearing` has made of a clip, as a Tensor."""
        heard = heard.to(self.device)
        if self.checkpoint.kind != "whisper":
            return list(self.model(heard, output_hidden_states=True).hidden_states)
        positions, n_heard = self.model.embed_positions, heard.shape[2] // CONVOLUTION
        self.model.config.max_source_positions = int(n_heard)
        positions.forward = lambda _all: positions.weight[:n_heard]
        try:
            return list(self.model(heard, output_hidden_states=True).hidden_states)
        finally:
            del positions.forward


@lru_cache(maxsize=2)  # as many as a union may hold without loading them for every clip
def encoder_of(weights: str, folder: str, precision: str) -> Encoder:
    """The encoder of these weights: loaded once in a process.

    Parameters
    ----------
    weights : str
        `Checkpoint.digest`.
    folder : str
        Where they are.
    precision : {"float32", "bfloat16"}

    Raises
    ------
    SerError
        If the folder has other weights by now.
    """
    return Encoder(in_folder(folder, weights), precision)


def load_model(checkpoint: Checkpoint) -> Any:
    """Transformers' encoder with the checkpoint's weights, in float32, without head or decoder.

    Raises
    ------
    SerError
        If PyTorch or transformers is missing, or the weights do not fit the config.
    """
    from safetensors import safe_open

    model, places = _fitting(checkpoint)
    model = model.to_empty(device="cpu")
    state = {}
    for file in checkpoint.weight_files:
        with safe_open(file, framework="pt") as opened:
            for own, (place, name) in places.items():
                if place == file:
                    state[own] = opened.get_tensor(name).float()
    model.load_state_dict(state, strict=False)
    return model.float().eval().requires_grad_(False)


def check_weights(checkpoint: Checkpoint) -> None:
    """Refuse what `load_model` would, without reading a weight."""
    hearing_of(checkpoint)
    _fitting(checkpoint)


def _fitting(checkpoint: Checkpoint) -> tuple[Any, dict[str, tuple[Path, str]]]:
    """The encoder without weights, and the file and name of each of them there."""
    module, name, prefixes = _CLASSES[checkpoint.kind]
    try:
        import torch
        from safetensors import SafetensorError, safe_open
        from transformers import AutoConfig

        kind = getattr(import_module(f"transformers.models.{module}"), name)
    except ImportError as error:
        raise SerError(f"{INSTALL} ({error})") from error
    try:
        config = AutoConfig.for_model(**checkpoint.config)
        config.apply_spec_augment = False
        with torch.device("meta"):  # nothing is drawn that is overwritten
            model = kind(config)
    except Exception as error:  # of whatever kind a wrong setting leads to
        raise SerError(f"{checkpoint.folder / 'config.json'} makes no encoder: {error}.") from error
    wanted = {own: list(tensor.shape) for own, tensor in model.state_dict().items()}
    places, other = {}, []
    for file in checkpoint.weight_files:
        try:
            with safe_open(file, framework="pt") as opened:
                for name in opened.keys():  # noqa: SIM118  it is no dict
                    own = _own_name(name, prefixes, wanted)
                    if own:
                        places[own] = (file, name)
                        if opened.get_slice(name).get_shape() != wanted[own]:
                            other.append(own)
        except (SafetensorError, OSError) as error:
            raise SerError(f"{file} cannot be read as weights ({error}).") from error
    lacking = sorted(own for own in wanted if own not in places and own != _UNUSED)
    if lacking or other:
        raise SerError(
            f"The weights in {checkpoint.folder} do not fit its config.json: {len(lacking)} are "
            f"missing and {len(other)} have another shape (the first: {(lacking + other)[0]})."
        )
    return model, places


def _own_name(name: str, prefixes: tuple[str, ...], wanted: Container[str]) -> str:
    """A weight's name in the encoder; empty of a decoder's or a head's."""
    for prefix in (*prefixes, ""):
        own = name.removeprefix(prefix)
        for old, new in _RENAMED.items():
            own = own.replace(old, new)
        if name.startswith(prefix) and own in wanted:
            return own
    return ""
