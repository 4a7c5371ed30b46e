"""``python -m ser.app``: record or upload a voice, and see what a model makes of it.

A Gradio page on 127.0.0.1 that works offline and keeps nothing: a recording is deleted as soon as
it is answered. The model's protocol and score stand beside every answer, so that nobody trusts it
more than it earned. A transductive model is first adapted to one person, by several recordings of
theirs, of which the visitor's session keeps the features.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ser.core import ports, streams
from ser.core.errors import SerError
from ser.core.printable import markdown
from ser.core.process import temporary_folder
from ser.predict.arguments import add_model_options, chosen_model

if TYPE_CHECKING:
    from ser.data.recordings import Windows
    from ser.models.adaptation import Heard
    from ser.models.predictions import Prediction
    from ser.models.trained import TrainedModel
    from ser.tracking.registry import Model

HOST = "127.0.0.1"
NAMES = (HOST, "localhost")  # by which a browser may ask for the page
LONGEST = 600.0  # seconds of a recording
MAX_SAMPLES = 2**26  # of a recording, over all channels: 600 s of two at 55 kHz
MAX_BYTES = 4 * MAX_SAMPLES  # of its file
STRAY = 60  # seconds after which a recording is deleted that was never asked about
# What Gradio's page needs, and nothing from elsewhere: a model card may name pictures on the web.
POLICY = (
    "default-src 'self' data: blob:; script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:; "
    "style-src 'self' 'unsafe-inline'; object-src 'none'; base-uri 'none'; form-action 'self'; "
    "frame-ancestors 'none'"
)

_EXAMPLES = """examples:
  python -m ser.app                              the latest run's model
  python -m ser.app --run best --best-split loso
  python -m ser.app --model models:/ser@champion --port 7861

