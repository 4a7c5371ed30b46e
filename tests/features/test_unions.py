"""Unions of feature sets, openSMILE's among them: columns, store, files of a model."""

import json
import sys

import numpy as np
import pytest
from sklearn.pipeline import Pipeline
from sklearn.svm import SVC

from ser.core.errors import SerError
from ser.features import restore, settings
from ser.features.notebook import NotebookFeatures
from ser.features.opensmile import OpensmileFeatures
from ser.features.prosody import ProsodyFeatures
from ser.features.store import extract
from ser.features.union import UnionFeatures
from ser.models.ensemble import columns_of
from ser.models.trained import FEATURES_FILE, TrainedModel, load_model, save_model

TONE = (0.3 * np.sin(2 * np.pi * 180 * np.arange(24_000) / 16_000)).astype(np.float32)


def union(**more):
    return UnionFeatures(
        sets={"prosody": ProsodyFeatures(), "notebook": NotebookFeatures(), **more}
    )


def test_union_is_its_sets_side_by_side():
    both = union(absent=None)
    assert both.names[0] == "prosody.f0_median"
    assert len(both.names) == 11 + 180
    apart = [one(TONE, 16_000) for one in (ProsodyFeatures(), NotebookFeatures())]
    np.testing.assert_array_equal(both(TONE, 16_000), np.concatenate(apart))
    assert both.min_samples == NotebookFeatures().min_samples


def test_sets_are_stored_each_for_itself(write_tone, tmp_path):
    paths, store = (
        [write_tone(f"{i}.wav", frequency=100 + 50 * i) for i in range(4)],
        tmp_path / "s",
    )
    assert extract(paths, ProsodyFeatures(), store=store).n_extracted == 4
    found = extract(paths, union(), store=store)
    assert found.n_extracted == 4  # the notebook's alone
    assert extract(paths, union(), store=store).n_extracted == 0
    assert extract(paths, NotebookFeatures(), store=store).n_extracted == 0
    np.testing.assert_array_equal(
        found.X[:, 11:], extract(paths, NotebookFeatures(), store=store).X
    )


def test_clip_too_short_for_one_set_is_left_out_of_all(write_tone, tmp_path):
    paths = [write_tone("long.wav"), write_tone("short.wav", seconds=0.05)]
    found = extract(paths, union(), store=tmp_path / "s", on_error="skip")
    assert list(found.errors) == [paths[1]]
    assert np.isnan(found.X[1]).all()
    assert np.isfinite(found.X[0]).all()


def test_union_comes_back_from_a_models_files(tmp_path):
    rng = np.random.default_rng(0)
    pipeline = Pipeline([("classifier", SVC(probability=False))])
    pipeline.fit(rng.normal(size=(20, 191)), np.repeat(["a", "b"], 10))
    save_model(TrainedModel(pipeline, union(), False), tmp_path)
    assert load_model(tmp_path).feature_set == union()
    file = tmp_path / FEATURES_FILE
    wanted = json.loads(file.read_text())
    wanted["sets"]["prosody"]["_target_"] = "os.system"
    file.write_text(json.dumps(wanted))
    with pytest.raises(SerError, match=r"not trusted: os\.system"):
        load_model(tmp_path)
    assert restore(settings(union())) == union()


def test_columns_of_a_set():
    X = np.arange(2 * 191).reshape(2, 191)
    np.testing.assert_array_equal(columns_of("notebook", union()).fit_transform(X), X[:, 11:])
    with pytest.raises(SerError, match="'compare'"):
        columns_of("compare", union())
    with pytest.raises(SerError, match="NotebookFeatures"):
        columns_of("compare", NotebookFeatures())


def test_empty_union_is_refused():
    with pytest.raises(SerError, match=r"features\.sets"):
        UnionFeatures(sets={"one": None})


def test_opensmile_missing_says_what_to_install(monkeypatch):
    from ser.features import opensmile

    monkeypatch.setitem(sys.modules, "opensmile", None)
    opensmile._extractor.cache_clear()
    with pytest.raises(SerError, match=r"ser\[opensmile\]"):
        _ = OpensmileFeatures(set="eGeMAPSv02").names
    with pytest.raises(SerError, match="eGeMAPS"):
        OpensmileFeatures(set="GeMAPS")


@pytest.mark.parametrize(("name", "columns"), [("eGeMAPSv02", 88), ("ComParE_2016", 6373)])
def test_opensmile_equals_opensmile(name, columns):
    opensmile = pytest.importorskip("opensmile", reason="needs ser[opensmile]")
    features = OpensmileFeatures(set=name, trim=False)
    smile = opensmile.Smile(
        feature_set=opensmile.FeatureSet[name], feature_level=opensmile.FeatureLevel.Functionals
    )
    expected = smile.process_signal(TONE, 16_000)
    assert features.names == tuple(expected.columns)
    assert len(features.names) == columns
    np.testing.assert_allclose(features(TONE, 16_000), expected.to_numpy()[0], rtol=1e-6)


@pytest.mark.parametrize("sr", [8000, 48_000])
@pytest.mark.parametrize(
    "y", [np.zeros(8000, "f4"), TONE[:100], TONE[:2]], ids=["silence", "100", "2"]
)
def test_opensmile_has_numbers_for_every_sound(y, sr):
    pytest.importorskip("opensmile", reason="needs ser[opensmile]")
    for name in ("eGeMAPSv02", "ComParE_2016"):
        vector = OpensmileFeatures(set=name)(y, sr)
        assert np.isfinite(vector).all()
        assert vector.dtype == np.float32
