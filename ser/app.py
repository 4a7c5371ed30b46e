"""``python -m ser.app``: record or upload a voice, and see what a model makes of it.

A Gradio page on 127.0.0.1 that works offline and keeps nothing. The model's protocol and score
stand beside every answer, so that nobody trusts it more than it earned.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from ser.core import command
from ser.core.errors import SerError
from ser.core.experiment import Experiment, JobResult

if TYPE_CHECKING:
    from ser.predict.inference import Windows
    from ser.tracking.registry import FoundModel

HOST = "127.0.0.1"
LONGEST = 600.0  # seconds that are listened to


def main() -> None:
    """Entry point of ``python -m ser.app`` and of the console script ``ser-app``."""
    command.quote_arguments("model")
    command.run("app")


def app(experiment: Experiment) -> JobResult:
    """Serve the page until it is stopped.

    Parameters
    ----------
    cfg : DictConfig
        ``conf/app.yaml``, composed.
    choices : Choices

    Raises
    ------
    SerError
        If Gradio is not installed, there is no such model, or it needs to know who speaks.
    """
    cfg = experiment.cfg
    # Read when it is imported: no statistics, no look for a newer version, no model hub.
    os.environ.update(GRADIO_ANALYTICS_ENABLED="False", HF_HUB_OFFLINE="1")
    try:
        import gradio
    except ImportError as error:
        raise SerError("ser.app needs Gradio: pip install 'ser[app]'.") from error
    from ser.predict.inference import Windows
    from ser.tracking.registry import find_model

    found = find_model(
        run=str(cfg.run),
        model=cfg.model_uri,
        uri=cfg.tracking.uri,
        experiment=cfg.tracking.experiment,
        best=cfg.best,
        trust_all=cfg.allow_pickle,
    )
    if found.model.scale_by_speaker:
        raise SerError(
            f"{found.name} is transductive: it needs several clips of each speaker, and a page has "
            "one recording. Choose a run with another scaler."
        )
    page = build(gradio, found, Windows(cfg.window, cfg.hop))
    print(f"{found.name} listens on http://{HOST}:{cfg.port}  (Ctrl-C ends it)", flush=True)
    page.launch(
        server_name=HOST,
        server_port=cfg.port,
        share=False,
        quiet=True,
        theme=gradio.themes.Default(font=["system-ui", "sans-serif"], font_mono=["monospace"]),
        footer_links=[],
    )
    return JobResult(run_id=None, text="")


def build(gradio: Any, found: FoundModel, windows: Windows) -> Any:
    """The page.

    Parameters
    ----------
    gradio : module
    found : FoundModel
        Not transductive.
    windows : Windows
        Of recordings that are longer than one.

    Returns
    -------
    gradio.Blocks
    """
    with gradio.Blocks(title="ser", analytics_enabled=False) as page:
        gradio.Markdown(f"# What does this voice sound like?\n\n{earned(found)}")
        with gradio.Row():
            with gradio.Column():
                heard = gradio.Audio(
                    sources=["upload", "microphone"], type="filepath", label="Recording"
                )
                label = gradio.Label(label="Emotion", num_top_classes=len(found.model.emotions))
            with gradio.Column():
                waveform = gradio.Plot(label="Waveform", show_label=False)
                mel = gradio.Plot(label="Mel spectrogram", show_label=False)
        course = gradio.Plot(label="Over time", show_label=False, visible=False)
        with gradio.Accordion("Model card", open=False):
            gradio.Markdown(found.card)

        def listen(path: str | None) -> list[Any]:
            if path is None:
                return [None, None, None, gradio.Plot(visible=False)]
            try:
                answer = hear(found, windows, path)
            except SerError as error:
                raise gradio.Error(str(error), print_exception=False) from error
            over_time = gradio.Plot(answer["course"], visible=answer["course"] is not None)
            return [answer["probabilities"], answer["waveform"], answer["mel"], over_time]

        heard.change(listen, heard, [label, waveform, mel, course], api_name="listen")
    return page


def hear(found: FoundModel, windows: Windows, path: str) -> dict[str, Any]:
    """What the model makes of a recording, and how it looks.

    Returns
    -------
    dict
        probabilities (emotion -> [0, 1]), waveform and mel (Figure), course (Figure of the emotions
        over time, or None for a recording of one window).

    Raises
    ------
    AudioError
        If the recording cannot be used.
    """
    from ser.data.audio import AudioError, read_audio
    from ser.features.prosody import ProsodyFeatures
    from ser.predict.inference import ask, hear_samples
    from ser.predict.recordings import Recording
    from ser.report import figures, sound_figures
    from ser.report.clip_views import views

    model = found.model
    about = Recording("recording")
    y, sr = read_audio(path, name="the recording", min_samples=model.feature_set.min_samples)
    if len(y) / sr > LONGEST:
        raise AudioError("the recording", f"it is longer than {LONGEST:.0f} s: use ser.predict")
    (whole,) = ask(model, hear_samples(y, sr, model.feature_set, None, about=about))
    shown = [views(y, sr, "", prosody=ProsodyFeatures())]
    course = None
    if len(y) / sr > windows.seconds:
        parts = ask(model, hear_samples(y, sr, model.feature_set, windows, about=about))
        good = [part for part in parts if part.proba is not None]
        middle = [(part.start + part.end) / 2 for part in good]
        proba = [part.proba for part in good if part.proba is not None]
        course = figures.emotions_over_time(middle, proba, model.emotions, title="Emotions")
    assert whole.proba is not None
    return {
        "probabilities": dict(zip(model.emotions, whole.proba.tolist(), strict=True)),
        "waveform": sound_figures.waveforms(shown),
        "mel": sound_figures.mel_spectrograms(shown),
        "course": course,
    }


def earned(found: FoundModel) -> str:
    """The model's protocol and score, in a sentence of Markdown."""
    run = found.run
    if run is None or "test_uar" not in run.metrics:
        return f"Model **{found.name}**. It is not known how good it is: do not trust it."
    numbers = {key: 100 * value for key, value in run.metrics.items()}
    chance = 100 / len(found.model.emotions)
    return (
        f"Model **{run.name}**, trained on *{run.tags['corpus']}*. On voices of that corpus "
        f"({run.tags.get('protocol', run.tags['split'])}) its UAR was "
        f"**{numbers['test_uar']:.0f} %** ({numbers['test_uar_low']:.0f} to "
        f"{numbers['test_uar_high']:.0f}), where guessing has {chance:.0f} %. "
        "On yours expect less. It hears how a voice sounds, not how somebody feels, and is not "
        "for decisions about people."
    )


if __name__ == "__main__":
    main()
