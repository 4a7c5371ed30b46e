"""How commands end: by Ctrl-C in the middle of a fit, or where their output or place fails them."""

import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from sklearn.dummy import DummyClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline

from ser.core import interrupts, streams
from ser.core.errors import SerError
from ser.core.process import identity, maker_of
from ser.data.corpora import audio_files
from ser.data.recordings import find_recordings
from ser.models.partial_fit import EpochFit
from ser.models.pipeline import fit
from ser.tracking.run import create_run
from ser.train import dry
from ser.train.sweep import SweepCallback

ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
CHECKOUT = Path(__file__).parents[2]
X = np.random.default_rng(0).normal(size=(40, 3))
Y = np.repeat(["happy", "sad"], 20)


@pytest.fixture(autouse=True)
def _as_a_command():
    """Ctrl-C and SIGTERM are what they are in a command, and afterwards what they were."""
    before = {number: signal.getsignal(number) for number in ENDING}
    for number in before:
        signal.signal(number, signal.default_int_handler)
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


class Swallowing(DummyClassifier):
    """A classifier of a library that takes Ctrl-C for the end of the fit."""

    def __init__(self, number=signal.SIGINT):
        super().__init__()
        self.number = number

    def fit(self, X, y):
        with suppress(KeyboardInterrupt):
            signal.raise_signal(self.number)
        return super().fit(X, y)


@pytest.mark.parametrize("number", ENDING)
def test_a_fit_that_swallows_an_interrupt_is_none(number):
    with pytest.raises(KeyboardInterrupt):
        fit(make_pipeline(Swallowing(number)), X, Y)
    assert signal.getsignal(number) is signal.default_int_handler  # as it was


@pytest.mark.filterwarnings("ignore:Training interrupted")
@pytest.mark.parametrize("by_epochs", [False, True])
def test_an_interrupted_mlp_is_no_model(monkeypatch, by_epochs):
    pipeline = make_pipeline(MLPClassifier(max_iter=20, random_state=0))
    learn, batches = MLPClassifier._backprop, []

    def interrupt(self, *args):
        batches.append(1)
        if len(batches) == 3:
            signal.raise_signal(signal.SIGINT)
        return learn(self, *args)

    monkeypatch.setattr(MLPClassifier, "_backprop", interrupt)
    with pytest.raises(KeyboardInterrupt):
        EpochFit.start(pipeline, X, Y).advance(20) if by_epochs else fit(pipeline, X, Y)


def test_an_error_that_an_interrupt_caused_is_the_interrupt():
    with pytest.raises(KeyboardInterrupt), interrupts.raised_at_the_end():
        try:
            signal.raise_signal(signal.SIGINT)
        except KeyboardInterrupt as error:
            raise ValueError("the clean-up failed") from error
    with pytest.raises(ValueError, match="of its own"), interrupts.raised_at_the_end():
        raise ValueError("of its own")


def test_a_run_interrupted_within_a_fit_is_killed(run_here, demo_root, client, monkeypatch):
    monkeypatch.setattr(
        DummyClassifier, "fit", lambda self, X, y, w=None: Swallowing.fit(Swallowing(), X, y)
    )
    with pytest.raises(KeyboardInterrupt):
        one = "compute.n_jobs=1"  # in a thread each fit would send a signal, also while it ends
        run_here("data=demo", f"data.root={demo_root}", "data.speakers=4", "model=dummy", one)
    (run,) = client.search_runs([e.experiment_id for e in client.search_experiments()])
    assert run.info.status == "KILLED"


def started(code, *, prints_data=False, **more):
    """A command whose body is `code`, in a process of its own."""
    lines = ["import sys", "from ser.core import streams", "def main():"]
    lines += [f"    {line}" for line in code.split("\n")]
    code = "\n".join([*lines, f"streams.command(main, prints_data={prints_data})()"])
    environment = {**os.environ, "PYTHONPATH": str(CHECKOUT), **more.pop("env", {})}
    return subprocess.Popen(
        [sys.executable, "-c", code], env=environment, stderr=subprocess.PIPE, text=True, **more
    )


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_closed_pipe_ends_a_command_in_silence(unbuffered):
    read, write = os.pipe()
    os.close(read)
    code = "for i in range(9999): print('a line of', i)"
    process = started(code, stdout=write, env={"PYTHONUNBUFFERED": unbuffered})
    os.close(write)
    assert process.communicate()[1] == ""
    assert process.returncode == streams.CLOSED


