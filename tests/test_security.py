"""What comes from outside runs nothing, and what is secret stays out of the log."""

import importlib
import json
import pickle
import shutil
import sys
from types import SimpleNamespace

import mlflow
import numpy as np
import pytest
import skops.io
import yaml
from composing import composed
from omegaconf import OmegaConf
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer

from ser.core.errors import SerError
from ser.core.overrides import Choices
from ser.core.redact import masked, masked_override, without_password
from ser.features import restore
from ser.features.notebook import NotebookFeatures
from ser.models.networks.classifier import NetClassifier
from ser.models.trained import (
    FEATURES_FILE,
    PIPELINE_FILE,
    TrainedModel,
    check_loadable,
    load_model,
    save_model,
)


def fitted(*steps):
    X = np.arange(12.0).reshape(6, 2)
    return Pipeline([*steps, ("classifier", GaussianNB())]).fit(X, list("aabbab"))


@pytest.mark.parametrize(
    "step",
    [
        FunctionTransformer(np.save, kw_args={"arr": "x"}, validate=False),
        KNeighborsClassifier(metric=yaml.dump),
    ],
)
def test_model_that_calls_a_function_of_its_own_is_refused(tmp_path, step):
    folder = tmp_path / "model"
    save_model(TrainedModel(fitted(), NotebookFeatures(), False), folder)
    skops.io.dump(Pipeline([("step", step)]), folder / PIPELINE_FILE)
    with pytest.raises(SerError, match=r"code that is not trusted: .*--trust"):
        load_model(folder)


def test_model_that_is_a_pickle_is_refused(tmp_path):
    class Bomb:
        def __reduce__(self):
            return (exec, ("raise AssertionError('it ran')",))

    folder = tmp_path / "model"
    save_model(TrainedModel(fitted(), NotebookFeatures(), False), folder)
    (folder / PIPELINE_FILE).write_bytes(pickle.dumps(Bomb()))
    for trust in ((), ("*",)):  # there is no way to load one
        with pytest.raises(SerError, match="cannot be read"):
            load_model(folder, trust=trust)


@pytest.mark.parametrize(
    "target",
    [
        "os.system",
        "ser.features.import_module",
        "ser.features.notebook.SerError",
        "ser.features.notebook.dataclass",
        "ser.features.opensmile.Any",
        "ser.features...x",
        "ser.features.missing.Thing",
        "ser.data.corpora.demo.load",
        "notebook",
    ],
)
def test_features_of_a_model_name_no_other_code(tmp_path, target):
    with pytest.raises(SerError, match="is not a feature set of"):
        restore({"_target_": target, "version": 1}, trust=["os", "ser", "notebook"])
    folder = tmp_path / "model"
    save_model(TrainedModel(fitted(), NotebookFeatures(), False), folder)
    wanted = json.loads((folder / FEATURES_FILE).read_text()) | {"_target_": target}
    (folder / FEATURES_FILE).write_text(json.dumps(wanted))
    with pytest.raises(SerError, match=r"is not a feature set of|is not trusted"):
        load_model(folder, trust=["os", "ser", "notebook"])


PLUGIN = """
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from sklearn.naive_bayes import GaussianNB


@dataclass(frozen=True)
class Ends:
    version: ClassVar[int] = 1
    names: ClassVar[tuple] = ("first", "last")
    min_samples: ClassVar[int] = 2

    def __call__(self, y, sr):
        return np.array([y[0], y[-1]], dtype=np.float32)


class Bayes(GaussianNB):
    pass
"""


@pytest.fixture
def plugin(tmp_path, monkeypatch):
    """Folder of a model that needs a package of somebody's; the package is not imported."""
    (tmp_path / "site" / "somebodys").mkdir(parents=True)
    (tmp_path / "site" / "somebodys" / "__init__.py").touch()
    (tmp_path / "site" / "somebodys" / "parts.py").write_text(PLUGIN)
    monkeypatch.syspath_prepend(tmp_path / "site")
    parts = importlib.import_module("somebodys.parts")
    X = np.arange(12.0).reshape(6, 2)
    pipeline = Pipeline([("classifier", parts.Bayes())]).fit(X, list("aabbab"))
    save_model(TrainedModel(pipeline, parts.Ends(), False), tmp_path / "model")
    for name in ("somebodys", "somebodys.parts"):
        monkeypatch.delitem(sys.modules, name)
    return tmp_path / "model"


def test_plugins_of_a_model_are_listed_and_imported_only_when_trusted(plugin):
    assert json.loads((plugin / FEATURES_FILE).read_text())["plugins"] == ["somebodys.parts"]
    for trust in ((), ("somebody",), ("sklearn",)):
        with pytest.raises(SerError) as refused:
            load_model(plugin, trust=trust)
        assert "somebodys.parts.Ends, somebodys.parts.Bayes" in str(refused.value)
        assert 'say --trust somebodys (in Python trust=["somebodys"])' in str(refused.value)
        assert "somebodys" not in sys.modules
    for trust in (("somebodys",), ("other", "somebodys.parts"), ("*",)):
        assert load_model(plugin, trust=trust).emotions == ("a", "b")


def test_plugins_that_the_record_conceals_are_refused(plugin):
    record = json.loads((plugin / FEATURES_FILE).read_text())
    del record["plugins"]
    (plugin / FEATURES_FILE).write_text(json.dumps(record))
    with pytest.raises(SerError, match="not trusted: somebodys"):
        load_model(plugin)


