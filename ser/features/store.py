"""Feature matrices on disk: a clip's vector is computed once and kept, whatever happens meanwhile.

A store is one SQLite file. A vector's key is what the clip holds (SHA-256 of its bytes) and what
computed it (the feature set's class, version and settings), so a moved or copied clip is not
extracted again and a changed one always is. A further table remembers which content each file had,
by path, size, times and inode, so that an unchanged file is not even opened, and one what each
recording is like (`ser.data.facts`). Contents are numbered as they come, and vectors lie in that
order: a million of them are written and read one after the other, however the digests scatter.

Every batch is one transaction in a write-ahead log: a kill at any moment leaves a readable store
that lacks at most the batch under way, the next start continues, and several processes may fill
one store at once.
"""

from __future__ import annotations

import hashlib
import logging
import sqlite3
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

import numpy as np

from ser.core import compute
from ser.core.errors import SerError
from ser.core.progress import bar
from ser.data.audio import AudioError, read_audio, read_file
from ser.data.facts import RecordingFacts, facts_table, recording_facts
from ser.data.recordings import Recording
from ser.features import FeatureSet, check_ready, stored_dtype
from ser.features.extraction import extract_with_facts
from ser.features.store_file import (
    DIGEST_BYTES,
    StoredClip,
    StoredSet,
    connect_store,
    content_numbers,
    forget_vectors,
    known_contents,
    open_store,
    read_facts,
    read_vectors,
    save_clips,
    save_facts,
    stamp_of,
    stored_set,
)
from ser.features.union import UnionFeatures

if TYPE_CHECKING:
    import pandas as pd

log = logging.getLogger(__name__)

T = TypeVar("T")
Batches: TypeAlias = Callable[..., Generator[list[Any], None, None]]  # `_in_batches`, bound
BATCH_CLIPS = 16  # a fifth of a second of work for one core: what a kill can cost


@dataclass(frozen=True)
class Extraction:
    """What the store returns for a list of clips.

    Attributes
    ----------
    X : (n_clips, n_features) float32
        Row i belongs to path i; a row of NaN where `errors` has the path.
    feature_set : FeatureSet
        What computed it.
    content : (n_clips,) str
        Hexadecimal digest of each clip's bytes; empty where it could not be read.
    errors : dict of str to str
        Path -> why the clip could not be used.
    n_extracted : int
        Contents computed now; the others were there.
    recordings : (n_clips, ...) DataFrame
        What each recording is like: the fields of `ser.data.facts.RecordingFacts`, at their
        defaults where `errors` has the path.
    """

    X: np.ndarray
    feature_set: FeatureSet
    content: np.ndarray
    errors: dict[str, str]
    n_extracted: int
    recordings: pd.DataFrame

    @property
    def names(self) -> tuple[str, ...]:
        """Column names."""
        return self.feature_set.names


def extract(
    paths: Sequence[str],
    feature_set: FeatureSet,
    *,
    store: str | Path,
    on_error: str = "raise",
    n_jobs: int = -1,
    progress: bool = True,
) -> Extraction:
    """Feature matrix of the clips: from the store, and what is missing from the audio.

    Parameters
    ----------
    paths : sequence of str
        Audio files.
    feature_set : FeatureSet
        Computes one vector per clip.
    store : path
        SQLite file, made where it is missing.
    on_error : {"raise", "skip"}
        What a clip that cannot be read does: end the extraction (what is done is kept), or leave
        a row of NaN and an entry in `errors`.
    n_jobs : int
        Workers on this machine; -1 for one per core.
    progress : bool
        Whether to draw a bar while clips are extracted.

    Raises
    ------
    AudioError
        For the first bad clip, with ``on_error="raise"``.
    SerError
        If the store cannot be opened or written, or `on_error` is neither of the two.
    """
    if on_error not in ("raise", "skip"):
        raise SerError(f"data.on_error={on_error!r} is not known: give 'raise' or 'skip'.")
    ready = partial(check_ready, feature_set)  # all of a union before its first clip
    in_batches = partial(_in_batches, ready=ready, n_jobs=n_jobs, progress=progress)
    if not isinstance(feature_set, UnionFeatures):
        return _extract_set(paths, feature_set, in_batches, Path(store), on_error)
    members = feature_set.sets.values()
    each = [_extract_set(paths, of, in_batches, Path(store), on_error) for of in members]
    return _joined(each, paths, np.concatenate([of.X for of in each], axis=1), feature_set)


