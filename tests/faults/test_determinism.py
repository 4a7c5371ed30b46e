"""The same config, seed and machine: the same numbers to the last bit, however they are computed.

Workers, threads of BLAS around the call and a second run may change nothing; nor may the way by
which a clip comes to its vector, from the store or in front of a trained model.
"""

import numpy as np
import pandas as pd
import pytest
from composing import composed
from hydra.utils import instantiate
from test_configs import FAST, MODELS, NETWORKS, OWN_FEATURES
from test_tune import study_of, tune_demo
from threadpoolctl import threadpool_limits

from ser.data import splits
from ser.data.dataset import Dataset
from ser.data.recordings import Recording, Windows
from ser.evaluation.plan import Settings
from ser.evaluation.protocol import evaluate
from ser.features.store import extract
from ser.models.trained import TrainedModel
from ser.train.build import model_pipeline

FEATURES = ("notebook", "functionals", "prosody", "logmel")
SMALL = {
    **FAST,
    "stacking": ["model.classifier.n_splits=3"],  # of four actors
    "random_forest": ["model.classifier.n_estimators=20"],
    "mlp": ["model.classifier.max_iter=30"],
    "mlp_default": ["model.classifier.max_iter=30"],
    **{network: [*FAST[network], "model.classifier.epochs=2"] for network in NETWORKS},
}
SPLITS = {
    "several folds": lambda clips: splits.actor_folds(clips, folds=[[1, 2], [3, 4], [5, 6]]),
    "one fold": lambda clips: splits.random(clips, test_size=0.2, validation_size=0.2, seed=1),
}


@pytest.fixture(scope="module")
def table():
    """Clips of six actors and three emotions; several folds, and wide enough for BLAS's threads."""
    emotion = np.tile(["angry", "calm", "sad"], 36)
    actor = np.repeat(np.arange(1, 7), 18)
    path = [f"{number:03d}.wav" for number in range(108)]
    return pd.DataFrame({"path": path, "emotion": emotion, "actor": actor})


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_model_has_the_same_probabilities_by_any_workers_and_threads(model, table):
    if model in NETWORKS:
        pytest.importorskip("skorch", reason="needs ser[deep]")
    cfg = composed(f"model={model}", *SMALL.get(model, ()))
    n_columns = len(instantiate(cfg.features).names) if model in OWN_FEATURES else 180
    rng = np.random.default_rng(0)
    X = rng.normal(size=(108, n_columns)) + 0.2 * pd.factorize(table["emotion"])[0][:, None]
    X = X.astype(np.float32)
    for splitter in SPLITS.values():
        split, outcomes = splitter(table), []
        for n_jobs, n_threads in ((1, 2), (2, 1), (2, 2)):
            pipeline, _ = model_pipeline(cfg)
            with threadpool_limits(n_threads):
                settings = Settings(n_splits=2, seed=cfg.seed, n_jobs=n_jobs)
                outcome = evaluate(pipeline, Dataset(table, X), split, settings)
                kept = TrainedModel(outcome.pipeline, None, False).probabilities(X)
            outcomes.append((outcome.predictions, kept))
        (first, first_kept), *others = outcomes
        parts = {"test"} if len(split.folds) > 1 else {"cv", "validation", "test"}
        assert set(first["part"]) == parts
        for predictions, kept in others:
            pd.testing.assert_frame_equal(predictions, first, check_exact=True)
            np.testing.assert_array_equal(kept, first_kept)


def test_tune_proposes_the_same_trials_again(run_cli, demo_root, tmp_path):
    found = []
    for study in ("first", "second"):
        run_cli(
            *tune_demo(demo_root, tmp_path, "model=decision_tree", f"tuner.study={study}"),
            "tuner.n_trials=12",  # the sampler draws ten before it learns from them
            "compute.n_jobs=1",
        )
        trials = study_of(tmp_path, study).trials
        found.append([(trial.params, trial.value, trial.state) for trial in trials])
    assert len(found[0]) == 12
    assert found[0] == found[1]


class Listener:
    """Stands where a fitted Pipeline does, and keeps the vectors that it is asked about."""

    classes_ = np.array(["angry", "calm"])

    def __init__(self):
        self.vectors = []

    def predict_proba(self, X):
        self.vectors += list(X)
        return np.full((len(X), 2), 0.5)


@pytest.mark.parametrize("name", FEATURES)
def test_vector_is_the_same_by_any_way_to_it(name, demo_root, tmp_path):
    import ser.app
    from ser.tracking.pyfunc import EmotionModel

    feature_set = instantiate(composed(f"features={name}").features)
    paths = [str(path) for path in sorted(demo_root.rglob("*.wav"))[:34]]  # three batches
    stored = {}
    for n_jobs in (1, 2):
        with threadpool_limits(3 - n_jobs):
            store = tmp_path / f"{n_jobs}.sqlite"
            stored[n_jobs] = extract(paths, feature_set, store=store, n_jobs=n_jobs).X
    assert stored[1].tobytes() == stored[2].tobytes()

    wanted = stored[1][:6]
    model = TrainedModel(Listener(), feature_set, False)
    served, few = EmotionModel(), paths[:6]
    served.model = model
    recordings = [Recording(path) for path in few]
    windows = Windows(600, 600)
    for n_threads in (1, 2):
        with threadpool_limits(n_threads):
            list(model.predict(recordings, n_jobs=1))
            served.predict(None, pd.DataFrame({"path": few}))
            for path in few:
                ser.app.predict_and_draw(model, model, windows, path)
    assert len(model.pipeline.vectors) == 36
    for way, vectors in enumerate(np.reshape(model.pipeline.vectors, (6, *wanted.shape))):
        assert vectors.tobytes() == wanted.tobytes(), way
