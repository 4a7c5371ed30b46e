"""Nothing that is an extra is needed to import, to list, to ask for help, or to document."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["project"]
COMMANDS = {module.partition(":")[0] for module in PROJECT["scripts"].values()}

# What an extra installs -> what is imported of it.
IMPORTED = {
    "distributed": "dask distributed",
    "gradio": "gradio gradio_client",
    "onnx": "onnx",
    "onnxruntime": "onnxruntime",
    "opensmile": "opensmile audinterface audeer",
    "psycopg": "psycopg psycopg2",
    "ray": "ray",
    "skorch": "skorch",
    "torch": "torch torchaudio",
    "transformers": "transformers safetensors huggingface_hub",
    "umap-learn": "umap",
}

WITHOUT = """
import contextlib, importlib, importlib.util, io, pkgutil, sys

class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in MISSING:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

MISSING = set(sys.argv[1].split())
sys.meta_path.insert(0, Missing())
find_spec = importlib.util.find_spec
importlib.util.find_spec = lambda name, *more: None if name in MISSING else find_spec(name, *more)

import ser
for module in pkgutil.walk_packages(ser.__path__, "ser."):
    if not module.name.endswith("__main__"):
        importlib.import_module(module.name)
for name in sys.argv[2:]:
    sys.argv = [name, "--help"]
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed), contextlib.suppress(SystemExit):
        importlib.import_module(name).main()
    print("==", name)
    print(printed.getvalue())
"""


def test_every_module_and_help_works_without_the_extras():
    missing = " ".join(IMPORTED.values())
    # MLflow's own command, which ser-ui starts in its place, tells what it takes.
    commands = sorted(COMMANDS - {"ser.ui"})
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT, missing, *commands],
        capture_output=True,
        text=True,
        cwd=CHECKOUT,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    helps = dict(re.findall(r"^== (\S+)\n(.*?)(?=^== |\Z)", done.stdout, re.S | re.M))
    assert set(helps) == set(commands)
    for command, text in helps.items():
        assert re.search(rf"python -m {command}\b|usage: {command}\b", text), command


def test_every_extra_is_left_out_above():
    extras = PROJECT["optional-dependencies"]
    packages = {
        re.match(r"[\w-]+", requirement)[0]
        for name, requirements in extras.items()
        if name not in ("dev", "docs")
        for requirement in requirements
    } - {"ser"}
    assert packages <= set(IMPORTED)


def test_python_m_ser_lists_the_commands_of_the_console_scripts():
    done = subprocess.run(
        [sys.executable, "-m", "ser"], capture_output=True, text=True, cwd=CHECKOUT
    )
    listed = dict(re.findall(r"^  python -m (\S+) +(.*)", done.stdout, re.M))
    assert set(listed) == COMMANDS
    assert all(len(text) > 20 for text in listed.values())
    for script, entry in PROJECT["scripts"].items():
        assert script == entry.partition(":")[0].replace(".", "-")