def _extract_set(
    paths: Sequence[str], feature_set: FeatureSet, in_batches: Batches, store: Path, on_error: str
) -> Extraction:
    """A set that is stored for itself."""
    rows = _Rows.of(paths, len(feature_set.names))
    with open_store(store) as connection:
        stored = stored_set(connection, feature_set)
        # SQLite's log does not work over a network: a cluster's workers leave the store alone.
        seen = (store, stored.id) if compute.is_local() else None
        work = partial(_extract_batch, feature_set=feature_set, seen=seen)
        errors, n_extracted = _fill(connection, stored, rows, partial(in_batches, work), on_error)
        lacking = [p for p, of in zip(paths, rows.number.tolist(), strict=True) if of == 0]
        _check_kept(store, [path for path in lacking if path not in errors])
        recordings = _recordings(connection, paths, rows.number, rows.content, in_batches)
    return Extraction(rows.X, feature_set, rows.content, errors, n_extracted, recordings)


@dataclass(frozen=True)
class _Rows:
    """Clips that are asked for, as far as they are known: see `Extraction` and `read_vectors`."""

    paths: Sequence[str]
    number: np.ndarray
    content: np.ndarray
    X: np.ndarray

    @classmethod
    def of(cls, paths: Sequence[str], n_features: int) -> _Rows:
        """Of which nothing is known."""
        return cls(
            paths,
            np.zeros(len(paths), dtype=np.int64),
            np.zeros(len(paths), dtype=f"U{2 * DIGEST_BYTES}"),
            np.full((len(paths), n_features), np.nan, dtype=np.float32),
        )


def _fill(
    connection: sqlite3.Connection,
    stored: StoredSet,
    rows: _Rows,
    batches: Callable[[list[str]], Generator[list[StoredClip], None, None]],
    on_error: str,
) -> tuple[dict[str, str], int]:
    """Fill the rows from the store and, by way of it, from the audio: errors, and how many new.

    The number of a content that is not to be had stays 0.
    """
    rows.number[:] = known_contents(connection, rows.paths, rows.content)
    missing = _missing(connection, stored, rows, np.arange(len(rows.paths)))
    errors: dict[str, str] = {}
    n_extracted = 0
    for _ in range(2):  # of a file that was not known, a damaged vector is found only then
        wanted = list(dict.fromkeys(rows.paths[row] for row in missing.tolist()))
        numbers, causes, n_new = _keep(connection, stored, batches(wanted), on_error)
        errors, n_extracted = errors | causes, n_extracted + n_new
        for row in missing.tolist():
            rows.number[row], digest = numbers.get(rows.paths[row], (0, b""))
            rows.content[row] = digest.hex()
        missing = _missing(connection, stored, rows, missing)
        missing = missing[[rows.paths[row] not in errors for row in missing.tolist()]]
    rows.number[missing] = 0
    return errors, n_extracted


def _missing(
    connection: sqlite3.Connection, stored: StoredSet, rows: _Rows, which: np.ndarray
) -> np.ndarray:
    """Fill some rows of X; return those that the store lacks. Damaged vectors are forgotten."""
    there, damaged = read_vectors(connection, stored, rows.number, rows.content, rows.X, which)
    if damaged:
        forget_vectors(connection, stored, damaged)
        log.warning(
            f"{len(damaged)} vectors in the feature store were damaged; they are extracted again. "
            "Its disk may be failing: python -m ser.doctor looks."
        )
    return which[~there]


def _keep(
    connection: sqlite3.Connection,
    stored: StoredSet,
    batches: Generator[list[StoredClip], None, None],
    on_error: str,
) -> tuple[dict[str, tuple[int, bytes]], dict[str, str], int]:
    """Put batches into the store as they come: contents by path, errors, and how many are new."""
    numbers: dict[str, tuple[int, bytes]] = {}
    errors: dict[str, str] = {}
    n_extracted = 0
    with closing(batches):  # else workers go on after an error, and complain
        for batch in batches:
            good = [clip for clip in batch if clip.error is None]
            n_extracted += save_clips(connection, stored, good)
            numbers |= content_numbers(connection, good)
            errors |= _causes(batch, on_error)
    return numbers, errors, n_extracted


def _check_kept(store: str | Path, missing: Sequence[str]) -> None:
    """Refuse a store that has no vector of a clip that was just extracted without an error."""
    if missing:
        raise SerError(
            f"The feature store {store} does not give back what was written to it: the vector of "
            f"{missing[0]}. See to its disk, or give another with store=FILE."
        )


def _recordings(
    connection: sqlite3.Connection,
    paths: Sequence[str],
    number: np.ndarray,
    content: np.ndarray,
    in_batches: Batches,
) -> pd.DataFrame:
    """Facts of the clips; what an older store lacks, or a damaged one, is measured again."""
    known = read_facts(connection, number, content)
    by_path = dict(zip(paths, zip(number.tolist(), content.tolist(), strict=True), strict=True))
    wanted = [path for path, (of, _) in by_path.items() if of > 0 and of not in known]
    with closing(in_batches(_measure_batch, wanted, title="Measuring")) as batches:
        for batch in batches:
            measured = [(*by_path[path], facts) for path, facts in batch]
            save_facts(connection, measured)
            known |= {of: facts for of, _, facts in measured}
    return facts_table([known.get(of, RecordingFacts()) for of in number.tolist()])


