"""The lesson runs from its first cell to its last, and is stored as it ran on RAVDESS."""

import re
from pathlib import Path

import pytest

import ser

NOTEBOOK = (
    Path(__file__).resolve().parents[1] / "experiments" / "introduction" / "introduction.ipynb"
)


@pytest.fixture
def notebook():
    nbformat = pytest.importorskip("nbformat")
    return nbformat.read(NOTEBOOK, as_version=4)


def outputs(notebook):
    return [o for cell in notebook.cells if cell.cell_type == "code" for o in cell.outputs]


@pytest.mark.slow
def test_introduction_runs_on_a_few_demo_speakers(notebook, monkeypatch, demo_root, demo_store):
    nbclient = pytest.importorskip("nbclient")
    monkeypatch.setenv("SER_RAVDESS_ROOT", str(demo_root))
    monkeypatch.setenv("SER_STORE", str(demo_store))
    monkeypatch.setenv("SER_TRIALS", "2")
    stored = len(outputs(notebook))
    client = nbclient.NotebookClient(
        notebook, timeout=300, kernel_name="python3", coalesce_streams=True
    )
    client.execute()
    text = "".join(o.text for o in outputs(notebook) if o.output_type == "stream")
    assert "240 clips of 4 actors, 8 emotions" in text
    assert "Warning" not in text
    # That the corpus is incomplete is said, too.
    assert len([o for o in outputs(notebook) if o.get("name") != "stderr"]) == stored


def test_introduction_opens_with_sound_and_pictures(notebook):
    opening = notebook.cells[1]
    assert "Audio(" in opening.source
    assert any("image/png" in output.get("data", ()) for output in opening.outputs)


def test_introduction_uses_the_python_api_alone(notebook):
    code = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "code")
    assert re.findall(r"^\s*(?:from|import) (ser\b.*)$", code, re.M) == ["ser"]
    assert set(re.findall(r"\bser\.(\w+)", code)) <= set(ser.__all__)


def test_introduction_is_stored_executed_on_ravdess_and_without_its_sounds(notebook):
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    kinds = {kind for output in outputs(notebook) for kind in output.get("data", ())}
    assert kinds == {"text/plain", "text/html", "image/png"}
    assert all(output.output_type != "error" for output in outputs(notebook))
    assert "<audio" not in NOTEBOOK.read_text(encoding="utf-8")
    assert any("1440 clips of 24 actors" in output.get("text", "") for output in outputs(notebook))
    assert NOTEBOOK.stat().st_size < 1_000_000
