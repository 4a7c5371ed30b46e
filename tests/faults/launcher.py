"""Commands that start at once: forks of a process that has imported everything already.

A command of ser takes seconds to import its packages and then one to do its work. Killed at a
random moment, it would nearly always die importing, where nothing can be lost. A fork of a process
that has done that is at work from its first millisecond, and is a process like any other: it has
its own memory, files and locks, and SIGKILL ends it without a word.
"""

import atexit
import gc
import importlib
import json
import os
import pkgutil
import select
import signal
import subprocess
import sys
import threading
import time
import traceback
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import undrawn
from faults import clock

from ser.train import dry

# Beside every module of ser.
PRELOADED = """
    faults.extract mlflow.pyfunc mlflow.pyfunc.model
    mlflow.store.tracking.sqlalchemy_store mlflow.store.model_registry.sqlalchemy_store
    mlflow.store.artifact.local_artifact_repo mlflow.store.tracking.rest_store
    matplotlib.backends.backend_agg sklearn.naive_bayes sklearn.dummy skops.io
    hydra.core.global_hydra optuna.storages.journal
""".split()  # noqa: SIM905  a list of one name a line would be a page


@dataclass
class Job:
    """A command under way.

    Attributes
    ----------
    pid : int
        Leader of a process group of its own.
    out, err : Path
        What it has printed.
    """

    launcher: "Launcher"
    pid: int
    out: Path
    err: Path

    def wait(self, timeout=120.0):
        """Exit code; negative where a signal ended it."""
        code = self.poll(timeout)
        assert code is not None, f"still running after {timeout} s:\n{self.said}"
        return code

    def poll(self, timeout):
        """Exit code, or None if it still runs after so many seconds."""
        return self.launcher.wait(self, timeout)

    def kill(self, *, group):
        """SIGKILL, to it alone or to its workers too."""
        with suppress(ProcessLookupError):
            (os.killpg if group else os.kill)(self.pid, signal.SIGKILL)

    @property
    def said(self):
        return "".join(file.read_text(errors="replace") for file in (self.out, self.err))


class Launcher:
    """The process that forks."""

    def __init__(self, folder, cwd):
        self._folder, self._ended, self._number = Path(folder), {}, 0
        self._buffer = b""
        self._groups = []
        self._process = subprocess.Popen(
            [sys.executable, __file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=cwd,
            env={**os.environ, "PYTHONPATH": f"{cwd}{os.pathsep}{cwd / 'tests'}"},
        )
        assert self._read(600.0) == {"ready": True}  # a minute and more where all is busy

    def start(self, target, *arguments, env, draw=False):
        """Start ``python -m TARGET ARGUMENTS``, whose module has a function `main`.

        Without `draw` its pictures are empty.
        """
        self._number += 1
        out, err = (self._folder / f"job-{self._number}.{end}" for end in ("out", "err"))
        request = {"target": target, "argv": [*map(str, arguments)], "env": env, "draw": draw}
        request |= {"out": str(out), "err": str(err)}
        self._process.stdin.write(json.dumps(request).encode() + b"\n")
        self._process.stdin.flush()
        while "started" not in (said := self._read(60.0)):
            self._ended[said["ended"]] = said["code"]
        self._groups.append(said["started"])
        return Job(self, said["started"], out, err)

    def run(self, target, *arguments, env):
        """Start it and wait; its exit code must be 0."""
        job = self.start(target, *arguments, env=env)
        assert job.wait() == 0, job.said
        return job

    def wait(self, job, timeout):
        end = time.monotonic() + timeout
        while job.pid not in self._ended:
            said = self._read(end - time.monotonic())
            if said is None:
                return None
            self._ended[said["ended"]] = said["code"]
        return self._ended.pop(job.pid)

    def close(self):
        self._process.stdin.close()
        self._process.wait(10)
        self._process.stdout.close()
        for group in self._groups:  # workers that outlived a command that was killed alone
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(group, signal.SIGKILL)

    def _read(self, timeout):
        pipe, end = self._process.stdout.fileno(), time.monotonic() + timeout
        while b"\n" not in self._buffer:  # a buffer of Python's own would hide lines from select
            if not select.select([pipe], [], [], max(end - time.monotonic(), 0))[0]:
                return None
            said = os.read(pipe, 65536)
            assert said, "the process that forks has ended; what it said is above"
            self._buffer += said
        line, _, self._buffer = self._buffer.partition(b"\n")
        return json.loads(line)


class Processes(Launcher):
    """The same where nothing can be forked (Windows): each command starts as a user starts it."""

    def __init__(self, folder, cwd):
        self._folder, self._cwd, self._started = Path(folder), cwd, {}

    def start(self, target, *arguments, env, draw=True):
        """Start ``python -m TARGET ARGUMENTS``; its pictures are drawn."""
        files = [self._folder / f"job-{len(self._started)}.{end}" for end in ("out", "err")]
        command = [sys.executable, "-m", target, *map(str, arguments)]
        with files[0].open("wb") as out, files[1].open("wb") as err:
            process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=out, stderr=err, cwd=self._cwd, env=env
            )
        self._started[process.pid] = process
        return Job(self, process.pid, *files)

    def wait(self, job, timeout):
        with suppress(subprocess.TimeoutExpired):
            return self._started[job.pid].wait(timeout)

    def close(self):
        for process in self._started.values():
            process.kill()


def _serve():
    import ser

    modules = [module.name for module in pkgutil.walk_packages(ser.__path__, "ser.")]
    for name in (*PRELOADED, *modules):
        if "__main__" not in name and "networks" not in name:  # PyTorch takes its seconds
            importlib.import_module(name)
    gc.collect()
    gc.freeze()  # no fork's collector goes through what is imported
    _say({"ready": True})
    children = set()
    while True:
        if select.select([sys.stdin], [], [], 0.005 if children else 1.0)[0]:
            line = sys.stdin.buffer.readline()
            if not line:
                for pid in children:
                    os.killpg(pid, signal.SIGKILL)
                os._exit(0)  # it has nothing to save, and much to free
            request = json.loads(line)
            pid = os.fork()
            if pid == 0:
                _become(request)
            children.add(pid)
            _say({"started": pid})
        while children:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                break
            children.discard(pid)
            _say({"ended": pid, "code": os.waitstatus_to_exitcode(status)})


def _become(request):
    """In the child: be the command, and end as any Python does."""
    code = 1
    os.setsid()
    out, err = (
        os.open(request[end], os.O_WRONLY | os.O_CREAT | os.O_APPEND) for end in ("out", "err")
    )
    null = os.open(os.devnull, os.O_RDONLY)
    for target, source in ((0, null), (1, out), (2, err)):
        os.dup2(source, target)
    os.environ.update(request["env"])
    if "SER_FAULTS_CLOCK" in request["env"]:
        clock.change_within_the_run(float(request["env"]["SER_FAULTS_CLOCK"]))
    if "SER_FAULTS_ROOM" in request["env"]:  # a disk that fills up while the run is under way
        dry.ROOM = 0
    if not request["draw"]:
        undrawn.draw_nothing()
    sys.argv = [request["target"], *request["argv"]]
    try:
        importlib.import_module(request["target"]).main()
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
        if isinstance(end.code, str):
            print(end.code, file=sys.stderr)
    except BaseException:
        traceback.print_exc()
    # Threads and exit handlers, but not the second that it takes to free what was imported.
    threading._shutdown()
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _say(what):
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    _serve()
