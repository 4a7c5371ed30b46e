"""``explain=true``: what the model leans on, and a page that plays its most confident errors."""

import base64
import io
import re
from pathlib import Path

import pandas as pd
import pytest
import soundfile

from ser.report.explanation import confident_errors


@pytest.fixture
def explained(run_here, demo_root, client, tmp_path):
    """Predictions table, importance table and the page of a run."""
    overrides = ["data=demo", f"data.root={demo_root}", "data.speakers=4", "cv.n_splits=2"]
    outcome = run_here(*overrides, "model=naive_bayes", "split=loso", "explain=true")
    names = ("tables/predictions.csv", "tables/feature_importance.csv", "explanation.html")
    files = [client.download_artifacts(outcome.run_id, name, str(tmp_path)) for name in names]
    return pd.read_csv(files[0]), pd.read_csv(files[1]), Path(files[2])


@pytest.mark.slow
def test_explanation_plays_the_errors_with_the_largest_probability(explained, demo_root):
    predictions, importance, file = explained
    wrong = predictions[predictions["true"] != predictions["predicted"]]
    sure = wrong.filter(regex="^p_").max(axis=1)
    expected = wrong.loc[sure.sort_values(ascending=False, kind="stable").index[:12]]
    html = file.read_text(encoding="utf-8")
    shown = re.findall(r'aria-label="([^"]+)"', html)
    assert sorted(shown) == sorted(expected["clip"])
    said = re.findall(r"<h3>\d+\. said (\w+), is (\w+)</h3>", html)
    assert sorted(said) == sorted(zip(expected["predicted"], expected["true"], strict=True))
    first = base64.b64decode(re.search(r'src="data:audio/flac;base64,([^"]+)"', html).group(1))
    y, sr = soundfile.read(io.BytesIO(first), dtype="float32")
    (original,) = demo_root.rglob(shown[0])
    reference, reference_sr = soundfile.read(original, dtype="float32")
    assert sr == reference_sr
    assert abs(y - reference).max() < 1e-4
    assert set(importance["name"][importance["kind"] == "group"]) == {"chroma", "mel", "mfcc"}


@pytest.mark.slow
def test_explanation_in_a_browser_plays_and_asks_nobody(explained, open_page):
    _, _, file = explained
    page = open_page(file, width=390)
    page.wait_for_function("[...document.querySelectorAll('audio')].every(a => a.duration > 1)")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    assert page.requested == [file.as_uri()]


def test_confident_errors_of_a_model_without_errors_are_none():
    test = pd.DataFrame({"true": ["sad"], "predicted": ["sad"], "p_sad": [0.9], "p_happy": [0.1]})
    assert confident_errors(test, ["x.wav"]) == []