def test_network_that_a_file_names_is_imported_only_when_trusted(tmp_path):
    def saved(network):
        classifier = NetClassifier()
        classifier.network = network
        folder = tmp_path / "model"
        save_model(TrainedModel(fitted(), NotebookFeatures(), False), folder)
        skops.io.dump(Pipeline([("classifier", classifier)]), folder / PIPELINE_FILE)
        return folder

    folder = saved({"_target_": "somebodys.networks.Net"})
    with pytest.raises(SerError, match=r"not trusted: somebodys\.networks\.Net"):
        load_model(folder)
    load_model(folder, trust=["somebodys"])
    for hidden in ([["_target_", "somebodys.networks.Net"]], {}, {"_target_": np.str_("a.B")}):
        with pytest.raises(SerError, match=r"cannot be read as a model|not trusted"):
            load_model(saved(hidden))
    load_model(saved({"_target_": "ser.models.networks.architectures.CNN"}))


def test_trusted_plugin_that_is_not_installed_is_named(plugin, monkeypatch):
    shutil.rmtree(plugin.parent / "site")
    importlib.invalidate_caches()
    with pytest.raises(SerError, match=r"somebodys\.parts\.Ends cannot be imported"):
        load_model(plugin, trust=["somebodys"])


def test_served_model_runs_the_plugins_of_its_record_and_no_others(plugin):
    from ser.tracking.pyfunc import EmotionModel

    context = SimpleNamespace(artifacts={"pipeline": str(plugin / PIPELINE_FILE)})
    served = EmotionModel()
    served.load_context(context)
    assert served.model.emotions == ("a", "b")
    skops.io.dump(Pipeline([("step", FunctionTransformer(np.save))]), plugin / PIPELINE_FILE)
    with pytest.raises(SerError, match="not trusted"):
        EmotionModel().load_context(context)


def test_model_with_a_class_that_is_not_found_by_its_name_is_not_trained(run_here, monkeypatch):
    class Local(GaussianNB):
        pass

    with pytest.raises(SerError, match=r"Local could not be loaded again"):
        check_loadable(Pipeline([("classifier", Local())]), NotebookFeatures())
    monkeypatch.setattr(Local, "__module__", "__main__")
    with pytest.raises(SerError, match="defined in a script or a notebook"):
        check_loadable(Pipeline([("classifier", Local())]), NotebookFeatures())
    monkeypatch.setattr("sklearn.naive_bayes.GaussianNB", Local)
    with pytest.raises(SerError, match="defined in a script or a notebook"):
        run_here("data=demo", "data.root=nowhere", "model=naive_bayes")


def test_yaml_of_a_config_builds_no_object(tmp_path):
    file = tmp_path / "config.yaml"
    file.write_text("a: !!python/object/apply:os.system ['touch it']\n")
    with pytest.raises(yaml.YAMLError):
        OmegaConf.load(file)
    assert list(tmp_path.iterdir()) == [file]


SECRETS = [
    "+hub.token=s3cret",
    "+mail.smtp_password=s3cret",
    "+hub.api-key=s3cret",
    "+credentials.user=s3cret",
    "data.about='see https://ann:s3cret@host/x'",
    "+clone=https://s3cret@host/x.git",
    "+query='https://host/x?access_token=s3cret&n=1'",
]


def test_no_secret_reaches_the_log(run_here, demo_root, client, tmp_path):
    outcome = run_here(
        *("data=demo", f"data.root={demo_root}", "data.speakers=4", "model=naive_bayes"),
        *("curves=none", *SECRETS),
    )
    run = client.get_run(outcome.run_id)
    assert run.data.params["hub.token"] == "***"
    assert run.data.params["query"] == "https://host/x?access_token=***&n=1"
    assert "token" in run.data.tags["command"]  # the command is there, without its secrets
    for file in (tmp_path / "mlruns").rglob("*"):
        assert not file.is_file() or b"s3cret" not in file.read_bytes(), file


def test_error_with_a_secret_is_logged_without_it(client):
    from ser.tracking.run import start_run

    with (
        pytest.raises(ValueError),
        start_run(
            uri=client.tracking_uri, experiment="x", name="x", tags={}, description=""
        ) as run,
    ):
        raise ValueError("no answer from postgresql://ann:s3cret@host/db")
    logged = client.get_run(run.id)
    assert logged.data.tags["error"].endswith("postgresql://ann:***@host/db")
    text = mlflow.artifacts.load_text(f"{logged.info.artifact_uri}/error.txt")
    assert "s3cret" not in text.replace("raise ValueError", "").split("ValueError: ")[-1]


def test_resume_does_not_hang_on_a_secret():
    from ser.tracking.inputs import resume_key
    from ser.train.build import plain

    first, second, third = (
        resume_key(plain(composed(f"+hub.token={token}", f"seed={seed}")), "d")
        for token, seed in (("a", 1), ("b", 1), ("a", 2))
    )
    assert first == second != third


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ({"tokens": 3, "n_tokens": 4, "author": "ann", "keys": ["a"], "path": "/a/b:c@d"}, None),
        ({"password": None}, None),
        ({"secret": {"inner": ["a", 1]}}, {"secret": {"inner": ["***", "***"]}}),
        ("mysql+pymysql://a:b:c@h/d", "mysql+pymysql://a:***@h/d"),
        ("postgresql://ann@host/db", None),
    ],
)
def test_masked(given, kept):
    assert masked(given) == (given if kept is None else kept)


def test_masked_command_is_the_rest_of_it():
    choices = Choices({}, ("model=svm", "+db.password=a b", "x.url=sqlite:///a.db"))
    expected = "python -m ser.train model=svm '+db.password=***' x.url=sqlite:///a.db"
    assert choices.command() == expected
    assert masked_override("~model") == "~model"
    assert without_password("a@b.org, https://host:80/x@y") == "a@b.org, https://host:80/x@y"
