import pandas as pd
import pytest
import soundfile as sf

from ser.core.errors import SerError
from ser.data import splits
from ser.data.corpora import UNKNOWN
from ser.data.corpora.table import load

EMOTIONS = ("happy", "sad")


@pytest.fixture
def folder(tmp_path):
    """Four clips of each of two emotions, wav/0.wav to wav/7.wav."""
    (tmp_path / "wav").mkdir()
    for i in range(8):
        sf.write(tmp_path / f"wav/{i}.wav", [0.1] * 4000, 8000)
    return tmp_path


def rows():
    return pd.DataFrame(
        {
            "path": [f"wav/{i}.wav" for i in range(8)],
            "emotion": [EMOTIONS[i % 2] for i in range(8)],
            "speaker": [i // 2 + 1 for i in range(8)],
            "age": range(20, 28),
        }
    )


def written(folder, table, suffix=".csv"):
    path = folder / f"clips{suffix}"
    table.to_csv(path, index=False) if suffix == ".csv" else table.to_parquet(path)
    return path


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_load_returns_the_contract_and_keeps_the_rest(folder, suffix):
    table = rows().sample(frac=1, random_state=0)
    table["path"] = [str(folder / p) if p == "wav/3.wav" else p for p in table["path"]]
    clips = load(written(folder, table, suffix), min_clips=4)
    clips = clips.sort_values("path", ignore_index=True)  # the absolute path came first
    assert list(clips["path"]) == [str(folder / f"wav/{i}.wav") for i in range(8)]
    assert list(clips["emotion"]) == list(EMOTIONS) * 4
    assert list(clips["actor"]) == [1, 1, 2, 2, 3, 3, 4, 4]
    assert list(clips["age"]) == list(range(20, 28))
    assert set(clips["duration"]) == {0.5} and set(clips["sr"]) == {8000}


def test_load_sorts_by_path_and_numbers_the_clips(folder):
    clips = load(written(folder, rows()[::-1]), min_clips=4)
    assert list(clips.index) == list(range(8))
    assert clips["path"].is_monotonic_increasing


def test_load_takes_other_columns_names_and_words_like_none(folder):
    table = rows().rename(columns={"emotion": "mood", "speaker": "who"})
    table["mood"] = ["None", "NA"] * 4
    table["who"] = [f"s{i}" for i in table["who"]]
    clips = load(written(folder, table), label="mood", speaker="who", min_clips=4)
    assert set(clips["emotion"]) == {"None", "NA"} and set(clips["actor"]) == {
        "s1",
        "s2",
        "s3",
        "s4",
    }


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.drop(columns="speaker"), r"no column speaker; it has path, emotion, age"),
        (lambda t: t.assign(actor=1), r"both speaker and actor"),
        (lambda t: t[:0], r"no rows"),
        (
            lambda t: t.assign(emotion=["happy", " ", None, *t.emotion[3:]]),
            r"no emotion in line 3, 4",
        ),
        (lambda t: t.assign(path=[*t.path[:7], ""]), r"no path in line 9"),
        (
            lambda t: t.assign(speaker=[None] * 7 + [1]),
            r"no speaker in line 2, 3, 4, 5, 6 and 2 more",
        ),
        (
            lambda t: t.assign(path=[f"gone/{i}.wav" for i in range(7)] + ["wav/7.wav"]),
            r"7 clips of .*clips.csv are not there: .*gone/0.wav.*gone/4.wav and 2 more",
        ),
        (
            lambda t: t.assign(path=["wav/../wav/5.wav", *t.path[1:]]),
            r"names 1 clips more than once: .*wav/5.wav in lines 2, 7",
        ),
        (lambda t: t.assign(emotion="sad"), r"only the label 'sad'"),
        (lambda t: t[:7], r"too few clips of sad \(3\): each label needs 4"),
    ],
)
def test_load_names_the_fault_of_a_table(folder, change, message):
    with pytest.raises(SerError, match=message):
        load(written(folder, change(rows())), min_clips=4)


