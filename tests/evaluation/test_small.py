"""Corpora of a few clips, speakers and emotions: a result, or a sentence before it costs time."""

import warnings
from functools import cache

import numpy as np
import pandas as pd
import pytest
from composing import composed, experiment
from hydra.utils import instantiate
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ser.core.errors import SerError, ser_error_behind
from ser.data import splits
from ser.data.dataset import Dataset
from ser.data.folds import Split
from ser.evaluation.plan import Settings, inner_split, plan, try_model
from ser.evaluation.protocol import evaluate
from ser.train import build

SPLITS = ["random", "random_60_20_20", "random_10fold", "speaker", "loso", "statement"]
SPLITS += ["speaker_statement", "luna5", "emobox6"]
FAST = ["svm", "knn", "naive_bayes", "kernel_ridge"]
MODELS = [*FAST, "svm_linear", "ensemble", "stacking", "lda", "qda", "logistic_regression"]
MODELS += ["decision_tree", "dummy", "knn_weighted", "mlp", "mlp_default", "random_forest"]
MODELS += ["gradient_boosting", "adaboost"]
QUICK = {  # of what takes long
    "random_forest": ["model.classifier.n_estimators=5"],
    "gradient_boosting": ["model.classifier.max_iter=3"],
    "adaboost": ["model.classifier.n_estimators=3"],
    "mlp": ["model.classifier.max_iter=3"],
    "mlp_default": ["model.classifier.max_iter=3"],
}
N_FEATURES = 6


def clip_table(counts):
    """Clips of (n_actors, n_emotions) counts."""
    rows = [
        {"path": f"/c/{a}-{e}-{i}.wav", "emotion": "abc"[e], "actor": a + 1, "statement": 1 + i % 2}
        for (a, e), count in np.ndenumerate(counts)
        for i in range(count)
    ]
    clips = pd.DataFrame(rows, columns=["path", "emotion", "actor", "statement"])
    return clips.assign(gender=np.where(clips["actor"] % 2, "male", "female"))


TOLD_BY_SPEAKER = clip_table([[0, 6]] * 2 + [[6, 0]] * 6).drop(columns="gender")  # 2 are patients


composed = cache(composed)


def outcome(clips, model, split, *more):
    """The evaluation of a command, on vectors of noise; only what comes before fits may refuse."""
    cfg = composed(
        f"model={model}", f"split={split}", "compute.n_jobs=1", *QUICK.get(model, ()), *more
    )
    pipeline, _ = build.model_pipeline(cfg)
    of_run = build.evaluation_settings(cfg)
    try:
        made = instantiate(cfg.split, clips)
        try_model(pipeline, Dataset(clips), plan(Dataset(clips), made, of_run), (N_FEATURES,))
    except Exception as error:
        if found := ser_error_behind(error):
            return str(found)
        raise
    X = np.random.default_rng(0).normal(size=(len(clips), N_FEATURES)).astype(np.float32)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        evaluation = evaluate(pipeline, Dataset(clips, X), made, of_run)
    assert not caught
    assert len(evaluation.warnings) < 5
    assert all(np.isfinite(value) for value in evaluation.metrics.values())
    assert not evaluation.predictions.isna().any(axis=None)
    return evaluation


counts = st.integers(2, 4).flatmap(
    lambda n_actors: st.integers(2, 3).flatmap(
        lambda n_emotions: st.lists(
            st.lists(
                st.integers(-3, 8).map(lambda n: max(n, 0)),
                min_size=n_emotions,
                max_size=n_emotions,
            ),
            min_size=n_actors,
            max_size=n_actors,
        )
    )
)
MORE = [(), ("curves=all",), ("calibrate=sigmoid",), ("curves=none", "permutations=2")]


def check_any_small_table(table, model, split, more):
    clips = clip_table(np.array(table))
    if clips["emotion"].nunique() < 2:
        return
    found = outcome(clips, model, split, *more)
    if isinstance(found, str):
        assert found.endswith(".") and "\n" not in found


