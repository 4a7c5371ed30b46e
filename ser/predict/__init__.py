"""``python -m ser.predict``: a trained model on recordings of your own, a line for each.

Everything comes from the run: the fitted pipeline, its features and the order of its emotions.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from hashlib import sha256
from itertools import groupby
from math import isnan
from pathlib import Path
from tempfile import TemporaryFile
from typing import TYPE_CHECKING

from ser.core import streams
from ser.core.errors import SerError
from ser.core.printable import shown
from ser.core.process import writing
from ser.core.progress import bar
from ser.predict.arguments import add_model_options, chosen_model

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from ser.data.recordings import Recording, Windows
    from ser.models.predictions import Prediction
    from ser.models.trained import TrainedModel
    from ser.tracking.registry import Model

SOME_UNUSABLE = 3  # exit code
_MARK_AT, _MARK = 37, b"tEXtSoftware\0ser"  # in a PNG of ser's: behind signature and header
LONGEST_STEM = 200  # bytes of a recording's name in that of its picture, of 255

_EXAMPLES = """examples:
  python -m ser.predict my_recording.wav                   by the latest run
  python -m ser.predict recordings/ --run best --out answers.csv
  python -m ser.predict interview.wav --window 3 --hop 1 --pictures .
  python -m ser.predict 'calls/**/*.wav' --model models:/ser@champion --output json

Exit code: 0, or 3 where recordings could not be used (standard error names them), or 1.
"""


@partial(streams.command, prints_data=True)
def main() -> None:
    """Entry point of ``python -m ser.predict`` and of the console script ``ser-predict``."""
    arguments = parse(sys.argv[1:])
    try:
        n_errors = predict(arguments)
    except KeyboardInterrupt:
        print("Interrupted. With --out, the same command continues here.", file=sys.stderr)
        sys.exit(streams.INTERRUPTED)
    if n_errors:
        print(f"{n_errors} could not be used.", file=sys.stderr)
        sys.exit(SOME_UNUSABLE)


def parse(words: Sequence[str]) -> argparse.Namespace:
    """The command line's arguments; all that stand behind ``--`` are recordings."""
    words = list(words)
    end = words.index("--") if "--" in words else len(words)
    parser = _parser()
    arguments, unknown = parser.parse_known_intermixed_args(words[:end])
    if unknown:
        parser.error(
            f"unrecognized arguments: {' '.join(unknown)}. Put names that start with '-' behind --."
        )
    if arguments.n_jobs == 0:
        parser.error("--n-jobs 0 is no number of processes: give 1 or more, or -1: one per core.")
    if arguments.adapt is not None and arguments.speaker is not None:
        parser.error("--adapt is of one speaker, and --speaker says which of several speaks.")
    if arguments.pictures is not None and arguments.window is None:
        parser.error("--pictures draws windows over time: give --window SECONDS too.")
    arguments.recordings += words[end + 1 :]
    return arguments


