"""What a user types: paths as they are, and a sentence for every word that does not fit."""

import string

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser

from ser import train
from ser.core.errors import SerError
from ser.core.experiment import compose
from ser.core.words import as_hydra_reads

NAMES = [
    "a (1)",
    "it's",
    "a&b",
    "a=b",
    "a,b",
    "{a}",
    "é",
    "数据",
    "a b",
    "a#b",
    'a"b',
    "a[1]",
    "a\\b",
]


@pytest.mark.parametrize("key", ["data.root", "store", "tracking.uri", "hydra.run.dir"])
@pytest.mark.parametrize("name", [*NAMES, *(f"a{sign}b" for sign in string.punctuation)])
def test_a_path_needs_no_quotes(key, name):
    word = as_hydra_reads(f"{key}=/my/{name}/x")
    assert OverridesParser.create().parse_override(word).value() == f"/my/{name}/x"


@pytest.mark.parametrize(
    "word",
    ["data.label=Gefühl", "data.speaker=Wer (ID), Alter", "tuner.study=étude 1", "register=声"],
)
def test_a_name_in_any_language_needs_no_quotes(word):
    read = OverridesParser.create().parse_override(as_hydra_reads(word))
    assert f"{read.key_or_group}={read.value()}" == word


def test_a_path_may_begin_at_home(monkeypatch):
    monkeypatch.setenv("HOME", "/home/ann b")
    assert as_hydra_reads("data.root=~/x") == "data.root='/home/ann b/x'"
    assert as_hydra_reads("data.root=~x") == "data.root='~x'"  # a folder of that name


def test_what_hydra_reads_itself_is_left_to_it(tmp_path, monkeypatch):
    for word in ("model=svm", "store=null", "store=", "-m", "data.root='a b'", "store=/a/b.sqlite"):
        assert as_hydra_reads(word) == word
    assert as_hydra_reads("data.root=/a,/b", is_sweep=True) == "data.root=/a,/b"
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a,b").mkdir()
    assert as_hydra_reads("data.root=a,b", is_sweep=True) == "data.root='a,b'"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("modle=svm", "no group or key 'modle'. Did you mean model?"),
        ("+modle=svm", "no group or key 'modle'. Did you mean model?"),
        ("+hub=1", "no group or key 'hub'."),
        ("model=svmm", "There is no model=svmm. Did you mean svm? model has adaboost,"),
        ("split=speekr", "There is no split=speekr. Did you mean speaker?"),
        ("sampler=tpe", "no group or key 'sampler'. ser.tune has it."),
        ("C=3", "Did you mean model.classifier.C"),
        ("n_splits=3", "Did you mean cv.n_splits?"),
        ("features.n_mffc=3", "no key 'features.n_mffc'. Did you mean features.n_mfcc"),
        ("data.roott=x", "no key 'data.roott'. Did you mean data.root?"),
        ("seed.x=1", "no key 'seed.x'. seed is 69, which has no keys"),
        (
            "model.classifier.clas_weight=balanced",
            "sklearn.svm.SVC takes class_weight: add +model.classifier.class_weight=VALUE",
        ),
        ("model=mlp modle.classifier.C=1", "Did you mean model?"),
        ("model.classifier.C=(3", "model.classifier.C=(3 cannot be read as KEY=VALUE"),
        ("seed=-1", "seed=-1 does not fit: give a whole number"),
        ("seed=x", "seed=x does not fit"),
        ("cv.n_splits=ten", "cv.n_splits=ten does not fit: give how many folds"),
        ("cv.n_splits=1", "cv.n_splits=1 does not fit"),
        ("compute.n_jobs=0", "compute.n_jobs=0 does not fit"),
        ("explain=1", "explain=1 does not fit: give true or false"),
        ("permutations=-1", "permutations=-1 does not fit"),
    ],
)
def test_a_word_that_does_not_fit_is_one_sentence(words, said):
    with pytest.raises(SerError) as error:
        compose(words.split())
    assert said in str(error.value) and "\n" not in str(error.value)


def test_a_word_that_fits_is_not_refused():
    made = compose(["+model.classifier.class_weight=balanced", "++seed=3", "+data.mine=1"]).cfg
    assert made.model.classifier.class_weight == "balanced" and made.seed == 3


@pytest.mark.parametrize("words", [["modle=svm"], ["-m", "seed=1,2", "modle=svm"], ["seed=-1"]])
def test_a_command_says_it_without_a_word_of_hydra(words, tmp_path, monkeypatch, capsys):
    folders = (f"hydra.run.dir={tmp_path}/a", f"hydra.sweep.dir={tmp_path}/b")
    monkeypatch.setattr("sys.argv", ["ser.train", *words, *folders])
    with pytest.raises(SystemExit) as ended:
        train.main()
    said = f"{ended.value.code}{capsys.readouterr().err}"
    assert ("Did you mean model?" in said) or ("does not fit" in said)
    assert "HYDRA" not in said and "Traceback" not in said and "+modle" not in said


def test_a_step_that_is_none_is_refused_before_anything_is_read():
    from ser.train.build import model_pipeline

    with pytest.raises(SerError, match="The last step is the classifier"):
        model_pipeline(compose(["+model.foo=1"]).cfg)


@pytest.mark.parametrize(
    ("word", "says"),
    [
        ("cv=null", "cv=null does not fit: set keys of it, as cv.n_splits=VALUE."),
        ("tracking=5", "tracking=5 does not fit: set keys of it, as tracking.uri=VALUE."),
        ("model=null", "model=null names no choice. model has adaboost,"),
        ("experiment=", "experiment= names no choice. experiment has augmentation,"),
        ("data.corpus=null", "data.corpus=null does not fit: give keys of it"),
        ("variants=5", "variants=5 does not fit"),
        ("tuner.n_trials=x", "tuner.n_trials=x does not fit: give how many"),
        ("tuner.timeout=-1", "tuner.timeout=-1 does not fit: give seconds"),
    ],
)
def test_sections_and_groups_are_no_values(word, says):
    with pytest.raises(SerError) as refused:
        compose([word], config="tune")
    assert str(refused.value).startswith(says)
