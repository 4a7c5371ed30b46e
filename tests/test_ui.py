"""The UI, in headless Chromium, on a log of a thousand runs."""

import os
import signal
import socket
import subprocess
import sys
import time
from urllib.error import URLError
from urllib.request import urlopen

import pytest
from mlflow.entities import Metric, Param

pytestmark = pytest.mark.slow

N_RUNS = 1000
COLUMNS = (
    *("test_uar", "test_uar_low", "test_uar_high", "cv_uar_mean", "split", "features", "seed"),
)
HOUR = 3_600_000  # ms


def copy_run(client, run_id, n_copies):
    """Log copies of a run, an hour apart."""
    run = client.get_run(run_id)
    params = [Param(*item) for item in run.data.params.items()]
    tags = {k: v for k, v in run.data.tags.items() if k != "mlflow.runName"}
    for number in range(1, n_copies + 1):
        start, end = (t - HOUR * number for t in (run.info.start_time, run.info.end_time))
        name = f"{run.info.run_name}{number}"
        copy = client.create_run(run.info.experiment_id, start, tags, run_name=name).info.run_id
        metrics = [Metric(*item, end, 0) for item in run.data.metrics.items()]
        client.log_batch(copy, metrics=metrics, params=params)
        client.set_terminated(copy, "FINISHED", end)


@pytest.fixture
def address(client, run_here, demo_root, tmp_path):
    """Address of the UI on a run of the demo corpus and its copies."""
    run = run_here(
        *f"data=demo data.root={demo_root} data.speakers=4 compute.n_jobs=1".split(),
        *("model=naive_bayes", "split=loso", "curves=none"),
    )
    copy_run(client, run.run_id, N_RUNS - 1)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = subprocess.Popen(
        [sys.executable, "-m", "ser.ui", "--port", str(port)],
        env={**os.environ, "MLFLOW_TRACKING_URI": f"sqlite:///{tmp_path}/mlruns/mlflow.db"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        for _ in range(240):
            try:
                urlopen(f"http://127.0.0.1:{port}/health", timeout=5)
                break
            except (URLError, OSError):
                assert server.poll() is None
                time.sleep(0.5)
        yield f"http://127.0.0.1:{port}"
    finally:
        os.killpg(server.pid, signal.SIGKILL)
        server.wait()


def test_table_of_a_thousand_runs(address, browser, client):
    experiment = client.get_experiment_by_name("demo").experiment_id
    found, token = 0, None
    while found == 0 or token:
        page = client.search_runs([experiment], max_results=500, page_token=token)
        found, token = found + len(page), page.token
    assert found == N_RUNS

    page = browser.new_page(viewport={"width": 1600, "height": 1000})
    page.goto(address)
    rows = page.get_by_role("link", name="naive_bayes-loso-demo")
    rows.first.wait_for(timeout=120_000)
    assert rows.count() > 10  # those that the window has room for
    names = rows.all_inner_texts()
    assert names[0] == "naive_bayes-loso-demo speakers=4"  # the newest
    assert names[1] == "naive_bayes-loso-demo speakers=41"
    cells = page.locator(".ag-header-cell").all()
    heads = [cell.inner_text().strip() for cell in sorted(cells, key=_left)]
    # Runs under loso have no cross-validation, and the table no column of what no run has.
    there = [column for column in COLUMNS if column != "cv_uar_mean"]
    assert [head for head in heads if head][:8] == ["Run Name", "Created", *there]
    assert page.get_by_text("Model training").is_visible()
    assert page.get_by_text("collects usage data").count() == 0
    page.close()


def _left(cell):
    return cell.bounding_box()["x"]
