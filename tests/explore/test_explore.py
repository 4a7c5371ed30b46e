"""``python -m ser.explore`` end to end: the run, the folder, the pages, and what is refused."""

import io
import re
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile
from composing import experiment
from undrawn import draw_nothing

from ser.core.errors import SerError
from ser.data.audio import AudioError
from ser.explore import map_figures, pictures
from ser.explore.clip_page import render_clip_page, write_clip_page
from ser.explore.run import PAGE
from ser.features.prosody import ProsodyFeatures
from ser.report import captions, sound_figures
from ser.report.clip_views import views

PAIR_FIGURES = ("waveforms", "spectrograms", "mel_spectrograms", "mfccs", "chromagrams", "contours")
FIGURES = (*(f"{name}_{number}" for name in PAIR_FIGURES for number in (1, 2)), "spoken")
FIGURES += ("class_balance_emotions", "class_balance_actors", "correlation", "ranking_emotion")
FIGURES += ("ranking_variance", "neighbours", "map_t-sne_emotion", "map_t-sne_speaker")
FIGURES += ("map_pca_emotion", "map_pca_speaker", "loudness")
BROKEN = "[...document.images].filter(i => !i.naturalWidth || !i.alt).length"


@pytest.fixture
def explored(tmp_path, demo_store, monkeypatch):
    """Run id and text of one exploration in this process; with `draw`, it has real pictures."""

    def run(*overrides, draw=False):
        if not draw:
            draw_nothing(monkeypatch)
        log = f"tracking.uri=sqlite:///{tmp_path}/mlruns/mlflow.db"
        result = experiment(*overrides, log, f"store={demo_store}", config="explore").run()
        return result.run_id, result.text

    return run


@pytest.fixture
def tones(tmp_path, write_tone):
    """Table of two speakers' tones, with nothing but path, emotion and speaker."""
    rows = [
        (write_tone(f"{speaker}/{mood}{i}.wav", frequency=200 + 10 * i), mood, speaker)
        for speaker in ("ann", "<b>bob")
        for mood in ("keen", "dull & <i>flat")
        for i in range(10)
    ]
    table = tmp_path / "clips.csv"
    pd.DataFrame(rows, columns=["path", "emotion", "speaker"]).to_csv(table, index=False)
    return table


@pytest.fixture
def voice(demo_root):
    return str(demo_root / "Actor_01" / "03-01-05-02-01-01-01.wav")


def sound(frequency, *, seconds=0.8, sr=16_000, amplitude=0.5):
    t = np.arange(int(seconds * sr)) / sr
    return (amplitude * np.sin(2 * np.pi * frequency * t)).astype(np.float32), sr


def test_explore_demo_is_all_there(run_cli, demo_root, client, tmp_path):
    out = tmp_path / "looked" / "at"
    demo = ["data=demo", f"data.root={demo_root}", "data.speakers=4"]
    printed = run_cli("ser.explore", *demo, f"explore.out={out}", draw=True).stdout
    (experiment,) = (e for e in client.search_experiments() if e.name == "demo")
    (run,) = client.search_runs([experiment.experiment_id])
    assert run.info.status == "FINISHED"
    assert run.data.tags["kind"] == "explore"
    assert run.info.run_id in printed
    assert f"{out}/{PAGE}" in printed
    assert '"clips": 240' in run.inputs.dataset_inputs[0].dataset.profile

    logged = Path(client.download_artifacts(run.info.run_id, "", str(tmp_path / "logged")))
    files = {str(file.relative_to(logged)) for file in logged.rglob("*.*")}
    assert {f"figures/{name}.png" for name in FIGURES} <= files
    for known, folder in ((captions.FIGURES, "figures"), (captions.TABLES, "tables")):
        for file in (logged / folder).iterdir():
            assert captions.caption_of(known, file.stem).text
    looked_at = {str(file.relative_to(out)) for file in out.rglob("*.*")}
    assert looked_at == files
    looked_at.remove("manifest.json")  # the folder's lists what is there
    assert all((out / file).read_bytes() == (logged / file).read_bytes() for file in looked_at)

    html = (out / PAGE).read_text(encoding="utf-8")
    assert html.count('src="data:image/png;base64,') == len(list(out.glob("figures/*.png")))
    assert html.count('src="data:audio/flac;base64,') == 2
    assert not re.search(r"(src|href)=\"(?!data:|#)", html)
    assert "Synthetic voices" in html
    near = pd.read_csv(out / "tables" / "neighbours.csv").set_index(["same", "neighbours"])
    share = near.loc[("actor", 1), "share"]
    assert run.data.metrics["same_actor_1_nearest"] == pytest.approx(share)
    assert share > 2 * near.loc[("actor", 1), "chance"]  # the leak of the demo's voices
    assert f"{100 * share:.1f}" in html
    for name, rows in (("map", 240), ("clip_quality", 240), ("feature_ranking", 180)):
        assert len(pd.read_csv(out / "tables" / f"{name}.csv")) == rows