@pytest.mark.parametrize(("came", "status"), [([signal.SIGTERM], "KILLED"), ([], "FAILED")])
def test_a_sweep_whose_workers_ended_without_a_word_is_interrupted(
    came, status, client, tmp_path, monkeypatch
):
    """As SIGTERM leaves it under a launcher that has workers; else it lacks jobs."""
    monkeypatch.setattr(interrupts, "_came", came)
    sweep, uri = SweepCallback(), client.tracking_uri
    sweep._run = create_run(uri=uri, experiment="e", name="sweep", tags={}, description="")
    sweep._end_early(tmp_path, uri)
    assert client.get_run(sweep._run.id).info.status == status


WARN = "import logging; logging.basicConfig(stream=sys.stdout); logging.warning('x'); print(1)"


@pytest.mark.parametrize("code", ["print('short')", "print('x' * 99999)", "streams.say('x')", WARN])
def test_a_full_disk_under_the_output_is_one_sentence(code):
    if not Path("/dev/full").exists():
        pytest.skip("the system has no /dev/full")
    with Path("/dev/full").open("w") as full:
        said = started(code, stdout=full).communicate()[1]
    assert said == "Standard output cannot be written: No space left on device.\n"


@pytest.mark.parametrize("data", [True, False])
@pytest.mark.parametrize(
    ("encoding", "printed"),
    [("ascii", rb"gl\xfccklich \u0915 "), ("cp932", rb"gl\xfccklich \u0915 "), ("utf-8", None)],
)
def test_letters_that_an_encoding_lacks_are_escaped(encoding, printed, data):
    code = r"print('gl\xfccklich \u0915 a\udcff.wav'); print('\xfc', file=sys.stderr)"
    environment = {"PYTHONIOENCODING": encoding}
    process = started(code, prints_data=data, stdout=subprocess.PIPE, env=environment)
    process.stdout.reconfigure(encoding="latin-1")
    out, _ = process.communicate()
    assert process.returncode == 0
    name = "glücklich क ".encode() if printed is None else printed
    # For another program a file's name is as it came in.
    assert out.encode("latin-1") == name + (b"a\xff.wav\n" if data else rb"a\xff.wav" + b"\n")


def test_ctrl_c_and_a_gone_folder_end_any_command_in_a_sentence(tmp_path):
    process = started("import signal; signal.raise_signal(signal.SIGTERM)")
    assert (process.communicate()[1], process.returncode) == ("Interrupted.\n", 130)
    gone = tmp_path / "gone"
    gone.mkdir()
    code = "import os, sys\nos.chdir(sys.argv[1]); os.rmdir(sys.argv[1])\n"
    code += "from ser.core import streams\nstreams.command(lambda: print('went on'))()"
    done = subprocess.run(
        [sys.executable, "-c", code, gone],
        env={**os.environ, "PYTHONPATH": str(CHECKOUT)},
        capture_output=True,
        text=True,
    )
    assert (done.stdout, done.returncode) == ("", 1)
    assert done.stderr == (
        "The working folder: No such file or directory. Go to one that is there, by cd.\n"
    )


STOPPED_WORKERS = """
import psutil, signal
from joblib import delayed
from ser.core import compute, process
list(compute.results((delayed(abs)(i) for i in range(2)), n_jobs=2))
workers = [child for child in psutil.Process().children() if 'popen_loky' in str(child.cmdline())]
for worker in workers:
    worker.suspend()
while len(process.stopped_workers()) < len(workers): pass
print(len(workers))
signal.raise_signal(signal.SIGINT)"""


@pytest.mark.slow
def test_stopped_workers_do_not_keep_a_command_from_its_end():
    process = started(STOPPED_WORKERS, stdout=subprocess.PIPE)
    assert process.communicate(timeout=60) == ("2\n", "Interrupted.\n")


def test_a_closed_standard_input_is_empty():
    process = started(
        "print(sys.stdin.buffer.read())", stdout=subprocess.PIPE, preexec_fn=lambda: os.close(0)
    )
    assert process.communicate() == ("b''\n", "")


END_BY_HANGUP = """
import signal
try:
    signal.raise_signal(signal.SIGHUP)
    print('went on')
except KeyboardInterrupt:
    signal.raise_signal(signal.SIGHUP)  # a shell sends it too
    print('closed')
    raise"""