def predict(arguments: argparse.Namespace) -> int:
    """Predict every recording; return how many, or windows of them, could not be used.

    Parameters
    ----------
    arguments : Namespace
        Of the command line.

    Raises
    ------
    SerError
        If there is no such model, nothing to predict, or the output cannot be written.
    """
    from ser.data.recordings import Windows, find_recordings
    from ser.models.predictions import DIGITS, Layout
    from ser.predict.journal import identity
    from ser.predict.output import checked_kind, opened
    from ser.tracking.origin import columns

    kind = checked_kind(arguments.output, arguments.out)
    recordings = find_recordings(arguments.recordings, speaker=arguments.speaker)
    windows = None if arguments.window is None else Windows(arguments.window, arguments.hop)
    pictures = _pictures([recording.name for recording in recordings], arguments.pictures)
    model = chosen_model(arguments)
    origin = columns(model.origin)
    made_by: dict[str, object] = {
        "model": model.digest,
        "window": windows and windows.seconds,
        "hop": windows and windows.hop,
    }
    if arguments.adapt:
        model, made_by["adapted"] = _adapted(model, arguments.adapt, windows, arguments.n_jobs)
        origin["protocol"] = f"{origin['protocol'] or 'unknown'}; {made_by['adapted']}"
    layout = Layout(
        model.emotions,
        windows=windows is not None,
        speakers=any(recording.speaker is not None for recording in recordings),
        model=origin,
    )
    # A transductive model answers once it has every clip of a speaker: nothing is half done.
    waits = model.trained.needs_speakers
    asked = None if waits else {r.name: identity(r) for r in recordings}
    with (
        _compute(arguments),
        opened(kind, arguments.out, layout, made_by, asked) as output,
    ):
        if output.done:
            print(f"{len(output.done)} clips are in {arguments.out}.part already.", file=sys.stderr)
            recordings = [r for r in recordings if r.name not in output.done]
        for batch in _predicted(model.trained, recordings, windows, arguments.n_jobs):
            output.write([layout.row(prediction, digits=DIGITS) for prediction in batch])
            _draw(batch, model.emotions, pictures)
        if summary := output.finish():
            print(summary, file=sys.stderr)
        for note in output.tally.notes(model.trained.sr):
            print(note, file=sys.stderr)
    return output.tally.errors


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m ser.predict",
        usage="python -m ser.predict RECORDING ... [options]",
        description="Predict the emotion of recordings with a model that ser.train has tracked.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument(
        "recordings",
        nargs="*",
        metavar="RECORDING",
        help="audio file, folder, glob, CSV with a column path, or - for one on standard input; "
        "put -- before names that start with -",
    )
    add_model_options(parser)
    recordings = parser.add_argument_group("recordings")
    recordings.add_argument(
        "--window", type=float, metavar="SECONDS", help="cut recordings into windows this long"
    )
    recordings.add_argument(
        "--hop",
        type=float,
        default=1.0,
        metavar="SECONDS",
        help="from one window to the next (default: %(default)s)",
    )
    recordings.add_argument(
        "--speaker",
        metavar="COLUMN",
        help="who speaks, for a transductive model: a column of the CSV, or 'folder' for the name "
        "of the clip's folder",
    )
    recordings.add_argument(
        "--adapt",
        type=Path,
        metavar="FOLDER",
        help="one person speaks in all recordings, and in those of this folder, without labels, "
        "by which a model that is scaled by speaker is adapted to them: transductive",
    )
    _add_output_options(parser)
    return parser


def _add_output_options(parser: argparse.ArgumentParser) -> None:
    output = parser.add_argument_group("output")
    output.add_argument(
        "--output",
        choices=("table", "csv", "json", "parquet"),
        help="default: a table, or by the ending of --out; json writes an object per line",
    )
    output.add_argument(
        "--out",
        type=Path,
        metavar="FILE",
        help="write to this file; the same command continues it",
    )
    output.add_argument(
        "--pictures",
        type=Path,
        metavar="FOLDER",
        help="with --window, a picture of the emotions over time for each recording",
    )
    compute = parser.add_argument_group("compute")
    compute.add_argument("--n-jobs", type=int, default=-1, metavar="N", help="-1: one per core")
    compute.add_argument("--compute", choices=("local", "dask", "ray"), default="local")
    compute.add_argument("--address", help="of a Dask or Ray cluster that is there")


def _compute(arguments: argparse.Namespace) -> AbstractContextManager[None]:
    """Where the work runs."""
    from ser.core import compute

    if arguments.compute == "local":
        return compute.local(n_jobs=arguments.n_jobs)
    cluster = compute.dask if arguments.compute == "dask" else compute.ray
    return cluster(n_jobs=arguments.n_jobs, address=arguments.address)