@pytest.mark.slow
def test_explore_a_table_of_two_speakers_and_its_sample(explored, tones, tmp_path, client):
    out = tmp_path / "out"
    common = ["data=table", f"data.table={tones}", f"explore.out={out}"]
    _, text = explored(*common, "explore.max_clips=30")
    assert "No clip is happy or angry" in text
    html = (out / PAGE).read_text(encoding="utf-8")
    assert "a sample of 30 is mapped" in html
    assert "dull &amp; &lt;i&gt;flat, actor &lt;b&gt;bob" in html
    assert "<i>flat" not in html and "<b>bob" not in html
    assert len(pd.read_csv(out / "tables" / "map.csv")) == 30
    assert "same sound as another clip" in text  # each tone is there for each speaker and mood
    explored(*common, "explore.actor=ann", "explore.emotions=[keen,'dull & <i>flat']")
    assert "a sample of" not in (out / PAGE).read_text(encoding="utf-8")  # written anew


def test_explore_one_speaker_with_other_features(explored, tones, tmp_path, client):
    table = pd.read_csv(tones)
    table[table["speaker"] == "ann"].to_csv(tones, index=False)
    run_id, text = explored("data=table", f"data.table={tones}", "features=prosody")
    assert "1 actor, 2 emotions" in text
    metrics = client.get_run(run_id).data.metrics
    assert "same_actor_1_nearest" not in metrics  # all are
    assert {"same_emotion_1_nearest", "n_clips"} <= set(metrics)


def test_explore_skips_what_cannot_be_read(explored, tones, tmp_path, client):
    bad = pd.read_csv(tones)["path"].iloc[3]
    Path(bad).write_bytes(b"no sound")
    table = ["data=table", f"data.table={tones}"]
    with pytest.raises(AudioError, match=re.escape(bad)):
        explored(*table)
    run_id, text = explored(*table, "data.on_error=skip")
    assert "39 clips" in text
    assert client.get_run(run_id).data.metrics["n_skipped_clips"] == 1


def test_explore_refuses_a_folder_of_others(explored, tones, tmp_path, client):
    others = tmp_path / "thesis"
    others.mkdir()
    (others / "chapter.tex").write_text("mine")
    with pytest.raises(SerError, match=r"chapter\.tex is there .* explore.out="):
        explored("data=table", f"data.table={tones}", f"explore.out={others}")
    assert [file.name for file in others.iterdir()] == ["chapter.tex"]
    assert client.search_experiments()[0].name == "Default"  # no run was begun


def test_clip_is_one_page(run_cli, voice, tmp_path, client):
    printed = run_cli("ser.explore", f"clip={voice}", f"explore.out={tmp_path}").stdout
    page = tmp_path / f"{Path(voice).stem}.html"
    assert str(page) in printed
    html = page.read_text(encoding="utf-8")
    assert html.count('src="data:image/png;base64,') == len(PAIR_FIGURES)
    assert html.count('src="data:audio/flac;base64,') == 1
    assert "16000 Hz" in html
    assert client.search_experiments()[0].name == "Default"  # no corpus, no run