Needs: pip install 'ser[app]'. Bound to 127.0.0.1; nothing is sent anywhere, nothing is kept.
"""


@streams.command
def main() -> None:
    """Entry point of ``python -m ser.app`` and of the console script ``ser-app``."""
    parser = argparse.ArgumentParser(
        prog="python -m ser.app",
        usage="python -m ser.app [options]",
        description="Record or upload a voice in the browser, and see what a model that ser.train "
        "has tracked makes of it.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add_model_options(parser)
    parser.add_argument("--port", type=int, default=7860, help=f"on {HOST} (default: %(default)s)")
    parser.add_argument(
        "--window",
        type=float,
        default=3.0,
        metavar="SECONDS",
        help="of a recording that is longer than one (default: %(default)s)",
    )
    parser.add_argument(
        "--hop",
        type=float,
        default=1.0,
        metavar="SECONDS",
        help="from one window to the next (default: %(default)s)",
    )
    serve(parser.parse_args())


def serve(arguments: argparse.Namespace) -> None:
    """Serve the page until it is stopped.

    Parameters
    ----------
    arguments : Namespace
        Of the command line.

    Raises
    ------
    SerError
        If Gradio is not installed, or there is no such model.
    """
    ports.check_free(HOST, arguments.port)
    with temporary_folder() as folder:
        # Read when it is imported: no statistics, no look for a newer version, no model hub.
        os.environ.update(GRADIO_ANALYTICS_ENABLED="False", HF_HUB_OFFLINE="1")
        os.environ["GRADIO_TEMP_DIR"] = folder
        try:
            import gradio
        except ImportError as error:
            raise SerError("ser.app needs Gradio: pip install 'ser[app]'.") from error
        from ser.data.recordings import Windows

        windows = Windows(arguments.window, arguments.hop)
        model = chosen_model(arguments)
        page = build(gradio, model, windows)
        print(f"{model.name} is on http://{HOST}:{arguments.port}  (Ctrl-C ends it)", flush=True)
        launch(gradio, page, arguments.port)


def launch(gradio: Any, page: Any, port: int) -> None:
    """Serve a page of Gradio's until Ctrl-C, to browsers of this machine that ask for it by name.

    Parameters
    ----------
    gradio : module
    page : gradio.Blocks
    port : int
    """
    from starlette.middleware import Middleware

    page.launch(
        server_name=HOST,
        server_port=port,
        share=False,
        quiet=True,
        theme=gradio.themes.Default(font=["system-ui", "sans-serif"], font_mono=["monospace"]),
        footer_links=[],
        max_file_size=MAX_BYTES,
        app_kwargs={"middleware": [Middleware(Guard)]},
    )


class Guard:
    """ASGI middleware: answers its own pages only, and lets them load nothing from elsewhere.

    A page of another site may ask 127.0.0.1 by a name of its own: its `Host` or `Origin` tells.

    Parameters
    ----------
    app : ASGI application
    """

    def __init__(self, app: Any) -> None:
        self._app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Pass a request on, or refuse it with 403."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        headers = {key: value.decode("latin-1") for key, value in scope["headers"]}
        host = headers.get(b"host", "")
        is_own = headers.get(b"origin", f"http://{host}") == f"http://{host}"
        if host.partition(":")[0] not in NAMES or not is_own:
            await send({"type": "http.response.start", "status": 403, "headers": []})
            await send({"type": "http.response.body", "body": b"This page is at 127.0.0.1 only."})
            return

        async def send_with_policy(message: Any) -> None:
            if message["type"] == "http.response.start":
                policy = (b"content-security-policy", POLICY.encode())
                message = {**message, "headers": [*message.get("headers", []), policy]}
            await send(message)

        await self._app(scope, receive, send_with_policy)


def build(gradio: Any, model: Model, windows: Windows) -> Any:
    """The page.

    Parameters
    ----------
    gradio : module
    model : Model
    windows : Windows
        Of recordings that are longer than one.

    Returns
    -------
    gradio.Blocks
    """
    from ser.models.adaptation import Heard

    waits = model.trained.needs_speakers
    with gradio.Blocks(title="ser", analytics_enabled=False, delete_cache=(STRAY, STRAY)) as page:
        gradio.Markdown(f"# What does this voice sound like?\n\n{earned(model)}")
        heard = gradio.State(Heard())
        first = gradio.Column(visible=waits)
        with gradio.Row(visible=not waits) as asking:
            with gradio.Column():
                recording = gradio.Audio(
                    sources=["upload", "microphone"],
                    type="filepath",
                    label="Another recording of that person" if waits else "Recording",
                )
                label = gradio.Label(label="Emotion", num_top_classes=len(model.emotions))
                note = gradio.Markdown()
            with gradio.Column():
                waveform = gradio.Plot(label="Waveform", show_label=False)
                mel = gradio.Plot(label="Mel spectrogram", show_label=False)
        course = gradio.Plot(label="Over time", show_label=False, visible=False)
        with gradio.Accordion("Model card", open=False):
            gradio.Markdown(model.card)

        def listen(path: str | None, heard: Heard) -> list[Any]:
            if path is None:
                return [None, "", None, None, gradio.Plot(visible=False)]
            try:
                answer = predict_and_draw(*heard.adapted(model.trained), windows, path)
            except SerError as error:
                raise gradio.Error(str(error), print_exception=False) from error
            finally:
                Path(path).unlink(missing_ok=True)
            over_time = gradio.Plot(answer["course"], visible=answer["course"] is not None)
            shown = [answer[key] for key in ("probabilities", "note", "waveform", "mel")]
            return [*shown, over_time]

        outputs = [label, note, waveform, mel, course]
        recording.change(listen, [recording, heard], outputs, api_name="listen")
        if waits:
            with first:
                ask_who_speaks(gradio, model, windows, heard, asking, recording)
    return page


def ask_who_speaks(
    gradio: Any, model: Model, windows: Windows, heard: Any, asking: Any, recording: Any
) -> None:
    """What comes first on the page of a transductive model: recordings of one person.

    Parameters
    ----------
    gradio : module
    model : Model
    windows : Windows
    heard : gradio.State
        A visitor's `Heard`.
    asking : gradio.Row
        Shown as soon as the model can be asked.
    recording : gradio.Audio
        In `asking`; emptied when another person is to come.
    """
    from ser.models.adaptation import Heard

    label = "First: recordings of one person"
    files = gradio.File(file_count="multiple", label=label, height=140)
    progress = gradio.Markdown(how_far(Heard()))
    another = gradio.Button("Start again with another person", visible=False)

    def add(paths: list[str], heard: Heard) -> list[Any]:
        for empty in Path(files.GRADIO_CACHE).glob("tmp*"):  # Gradio makes one of each file
            empty.unlink(missing_ok=True)
        try:
            heard, refused = hear_files(heard, model.trained, windows, paths)
        except SerError as error:
            raise gradio.Error(str(error), print_exception=False) from error
        shown = [gradio.Button(visible=bool(heard.whole)), gradio.Row(visible=heard.is_enough)]
        return [None, heard, "\n\n".join([how_far(heard), *refused]), *shown]

    def forget() -> list[Any]:
        hidden = [gradio.Button(visible=False), gradio.Row(visible=False)]
        return [Heard(), how_far(Heard()), *hidden, None]

    state = [heard, progress, another, asking]
    files.upload(add, [files, heard], [files, *state], api_name="adapt")
    another.click(forget, None, [*state, recording], api_name="forget")


def hear_files(
    heard: Heard, trained: TrainedModel, windows: Windows, paths: Sequence[str]
) -> tuple[Heard, list[str]]:
    """What is known of a person after these recordings, whose files are deleted.

    Returns
    -------
    heard : Heard
    refused : list of str
        A sentence in Markdown for each recording that is not used.
    """
    from ser.data.recordings import Recording
    from ser.models.adaptation import hear

    with temporary_folder(Path(os.environ["GRADIO_TEMP_DIR"])) as own:  # for longer than `STRAY`
        recordings = []
        for i, path in enumerate(map(Path, dict.fromkeys(paths))):  # one path for equal files
            file = Path(own, f"{i}{path.suffix}")
            with suppress(FileNotFoundError):  # another visitor's, of the same file: it is named
                path.replace(file)
            recordings.append(Recording(path.name, file))
        heard, refused = hear(
            trained, recordings, windows=windows, so_far=heard, max_samples=MAX_SAMPLES
        )
    return heard, [f"**Cannot use {markdown(name)}: {markdown(why)}.**" for name, why in refused]


def how_far(heard: Heard) -> str:
    """What is there of a person, and what is to come, in Markdown."""
    from ser.models.scaling import MIN_CLIPS

    if heard.is_enough:
        return (
            f"**Adapted to one person by {len(heard.whole)} recordings**: what it says is "
            "transductive, and for recordings of that person alone. You may add more."
        )
    return (
        f"**{len(heard.whole)} of {MIN_CLIPS} recordings.** This model is transductive: it needs "
        f"{MIN_CLIPS} or more of one person, in several moods, before it can be asked about others "
        "of that person. Each is deleted at once; its features stay in memory for this visit."
    )


def predict_and_draw(
    trained: TrainedModel, for_windows: TrainedModel, windows: Windows, path: str
) -> dict[str, Any]:
    """What the model makes of a recording, and how it looks.

    Returns
    -------
    dict
        probabilities (emotion -> [0, 1]), note (what is to be known of the answer, in Markdown),
        waveform and mel (Figure), course (Figure of the emotions over time, or None for a recording
        of one window).

    Raises
    ------
    AudioError
        If the recording cannot be used.
    """
    from ser.data.audio import AudioError, read_audio
    from ser.data.recordings import Recording
    from ser.features.prosody import ProsodyFeatures
    from ser.report import figures, sound_figures
    from ser.report.clip_views import views

    recording = Recording("the recording", Path(path))
    min_samples = trained.feature_set.min_samples
    y, sr = read_audio(path, name=recording.name, min_samples=min_samples, max_samples=MAX_SAMPLES)
    if len(y) / sr > LONGEST:
        cause = f"it is longer than {LONGEST:.0f} s: use ser.predict"
        raise AudioError(recording.name, cause)
    ((whole,),) = trained.predict([recording], n_jobs=1)
    if whole.proba is None:
        raise AudioError(recording.name, whole.error)
    shown = views(y, sr, "", prosody=ProsodyFeatures())
    course = None
    if len(y) / sr > windows.seconds:
        (parts,) = for_windows.predict([recording], windows=windows, n_jobs=1)
        middle = [(part.start + part.end) / 2 for part in parts if part.proba is not None]
        proba = [part.proba for part in parts if part.proba is not None]
        title = "Emotions over time"
        course = figures.plot_emotions_over_time(middle, proba, trained.emotions, title=title)
    return {
        "probabilities": dict(zip(trained.emotions, whole.proba.tolist(), strict=True)),
        "note": remarks(whole, trained),
        "waveform": sound_figures.plot_waveforms(shown),
        "mel": sound_figures.plot_mel_spectrograms(shown),
        "course": course,
    }


def remarks(prediction: Prediction, trained: TrainedModel) -> str:
    """What is to be known of an answer, in Markdown."""
    from ser.models.predictions import UNFAMILIAR

    sentences = []
    if trained.voice is not None:
        sentences.append(
            f"**Transductive**: adapted to one person by {trained.voice.n_clips} unlabelled clips, "
            "and for recordings of that person alone."
        )
    if prediction.unfamiliar:
        sentences.append(f"**This recording is {UNFAMILIAR}: do not trust the answer.**")
    if prediction.resampled_from is not None:
        sentences.append(
            f"It was resampled from {prediction.resampled_from} Hz to {trained.sr} Hz, at which "
            "the model was trained."
        )
    return " ".join(sentences)


def earned(model: Model) -> str:
    """What the model is known by, in Markdown."""
    return (
        f"{markdown(model.about)} On your voice expect less. The model hears how a voice sounds, "
        "not how somebody feels, and is not for decisions about people."
    )


if __name__ == "__main__":
    main()
