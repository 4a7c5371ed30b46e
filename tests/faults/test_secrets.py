"""No secret of any shape stands in anything that commands write: their files, logs and output."""

import sys

import pytest
from omegaconf import OmegaConf
from secret_shapes import SHAPES, overrides

from ser.core.errors import SerError
from ser.tracking.client import connect

ENVIRONMENT = "fromEnv-41xq"
CLI = "fromCli-42xq"
SECRETS = [*(secret for _, _, secret in SHAPES), ENVIRONMENT, CLI]


def leaks(folder, *texts):
    """Files below a folder, and texts, with the secrets that they have."""
    written = {str(n): text.encode() for n, text in enumerate(texts)}
    written |= {str(file): file.read_bytes() for file in folder.rglob("*") if file.is_file()}
    assert len(written) > len(texts)
    found = {name: [s for s in SECRETS if s.encode() in data] for name, data in written.items()}
    return {name: secrets for name, secrets in found.items() if secrets}


@pytest.fixture
def given(demo_root, ser_environment):
    ser_environment["HUB_TOKEN"] = ENVIRONMENT
    corpus = ("data=demo", f"data.root={demo_root}", "data.speakers=4", "curves=none")
    odd = (f"+data.keyed.token={{{CLI}: 1}}", f"+data.fields=[{{name: token, value: {CLI}}}]")
    copies = (*odd, "+data.copy='${oc.env:HUB_TOKEN}'", "+data.mirror='see ${data.shape1.api_key}'")
    return (*corpus, *overrides(SHAPES), *copies)


@pytest.mark.parametrize(
    ("module", "arguments"),
    [
        ("ser.train", ["model=naive_bayes", "explain=true"]),
        ("ser.train", ["-m", "model=naive_bayes,lda", f"+data.more.token={CLI},other-{CLI}"]),
        ("ser.tune", ["model=knn", "search_space=knn", "split=speaker", "tuner.n_trials=2"]),
    ],
)
def test_no_secret_of_a_command_is_written(run_cli, given, tmp_path, module, arguments):
    journal = [f"tuner.storage={tmp_path}/journal.log"] if module == "ser.tune" else []
    command = run_cli(module, *arguments, *given, *journal)
    page = run_cli("ser.report", "latest", "--out", f"{tmp_path}/page.html")
    said = [text for result in (command, page) for text in (result.stdout, result.stderr)]
    assert leaks(tmp_path, *said) == {}
    assert all(map(OmegaConf.load, tmp_path.rglob("config.yaml")))


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("+data.hub={token:%s", "cannot be read as KEY=VALUE"),
        ("hub.token=%s", "no key 'hub.token'"),
        ("+hub.token=%s", "no group or key 'hub'"),
        ("+model.classifier.token=%s", "unexpected keyword argument 'token'"),
        ("+model.classifier={token:%s}", "unexpected keyword argument 'token'"),
        ("tracking.uri=nothing://ann:%s@host.example/log", "nothing://ann:***@host.example/log"),
        ("store=/dev/null/https://ann:%s@host.example/f.sqlite", "ann:***@host.example/f.sqlite"),
        ("model=token=%s", ""),
    ],
)
def test_no_secret_of_a_failed_command_is_written(run_cli, given, tmp_path, override, said):
    command = ("model=naive_bayes", *given[:4], override % CLI)
    result = run_cli("ser.train", *command, check=False)
    assert result.returncode == 1
    assert said in result.stderr
    (tmp_path / "mark").touch()
    assert leaks(tmp_path, result.stdout, result.stderr) == {}


@pytest.mark.parametrize("module", ["ser.report", "ser.compare", "ser.predict", "ser.register"])
def test_no_secret_of_a_tracking_uri_is_said(run_cli, tmp_path, module):
    words = {"ser.predict": ["a.wav"], "ser.compare": ["aa", "bb"], "ser.register": ["aa", "name"]}
    uri = f"nothing://ann:{CLI}@host.example/log"
    result = run_cli(module, *words.get(module, ["aa"]), "--uri", uri, check=False)
    assert result.returncode == 1
    assert "nothing://ann:***@host.example/log" in result.stderr
    assert CLI not in result.stdout + result.stderr


def test_log_whose_driver_is_not_installed_is_refused_in_a_sentence(monkeypatch):
    monkeypatch.setitem(sys.modules, "pymysql", None)
    with pytest.raises(SerError, match=r"ann:[*]{3}@host/log cannot be used: import of pymysql"):
        connect(f"mysql+pymysql://ann:{CLI}@host/log")