SMALL = settings(derandomize=True, deadline=None, max_examples=8)
BULK = settings(SMALL, max_examples=40, suppress_health_check=[HealthCheck.too_slow])


@SMALL
@given(table=counts, model=st.sampled_from(FAST), split=st.sampled_from(SPLITS))
def test_a_small_table_has_a_result_or_a_sentence(table, model, split):
    check_any_small_table(table, model, split, ("curves=none",))


@pytest.mark.slow
@BULK
@given(counts, st.sampled_from(MODELS), st.sampled_from(SPLITS), st.sampled_from(MORE))
def test_a_small_table_has_a_result_or_a_sentence_whatever_the_model(table, model, split, more):
    check_any_small_table(table, model, split, more)


@pytest.mark.parametrize("split", ["random", "loso"])
def test_two_emotions_told_by_speaker(split):
    """2 patients and 6 controls: what the corpus allows has a result."""
    found = outcome(TOLD_BY_SPEAKER, "svm", split, "curves=none")
    assert not isinstance(found, str), found
    assert found.labels == ("a", "b")


@pytest.mark.slow
@pytest.mark.parametrize("model", MODELS)
def test_two_emotions_told_by_speaker_whatever_the_model(model):
    """Whatever else is asked for."""
    for split in ("random", "loso"):
        for more in MORE:
            found = outcome(TOLD_BY_SPEAKER, model, split, *more)
            assert not isinstance(found, str), found


def test_uar_is_pooled_where_a_fold_has_one_emotion():
    """A fold of one patient has the patients' recall alone; the run's UAR is of all test clips."""
    evaluation = outcome(TOLD_BY_SPEAKER, "dummy", "loso", "curves=none")
    assert evaluation.fold_scores["uar"] == [0.0] * 2 + [1.0] * 6
    assert evaluation.metrics["test_uar"] == 0.5
    assert "fold_auc_macro" not in evaluation.fold_scores


# Folds by what the clips allow


def folds_of(clips, split, **more):
    planned = plan(Dataset(clips), split, Settings(seed=1, **{"learning_actors": (1, 2), **more}))
    return (len(planned.inner.folds) if planned.inner else 0), planned.notes


def test_cross_validation_has_as_many_folds_as_the_clips_allow(clips):
    loso = splits.loso
    assert folds_of(clips, loso(clips)) == (10, ())
    few = clip_table(np.full((4, 3), 8))
    said = "4 cross-validation folds instead of 10: the clips have only 4 training actors."
    assert folds_of(few, loso(few)) == (4, (said,))
    assert folds_of(few, loso(few), n_splits=3) == (3, ())
    rare = clip_table([[8, 2], [8, 1], [8, 0]])
    said = "3 cross-validation folds instead of 10: the clips have only 3 training clips of b."
    assert folds_of(rare, loso(rare)) == (3, (said,))
    few = clip_table(np.full((4, 3), 2))
    by_clip = splits.random(few, test_size=0.2, seed=1)
    number, notes = folds_of(few, by_clip)
    assert number == min(
        np.unique(few["emotion"].iloc[by_clip.folds[0].train], return_counts=True)[1]
    )
    assert f"the clips have only {number} training clips of" in notes[-1]


def test_no_cross_validation_where_an_emotion_is_of_one_training_actor():
    """Left out, nobody is left to learn it of. By default that is said, asked for it is refused."""
    patients = TOLD_BY_SPEAKER["actor"].isin([2, 8]).to_numpy()
    one_left = splits._without_actors(TOLD_BY_SPEAKER, [2, 8])
    split = Split((one_left,), held_out=("actor",))
    assert patients.sum() == len(one_left.test)
    said = "No cross-validation and no learning curve: the clips have only 1 training actor with"
    number, (note,) = folds_of(TOLD_BY_SPEAKER, split)
    assert number == 0 and note.startswith(said)
    with pytest.raises(SerError, match=r"cv\.n_splits=3 would leave a fold no training clip of b"):
        folds_of(TOLD_BY_SPEAKER, split, n_splits=3)
    with pytest.raises(SerError, match="No cross-validation"):  # as a search has it
        inner_split(Dataset(TOLD_BY_SPEAKER), split, Settings(seed=1))


