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
    X : (n_clips, n_features) or (n_clips, 1 + n_copies, n_features) float32
        Row i belongs to path i, the clip itself before its copies; NaN where `errors` has the path.
    feature_set : FeatureSet
        What computed it.
    content : (n_clips,) str
        Hexadecimal digest of each clip's bytes; empty where it could not be read.
    errors : dict of str to str
        Path -> why the clip could not be used.
    n_extracted : int
        Vectors computed now; the others were there.
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
    feature_set: FeatureSet | Sequence[FeatureSet],
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
    feature_set : FeatureSet or sequence of FeatureSet
        Computes one vector per clip; or it, and then those of altered copies (`Augmentation.of`),
        which get an axis of X. Of a union each set is stored for itself.
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
    every = list(feature_set) if isinstance(feature_set, Sequence) else [feature_set]
    sets = [of for each in every for of in getattr(each, "sets", {"": each}).values()]
    in_batches = partial(_in_batches, sets, n_jobs=n_jobs, progress=progress)
    rows = _Rows.of(paths, [len(of.names) for of in sets])
    with open_store(store) as connection:
        stored = [stored_set(connection, of) for of in sets]
        # SQLite's log does not work over a network: a cluster's workers leave the store alone.
        seen = (Path(store), [of.id for of in stored]) if compute.is_local() else None
        work = partial(_extract_batch, feature_sets=sets, seen=seen)
        errors, n_extracted = _fill(connection, stored, rows, partial(in_batches, work), on_error)
        lacking = [p for p, of in zip(paths, rows.number.tolist(), strict=True) if of == 0]
        _check_kept(store, [path for path in lacking if path not in errors])
        recordings = _recordings(connection, paths, rows.number, rows.content, in_batches)
    rows.X[[path in errors for path in paths]] = np.nan
    shape = (len(every),) if isinstance(feature_set, Sequence) else ()
    X = rows.X.reshape(len(paths), *shape, len(every[0].names))
    return Extraction(X, every[0], rows.content, errors, n_extracted, recordings)


@dataclass(frozen=True)
class _Rows:
    """Clips that are asked for, as far as they are known: see `Extraction` and `read_vectors`.

    `X` has the columns of all sets side by side, `parts` are views of each set's own.
    """

    paths: Sequence[str]
    number: np.ndarray
    content: np.ndarray
    X: np.ndarray
    parts: Sequence[np.ndarray]

    @classmethod
    def of(cls, paths: Sequence[str], widths: Sequence[int]) -> _Rows:
        """Of which nothing is known."""
        X = np.full((len(paths), sum(widths)), np.nan, dtype=np.float32)
        return cls(
            paths,
            np.zeros(len(paths), dtype=np.int64),
            np.zeros(len(paths), dtype=f"U{2 * DIGEST_BYTES}"),
            X,
            np.split(X, np.cumsum(widths)[:-1], axis=1),
        )


def _fill(
    connection: sqlite3.Connection,
    stored: Sequence[StoredSet],
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
    connection: sqlite3.Connection, stored: Sequence[StoredSet], rows: _Rows, which: np.ndarray
) -> np.ndarray:
    """Fill some rows of X; return those that the store lacks. Damaged vectors are forgotten."""
    whole, n_damaged = np.ones(len(which), dtype=bool), 0
    for of, part in zip(stored, rows.parts, strict=True):
        there, damaged = read_vectors(connection, of, rows.number, rows.content, part, which)
        if damaged:
            forget_vectors(connection, of, damaged)
        whole &= there
        n_damaged += len(damaged)
    if n_damaged:
        log.warning(
            f"{n_damaged} vectors in the feature store were damaged; they are extracted again. "
            "Its disk may be failing: python -m ser.doctor looks."
        )
    return which[~whole]


def _keep(
    connection: sqlite3.Connection,
    stored: Sequence[StoredSet],
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


def _in_batches(
    feature_sets: Sequence[FeatureSet],
    function: Callable[[list[str]], list[T]],
    paths: list[str],
    *,
    title: str = "Extracting",
    n_jobs: int,
    progress: bool,
) -> Generator[list[T], None, None]:
    """A function's results of some paths at a time, in parallel, each as soon as it is there."""
    if not paths:
        return
    for feature_set in feature_sets:  # all of them before the first clip
        check_ready(feature_set)
    from joblib import delayed

    size = max(1, BATCH_CLIPS // len(feature_sets))
    batches = (paths[i : i + size] for i in range(0, len(paths), size))
    calls = (delayed(_counted)(function, batch) for batch in batches)
    with bar(total=len(paths), desc=title, unit="clip", shown=progress) as drawn:
        for n_paths, batch in compute.results(calls, n_jobs=n_jobs, ordered=False):
            yield batch
            drawn.update(n_paths)


def _counted(function: Callable[[list[str]], list[T]], paths: list[str]) -> tuple[int, list[T]]:
    return len(paths), function(paths)


def _extract_batch(
    paths: list[str], *, feature_sets: Sequence[FeatureSet], seen: tuple[Path, list[int]] | None
) -> list[StoredClip]:
    """In a worker: read each file once, for its hash and for its samples.

    `seen` is a store and the extractors' numbers in it: what it has already is not extracted.
    """
    with ExitStack() as stack:
        connection = stack.enter_context(closing(connect_store(seen[0]))) if seen else None

        def lacking(digest: bytes) -> list[FeatureSet]:
            if connection is None or seen is None:
                return list(feature_sets)
            query = "SELECT extractor FROM contents JOIN vectors ON content = id WHERE digest = ?"
            there = {of for (of,) in connection.execute(query, (digest,))}
            pairs = zip(feature_sets, seen[1], strict=True)
            return [feature_set for feature_set, of in pairs if of not in there]

        return [_extract_clip(path, feature_sets, lacking) for path in paths]


def _extract_clip(
    path: str,
    feature_sets: Sequence[FeatureSet],
    lacking: Callable[[bytes], list[FeatureSet]],
) -> StoredClip:
    try:
        stamp, read = stamp_of(path), time.time_ns()
        data = read_file(path)
        if stamp_of(path) != stamp:
            raise AudioError(path, "the file changed while it was read; start again")
        stamp = stamp_of(path, read=read)
        # Twice as fast as BLAKE2b where the processor has instructions for it, as most have.
        digest = hashlib.sha256(data).digest()[:DIGEST_BYTES]
        wanted = lacking(digest)
        if not wanted:
            return StoredClip(path, stamp, digest)
        vectors, facts = extract_with_facts(Recording(path, data), wanted)
        kept = {
            feature_sets.index(of): vector.astype(stored_dtype(of)).tobytes()
            for of, vector in zip(wanted, vectors, strict=True)
        }
        return StoredClip(path, stamp, digest, kept, facts)
    except AudioError as error:
        return StoredClip(path, "", b"", error=error)
    except OSError as error:
        return StoredClip(path, "", b"", error=AudioError(path, error.strerror or str(error)))