def test_clip_page_says_what_it_measured(tmp_path, write_tone):
    soundfile.write(tmp_path / "a & b.wav", np.stack([sound(220.0)[0]] * 2, axis=1), 16_000)
    write_clip_page(str(tmp_path / "a & b.wav"), out=str(tmp_path), prosody=ProsodyFeatures())
    html = (tmp_path / "a & b.html").read_text(encoding="utf-8")
    for words in (
        "<h1>a &amp; b.wav</h1>",
        "220 Hz",
        "-6.0 dBFS",
        "-9.1 dBFS",
        "0.80 s",
        "<td>2</td>",
    ):
        assert words in html, words


def test_clip_page_of_noise_has_no_voice(tmp_path, monkeypatch):
    draw_nothing(monkeypatch)
    noise = np.random.default_rng(0).normal(0, 0.1, 4000)
    soundfile.write(tmp_path / "noise.wav", noise, 8000)
    html = render_clip_page(str(tmp_path / "noise.wav"), prosody=ProsodyFeatures())
    assert "no voice found" in html


def test_clip_page_takes_the_place_of_its_like_only(tmp_path, write_tone, monkeypatch):
    draw_nothing(monkeypatch)
    clip, place = write_tone(), tmp_path / "page.html"
    for _ in range(2):
        write_clip_page(clip, out=str(place), prosody=ProsodyFeatures())
    place.write_text("my own words")
    with pytest.raises(SerError, match="no page of ser's"):
        write_clip_page(clip, out=str(place), prosody=ProsodyFeatures())
    assert place.read_text() == "my own words"


def test_bad_clip_says_why_and_leaves_no_page(run_cli, tmp_path):
    bad = tmp_path / "bad.wav"
    bad.write_bytes(b"no sound")
    result = run_cli("ser.explore", f"clip={bad}", f"explore.out={tmp_path}", check=False)
    assert result.returncode == 1
    assert f"Cannot use {bad}: it is not readable as audio" in result.stderr
    assert "Traceback" not in result.stderr
    assert not list(tmp_path.glob("*.html"))


def test_clips_side_by_side_share_all_scales():
    prosody = ProsodyFeatures()
    soft, sr = sound(200.0, amplitude=0.05)
    long, _ = sound(400.0, seconds=1.5, sr=8000)
    pair = [views(soft, sr, "soft", prosody=prosody), views(long, 8000, "long", prosody=prosody)]
    drawn = pictures.clip_figures(pair)
    for name in sorted({name.rpartition("_")[0] for name in drawn}):
        both = [drawn[f"{name}_{number}"]() for number in (1, 2)]
        figure = both[0]
        panels = [one.axes[0] for one in both]
        assert panels[0].get_xlim() == panels[1].get_xlim() == (0, 1.5), name
        assert panels[0].get_ylim() == panels[1].get_ylim(), name
        colours = [
            m.get_clim() for axes in panels for m in axes.collections if m.colorbar or m.cmap
        ]
        if name not in ("waveforms", "contours"):
            assert len(set(colours)) == 1, name
        labels = " ".join(axes.get_xlabel() + axes.get_ylabel() for axes in figure.axes)
        assert "time (s)" in labels, name
        unit = {
            "waveforms": "full scale",
            "spectrograms": "(Hz)",
            "mel_spectrograms": "(Hz",
            "mfccs": "(dB)",
            "chromagrams": "pitch class",
            "contours": "F0 (Hz)level (dBFS)",
        }
        assert unit[name] in labels or name == "contours", name


def test_figures_show_a_clips_name_to_the_letter():
    view = views(*sound(1000.0), "p$\\frac$\udcff", prosody=ProsodyFeatures())
    for draw in (sound_figures.plot_waveforms, sound_figures.plot_contours):
        draw(view).savefig(io.BytesIO())


