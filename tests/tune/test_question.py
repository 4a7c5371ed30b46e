"""One study, one question: what is kept, what is refused, and what all the same goes on."""

import numpy as np
import optuna
import pandas as pd
import pytest
from composing import composed, experiment
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from undrawn import draw_nothing

from ser.core.errors import SerError
from ser.data.dataset import Dataset
from ser.data.folds import Fold, Split
from ser.train import build
from ser.tune.question import differences, question_of, short_digest
from ser.tune.storage import open_study

DIGESTS = np.array([f"{i:02d}" for i in range(12)])
FOLDS = (Fold(np.arange(6), np.arange(6, 12)), Fold(np.arange(6, 12), np.arange(6)))


def question(*overrides, digests=DIGESTS, emotions="ab", folds=FOLDS):
    clips = pd.DataFrame({"emotion": list(emotions) * 6, "actor": [1, 2, 3] * 4})
    data = Dataset(clips, np.zeros((12, 1)), digests=digests)
    cfg = composed("model=svm", *overrides, config="tune")
    return question_of(build.plain(cfg), data, Split(folds, frozenset()))


@pytest.fixture(scope="module")
def asked():
    return question()


@pytest.mark.parametrize(
    ("other", "key"),
    [
        ({"digests": DIGESTS[::-1]}, "clips"),
        ({"emotions": "ba"}, "clips"),
        ({"folds": FOLDS[:1]}, "folds"),
        ("seed=2", "seed"),
        ("tuner.metric=accuracy", "metric"),
        ("pruner=hyperband", "prune_by"),
        ("scaler=minmax", "scaler._target_"),
        ("features.n_mfcc=20", "features.n_mfcc"),
        ("augmentation=gain", "augmentation"),
        ("selection=mutual_information", "selection"),
        ("model.classifier.kernel=linear", "model.classifier.kernel"),
        ("cv.n_splits=5", "cv.n_splits"),
        ("calibrate=sigmoid", "calibrate"),
        ("search_space.parameters.scaler.choices=[none]", "search_space.parameters.scaler.choices"),
    ],
)
def test_another_question_is_another_one(other, key, asked):
    before = asked
    now = question(other) if isinstance(other, str) else question(**other)
    assert any(part.startswith(key) for part in differences(before, now).split("; "))
    assert short_digest(before) != short_digest(now)


def test_what_no_score_depends_on_is_not_asked(monkeypatch, asked):
    before = asked
    tuner = ("tuner.n_trials=5", "tuner.study=x", "tuner.seed=3", "sampler=random")
    others = ("data=demo", "curves=none", "explain=true", "compute.n_jobs=2")
    assert question(*tuner, *others) == before
    monkeypatch.setattr("ser.tracking.provenance.package_versions", lambda: {"numpy": "0.1"})
    monkeypatch.setattr("ser.tracking.provenance.code_digest", lambda: "edited")
    said = differences(before, question())
    assert "code: " in said and "-> edited" in said and "packages." in said


@pytest.mark.parametrize("url", [None, "sqlite:///{}/studies.db"])
def test_a_study_is_gone_on_with_by_its_own_question_alone(tmp_path, url):
    storage = url.format(tmp_path) if url else f"{tmp_path}/studies.journal"
    for n_before in (0, 1):
        with open_study(storage, "mine", question={"seed": 1, "metric": "uar"}) as (study, _):
            assert len(study.trials) == n_before
            study.tell(study.ask(), 0.5)
    with (
        pytest.raises(SerError, match=r"'mine' in .* seed: 1 -> 2\. .*tuner\.study"),
        open_study(storage, "mine", question={"seed": 2, "metric": "uar"}),
    ):
        pass
    with open_study(storage, "mine", question={"seed": 1, "metric": "uar"}) as (study, _):
        assert len(study.trials) == 2


