"""Terminal, page, model card, MLflow and Python say the same numbers, in the same words."""

import pytest
from shown import check_numbers

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