def test_spectrograms_are_brightest_where_the_tone_is():
    view = views(*sound(1000.0), "tone", prosody=ProsodyFeatures())
    for draw, rows in ((sound_figures.plot_spectrograms, view.frequencies[1:]),
                       (sound_figures.plot_mel_spectrograms, view.mel_centres)):  # fmt: skip
        mesh = draw(view).axes[0].collections[0]
        values = np.asarray(mesh.get_array()).reshape(len(rows), -1)
        middle = values[:, values.shape[1] // 2]
        assert middle.max() == pytest.approx(0, abs=1)  # dB
        assert rows[middle.argmax()] == pytest.approx(1000, rel=0.05)
    chroma = np.asarray(sound_figures.plot_chromagrams(view).axes[0].collections[0].get_array())
    assert chroma.reshape(12, -1)[:, 10].argmax() == 11  # B5 is 988 Hz


def test_spectrogram_of_a_long_clip_is_averaged_to_columns():
    y, sr = sound(300.0, seconds=60, sr=16_000)
    view = views(y, sr, "long", prosody=ProsodyFeatures())
    mesh = sound_figures.plot_spectrograms(view).axes[0].collections[0]
    assert len(view.power) > sound_figures.MAX_COLUMNS
    columns = np.asarray(mesh.get_array()).size // (view.power.shape[1] - 1)
    assert sound_figures.MAX_COLUMNS // 2 <= columns <= sound_figures.MAX_COLUMNS


def test_map_colours_many_actors_and_leaves_the_rest_grey():
    n = 30
    actor = pd.Series([f"a{i}" for i in range(n)] * 4)
    positions = np.random.default_rng(0).normal(size=(4 * n, 2))
    title = map_figures.plot_map_of_actors(positions, actor, about="").get_suptitle()
    assert f"{map_figures.MAX_ACTORS} of {n}" in title


@pytest.mark.slow
@pytest.mark.parametrize("width", [390, 1280])
def test_explore_page_fits_the_screen_and_asks_nobody(
    explored, demo_root, client, tmp_path, open_page, width
):
    out = tmp_path / "out"
    explored(
        "data=demo", f"data.root={demo_root}", "data.speakers=4", f"explore.out={out}", draw=True
    )
    page = open_page(out / PAGE, width=width)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.evaluate(BROKEN) == 0
    assert page.requested == [(out / PAGE).as_uri()]


@pytest.mark.slow
def test_explore_sweeps_over_corpora_in_one_run(run_cli, demo_root, client):
    demo = ["data=demo", f"data.root={demo_root}", "data.speakers=2,3"]
    printed = run_cli("ser.explore", "-m", *demo).stdout
    assert "Sweep of 2 jobs" in printed
    (experiment,) = (e for e in client.search_experiments() if e.name == "demo")
    assert len(client.search_runs([experiment.experiment_id])) == 3


def test_explore_help_and_misspelt_keys(run_cli):
    printed = run_cli("ser.explore", "--help").stdout
    assert printed.count("python -m ser.explore") >= 3
    wrong = run_cli("ser.explore", "explore.emotion=[happy]", check=False)
    assert wrong.returncode == 1
    assert "Traceback" not in wrong.stderr


@pytest.mark.ravdess
def test_explore_ravdess_finds_its_leak_and_its_odd_clips(
    explored, ravdess_root, tmp_path, client, demo_store
):
    out = tmp_path / "out"
    run_id, _ = explored(
        f"data.root={ravdess_root}", "data.download=false", f"explore.out={out}", draw=True
    )
    metrics = client.get_run(run_id).data.metrics
    assert (metrics["n_clips"], metrics["n_not_mono"], metrics["n_duplicates"]) == (1440, 5, 1)
    assert metrics["same_actor_1_nearest"] > 0.8 > 0.05 > metrics["same_actor_chance"]
    assert metrics["same_emotion_other_actors_1_nearest"] < 0.35
    odd = pd.read_csv(out / "tables" / "clip_quality.csv").query("duplicate_of.notna()")
    (pair,) = zip(odd["path"], odd["duplicate_of"], strict=True)
    assert {Path(p).stem for p in pair} == {"03-01-03-01-02-01-07", "03-01-03-01-02-02-07"}
    assert odd["same_bytes"].all()
    shutil.rmtree(out)
