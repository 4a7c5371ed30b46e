"""What Windows and macOS need, as far as Linux can show it (docs/platforms.md)."""

import subprocess
import sys
from pathlib import Path, PurePosixPath, PureWindowsPath

import pytest

from ser.core import paths, process
from ser.core.printable import file_name
from ser.explore import quality

ROOT = Path(__file__).parents[1]
# Modules that one system has, refused to ser alone: other packages have ways of their own.
HIDDEN = """
import builtins, pkgutil, sys
posix = {"fcntl", "grp", "posix", "pty", "pwd", "resource", "syslog", "termios", "tty"}
plain = builtins.__import__
def refusing(name, globals=None, *arguments, **keywords):
    if name in posix and (globals or {}).get("__name__", "").partition(".")[0] == "ser":
        raise ModuleNotFoundError(f"No module named {name!r}", name=name)
    return plain(name, globals, *arguments, **keywords)
builtins.__import__ = refusing
import ser
names = [module.name for module in pkgutil.walk_packages(ser.__path__, "ser.")]
for name in names:
    if not name.endswith("__main__"):
        try:
            __import__(name)
        except ModuleNotFoundError as error:
            if error.name in posix:
                raise
print(len(names))
"""


@pytest.mark.slow
def test_every_module_is_imported_where_there_is_no_posix():
    done = subprocess.run([sys.executable, "-c", HIDDEN], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 150


@pytest.mark.parametrize(
    ("kind", "folder"),
    [(PurePosixPath, "/data/a b/mlruns"), (PureWindowsPath, r"C:\data\a b\mlruns")],
)
def test_a_files_uri_is_a_path_of_its_system(kind, folder, monkeypatch):
    if kind is PureWindowsPath:
        nturl2path = pytest.importorskip("nturl2path")
        monkeypatch.setattr("urllib.request.url2pathname", nturl2path.url2pathname)
    assert kind(paths.path_of(kind(folder).as_uri())) == kind(folder)
    assert paths.path_of("s3://bucket/a") == "s3://bucket/a"


def test_a_share_of_another_machine_is_a_path_too(monkeypatch):
    nturl2path = pytest.importorskip("nturl2path")
    monkeypatch.setattr("urllib.request.url2pathname", nturl2path.url2pathname)
    share = PureWindowsPath(r"\\host\share\mlruns")
    assert PureWindowsPath(paths.path_of(share.as_uri())) == share


@pytest.mark.parametrize("name", ["a:b", "C:x", "a\\b", "a/b", "a?*", "ends. ", "nul", "com1.csv"])
def test_any_name_is_one_part_of_a_path_on_windows(name):
    made = PureWindowsPath(file_name(name))
    assert made.name == str(made) and not made.drive and not made.is_reserved()


def test_clips_are_named_by_folder_and_file(monkeypatch):
    monkeypatch.setattr(quality, "Path", PureWindowsPath)
    assert quality._name(r"C:\data\Actor_01\a.wav") == "Actor_01/a.wav"


def test_process_ids_of_windows_are_asked_without_a_signal(monkeypatch):
    monkeypatch.setattr("psutil.WINDOWS", True)
    monkeypatch.setattr("psutil.pid_exists", lambda number: True)
    monkeypatch.setattr(process.os, "kill", None)
    assert process._is_there(process.os.getpid())
