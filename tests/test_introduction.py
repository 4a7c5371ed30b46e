"""The lesson runs from its first cell to its last, and is stored as it ran on RAVDESS."""

from pathlib import Path

import pytest

NOTEBOOK = (
    Path(__file__).resolve().parents[1] / "experiments" / "introduction" / "introduction.ipynb"
)


@pytest.fixture
def notebook():
    nbformat = pytest.importorskip("nbformat")
    return nbformat.read(NOTEBOOK, as_version=4)


@pytest.mark.slow
def test_introduction_runs_on_a_few_demo_speakers(notebook, monkeypatch, demo_root, demo_store):
    nbclient = pytest.importorskip("nbclient")
    monkeypatch.setenv("SER_RAVDESS_ROOT", str(demo_root))
    monkeypatch.setenv("SER_STORE", str(demo_store))
    monkeypatch.setenv("SER_TRIALS", "2")
    stored = sum(len(cell.outputs) for cell in notebook.cells if cell.cell_type == "code")
    nbclient.NotebookClient(notebook, timeout=300, kernel_name="python3").execute()
    said = "".join(
        output.text
        for cell in notebook.cells
        if cell.cell_type == "code"
        for output in cell.outputs
        if output.output_type == "stream"
    )
    assert "240 clips of 4 actors, 8 emotions" in said
    assert "Warning" not in said
    assert sum(len(c.outputs) for c in notebook.cells if c.cell_type == "code") == stored


def test_introduction_is_stored_executed_on_ravdess_and_without_its_sounds(notebook):
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    outputs = [output for cell in code for output in cell.outputs]
    kinds = {kind for output in outputs for kind in output.get("data", ())}
    assert kinds == {"text/plain", "text/html", "image/png"}  # no audio: it is not ours to give
    assert all(output.output_type != "error" for output in outputs)
    assert "1440 clips of 24 actors" in outputs[0].text
    assert NOTEBOOK.stat().st_size < 1_000_000
