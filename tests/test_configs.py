"""Every YAML composes, instantiates and fits; what is misspelt is refused, with the choices."""

import hashlib
import importlib.util
import json
import re

import numpy as np
import pytest
from composing import composed
from hydra.utils import instantiate
from omegaconf import OmegaConf

from ser.core import paths
from ser.core.errors import SerError
from ser.core.experiment import compose
from ser.models.pipeline import fit
from ser.train import build
from ser.train.build import model_pipeline
from ser.train.run import FROZEN, train_tags
from ser.train.variants import overrides_by_name

CHOICES = {
    group.name: sorted(file.stem for file in group.glob("*.yaml"))
    for group in paths.CONF.iterdir()
    if group.is_dir()
}


# Those that bring NetClassifier, most of them by conf/network.yaml; also one of one's own.
NETWORKS = [
    model
    for model in CHOICES["model"]
    if re.search(
        r"^  - /network$|NetClassifier",
        (paths.CONF / "model" / f"{model}.yaml").read_text(encoding="utf-8"),
        re.M,
    )
]

# Digest of what a frozen recipe comes to: whoever changes one gives it a new version.
RECIPES = {
    "best_inductive/2": "25e85c5abc86b5f9",
    "best_random/2": "af762cf56e31c378",
    "best_speech_model/1": "9b7f43da8505a464",
    "best_speech_model_transductive/1": "bac365f287c16efa",
    "best_transductive/2": "cece3182fcbdeee4",
}

# What an encoder's weights are needed for: tests/models/test_finetune.py.
MODELS = [model for model in CHOICES["model"] if model != "finetune"]