def test_load_counts_lines_as_an_editor_does(folder):
    (folder / "clips.csv").write_text("path,emotion,speaker\n\nwav/0.wav,sad,1\nwav/1.wav,,1\n\n")
    with pytest.raises(SerError, match="no emotion in line 4"):
        load(folder / "clips.csv")


def test_load_keeps_whole_numbers_beside_blank_lines(folder):
    (folder / "clips.csv").write_text(
        "path,emotion,speaker\n\nwav/0.wav,sad,1\nwav/1.wav,happy,2\n\n"
    )
    assert load(folder / "clips.csv", min_clips=1)["actor"].dtype == "int64"


def test_load_counts_rows_of_parquet(folder):
    table = rows().assign(emotion=["happy", None, *rows().emotion[2:]])
    with pytest.raises(SerError, match="no emotion in row 2"):
        load(written(folder, table, ".parquet"))


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        (None, None, "Set data.table=FILE"),
        ("missing.csv", None, "There is no table .*missing.csv"),
        ("clips.xlsx", b"", "neither .csv nor .parquet"),
        ("clips.csv", b"", "Cannot read the table .*No columns"),
        ("clips.csv", b"path\xff\xfe\n", "Cannot read the table .*utf-8"),
        ("clips.parquet", b"not parquet at all", "Cannot read the table .*clips.parquet"),
    ],
)
def test_load_says_why_a_table_cannot_be_read(tmp_path, name, content, message):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(SerError, match=message):
        load(name and tmp_path / name)


def test_load_takes_durations_of_the_table_for_those_of_a_million_headers(folder):
    table = rows().assign(duration=2.5, sr=16_000)
    clips = load(written(folder, table), min_clips=4)
    assert set(clips["duration"]) == {2.5} and set(clips["sr"]) == {16_000}
    clips = load(written(folder, table.drop(columns="sr")), min_clips=4)
    assert set(clips["duration"]) == {0.5} and set(clips["sr"]) == {8000}


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("sep", [",", ";", "\t", "|"])
def test_a_csv_may_come_from_any_spreadsheet(sep, encoding, folder):
    table = rows().assign(emotion=["glücklich, sehr", "sad"] * 4)
    table.to_csv(folder / "clips.csv", sep=sep, encoding=encoding, index=False)
    clips = load(folder / "clips.csv", min_clips=4)
    assert set(clips["emotion"]) == {"glücklich, sehr", "sad"} and set(clips["sr"]) == {8000}


def test_a_table_with_none_of_the_columns_is_told_by_those_that_it_has(folder):
    table = rows()[["path", "emotion", "speaker"]].set_axis(["Datei", "Gefühl", "Person"], axis=1)
    table.to_csv(folder / "clips.csv", sep=";", index=False)
    with pytest.raises(SerError, match=r"it has Datei, Gefühl, Person. The files' column must be"):
        load(folder / "clips.csv")


def test_a_csv_that_is_no_utf_8_says_so(folder):
    rows().assign(emotion=["glücklich", "sad"] * 4).to_csv(
        folder / "clips.csv", encoding="latin1", index=False
    )
    with pytest.raises(SerError, match=r"Cannot read the table .*clips.csv: 'utf-8' codec"):
        load(folder / "clips.csv")


def test_paths_may_be_of_windows_or_begin_at_home(folder, monkeypatch):
    monkeypatch.setenv("HOME", str(folder))
    table = rows()
    table["path"] = [p.replace("/", "\\") if i % 2 else f"~/{p}" for i, p in enumerate(table.path)]
    clips = load(written(folder, table))
    assert sorted(clips["path"]) == [str(folder / f"wav/{i}.wav") for i in range(8)]


def test_speakers_may_be_unknown(folder):
    clips = load(written(folder, rows()), speaker=None)
    assert set(clips["actor"]) == {UNKNOWN}
    assert "speaker" in clips  # a column like any other
    for split in (
        lambda: splits.loso(clips),
        lambda: splits.speaker(clips, test_size=0.5, seed=0),
        lambda: splits.speaker_statement(clips.assign(statement=1), n_groups=2, seed=0),
    ):
        with pytest.raises(SerError, match="nobody knows who speaks"):
            split()
    assert splits.random(clips, test_size=0.5, seed=0).held_out == ()
