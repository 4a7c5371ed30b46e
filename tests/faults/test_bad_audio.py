"""Every kind of bad audio has its documented outcome: soon, in little memory, and in a store."""

import os
import signal
import sys
import tempfile
import time
from contextlib import contextmanager, nullcontext
from importlib.util import find_spec
from pathlib import Path

import bad_audio
import numpy as np
import pytest
import soundfile as sf
from bad_audio import Clip

from ser.data import audio
from ser.data.audio import AudioError, probe, read_audio, read_blocks
from ser.data.corpora import audio_files
from ser.data.recordings import Recording, Windows
from ser.features.extraction import Extractor, extract_excerpts
from ser.features.functionals import FunctionalFeatures
from ser.features.logmel import LogMelFeatures
from ser.features.notebook import NotebookFeatures
from ser.features.opensmile import OpensmileFeatures
from ser.features.prosody import ProsodyFeatures
from ser.features.resampling import resample
from ser.features.store import extract

KINDS = {kind.name: kind for kind in bad_audio.kinds()}
PAGE = Path(__file__).resolve().parents[2] / "docs/bad-audio.md"
CPU_SECONDS, WALL_SECONDS, MEGABYTES = 2, 20, 200
IS_ROOT = hasattr(os, "geteuid") and os.geteuid() == 0
NOBODY = 65_534
N_RESAMPLED = 167  # 8000 samples at 767 999 Hz, at 16 kHz

FEATURE_SETS = {
    "notebook": NotebookFeatures(),
    "prosody": ProsodyFeatures(),
    "functionals": FunctionalFeatures(),
    "logmel": LogMelFeatures(),
    "egemaps": OpensmileFeatures(set="eGeMAPSv02"),
    "compare": OpensmileFeatures(set="ComParE_2016"),
}


@contextmanager
def wall_clock(seconds):
    """Fail, instead of waiting for ever for what a pipe never gives."""

    def stop(*_):
        raise TimeoutError(f"more than {seconds} s")

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@contextmanager
def nobody():
    """Root may read everything: for a moment, be somebody who may not."""
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)


