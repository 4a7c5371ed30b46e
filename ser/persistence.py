"""A fitted model as a folder: the Pipeline (skops, no pickle) and the features that feed it."""

from __future__ import annotations

import json
from importlib import import_module
from pathlib import Path

import sklearn.utils
from sklearn.pipeline import Pipeline

from ser.errors import SerError
from ser.features import FeatureSet, settings

PIPELINE_FILE = "pipeline.skops"
FEATURES_FILE = "features.json"

# skops trusts a small set of types by itself. A model may hold these besides; a file that asks for
# anything else is refused. All are plain containers of numbers, none runs code when it is built.
TRUSTED_PREFIXES = ("sklearn.", "ser.calibration.", "numpy.", "scipy.sparse.")


def import_skops() -> None:
    """Import skops without its list of scikit-learn's estimators, for which it loads them all.

    `TRUSTED_PREFIXES` covers them here, and it takes a second. Others who use skops in the same
    process would miss the list, so only entry points may call this, whose process is their own.
    """
    everything = sklearn.utils.all_estimators
    sklearn.utils.all_estimators = list
    try:
        import skops.io  # noqa: F401
    finally:
        sklearn.utils.all_estimators = everything


def save_model(
    pipeline: Pipeline, feature_set: FeatureSet, folder: Path, *, scale_by_speaker: bool = False
) -> tuple[Path, Path]:
    """Write the pipeline and the settings of its features into a folder; return the two files."""
    import skops.io

    folder.mkdir(parents=True, exist_ok=True)
    pipeline_file, features_file = folder / PIPELINE_FILE, folder / FEATURES_FILE
    skops.io.dump(pipeline, pipeline_file)
    wanted = {**settings(feature_set), "scale_by_speaker": scale_by_speaker}
    features_file.write_text(json.dumps(wanted, indent=2) + "\n")
    return pipeline_file, features_file


def load_pipeline(file: Path) -> Pipeline:
    """Read a pipeline that `save_model` wrote.

    Raises
    ------
    SerError
        If the file holds a type that is not trusted.
    """
    import skops.io

    unknown = skops.io.get_untrusted_types(file=file)
    refused = [name for name in unknown if not name.startswith(TRUSTED_PREFIXES)]
    if refused:
        raise SerError(
            f"{file} holds types that are not trusted: {', '.join(refused)}. It was not written by "
            "ser, or by another version of it. Do not load it unless you know where it is from."
        )
    return skops.io.load(file, trusted=unknown)


def load_features(file: Path) -> tuple[FeatureSet, bool]:
    """Build the feature set whose settings `save_model` wrote.

    Returns
    -------
    feature_set : FeatureSet
    scale_by_speaker : bool
        Whether its vectors go through `SpeakerScaler` before the pipeline.

    Raises
    ------
    SerError
        If the class is not one of `ser.features`, or its definition has changed since.
    """
    wanted = json.loads(Path(file).read_text())
    scale_by_speaker = wanted.pop("scale_by_speaker", False)
    values = {k: v for k, v in wanted.items() if k not in ("_target_", "version")}
    module, _, name = wanted["_target_"].rpartition(".")
    # A name from a file must not choose what is imported: only feature sets of this package.
    if not module.startswith("ser.features."):
        raise SerError(f"{file} names {wanted['_target_']}, which is not a feature set of ser.")
    kind = getattr(import_module(module), name)
    if kind.version != wanted["version"]:
        raise SerError(
            f"The model was trained on version {wanted['version']} of {name}; this ser computes "
            f"version {kind.version}, with other numbers. Use the ser that trained it."
        )
    return kind(**values), scale_by_speaker
