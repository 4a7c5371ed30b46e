"""A run's page: the log's numbers, the command that makes them again, nothing from a network."""

import re
import shlex
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd
import pytest

from ser.core.errors import SerError
from ser.report import report
from ser.report.html import render
from ser.report.run_page import render_run_page
from ser.tracking.queries import LoggedRun, find_run

SMALL = ("data.root={root}", "data.speakers=4", "cv.n_splits=2")


@pytest.fixture
def small(demo_root):
    return ["data=demo", *(part.format(root=demo_root) for part in SMALL)]


def test_report_shows_the_runs_numbers_and_is_its_artifact(
    run_here, small, client, tmp_path, capsys
):
    run_here(*small, "model=naive_bayes", "split=loso", "scaler=speaker")
    run = find_run(client.tracking_uri, "latest")
    out = tmp_path / "pages" / "run.html"
    said = report(run.id[:10], out=out, uri=client.tracking_uri)
    assert str(out) in said
    html = out.read_text(encoding="utf-8")
    logged = client.download_artifacts(run.id, "report.html", str(tmp_path))
    assert Path(logged).read_text(encoding="utf-8") == html  # made before the log was, or after
    for metric in ("test_uar", "test_uar_low", "test_uar_high", "test_accuracy"):
        assert f"{100 * run.metrics[metric]:.1f}" in html
    for words in ("Transductive", "Synthetic voices", "interval over actors", "by gender"):
        assert words in html
    confusions = pd.read_csv(
        client.download_artifacts(run.id, "tables/confusion_matrix.csv", str(tmp_path))
    )
    happy = confusions[confusions["true"] == "happy"].iloc[0]
    assert f'title="{happy["predicted_sad"]} of 32 happy clips: sad"' in html
    assert (
        html.count('src="data:image/png;base64,')
        == len(client.list_artifacts(run.id, "figures")) - 1
    )
    assert not re.search(r"(src|href)=\"(?!data:|#)", html)


@pytest.mark.slow
def test_report_command_makes_the_same_numbers(run_here, run_cli, small, client):
    run_here(*small, "model=knn", "model.classifier.n_neighbors=3", "split=speaker", "seed=5")
    first = find_run(client.tracking_uri, "latest")
    python, *module_and_overrides = shlex.split(first.tags["command"])
    assert python == "python"
    run_cli(*module_and_overrides[1:])
    again = find_run(client.tracking_uri, "latest")
    assert again.id != first.id
    same = {k: v for k, v in first.metrics.items() if not k.endswith("_seconds")}
    assert same == {k: v for k, v in again.metrics.items() if not k.endswith("_seconds")}


def test_report_of_a_run_without_files_and_with_markup_in_its_names(tmp_path):
    run = LoggedRun("0" * 32, "<b>bold</b>", "x", datetime.now(UTC), {"command": "a & b"}, {}, "")
    html = render_run_page(run, tmp_path)
    assert "<h1>&lt;b&gt;bold&lt;/b&gt;</h1>" in html
    assert "a &amp; b" in html


@pytest.mark.parametrize(
    ("wanted", "message"),
    [("zz", "is no run id"), ("0000", "No finished runs"), ("latest", "no finished run")],
)
def test_report_of_no_run_says_what_to_do(client, wanted, message):
    with pytest.raises(SerError, match=message):
        report(wanted, uri=client.tracking_uri)


@pytest.mark.slow
@pytest.mark.parametrize("width", [390, 1280])
def test_report_fits_the_screen_and_asks_nobody(
    run_here, small, client, tmp_path, open_page, width
):
    run_here(*small, "model=naive_bayes", draw=True)
    out = tmp_path / "run.html"
    report("latest", out=out, uri=client.tracking_uri)
    page = open_page(out, width=width)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    broken = "[...document.images].filter(i => !i.naturalWidth || !i.alt).length"
    assert page.evaluate(broken) == 0
    assert page.requested == [out.as_uri()]


def test_pages_miss_nothing_silently():
    with pytest.raises(Exception, match="is undefined"):
        render("report.html")
