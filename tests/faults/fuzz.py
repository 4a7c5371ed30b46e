"""Fuzz targets for what reads other people's bytes: audio, archives and models.

``python tests/faults/fuzz.py audio --seconds 60`` (or ``archive``) tells how many inputs it tried,
and the file that holds the one that failed. It needs atheris (pip install atheris; Linux, macOS).
``model`` does not: it puts real models wrong at random, until one ends the process.
"""

import argparse
import faulthandler
import io
import sys
import tempfile
import warnings
import zipfile
from importlib import import_module
from pathlib import Path

# Without it, this is a module that any test may import.
if __name__ == "__main__" and "model" not in sys.argv:
    import atheris

    read = [f"ser.data.{name}" for name in ("audio", "containers", "mpeg", "not_audio")]
    followed = [*read, "ser.data.corpora.download"]
    with atheris.instrument_imports(include=followed):
        for module in followed:
            import_module(module)

import bad_audio
import made_up_models
import numpy as np

from ser.core.errors import SerError
from ser.data import audio
from ser.data.corpora import download

MIN_SAMPLES, MAX_SAMPLES = 512, 2**20
MAX_LENGTH = 2**16  # bytes of an input
RSS = 1024  # MiB: what one input may lead to
TIMEOUT = 10  # s that one input may take


def hear(data):
    """Only AudioError leaves `read_audio`, and what it returns is a clip."""
    try:
        y, sr = audio.read_audio(data, min_samples=MIN_SAMPLES, max_samples=MAX_SAMPLES)
    except audio.AudioError as error:
        assert error.cause and str(error).startswith("Cannot use <bytes>: "), error
        return
    assert y.dtype == np.float32 and y.ndim == 1
    assert MIN_SAMPLES <= y.size <= MAX_SAMPLES
    assert audio.MIN_SR <= sr <= audio.MAX_SR
    assert np.isfinite(y).all() and y.min() < y.max()


def unpack(data):
    """Only SerError leaves `unpack`, and nothing is written but the one folder."""
    with tempfile.TemporaryDirectory() as outer:
        root = Path(outer, "outer", "root")
        root.mkdir(parents=True)
        (root / "corpus.zip").write_bytes(data)
        try:
            folder = download.unpack(root / "corpus.zip", root, progress=False)
        except SerError:
            left = {"corpus.zip"}
        else:
            left = {"corpus.zip", "corpus"}
            found = [path for path in folder.rglob("*") if not path.is_dir()]
            assert all(path.is_file() and not path.is_symlink() for path in found)
            size = sum(path.stat().st_size for path in found)
            assert size <= download.MAX_RATIO * len(data)
        assert {path.name for path in root.iterdir()} == left
        assert [path.name for path in Path(outer).iterdir()] == ["outer"]
        assert [path.name for path in root.parent.iterdir()] == ["root"]


def audio_seeds():
    """Bad audio and a good file of each container, what is short."""
    for kind in bad_audio.kinds():
        with tempfile.TemporaryDirectory() as folder:
            try:
                data = audio.read_file(kind.make(Path(folder)))
            except audio.AudioError:
                continue
        if len(data) <= MAX_LENGTH:
            yield data


def archive_seeds():
    """Small zips of every method, with the entries that are refused."""
    for method in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA):
        for name in ("a/b.wav", "../c.wav", "/d.wav", "e/", "\N{LATIN SMALL LETTER E WITH ACUTE}"):
            buffer = io.BytesIO()
            with zipfile.ZipFile(buffer, "w", method) as file:
                file.writestr("first.wav", b"RIFF" * 20)
                file.writestr(name, b"" if name.endswith("/") else b"RIFF" * 20)
                with file.open("zip64.wav", "w", force_zip64=True) as entry:
                    entry.write(b"abc")
            yield buffer.getvalue()


def break_models(seconds, seed):
    """Load and ask models that are put wrong at random; the last one's number is in a file."""
    faulthandler.enable()
    warnings.simplefilter("ignore")
    folder = Path(tempfile.mkdtemp(prefix="ser-fuzz-"))
    print(f"The number of the model that is tried is in {folder}/number.", flush=True)
    with np.errstate(all="ignore"):
        tried, loaded = made_up_models.try_many(folder, seconds, seed)
    print(f"{tried} models, {loaded} of them could be loaded")


TARGETS = {"audio": (hear, audio_seeds), "archive": (unpack, archive_seeds)}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("target", choices=[*TARGETS, "model"])
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--seed", type=int, default=1)
    wanted = parser.parse_args()
    if wanted.target == "model":
        break_models(wanted.seconds, wanted.seed)
        return
    target, seeds = TARGETS[wanted.target]
    folder = Path(tempfile.mkdtemp(prefix="ser-fuzz-"))
    for number, data in enumerate(seeds()):
        (folder / f"{number:03d}").write_bytes(data)
        target(data)
    print(f"{number + 1} seeds in {folder}", flush=True)
    options = {
        "max_total_time": wanted.seconds,
        "max_len": MAX_LENGTH,
        "seed": wanted.seed,
        "timeout": TIMEOUT,
        "rss_limit_mb": RSS,
        "print_final_stats": 1,
        "verbosity": 0,
        "artifact_prefix": f"{tempfile.gettempdir()}/ser-fuzz-",
    }
    settings = [f"-{name}={value}" for name, value in options.items()]
    atheris.Setup([sys.argv[0], *settings, str(folder)], target)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
