"""ms a clip of a speech encoder's layers, beside transformers' own feature extractor and model.

    python benchmarks/speech_models.py data/ravdess --clips 40
    python benchmarks/speech_models.py data/ravdess --checkpoint FOLDER

Without a checkpoint, encoders of the presets' sizes with random weights: time does not depend on
what they learned. One thread. All hear the same clips, at 16 kHz, one after the other, in turns.
Needs ser[onnx,speech].
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import tempfile
import time
from pathlib import Path

for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[name] = "1"

import numpy as np
import soundfile
import soxr

LARGE = {
    "hidden_size": 1024,
    "num_hidden_layers": 24,
    "num_attention_heads": 16,
    "intermediate_size": 4096,
    "feat_extract_norm": "layer",
    "do_stable_layer_norm": True,
}


def whisper(width: int, layers: int, **more: int) -> tuple[str, dict[str, int]]:
    sizes = {"d_model": width, "encoder_layers": layers, "encoder_attention_heads": width // 64}
    sizes |= {"encoder_ffn_dim": 4 * width, "decoder_layers": 1, "decoder_ffn_dim": 64}
    return "Whisper", {**sizes, "decoder_attention_heads": width // 64, **more}


PRESETS = {
    "whisper_tiny": whisper(384, 4),
    "whisper_base": whisper(512, 6),
    "wavlm_base_plus": ("WavLM", {}),
    "audeering_dimensional": ("Wav2Vec2", LARGE | {"num_hidden_layers": 12, "conv_bias": True}),
    "wavlm_large": ("WavLM", LARGE),
    "hubert_large": ("Hubert", LARGE | {"conv_bias": True}),
    "wav2vec2_xlsr_300m": ("Wav2Vec2", LARGE | {"conv_bias": True}),
    "whisper_large_v3": whisper(1280, 32, num_mel_bins=128),
}


def make(kind: str, settings: dict[str, object], folder: Path) -> None:
    """Save a checkpoint with random weights."""
    import transformers

    config = getattr(transformers, f"{kind}Config")(**settings)
    getattr(transformers, f"{kind}Model")(config).save_pretrained(folder)
    if kind == "Whisper":
        size = settings.get("num_mel_bins", 80)
        transformers.WhisperFeatureExtractor(feature_size=size).save_pretrained(folder)
    else:
        transformers.Wav2Vec2FeatureExtractor().save_pretrained(folder)


def compare(folder: Path, clips: list[np.ndarray], rounds: int = 3) -> dict[str, float]:
    """Median over rounds of the CPU ms that a clip takes, each way."""
    import transformers

    from ser.features.speech_model import PRECISIONS, SpeechModelFeatures

    os.environ["SER_STORE"] = str(folder / "features.sqlite")  # exports lie beside it
    ways = {
        f"{backend} {precision}": SpeechModelFeatures(
            checkpoint=str(folder), backend=backend, precision=precision
        )
        for backend, precisions in PRECISIONS.items()
        for precision in precisions
    }
    extractor = transformers.AutoFeatureExtractor.from_pretrained(folder)
    whole = transformers.AutoModel.from_pretrained(folder, dtype="float32").eval()
    model = whole.get_encoder() if whole.config.is_encoder_decoder else whole
    times = {name: [] for name in (*ways, "transformers")}
    for _ in range(1 + rounds):
        for name in times:
            start = time.process_time()
            for y in clips:
                if name != "transformers":
                    ways[name](y, 16_000)
                    continue
                heard = extractor(y, sampling_rate=16_000, return_tensors="pt")
                out = model(next(iter(heard.values())), output_hidden_states=True).hidden_states
                [(layer.mean(1), layer.std(1)) for layer in out]
            times[name].append(1000 * (time.process_time() - start) / len(clips))
    return {name: float(np.median(each[1:])) for name, each in times.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("root", type=Path)
    parser.add_argument("--clips", type=int, default=20)
    parser.add_argument("--checkpoint", type=Path)
    parser.add_argument("--presets", nargs="*", default=list(PRESETS))
    given = parser.parse_args()
    import torch

    torch.set_num_threads(1)
    torch.set_grad_enabled(False)
    files = sorted(given.root.rglob("*.wav"))
    clips = []
    for file in files[:: max(1, len(files) // given.clips)][: given.clips]:
        y, sr = soundfile.read(file, dtype="float32", always_2d=True)
        clips.append(soxr.resample(y.mean(axis=1), sr, 16_000))
    if given.checkpoint:
        with tempfile.TemporaryDirectory() as folder:
            shutil.copytree(given.checkpoint, folder, dirs_exist_ok=True)
            print(json.dumps(compare(Path(folder), clips)))
        return
    for name in given.presets:
        with tempfile.TemporaryDirectory() as folder:
            make(*PRESETS[name], Path(folder))
            times = compare(Path(folder), clips)
            print(name, {way: round(ms, 1) for way, ms in times.items()}, flush=True)


if __name__ == "__main__":
    main()