def _measure_batch(paths: list[str]) -> list[tuple[str, RecordingFacts]]:
    """In a worker: what recordings are like, of those that can be read."""
    measured = []
    for path in paths:
        with suppress(AudioError):
            data = read_file(path)
            y, sr = read_audio(data, name=path, min_samples=1)
            measured.append((path, recording_facts(y, sr, data)))
    return measured


def _causes(batch: Sequence[StoredClip], on_error: str) -> dict[str, str]:
    """Path -> why a clip of the batch cannot be used; the first is raised where it shall be."""
    causes = {}
    for clip in batch:
        if clip.error is not None:
            if on_error == "raise":
                raise clip.error.advising("data.on_error=skip leaves such clips out.")
            causes[clip.path] = clip.error.cause
    return causes


def augmented(plain: Extraction, copies: Sequence[Extraction], paths: Sequence[str]) -> Extraction:
    """Clips with their augmented copies.

    Returns
    -------
    Extraction
        Its X is (n_clips, 1 + n_copies, n_features), the clips themselves first.

    Raises
    ------
    SerError
        If a clip changed between two extractions.
    """
    every = [plain, *copies]
    X = np.stack([extraction.X for extraction in every], axis=1)
    return _joined(every, paths, X, plain.feature_set)


def _joined(
    extractions: Sequence[Extraction], paths: Sequence[str], X: np.ndarray, feature_set: FeatureSet
) -> Extraction:
    """Several extractions of the same clips; one that failed in any is in error in all.

    Raises
    ------
    SerError
        If a clip changed between two of them.
    """
    errors = {
        path: cause for extraction in extractions for path, cause in extraction.errors.items()
    }
    X[np.isnan(X).any(axis=tuple(range(1, X.ndim)))] = np.nan
    contents = np.stack([extraction.content for extraction in extractions])
    for row in np.flatnonzero((contents != contents[0]).any(axis=0)).tolist():
        if paths[row] not in errors:
            raise SerError(f"{paths[row]} changed while its features were extracted; start again.")
    n_extracted = sum(extraction.n_extracted for extraction in extractions)
    recordings = extractions[0].recordings
    return Extraction(X, feature_set, contents[0], errors, n_extracted, recordings)


def _in_batches(
    function: Callable[[list[str]], list[T]],
    paths: list[str],
    *,
    title: str = "Extracting",
    ready: Callable[[], None],
    n_jobs: int,
    progress: bool,
) -> Generator[list[T], None, None]:
    """A function's results of some paths at a time, in parallel, each as soon as it is there."""
    if not paths:
        return
    ready()
    from joblib import delayed

    batches = (paths[i : i + BATCH_CLIPS] for i in range(0, len(paths), BATCH_CLIPS))
    calls = (delayed(_counted)(function, batch) for batch in batches)
    with bar(total=len(paths), desc=title, unit="clip", shown=progress) as drawn:
        for n_paths, batch in compute.results(calls, n_jobs=n_jobs, ordered=False):
            yield batch
            drawn.update(n_paths)


def _counted(function: Callable[[list[str]], list[T]], paths: list[str]) -> tuple[int, list[T]]:
    return len(paths), function(paths)


def _extract_batch(
    paths: list[str], *, feature_set: FeatureSet, seen: tuple[Path, int] | None
) -> list[StoredClip]:
    """In a worker: read each file once, for its hash and for its samples.

    `seen` is a store and the extractor's number in it: what it has already is only hashed.
    """
    with ExitStack() as stack:
        connection = stack.enter_context(closing(connect_store(seen[0]))) if seen else None

        def is_there(digest: bytes) -> bool:
            query = """SELECT 1 FROM contents JOIN vectors ON content = id
                WHERE digest = ? AND extractor = ?"""
            if connection is None or seen is None:
                return False
            return connection.execute(query, (digest, seen[1])).fetchone() is not None

        return [_extract_clip(path, feature_set, is_there) for path in paths]


def _extract_clip(
    path: str, feature_set: FeatureSet, is_there: Callable[[bytes], bool]
) -> StoredClip:
    try:
        stamp, read = stamp_of(path), time.time_ns()
        data = read_file(path)
        if stamp_of(path) != stamp:
            raise AudioError(path, "the file changed while it was read; start again")
        stamp = stamp_of(path, read=read)
        # Twice as fast as BLAKE2b where the processor has instructions for it, as most have.
        digest = hashlib.sha256(data).digest()[:DIGEST_BYTES]
        if is_there(digest):
            return StoredClip(path, stamp, digest, None)
        vector, facts = extract_with_facts(Recording(path, data), feature_set)
        kept = vector.astype(stored_dtype(feature_set)).tobytes()
        return StoredClip(path, stamp, digest, kept, facts)
    except AudioError as error:
        return StoredClip(path, "", b"", None, error=error)
    except OSError as error:
        return StoredClip(path, "", b"", None, error=AudioError(path, error.strerror or str(error)))
