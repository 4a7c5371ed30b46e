"""What a run's terminal, page, model card and log show, held against its predictions."""

import html
import itertools
import re

import numpy as np
import pandas as pd
import pytest
from sklearn import metrics

from ser.evaluation.uncertainty import score_intervals
from ser.tracking.queries import find_run

HEADS = {"cross-validation": "cv", "training": "train"}  # of the page


def scored(table):
    """By scikit-learn, as they are written."""
    true, predicted = table["true"], table["predicted"]
    proba = table.filter(regex="^p_")
    labels = [column.removeprefix("p_") for column in proba]
    return {
        "accuracy %": 100 * metrics.accuracy_score(true, predicted),
        "UAR %": 100 * metrics.balanced_accuracy_score(true, predicted),
        "macro F1 %": 100 * metrics.f1_score(true, predicted, average="macro"),
        "log loss (nats)": metrics.log_loss(true, proba.to_numpy(), labels=labels),
    }


def expected_rows(predictions, over):
    """What a table of scores must say of each part; heading -> cell."""
    digits = {"log loss (nats)": 3}
    rows = {}
    for part, table in predictions.groupby("part"):
        if part == "cv":
            folds = pd.DataFrame([scored(fold) for _, fold in table.groupby("fold")])
            pairs = {name: (folds[name].mean(), folds[name].std(ddof=0)) for name in folds}
        else:
            pairs = {name: (value,) for name, value in scored(table).items()}
        rows[part] = {
            name: " ± ".join(f"{value:.{digits.get(name, 1)}f}" for value in values)
            for name, values in pairs.items()
        }
    test = predictions[predictions["part"] == "test"]
    units = test["actor"].to_numpy() if over == "actors" else None
    ends = score_intervals(test["true"].to_numpy(str), test["predicted"].to_numpy(str), units)
    rows["interval"] = {
        name: f"{100 * ends[key][0]:.1f} to {100 * ends[key][1]:.1f}"
        for name, key in (("accuracy %", "accuracy"), ("UAR %", "uar"))
        if ends
    }
    return rows


def parsed(headings, rows):
    """Rows by part; a cell that is empty is left out."""
    by_part = {}
    for head, *cells in rows:
        key = "interval" if "interval" in head else re.sub(r" (clips|\().*", "", head)
        cells = {name: cell for name, cell in zip(headings, cells, strict=True) if cell}
        by_part[HEADS.get(key, key)] = cells
    return by_part


def of_terminal(text):
    lines = text.split("\n\n")[1].splitlines()
    headings = re.split(r"\s{2,}", lines[0].strip())
    ends = [lines[0].index(heading) + len(heading) for heading in headings]
    rows = []
    for line in lines[1:]:
        head, *first = re.split(r"\s{2,}", line[: ends[0]].strip())
        cells = [line[a:b].strip() for a, b in itertools.pairwise(ends)]
        rows.append([head, *(first or [""]), *cells])
    return parsed(headings, rows)


def of_page(page):
    section = page.split('<h2 id="scores">')[1].split("</table>")[0]
    headings = re.findall(r"<th scope=\"col\"[^>]*>(.*?)</th>", section)[1:]
    rows = [re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row) for row in section.split("<tr>")[2:]]
    return parsed(headings, rows)


def check_numbers(outcome, client, folder, *, words, over, transductive=False):
    """Hold every place that shows a run's numbers against its predictions.

    `words` are those of the protocol, and `over` is what the intervals are over.
    """
    folder.mkdir(exist_ok=True)
    client.download_artifacts(outcome.run_id, "", str(folder))
    predictions = pd.read_csv(folder / "tables" / "predictions.csv")
    page = html.unescape((folder / "report.html").read_text(encoding="utf-8"))
    card = (folder / "model_card.md").read_text(encoding="utf-8")
    run = client.get_run(outcome.run_id)

    rows = expected_rows(predictions, over)
    shown = of_terminal(outcome.text)
    assert {part: shown.get(part) for part in rows} == rows
    assert of_page(page) == shown

    # The log, its copies in Python, and the columns of MLflow's table.
    logged = run.data.metrics
    assert logged == dict(find_run(client.tracking_uri, outcome.run_id).metrics)
    assert {name: logged[name] for name in outcome.metrics} == pytest.approx(outcome.metrics)
    assert f"{100 * logged['test_uar']:.1f}" == rows["test"]["UAR %"]
    for name in logged:
        history = client.get_metric_history(outcome.run_id, name)
        assert len(history) == 1 or re.search("fold|epoch", name), name
    by_fold = [fold.value for fold in client.get_metric_history(outcome.run_id, "cv_fold_accuracy")]
    assert not by_fold or np.mean(by_fold) == pytest.approx(logged["cv_accuracy_mean"])

    for name, unit in (("UAR", "%"), ("accuracy", "%"), ("macro F1", "%"), ("log loss", "nats")):
        heading = f"{name} %" if unit == "%" else f"{name} ({unit})"
        line = f"- {name} {rows['test'][heading]} {unit}"
        if name in ("UAR", "accuracy"):
            ends = rows["interval"].get(heading)
            said = f"95 % interval over {over}: {ends}" if ends else "no interval: one actor"
            line += f" ({said})"
            value = f'{rows["test"][heading]} %</dd><dd class="soft">{said}</dd>'
            assert value in page
        assert f"{line}\n" in card
    assert ("no interval: one actor" in outcome.text) == (not rows["interval"])

    # The protocol.
    assert run.data.tags["protocol"] == words
    for text in (outcome.text.split("\n\n")[0], page, card):
        assert words in text
    sentence = "each speaker's test clips, without labels, went into their scaling"
    for text in (outcome.text, page, card):
        assert (sentence in text.replace("Each speaker", "each speaker")) == transductive
    assert ("were heard in training" in card) == (over == "clips")
