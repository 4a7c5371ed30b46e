"""A run's name tells it from others: by what is not as by default, short, and never a secret."""

import pytest
import yaml

from ser.core import paths
from ser.core.experiment import compose
from ser.core.overrides import LONGEST, TOLD, UNTOLD, run_name


@pytest.mark.parametrize(
    ("overrides", "name"),
    [
        ("model=svm split=loso model.classifier.C=3 seed=2", "svm-loso C=3 seed=2"),
        ("model=knn data=demo features=functionals", "knn-random-demo-functionals"),
        ("model=svm scaler=minmax seed=1 seed=2", "svm-random scaler=minmax seed=2"),
        ("model.classifier.C=0.00123456789", "svm-random C=0.001235"),
        ("curves=none store=/a/b compute.n_jobs=2 explain=true register=x", "svm-random"),
        (
            "features=whisper_tiny features.weights=/a/b/w.pt",
            "svm-random-whisper_tiny weights=w.pt",
        ),
        ("data=table data.table=/a/calls.csv data.speaker=null", "svm-random-calls speaker=null"),
        ("data=folder data.root=/a/calls/", "svm-random-calls"),
        ("data=folder", "svm-random-folder"),
    ],
)
def test_a_run_is_called_after_what_is_not_as_by_default(overrides, name):
    assert compose(overrides.split()).run_name(*TOLD) == name


def test_a_name_has_no_secret_and_tells_keys_apart():
    secret = ["+hub.token=hf_a1b2c3d4e5", "+db.url=postgresql://ann:s3cret@host/db"]
    assert run_name(["svm"], [*secret, "+a.n=1", "b.n=2", "~scaler"]) == "svm a.n=1 b.n=2 ~scaler"


def test_a_long_name_is_cut():
    many = [f"++model.classifier.p{i}={'x' * 50}" for i in range(20)]
    name = compose(many).run_name(*TOLD)
    assert len(name) == LONGEST
    assert name.startswith(f"svm-random p0={'x' * 23}… p1=")


def test_what_names_leave_out_is_the_default():
    defaults = yaml.safe_load((paths.CONF / "train.yaml").read_text())["defaults"]
    chosen = {
        key: value for item in defaults if isinstance(item, dict) for key, value in item.items()
    }
    assert {group: chosen[group] for group in UNTOLD} == UNTOLD
