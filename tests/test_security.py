"""What comes from outside runs nothing, and what is secret stays out of the log."""

import html
import importlib
import json
import pickle
import shlex
import shutil
import subprocess
import sys
from types import SimpleNamespace
from urllib.parse import quote, quote_plus

import markupsafe
import mlflow
import numpy as np
import pytest
import skops.io
import yaml
from composing import composed
from omegaconf import OmegaConf
from secret_shapes import SHAPES, overrides
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer

from ser import ui
from ser.core.errors import SerError
from ser.core.overrides import Choices
from ser.core.printable import printable
from ser.core.redact import learn, masked, masked_override, without_secrets
from ser.doctor import prune
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


@pytest.mark.parametrize(("name", "text", "secret"), SHAPES)
def test_secret_is_masked_wherever_it_stands(name, text, secret):
    def written(write):
        masked_text = write({name: text})
        assert secret not in masked_text
        return masked_text

    in_config = masked({"a": {name: [text], "user": "ann"}})
    assert in_config["a"]["user"] == "ann"
    assert secret not in repr(in_config)
    assert secret not in masked_override(f"+x.{name}={text}")
    for write in (str, json.dumps, yaml.dump, lambda config: json.dumps(str(config))):
        once = written(lambda config, write=write: without_secrets(write(config)))
        assert without_secrets(once) == once  # what is masked may be masked again
    for write in (
        lambda config: without_secrets(f"Login(user='ann', {name}={text!r})"),
        lambda config: masked_override(next(overrides([(name, text, secret)]))),
        lambda config: printable(f"{name}={text}"),
        lambda config: str(SerError(f"no answer: {name}: {text}")),
    ):
        written(write)
    for host in ("db.example", "host.example", "s3.example", "cache.example"):
        assert (host in text) <= (host in masked({name: text})[name])


@pytest.mark.parametrize(
    "text",
    [
        "tokenizer: bpe, n_tokens=3, max_tokens: 5, token_count=2, pad_token='[PAD]'",
        "monkey=1 keyboard: 2 C=3 author: ann primary_key=4 resume_key: abc low_pass=300",
        "password=None token: null auth=False tokens=3",
        "tokens: 3\npassword: null\n",
        "tokenPath=/a/b keyframe=2 license: MIT key=value api.version=2 key.pass_band=3",
        "python --max-tokens 5 --author ann --token --user ann, lr:0.1@epoch, from 12:30@noon",
        "https://host:80/x@y?n=1&page=2 sqlite:////a/b:c@d.db postgresql://ann@db.example/log",
        "git@github.com:ann/x.git a@b.org Bearer of news, Basic statistics",
        "data.root=/a=b/c.wav s3://bucket/key@x:y features._target_=a.B 12:30:00",
    ],
)
def test_what_is_no_secret_stands_as_it_is(text):
    assert without_secrets(text) == text
    assert masked_override(f"x.y='{text}'") == f"x.y='{text}'"


def test_known_secret_is_found_under_any_other_name(monkeypatch):
    monkeypatch.setenv("HUB_TOKEN", "fromEnv-1234")
    learn({"hub": {"token": "fromConf-1234", "password": "postgres"}, "tokens": ["in-list-1234"]})
    text = "as fromConf-1234, in-list-1234, fromEnv-1234; postgres at fromConf-12345"
    assert without_secrets(text) == "as ***, ***, ***; postgres at fromConf-12345"


@pytest.mark.parametrize(
    "secret", ["a'b\"c\\\\d<e>&f-12", "über #1+\N{SNOWMAN}/100%\tq", "=/&:'\"<>+="]
)
@pytest.mark.parametrize(
    "escaped",
    [
        *(str, repr, ascii, json.dumps, html.escape, quote, quote_plus, markupsafe.escape),
        lambda text: json.dumps(text, ensure_ascii=False),
        lambda text: quote(text, safe=""),
        lambda text: json.dumps(str([text])),
        lambda text: html.escape(json.dumps({"a": text})),
        lambda text: yaml.dump([text], allow_unicode=True, width=1000),
    ],
)
def test_known_secret_is_found_however_it_is_escaped(monkeypatch, secret, escaped):
    monkeypatch.setenv("HUB_TOKEN", secret)
    written = escaped(f"at\n{secret} so")
    assert without_secrets(f"{written}, {escaped(secret)}").count("***") == 2


def test_word_behind_a_secret_option_is_masked():
    command = [
        "python",
        "--token",
        "S",
        "--n-tokens",
        "3",
        "--password",
        "--user",
        "ann",
        "-pw",
        "p",
    ]
    kept = [
        "python",
        "--token",
        "***",
        "--n-tokens",
        "3",
        "--password",
        "--user",
        "ann",
        "-pw",
        "***",
    ]
    assert masked({"run": command}) == {"run": kept}
    assert masked((*command, 1)) == (*kept, 1)
    for write in (repr, json.dumps, yaml.dump, " ".join, shlex.join):
        text = without_secrets(write(["run", "--token", "S3-q", "--n-tokens", "3"]))
        assert "S3-q" not in text and "3" in text
    learn(["--token", "S3cret-1234"])
    assert without_secrets("of S3cret-1234") == "of ***"