def _predicted(
    model: TrainedModel, recordings: Sequence[Recording], windows: Windows | None, n_jobs: int
) -> Iterator[list[Prediction]]:
    """Batches as they come, with a bar for what takes long; what cannot be used is named."""
    with bar(total=len(recordings), desc="Predicting", unit="clip", delay=1) as drawn:
        for batch in model.predict(recordings, windows=windows, n_jobs=n_jobs):
            yield batch
            for prediction in batch:
                if prediction.error:
                    start = "" if isnan(prediction.start) else f" from {prediction.start:.1f} s"
                    text = f"Cannot use {shown(prediction.name)}{start}: {prediction.error}."
                    drawn.write(text, file=sys.stderr)
            drawn.update(len({prediction.name for prediction in batch}))


def _adapted(model: Model, folder: Path, windows: Windows | None, n_jobs: int) -> tuple[Model, str]:
    """The model, adapted to the one who speaks in a folder's clips; and to what, in words.

    Raises
    ------
    SerError
        If there is no such folder, it has too few clips, or the model is not scaled by speaker.
    """
    from ser.data.recordings import find_recordings
    from ser.models.adaptation import adapted

    if not folder.is_dir():
        raise SerError(f"--adapt {folder} is no folder: put the person's clips into one.")
    clips = find_recordings([folder])
    trained, unusable = adapted(model.trained, clips, windows=windows, n_jobs=n_jobs)
    for excerpt in unusable:
        print(f"Cannot use {shown(excerpt.name)} of --adapt: {excerpt.error}.", file=sys.stderr)
    voice = trained.voice
    n, what = (voice.n_clips if voice else 0), "clips" if windows is None else "windows"
    digest = sha256(voice.mean.tobytes()).hexdigest()[:8] if voice else ""
    print(
        f"Transductive: adapted to one speaker by {n} unlabelled {what} of {shown(str(folder))}; "
        "the answers are right for recordings of that person alone.",
        file=sys.stderr,
    )
    return replace(model, trained=trained), f"transductive, adapted to {n} {what} ({digest})"


def _pictures(names: Sequence[str], folder: Path | None) -> dict[str, Path]:
    """Recording -> its picture; of those that are called the same, the second ends in ``-2``.

    Raises
    ------
    SerError
        If the folder cannot be made or written, or has a file of that name that is not ser's.
    """
    pictures: dict[str, Path] = {}
    if folder is None:
        return pictures
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise SerError(
            f"{folder} cannot be written: {error.strerror}. Give another --pictures."
        ) from error
    numbers: Counter[str] = Counter()
    for name in names:
        stem = Path(name).stem
        if len(os.fsencode(stem)) > LONGEST_STEM:
            stem = os.fsencode(stem)[:LONGEST_STEM].decode(errors="ignore")
        numbers[stem] += 1
        number = f"-{numbers[stem]}" if numbers[stem] > 1 else ""
        pictures[name] = folder / f"{stem}-emotions{number}.png"
    for file in pictures.values():
        _check_free(file)
    return pictures


def _check_free(file: Path) -> None:
    """Refuse to write over a file that is not a picture made here."""
    if not os.path.lexists(file):
        return
    start = b""
    if file.is_file():
        with file.open("rb") as opened:
            opened.seek(_MARK_AT)
            start = opened.read(len(_MARK))
    if start != _MARK:
        raise SerError(f"{file} is there and is no picture of ser's: give another --pictures.")


def _draw(
    batch: Sequence[Prediction], emotions: Sequence[str], pictures: Mapping[str, Path]
) -> None:
    """A picture for each recording of the batch, whose windows are all in it."""
    if not pictures:
        return
    from ser.report import figures

    for name, group in groupby(batch, key=lambda prediction: prediction.name):
        windows = [prediction for prediction in group if prediction.proba is not None]
        if windows:
            middle = [(window.start + window.end) / 2 for window in windows]
            proba = [window.proba for window in windows if window.proba is not None]
            figure = figures.plot_emotions_over_time(middle, proba, emotions, title=Path(name).name)
            try:
                with writing(pictures[name]) as part:
                    part.write_bytes(figure.png())
                    _check_free(pictures[name])
            except OSError as error:
                raise SerError(
                    f"{pictures[name].parent} cannot be written: {error.strerror}. Free space "
                    "there, or give another --pictures."
                ) from error
