"""Tiny random checkpoints of speech encoders, as a hub would have them."""

import json

RATE = 16_000
_CONVOLUTIONS = {"conv_dim": (8, 8), "conv_kernel": (10, 8), "conv_stride": (5, 64)}
_SMALL = {
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 24,
    "num_conv_pos_embeddings": 8,
    "num_conv_pos_embedding_groups": 2,
    **_CONVOLUTIONS,
}
_WHISPER = {
    "d_model": 16,
    "encoder_layers": 2,
    "decoder_layers": 1,
    "encoder_attention_heads": 2,
    "decoder_attention_heads": 2,
    "encoder_ffn_dim": 24,
    "decoder_ffn_dim": 24,
    "vocab_size": 30,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "decoder_start_token_id": 1,
}
# Name -> classes of transformers, and their settings: encoders that normalise over a clip
# (feat_extract_norm "group", the default) and over a frame, with a head and without.
KINDS = {
    "wav2vec2": ("Wav2Vec2", "Model", _SMALL),
    "wav2vec2-layer-norm": (
        *("Wav2Vec2", "ForSequenceClassification"),
        {**_SMALL, "feat_extract_norm": "layer", "do_stable_layer_norm": True},
    ),
    "hubert": ("Hubert", "Model", _SMALL),
    "wavlm": ("WavLM", "Model", {**_SMALL, "num_buckets": 16, "max_bucket_distance": 40}),
    "data2vec-audio": ("Data2VecAudio", "Model", {**_SMALL, "conv_pos_kernel_size": 3}),
    "whisper": ("Whisper", "ForConditionalGeneration", _WHISPER),
    "whisper-without-head": ("Whisper", "Model", _WHISPER),
}


def make_checkpoint(name, folder, *, seed=0, **saving):
    """Save a random checkpoint of one of `KINDS` to a folder; return it."""
    import torch
    import transformers

    kind, head, settings = KINDS[name]
    torch.manual_seed(seed)
    config = getattr(transformers, f"{kind}Config")(**settings)
    model = getattr(transformers, f"{kind}{head}")(config)
    model.eval().save_pretrained(folder, **saving)
    if kind == "Whisper":
        transformers.WhisperFeatureExtractor().save_pretrained(folder)
    else:
        told = {"sampling_rate": RATE, "do_normalize": "layer-norm" in name or kind == "WavLM"}
        (folder / "preprocessor_config.json").write_text(json.dumps(told))
    return folder


def layers_by_transformers(folder, y):
    """Every layer's output for one clip, (n_frames, width) each, as transformers computes it."""
    import torch
    from transformers import AutoConfig, AutoModel, WhisperFeatureExtractor

    model = AutoModel.from_pretrained(folder).eval()
    with torch.inference_mode():
        if AutoConfig.from_pretrained(folder).model_type == "whisper":
            mel = WhisperFeatureExtractor.from_pretrained(folder)(
                y, sampling_rate=RATE, return_tensors="pt"
            ).input_features
            out = model.encoder(mel, output_hidden_states=True).hidden_states
            return [layer[0, : round(len(y) / 320)].numpy() for layer in out]
        told = json.loads((folder / "preprocessor_config.json").read_text())
        if told["do_normalize"]:
            y = (y - y.mean()) / (y.var() + 1e-7) ** 0.5
        out = model(torch.from_numpy(y)[None], output_hidden_states=True).hidden_states
        return [layer[0].numpy() for layer in out]