@pytest.mark.parametrize(
    ("group", "choice"),
    [(group, choice) for group, choices in CHOICES.items() for choice in choices],
)
def test_config_composes(group, choice):
    of_tune = ("search_space", "sampler", "pruner", "tuner")
    cfg = composed(f"{group}={choice}", config="tune" if group in of_tune else "train")
    if group == "experiment":
        # A recipe has variants, is a search, or changes what one run is.
        plain = composed(config="train")
        assert (
            cfg.get("variants") or cfg.get("tuner") or cfg.model != plain.model or cfg.permutations
        )
        # Every variant composes by itself: nothing else of the recipe reaches it.
        varied = cfg.get("variants") or {}
        assert set(OmegaConf.load(paths.CONF / group / f"{choice}.yaml")) <= (
            {"variants"}
            if varied
            else {"defaults", "permutations", "model", "features", "tuner", "compute", "recipe"}
        )
        of_variants = list(overrides_by_name(varied).values()) if varied else []
        for overrides in of_variants[:: 1 + len(of_variants) // 20]:
            composed(*(varied.get("common") or ()), *overrides)
    elif group in ("sampler", "pruner"):
        assert cfg.tuner[group]["_target_"].startswith(f"optuna.{group}s.")
    else:
        assert cfg[group] is None or cfg[group]


@pytest.mark.parametrize(
    "model",
    [
        pytest.param(model, marks=[pytest.mark.extra] if model in NETWORKS else [])
        for model in MODELS
    ],
)
def test_model_fits_and_gives_probabilities(model):
    if model in NETWORKS:
        pytest.importorskip("skorch", reason="needs ser[deep]")
    cfg = composed(f"model={model}", *FAST.get(model, ()))
    rng = np.random.default_rng(0)
    y = np.repeat(["angry", "calm", "sad"], 40)
    n_columns = len(instantiate(cfg.features).names) if model in OWN_FEATURES else 12
    X = rng.normal(size=(120, n_columns)) + np.repeat(np.arange(3), 40)[:, None]
    pipeline, _ = model_pipeline(cfg)
    fitted = fit(pipeline, X, y)
    proba = fitted.predict_proba(X)
    np.testing.assert_allclose(proba.sum(axis=1), 1)
    np.testing.assert_array_equal(fitted.predict(X), fitted.classes_[proba.argmax(axis=1)])
    assert fitted.score(X, y) > (0.3 if model == "dummy" else 0.8)


OWN_FEATURES = (*NETWORKS, "kernel_ridge_by_set", "fisher_vectors")
SMALL_NETWORK = [
    "features.n_mels=16",
    "features.seconds=0.4",
    "model.classifier.epochs=20",
    "model.classifier.checkpoints=null",
]
FAST = {
    "fisher_vectors": ["features.seconds=0.4", "model.fisher_vectors.n_components=4"],
    "random_forest": ["model.classifier.n_estimators=50"],
    "adaboost": ["model.classifier.n_estimators=20"],
    "mlp": ["model.classifier.max_iter=200"],
    "gradient_boosting": ["model.classifier.max_iter=20"],
    "kernel_ridge_by_set": [
        "features@features.sets.functionals=notebook",
        "features@features.sets.compare=prosody",
    ],
    **dict.fromkeys(NETWORKS, SMALL_NETWORK),
}


@pytest.mark.parametrize("command", ["train", "tune", "explore"])
def test_store_and_log_lie_in_the_project_unless_the_environment_says_otherwise(
    command, monkeypatch
):
    for variable in ("SER_STORE", "MLFLOW_TRACKING_URI"):
        monkeypatch.delenv(variable, raising=False)
    cfg = composed(config=command)
    assert cfg.store == str(paths.PROJECT / "data" / "features.sqlite")
    assert cfg.tracking.uri == f"sqlite:///{paths.PROJECT}/mlruns/mlflow.db"
    monkeypatch.setenv("SER_STORE", "/elsewhere/features.sqlite")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:5000")
    cfg = composed(config=command)
    assert (cfg.store, cfg.tracking.uri) == ("/elsewhere/features.sqlite", "http://127.0.0.1:5000")


@pytest.mark.parametrize("scaler", CHOICES["scaler"])
def test_scaler_instantiates(scaler):
    step = instantiate(composed(f"scaler={scaler}").scaler)
    assert (step is None) == (scaler == "none")


def test_seed_reaches_the_split_and_every_random_model():
    assert composed("model=finetune", "seed=7").model.classifier.random_state == 7
    for model in MODELS:
        cfg = composed(f"model={model}", "seed=7")
        assert cfg.split.seed == 7
        classifier = instantiate(cfg.model)["classifier"]
        assert classifier.get_params().get("random_state", 7) in (7, None if model == "svm" else 7)


def test_misspelt_choice_lists_the_choices_and_key_is_an_error(run_cli):
    wrong = run_cli("ser.train", "model=nope", check=False)
    assert wrong.returncode == 1
    assert "knn_weighted" in wrong.stderr
    wrong = run_cli("ser.train", "model.classifier.gama=1", check=False)
    assert wrong.returncode == 1
    assert "gama" in wrong.stderr
    assert "Traceback" not in wrong.stderr


def test_configuration_reference_is_what_conf_says():
    spec = importlib.util.spec_from_file_location(
        "make_configuration", paths.PROJECT / "docs" / "make_configuration.py"
    )
    maker = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(maker)
    page = maker.PAGE.read_text(encoding="utf-8")
    assert page == maker.page(), "docs/configuration.md is stale: python docs/make_configuration.py"
    for row in (
        "| `model=` | `svm` |",
        "| `cv.n_splits` | `null` |",
        "| `classifier.C` | `10.0` |",
    ):
        assert row in page


def test_the_old_key_of_variants_says_what_it_is_now(tmp_path):
    (tmp_path / "experiment").mkdir()
    recipe = "# @package _global_\nstudy: {title: old, variants: {a: [model=knn]}}\n"
    (tmp_path / "experiment" / "old.yaml").write_text(recipe)
    with pytest.raises(SerError, match="is 'variants' now"):
        compose(["experiment=old"], config="train", config_dir=tmp_path)


@pytest.mark.parametrize("recipe", sorted(RECIPES))
def test_frozen_recipe_is_what_it_was(recipe):
    cfg = composed(f"experiment={recipe.split('/')[0]}")
    jobs = [cfg]
    if cfg.variants:
        common = list(cfg.variants.common)
        jobs = [composed(*common, *job) for job in overrides_by_name(cfg.variants).values()]
    held = [{part: build.plain(job)[part] for part in (*FROZEN, "seed")} for job in jobs]
    assert [job.recipe for job in jobs] == [recipe] * len(jobs)
    digest = hashlib.sha256(json.dumps(held, sort_keys=True).encode()).hexdigest()
    assert digest[:16] == RECIPES[recipe]


@pytest.mark.parametrize(
    ("given", "tag"),
    [
        (["experiment=best_inductive", "data=emodb", "seed=2"], "best_inductive/2"),
        (["experiment=best_inductive", "split=emobox6"], "best_inductive/2, changed"),
        (["experiment=best_inductive", "model=svm"], "best_inductive/2, changed"),
        (["model=kernel_ridge_by_set", "recipe=best_random/2"], "best_random/2"),
    ],
)
def test_recipe_that_is_changed_by_hand_says_so(given, tag):
    assert train_tags(compose(given, config="train"))["recipe"] == tag
