"""Names of runs, clips, labels and speakers may hold anything, and nothing comes of it."""

import csv
import io
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from ser import report
from ser.core.cells import cell, from_cell
from ser.core.errors import SerError
from ser.core.printable import file_name, guard, markdown, markdown_code, printable, shown
from ser.data.corpora import check_name
from ser.models.predictions import Layout, Prediction
from ser.predict.output import opened
from ser.report.terminal import text_table
from ser.tracking.client import connect
from ser.tracking.database import artifact_location
from ser.tracking.run import start_run
from ser.tracking.tables import read_table, write_table

HOSTILE = [
    "../../x",
    "/etc/passwd",
    "..",
    "a\nAll is well.",
    "\x1b]0;title\x07\x1b[31mred",
    "a\rb",
    "c\u202egnp.wav",
    "a\x00b",
    "bad\udcff.wav",
    "\ud800",
    "x" * 400,
    "ü" * 200,
    "<script>alert(1)</script>",
    "![x](http://host/y)",
    "`code` | *bold* | __b__",
    "=HYPERLINK(1)",
    "",
]


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_name_is_one_line_and_one_file(name, tmp_path):
    assert shown(name).isprintable()
    folder = tmp_path / "reports"
    folder.mkdir()
    file = folder / f"{file_name(name)}.html"
    file.write_text("")
    assert list(folder.iterdir()) == [file]
    assert file_name(file_name(name)) == file_name(name)
    assert printable(printable(name)) == printable(name)
    assert "\n" not in markdown(name) + markdown_code(name)
    place = artifact_location(tmp_path / "mlflow.db", name)
    assert place.startswith((tmp_path / "artifacts").as_uri())
    assert ".." not in place.split("/")


def test_ordinary_names_stay_and_no_two_become_one():
    for name in ("svm-loso-ravdess-notebook", "übel 1.0", "a=b,c+d", "happy (excited)"):
        assert file_name(name) == shown(name) == markdown(name) == name
    assert len({file_name(name) for name in HOSTILE}) == len(HOSTILE)
    assert file_name("a/b") != file_name("a_b")


def test_run_under_a_hostile_name_is_reported_inside_the_folder(client, tmp_path, monkeypatch):
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    with start_run(
        uri=client.tracking_uri,
        experiment="../../y\x1b[2J",
        name="../../x\n\x1b[31m",
        tags={},
        description="",
    ) as run:
        run.table(pd.DataFrame({"name": ["=1+1"]}), "../../../z")
    text = report.report(run.id, uri=client.tracking_uri)
    assert text.isprintable()
    (page,) = (tmp_path / "here").iterdir()
    assert page.suffix == ".html"
    assert not list(tmp_path.glob("x*")) + list(tmp_path.glob("y*")) + list(tmp_path.glob("z*"))


class Terminal(io.StringIO):
    """What a command writes to."""


def test_guarded_stream_lets_no_secret_and_no_control_through():
    stream = Terminal()
    guard(stream)
    guard(stream)
    print("a\x1b[2Jb\tc\r\nd", "token=abc", file=stream)
    stream.write("\rTuning:  50%")  # a progress bar
    stream.write("\n\x1b[A")  # one below another
    assert stream.getvalue() == "a\\x1b[2Jb\tc\r\nd token=***\n\rTuning:  50%\n\x1b[A"


def test_tables_of_the_terminal_hold_one_line_a_row():
    assert len(text_table([["", "UAR %"], ["a\nb\x1b[1m", "64.2"]])) == 2
    assert text_table([["", "x"], ["a\nb", "1"]], least=5)[1].startswith(r"a\nb ")


TEXTS = ["=1+1", "+x", "-x", "@x", "\tx", "\rx", "\nx", " =x", "'=x", "''=x", "'twas", "'", "a=b"]
NUMBERS = ["-1", "+1", "-1.5e-3", "-.5"]


def test_cells_are_no_formulas_and_are_read_as_they_were(tmp_path):
    for text in [*TEXTS, *NUMBERS]:
        assert from_cell(cell(text)) == text
    assert [cell(number) for number in [*NUMBERS, -1, -1.5]] == [*NUMBERS, -1, -1.5]
    names = [*TEXTS, *NUMBERS]
    table = pd.DataFrame({"emotion": names, "=x": np.linspace(-1, 1, len(names))})
    table = table.assign(kind=pd.Categorical(names), n=-1)
    write_table(table, tmp_path / "table.csv")
    with (tmp_path / "table.csv").open(newline="") as file:
        rows = list(csv.reader(file))
    formulas = [c for row in rows for c in row if c.lstrip()[:1] in tuple("=+-@")]
    assert all(float(c) is not None for c in formulas)
    again = read_table(tmp_path / "table.csv")
    pd.testing.assert_frame_equal(again.assign(kind=again["emotion"]), table.astype({"kind": str}))


def test_predictions_hold_no_formula_and_the_terminal_no_control(tmp_path, monkeypatch):
    layout = Layout(("=a", "\x1b[31mb"), windows=False, speakers=True)
    clip = Prediction(name="=x\n.wav", speaker="@who", proba=np.array([0.1, 0.9]))
    row = layout.row(clip)
    with opened("csv", tmp_path / "out.csv", layout, {}, {}) as output:
        output.write([row])
        output.finish()
    (read,) = csv.DictReader((tmp_path / "out.csv").open(newline=""))
    assert (read["clip"], read["speaker"]) == ("'=x\n.wav", "'@who")
    stream = Terminal()
    monkeypatch.setattr(sys, "stdout", stream)
    with opened("table", None, layout, {}, {}) as output:
        output.write([row])
    assert "\x1b" not in stream.getvalue()
    assert len(stream.getvalue().splitlines()) == 2


def test_parquet_of_a_name_that_is_no_utf8(tmp_path):
    pytest.importorskip("pyarrow")
    layout = Layout(("a", "b"), windows=False, speakers=False)
    row = layout.row(Prediction(name="bad\udcff.wav", proba=np.array([0.1, 0.9])))
    out = tmp_path / "bad\udcff.parquet"
    with opened(None, out, layout, {}, {}) as output:
        output.write([row])
        output.finish()
    with out.open("rb") as file:
        assert pd.read_parquet(file)["clip"].tolist() == [r"bad\xff.wav"]


def test_corpus_and_log_whose_names_are_no_utf8_are_refused(tmp_path):
    with pytest.raises(SerError, match=r"bad\\xff.wav has bytes that are no UTF-8"):
        check_name(Path("bad\udcff.wav"))
    with pytest.raises(SerError, match=r"bad\\xff/mlflow.db has bytes in its name"):
        connect(f"sqlite:///{tmp_path}/bad\udcff/mlflow.db")
    assert list(tmp_path.iterdir()) == []