def test_keys_of_one_name_in_two_parts_are_secret_in_a_config_too():
    given = {"hub": {"api": {"key": "abc", "version": 2}}, "words": {"key": "abc"}}
    assert masked(given)["hub"] == {"api": {"key": "***", "version": 2}}
    assert masked(given)["words"] == {"key": "abc"}


HOSTILE = [
    *(
        "http://a:",
        "eyJ-",
        "sk-",
        "token\\u003d{}",
        "token={}",
        'token="\\',
        "a:b@",
        "token:\n ",
        "\\",
    ),
    *(
        "--token '",
        ";base64,AAAA",
        "Basic \xe9",
        "\ud800[",
        "&amp;",
        "%25",
        "t.key=(",
        "-----BEGIN ",
    ),
]


def test_hostile_text_takes_time_as_its_length_does():
    """Each of these took minutes where a part of the search was quadratic."""
    program = (
        "import json, sys; from ser.core.redact import learn, without_secrets\n"
        "learn({'token': '%25&amp;a/=:-1'})\n"
        "for unit in json.load(sys.stdin): without_secrets(unit * (100_000 // len(unit)))"
    )
    command = [sys.executable, "-c", program]
    subprocess.run(command, input=json.dumps(HOSTILE), text=True, check=True, timeout=60)


def test_key_of_several_lines_is_masked():
    key = "-----BEGIN RSA PRIVATE KEY-----\nMIIE\nabc=\n-----END RSA PRIVATE KEY-----"
    assert without_secrets(f"{key}\nhost") == "***\nhost"


def test_no_secret_reaches_the_log(run_here, demo_root, client, tmp_path):
    few = [
        f"+data.hub={{user: ann, token: '{SHAPES[0][2]}'}}",
        f"+data.clone=https://{SHAPES[1][2]}@host/x",
    ]
    outcome = run_here(
        *("data=demo", f"data.root={demo_root}", "data.speakers=4", "model=naive_bayes"),
        *("curves=none", *few),
    )
    run = client.get_run(outcome.run_id)
    assert run.data.params["data.hub.token"] == "***"
    assert run.data.params["data.clone"] == "https://***@host/x"
    assert "+data.hub=***" in run.data.tags["command"]
    for file in (tmp_path / "mlruns").rglob("*"):
        written = file.read_bytes() if file.is_file() else b""
        assert not [secret for _, _, secret in SHAPES[:2] if secret.encode() in written], file


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
        resume_key(plain(composed(f"+data.hub.token={token}", f"seed={seed}")), "d")
        for token, seed in (("a", 1), ("b", 1), ("a", 2))
    )
    assert first == second != third


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ({"tokens": 3, "n_tokens": 4, "author": "ann", "keys": ["a"], "path": "/a/b:c@d"}, None),
        ({"password": None}, None),
        ({"secret": {"inner": ["a", 1]}}, {"secret": "***"}),
        ({"tokens": {"ab12": 1}, "pAsSwOrD": "x"}, {"tokens": "***", "pAsSwOrD": "***"}),
        (
            {"fields": [{"name": "token", "value": "abc"}, {"name": "C", "value": 3}]},
            {"fields": [{"name": "token", "value": "***"}, {"name": "C", "value": 3}]},
        ),
        ("mysql+pymysql://a:b:c@h/d", "mysql+pymysql://a:***@h/d"),
        ("postgresql://ann@host/db", None),
    ],
)
def test_masked(given, kept):
    assert masked(given) == (given if kept is None else kept)


@pytest.mark.parametrize("value", [{"user": "ann", "n": 1}, ["ab12", "cd"], [["ab"]], {}, None])
def test_masked_config_is_still_yaml(value):
    config = {"a": {"token": value, "C": 3}}
    text = without_secrets(yaml.dump(masked(config)))
    assert yaml.safe_load(text)["a"] == {"token": value and "***", "C": 3}


def test_key_below_a_secret_key_is_known():
    learn({"token": {"S3cretKey-77": 1, "a_longer_word": 2}})
    assert without_secrets("S3cretKey-77 a_longer_word") == "*** a_longer_word"


def test_masked_command_is_the_rest_of_it():
    choices = Choices({}, ("model=svm", "+db.password=a b", "x.url=sqlite:///a.db"))
    expected = "python -m ser.train model=svm '+db.password=***' x.url=sqlite:///a.db"
    assert choices.command() == expected
    assert masked_override("~model") == "~model"
    assert without_secrets("a@b.org, https://host:80/x@y") == "a@b.org, https://host:80/x@y"


def test_no_command_line_shows_the_password_of_a_log(monkeypatch):
    """Whoever is on the machine sees it, by ps."""
    uri = "http://ann:s3cret@127.0.0.1:9"
    started = []
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    monkeypatch.setattr(sys, "argv", ["ser-ui", "--port", "5001"])
    monkeypatch.setattr(ui.os, "execve", lambda program, *given: started.append(given))
    ui.main.__wrapped__()

    def run(command, *, env, **options):
        started.append((command, env))
        return subprocess.CompletedProcess(command, 0)

    monkeypatch.setattr(prune.subprocess, "run", run)
    prune.remove(uri, prune.Prunable(("a" * 32,), (), (), ()))
    for (command, environment), variable in zip(
        started, ("MLFLOW_BACKEND_STORE_URI", "MLFLOW_GC_BACKEND_STORE_URI"), strict=True
    ):
        assert "s3cret" not in " ".join(command) and environment[variable] == uri