def test_emotions_without_a_test_clip_are_said():
    clips = clip_table([[4, 4, 4], [4, 4, 4], [4, 4, 0]])
    (note,) = folds_of(clips, Split((splits._without_actors(clips, [3]),)), learning_actors=())[1][
        :1
    ]
    assert note == "No test clip is of c: UAR is over the other emotions alone."


@pytest.mark.parametrize("sizes", [[0], [3, -1]])
def test_a_learning_curve_of_no_clips_is_refused(sizes):
    with pytest.raises(SerError, match=r"curves\.learning\.clips"):
        folds_of(TOLD_BY_SPEAKER, splits.loso(TOLD_BY_SPEAKER), learning_clips=tuple(sizes))


def test_a_learning_curve_beyond_the_clips_and_neighbours_beyond_it():
    few = clip_table(np.full((4, 2), 3))
    curve = outcome(few, "knn", "loso", "curves.learning.actors=[1,50]").learning
    assert curve.points == (1, 3)  # all that the smallest fold has
    assert outcome(few, "knn", "loso", "curves=all").validation[0].points[-1] == 50
    found = outcome(few, "knn", "loso", "model.classifier.n_neighbors=19")
    assert found.startswith("KNeighborsClassifier cannot predict 6 clips: Expected n_neighbors <=")


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (
            ["split=loso", "cv.n_splits=4"],
            r"cv\.n_splits=4, but .* only 3 training actors",
        ),
        (
            ["split=random_10fold"],
            r"split\.n_splits=10, but .* only 9 training clips of a",
        ),
        (["split=luna5"], "not in the clip table"),
        (
            ["split=loso", "tuner.nested=true", "cv.n_splits=3"],
            "have only 2 training actors",
        ),
        (["split=loso"], "Empty|empty|0.wav"),
        (["split=loso", "model=knn", "model.classifier.n_neighbors=13"], "cannot predict 6 clips"),
    ],
)
def test_what_cannot_be_is_said_before_a_clip_is_read(overrides, message, tmp_path, client):
    """The files hold no audio, which extraction would say."""
    clips = clip_table(np.full((3, 2), 3))
    clips["path"] = [f"{number}.wav" for number in range(len(clips))]
    for path in clips["path"]:
        (tmp_path / path).write_bytes(b"")
    table = clips.rename(columns={"actor": "speaker"}).assign(duration=1.0, sr=16000)
    table.to_csv(tmp_path / "clips.csv", index=False)
    log = [f"tracking.uri=sqlite:///{tmp_path}/mlruns/mlflow.db", f"store={tmp_path}/f.sqlite"]
    overrides = ["data=table", f"data.table={tmp_path}/clips.csv", *log, *overrides]
    config = "tune" if "tuner.nested=true" in overrides else "train"
    with pytest.raises(Exception, match=message) as raised:
        experiment(*overrides, config=config).run()
    assert ser_error_behind(raised.value)


@pytest.mark.slow
@pytest.mark.filterwarnings("error::RuntimeWarning")
@pytest.mark.parametrize("split", ["random", "loso"])
def test_pictures_and_cards_of_small_corpora_are_drawn(split, tmp_path, client):
    from ser.train.log import track_evaluation

    for number, clips in enumerate([TOLD_BY_SPEAKER, clip_table([[8, 2], [3, 1], [8, 0]])]):
        evaluation = outcome(clips, "svm", split, "curves=all", "permutations=2")
        run = track_evaluation(
            evaluation,
            uri=f"sqlite:///{tmp_path}/mlruns/mlflow.db",
            experiment=f"{number}",
            tags={},
        )
        assert run.metrics["test_uar"] == evaluation.metrics["test_uar"]
        assert set(evaluation.notes) <= set(run.tags.get("warning", "").splitlines())
