"""Progress without a terminal: whole lines, after ten seconds, with what is left to do."""

import sys

import pytest

from ser.core import progress


@pytest.fixture
def now(monkeypatch):
    """A clock of the bars', that the test moves."""
    clock = [1000.0]

    def of(drawn):
        drawn._time = lambda: clock[0]
        drawn.start_t = drawn.last_print_t = clock[0]
        return drawn

    return clock, of


def test_lines_come_every_ten_seconds_where_there_is_no_terminal(capfd, now):
    clock, of = now
    with of(progress.bar(total=100, desc="Extracting", unit="clip")) as drawn:
        for _ in range(50):  # a step a second
            clock[0] += 1
            drawn.set_postfix_str("best 61.2 %", refresh=False)
            drawn.update()
    lines = capfd.readouterr().err.splitlines()
    assert len(lines) == 5
    assert lines[0] == "Extracting: 10 of 100, 00:10 passed, about 01:30 left, best 61.2 %"
    assert lines[-1] == "Extracting: 50 of 100, 00:50 passed, about 00:50 left, best 61.2 %"


def test_a_message_needs_no_line_of_its_own(capfd, now):
    clock, of = now
    with of(progress.bar(total=2, desc="Predicting")) as drawn:
        clock[0] += 60
        drawn.write("Cannot use a.wav: it is silent.", file=sys.stderr)
    assert capfd.readouterr().err == "Cannot use a.wav: it is silent.\n"


def test_short_and_hidden_work_writes_nothing(capfd, now):
    clock, of = now
    for _ in progress.bar(range(1000), desc="Drawing"):
        pass
    with of(progress.bar(total=5, desc="Extracting", shown=False)) as drawn:
        clock[0] += 60
        drawn.update()
    progress.announce("Synthesising", shown=False)
    assert capfd.readouterr().err == ""