@pytest.mark.parametrize(
    ("nohup", "end"), [(False, ("closed\n", "Interrupted.\n", 130)), (True, ("went on\n", "", 0))]
)
def test_a_closed_terminal_ends_a_command_as_ctrl_c_does_and_nohup_does_not(nohup, end):
    handler = signal.SIG_IGN if nohup else signal.SIG_DFL
    process = started(
        END_BY_HANGUP,
        stdout=subprocess.PIPE,
        preexec_fn=lambda: signal.signal(signal.SIGHUP, handler),
    )
    assert (*process.communicate(), process.returncode) == end


def test_what_is_said_to_a_closed_terminal_does_not_hide_why_it_ends(tmp_path):
    import pty

    ours, theirs = pty.openpty()
    code = "import pathlib, signal\ntry:\n    print('ready', flush=True); signal.pause()\n"
    code += "finally:\n    print('the bar is closed', flush=True)\n"
    code += f"    pathlib.Path({str(tmp_path / 'end')!r}).write_text('whole')"
    process = started(code, stdout=theirs, start_new_session=True)
    os.close(theirs)
    assert os.read(ours, 100).startswith(b"ready")
    os.close(ours)
    process.send_signal(signal.SIGHUP)
    assert process.communicate()[1] == "Interrupted.\n"
    assert (process.returncode, (tmp_path / "end").read_text()) == (130, "whole")


def test_a_user_without_a_home_gets_one_until_the_end(monkeypatch):
    def nowhere():
        if "HOME" not in os.environ:
            raise RuntimeError("Could not determine home directory.")
        return Path(os.environ["HOME"])

    monkeypatch.delenv("HOME")
    monkeypatch.setattr(Path, "home", nowhere)
    seen = []
    monkeypatch.setattr(streams.atexit, "register", lambda *what, **more: seen.append(what))
    streams.command(lambda: seen.append(os.environ["HOME"]))()
    (remove,), home = seen
    assert maker_of(Path(home).name) == identity() and Path(home).is_dir()
    remove()


def test_a_clock_before_1980_is_said_before_anything_costs_time(run_here, client, monkeypatch):
    monkeypatch.setattr(dry.time, "time", lambda: 86400.0)
    with pytest.raises(SerError, match=r"clock says 1970-.*before 1980\. Set the clock"):
        run_here("data=demo", "model=dummy")
    assert not client.search_runs([e.experiment_id for e in client.search_experiments()])


@pytest.fixture
def ring(write_tone, tmp_path):
    """Two clips in folders whose links lead back."""
    for name in ("g/x.wav", "g/a/y.wav"):
        write_tone(name)
    (tmp_path / "g/a/up").symlink_to("..")
    (tmp_path / "g/a/self").symlink_to(".")
    return tmp_path / "g"


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("g/**/*.wav", ["g/a/y.wav", "g/x.wav"]),
        ("**/y.wav", ["g/a/y.wav"]),
        ("g/**", ["g/a/y.wav", "g/x.wav"]),
        ("./[g]/**/a/*.wav", ["g/a/y.wav"]),
        ("g/*.wav", ["g/x.wav"]),
    ],
)
def test_a_glob_goes_into_each_folder_once(ring, monkeypatch, pattern, found):
    monkeypatch.chdir(ring.parent)
    assert [recording.name for recording in find_recordings([pattern])] == found
    absolute = find_recordings([f"{ring.parent}/{pattern}"])
    assert [recording.name for recording in absolute] == [f"{ring.parent}/{f}" for f in found]


def test_a_folder_that_cannot_be_read_is_said(ring, monkeypatch):
    scan = os.scandir

    def refuse(path):
        if str(path) == str(ring / "a"):
            raise PermissionError(13, "Permission denied", str(path))
        return scan(path)

    monkeypatch.setattr(os, "scandir", refuse)
    for look in (audio_files, lambda root: find_recordings([f"{root}/**/*.wav"])):
        with pytest.raises(SerError, match=r"/g/a cannot be read: Permission denied\. Mend"):
            look(ring)
    (ring / "a").rename(ring / "lost+found")  # every disk has one, which is the system's
    assert [file.name for file in audio_files(ring)] == ["x.wav"]