def test_a_study_that_does_not_say_its_question_is_refused(tmp_path):
    storage = f"{tmp_path}/studies.journal"
    study = optuna.create_study(
        study_name="old", storage=JournalStorage(JournalFileBackend(storage))
    )
    study.tell(study.ask(), 1.0)
    with (
        pytest.raises(SerError, match=r"an older ser made it.*tuner\.study another name"),
        open_study(storage, "old", question={"seed": 1}),
    ):
        pass


@pytest.fixture
def tune(demo_root, demo_store, tmp_path, client, monkeypatch):
    """A search of a few trials in this process."""
    draw_nothing(monkeypatch)

    def run(*overrides, n_trials=1, model="naive_bayes", space=None):
        tuned = experiment(
            *("data=demo", f"data.root={demo_root}", "data.speakers=4", f"store={demo_store}"),
            *(f"model={model}", "cv.n_splits=2", "curves=none", "compute.n_jobs=1"),
            f"tracking.uri={client.tracking_uri}",
            *(f"tuner.storage={tmp_path}/studies.journal", f"tuner.n_trials={n_trials}"),
            *overrides,
            config="tune",
        )
        if space is not None:
            tuned.cfg.search_space.parameters = space
        return tuned.run()

    return run


def test_a_named_study_refuses_what_a_default_name_keeps_apart(tune):
    first = tune("tuner.study=mine")
    assert first.study == "mine"
    for other, said in (
        ("seed=2", "seed: 69 -> 2"),
        ("tuner.metric=accuracy", "metric: uar -> accuracy"),
        ("data.speakers=3", "clips: "),
    ):
        with pytest.raises(SerError, match=said):
            tune("tuner.study=mine", other)


@pytest.mark.slow
def test_default_names_keep_questions_apart(tune):
    named = {}
    for overrides in ((), ("seed=2",), ("tuner.metric=accuracy",), ("data.speakers=3",)):
        result = tune(*overrides)
        assert len(result.trials) == 1, overrides
        assert result.study.startswith("naive_bayes-random-demo-notebook-naive_bayes-")
        named[result.study] = result
    assert len(named) == 4
    assert len(tune().trials) == 2


@pytest.mark.slow
def test_nested_folds_of_another_seed_are_searched_anew(tune, tmp_path):
    nested = ("tuner.nested=true", "split=loso")
    storage = JournalStorage(JournalFileBackend(f"{tmp_path}/studies.journal"))
    first = tune(*nested, "seed=1")
    assert tune(*nested, "seed=1").metrics["test_uar"] == first.metrics["test_uar"]
    assert len(optuna.get_all_study_names(storage)) == 4  # a fold for each actor
    tune(*nested, "seed=2")
    assert len(optuna.get_all_study_names(storage)) == 8


def test_a_command_whose_trials_all_fail_fails(tune):
    """Another trial of the study may be good, but not one of these."""
    space = {"model.classifier.var_smoothing": {"choices": [-1.0]}}
    with pytest.raises(SerError, match="None of the 3 trials of this command could be scored"):
        tune(n_trials=3, space=space)


@pytest.mark.slow
def test_a_study_of_equal_scores_ends_with_its_best_tested(tune, client):
    """Optuna's importances fail where every trial has the same score."""
    space = {"model.classifier.constant": {"choices": ["a", "b", "c"]}}
    strategy = "model.classifier.strategy=most_frequent"
    result = tune(strategy, "search_space=svm", model="dummy", n_trials=4, space=space)
    assert result.trials["value"].tolist() == [result.trials["value"][0]] * 4
    assert result.metrics["test_uar"] == pytest.approx(1 / 8)
    demo = client.get_experiment_by_name("demo").experiment_id
    (run,) = client.search_runs([demo], "tags.kind = 'tune'")
    assert "left_out" not in run.data.tags
    drawn = {file.path for file in client.list_artifacts(run.info.run_id, "figures")}
    assert "figures/slice.png" in drawn


@pytest.mark.slow
def test_a_search_by_a_loss_looks_for_the_lowest(tune):
    result = tune("tuner.metric=log_loss", n_trials=3)
    assert result.metrics["cv_log_loss_mean"] == pytest.approx(result.trials["value"].min())