def memory(field):
    """VmRSS or VmHWM (the peak) of this process, in MB."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1]) / 1024
    raise AssertionError(field)


@contextmanager
def little_memory(megabytes):
    """Fail where the peak rises by more; Linux only, where a process can reset its peak."""
    if not sys.platform.startswith("linux"):
        yield
        return
    Path("/proc/self/clear_refs").write_text("5")
    before = memory("VmRSS")
    yield
    assert memory("VmHWM") - before < megabytes


@pytest.fixture
def open_folder():
    """A folder that everybody may enter; pytest's own are the user's alone."""
    with tempfile.TemporaryDirectory(prefix="ser-") as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


@pytest.fixture(scope="module")
def every_kind(tmp_path_factory):
    """Root of a folder per kind, and the path of each."""
    root = tmp_path_factory.mktemp("every_kind")
    paths = {}
    for number, (name, kind) in enumerate(KINDS.items()):
        (root / f"{number:03d}").mkdir()
        paths[name] = kind.make(root / f"{number:03d}")
    return root, paths


def outcome_of(path, read):
    """Samples and rate, or the reason why there are none."""
    try:
        return read(path)
    except AudioError as error:
        return error.cause


def in_blocks(path):
    blocks, rates = zip(*read_blocks(path), strict=True)
    return np.concatenate(blocks), rates[0]


def test_a_file_that_is_read_in_blocks_is_what_it_is_as_a_whole(every_kind, monkeypatch):
    monkeypatch.setattr(audio, "BLOCK_SAMPLES", 1000)  # several of each
    paths = every_kind[1]
    for name, path in paths.items():
        whole, parts = outcome_of(path, read_audio), outcome_of(path, in_blocks)
        if isinstance(whole, str):
            # Any length can be read so, and a file of no length is empty.
            differs = "GiB" in name or "2^36" in name or name == "a file whose reading fails"
            assert differs or parts == whole, name
        else:
            np.testing.assert_array_equal(parts[0], whole[0], err_msg=name)
            assert parts[1] == whole[1]


def test_windows_of_a_long_recording_take_no_more_memory_than_a_block(tmp_path, monkeypatch):
    sr, hours = 8000, 2
    rng = np.random.default_rng(0)
    with sf.SoundFile(tmp_path / "long.wav", "w", sr, 1, subtype="PCM_16") as file:
        for _ in range(hours):
            file.write(rng.normal(scale=0.1, size=3600 * sr))
    monkeypatch.setattr(audio, "MAX_SAMPLES", 2**20)
    recording = Recording(str(tmp_path / "long.wav"))
    features = NotebookFeatures(n_fft=256, hop_length=128, n_mels=8, n_mfcc=4, chroma=False)
    for trained_sr in (sr, 4000):
        extractor = Extractor(features, trained_sr, Windows(2, 60), max_samples=2**20)
        with little_memory(60):  # the samples alone are 230 MB
            parts = extract_excerpts(recording, extractor)
        assert len(parts) == hours * 60 + 1 and parts[-1].end == hours * 3600
        start = round(parts[7].start * sr)
        y, _ = sf.read(tmp_path / "long.wav", dtype="float32", start=start, frames=4 * sr)
        alone = features(resample(y, sr, trained_sr)[: 2 * trained_sr], trained_sr)
        atol = 1e-6 if trained_sr == sr else np.inf  # cut out, it begins without what was before
        np.testing.assert_allclose(parts[7].vector, alone, atol=atol)
        assert not any(part.error for part in parts)


def test_there_are_many_kinds_of_different_names():
    assert len(KINDS) == len(bad_audio.kinds()) >= 60


@pytest.mark.parametrize("name", KINDS)
def test_a_kind_has_its_documented_outcome(name, open_folder):
    path, outcome = KINDS[name].make(open_folder), KINDS[name].outcome
    # Only while it is read: nobody may read root's Python either.
    denied = nobody() if IS_ROOT and name == bad_audio.UNREADABLE else nullcontext()
    start = time.process_time()
    with wall_clock(WALL_SECONDS), little_memory(MEGABYTES):
        try:
            with denied:
                y, sr = read_audio(path)
        except AudioError as error:
            assert not isinstance(outcome, Clip), error
            assert outcome in error.cause
            assert error.path == path and error.cause in str(error)
        else:
            assert (y.size, sr) == outcome
            assert y.dtype == np.float32 and y.ndim == 1 and np.isfinite(y).all()
            assert y.min() < y.max()
    assert time.process_time() - start < CPU_SECONDS


def test_probe_neither_waits_nor_raises(every_kind, capfd):
    root, paths = every_kind
    with wall_clock(WALL_SECONDS):
        for name, path in paths.items():
            duration, sr, channels, _ = probe(path)
            outcome = KINDS[name].outcome
            if isinstance(outcome, Clip):
                assert sr == outcome.sr and channels > 0 and duration > 0, name
            else:
                assert sr >= 0 and channels >= 0 and not duration < 0, name
        assert len(audio_files(root)) > 300
    assert "Traceback" not in capfd.readouterr().err


def test_store_keeps_the_good_and_names_the_bad(every_kind, tmp_path):
    paths = dict(every_kind[1])
    if IS_ROOT:  # who may read it, and make the store
        del paths[bad_audio.UNREADABLE]
    wanted = list(paths.values())

    def extracted(store):
        how = {"on_error": "skip", "n_jobs": 1, "progress": False}
        return extract(wanted, NotebookFeatures(), store=tmp_path / store, **how)

    with wall_clock(3 * WALL_SECONDS):
        first, again, fresh = extracted("a"), extracted("a"), extracted("b")
    for row, (name, path) in enumerate(paths.items()):
        outcome = KINDS[name].outcome
        if isinstance(outcome, Clip):
            assert np.isfinite(first.X[row]).all() and first.content[row], name
            assert path not in first.errors
        else:
            assert np.isnan(first.X[row]).all() and not first.content[row], name
            assert outcome in first.errors[path]
    assert len(first.errors) == sum(not isinstance(KINDS[n].outcome, Clip) for n in paths)
    assert first.n_extracted == fresh.n_extracted > 0 == again.n_extracted
    for other in (again, fresh):
        np.testing.assert_array_equal(other.X, first.X)
        np.testing.assert_array_equal(other.content, first.content)
        assert other.errors == first.errors


@pytest.mark.filterwarnings("error::RuntimeWarning")
@pytest.mark.parametrize("features", FEATURE_SETS)
def test_what_is_read_has_features(features, every_kind):
    if features in ("egemaps", "compare") and find_spec("opensmile") is None:
        pytest.skip("opensmile is not installed")
    feature_set, seen = FEATURE_SETS[features], set()
    for name, path in every_kind[1].items():
        if not isinstance(KINDS[name].outcome, Clip):
            continue
        y, sr = read_audio(path)
        if (y.tobytes(), sr) in seen:
            continue
        seen.add((y.tobytes(), sr))
        vector = feature_set(y, sr)
        assert vector.shape == (len(feature_set.names),) and np.isfinite(vector).all(), name
    assert len(seen) > 40


def test_clips_of_a_rate_too_low_for_f0_are_errors_of_their_own(every_kind, tmp_path):
    paths = [every_kind[1][name] for name in ("4000 Hz", "8000 Hz")]
    features = ProsodyFeatures(fmax=1500)
    found = extract(
        paths, features, store=tmp_path / "s", on_error="skip", n_jobs=1, progress=False
    )
    assert np.isfinite(found.X[1]).all()
    assert list(found.errors) == paths[:1] and "at 4000 Hz" in found.errors[paths[0]]


def test_odd_rates_are_resampled_in_bounded_memory():
    y = bad_audio.noise().astype(np.float32)
    with little_memory(400):
        assert abs(resample(y, 767_999, 16_000).size - N_RESAMPLED) <= 1
    assert resample(y, 191_999, 16_000).size == round(y.size * 16_000 / 191_999)


def test_full_scale_does_not_wrap_around_in_opensmile():
    if find_spec("opensmile") is None:
        pytest.skip("opensmile is not installed")
    y = np.clip(4 * bad_audio.noise(), -1, 1).astype(np.float32)
    clipped = np.minimum(y, np.float32(1 - 2**-15))
    features = FEATURE_SETS["egemaps"]
    np.testing.assert_array_equal(features(y, 16_000), features(clipped, 16_000))


def test_links_that_lead_back_end(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        for number in range(6):
            (tmp_path / name / f"loop{number}").symlink_to(tmp_path)
        (tmp_path / name / "clip.wav").touch()
    with wall_clock(WALL_SECONDS):
        assert audio_files(tmp_path) == [tmp_path / name / "clip.wav" for name in ("a", "b")]


def test_the_page_holds_the_table():
    assert PAGE.read_text().endswith("\n" + bad_audio.table())
