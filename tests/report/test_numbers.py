"""Terminal, page, model card, MLflow and Python say the same numbers, in the same words."""

import re

import pytest
from shown import check_numbers

from ser.report.terminal import text_table

SMALL = ("data=demo", "data.speakers=4", "cv.n_splits=2", "curves=none", "model=naive_bayes")
KNOWN, NEW = "test actors known to the model", "test actors never heard"
PROTOCOLS = {
    "split=random": KNOWN,
    "split=random_60_20_20": KNOWN,
    "split=random_10fold": KNOWN,
    "split=statement": f"test statements never heard, {KNOWN}",
    "split=speaker": NEW,  # one of the four, who has no interval
    "split=speaker split.test_size=0.5": NEW,
    "split=loso": NEW,
    "split=loso scaler=speaker": NEW,
    "split=speaker_statement split.n_groups=2": "test actors and statements never heard",
}
QUICK = ("split=random", "split=speaker", "split=loso scaler=speaker")


@pytest.mark.parametrize(
    "protocol", [p if p in QUICK else pytest.param(p, marks=pytest.mark.slow) for p in PROTOCOLS]
)
def test_every_place_says_the_same(run_here, demo_root, client, tmp_path, protocol):
    outcome = run_here(*SMALL, f"data.root={demo_root}", *protocol.split())
    check_numbers(
        outcome,
        client,
        tmp_path,
        words=PROTOCOLS[protocol],
        over="clips" if KNOWN in PROTOCOLS[protocol] else "actors",
        transductive="scaler=speaker" in protocol,
    )


def test_a_table_is_as_wide_as_what_is_in_it():
    long = [
        "a protocol whose name is longer than its column",
        "100.0 to 100.0",
        "-0.001 to -0.001 nats",
    ]
    lines = text_table([["", "accuracy %", "loss"], long, ["b", "1.0", "0.500"], ["c", "", ""]])
    assert re.split(r"\s{2,}", lines[1]) == long
    assert lines[0].index("accuracy %") + len("accuracy %") == lines[1].index("100.0 to") + 14
    assert [line[-5:] for line in lines[:1] + lines[2:3]] == [" loss", "0.500"]
    assert len({len(line) for line in lines[:3]}) == 1 and lines[3] == "c"
