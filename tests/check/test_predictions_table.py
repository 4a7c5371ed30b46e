"""Tables of anybody's predictions: read, scored, and their protocol told, all worked by hand."""

import itertools

import numpy as np
import pandas as pd
import pytest
from sklearn import metrics

from ser.check.confidence import confidence, conformal_sets
from ser.check.fairness import fairness
from ser.check.foreign import clip_name, read_predictions
from ser.check.run import Options, check
from ser.check.scores import score_findings, units_of
from ser.check.sides import LEAK, UNKNOWN, both_sides, protocol
from ser.core.errors import SerError

LIMITS = {"uar_gap": 0.1, "recall_gap": 0.2, "false_alarm_gap": 0.1}


def rows(folds="speaker", speakers=4, sentences=2):
    """Two emotions, said twice by everybody in each sentence; folds by speaker, clip, sentence."""
    said = itertools.product(range(speakers), range(sentences), ("happy", "sad"), range(2))
    table = pd.DataFrame(said, columns=["speaker", "sentence", "label", "take"])
    table["file"] = [f"{i}.wav" for i in range(len(table))]
    table["prediction"] = np.where(np.arange(len(table)) % 3 > 0, table["label"], "sad")
    by = {"speaker": table["speaker"], "clip": table["take"], "sentence": table["sentence"]}
    return table.drop(columns="take").assign(fold=by[folds]) if folds else table


@pytest.fixture
def read(tmp_path):
    def of(table, name="theirs.csv", **settings):
        table.to_csv(tmp_path / name, index=False, **settings)
        return read_predictions(tmp_path / name)

    return of


def told(foreign):
    return {finding.check: finding for finding in both_sides(foreign)}


def test_names_of_columns_are_taken_as_people_write_them(read):
    table = rows().rename(columns={"file": "File Path", "label": "Y-True", "prediction": "pred"})
    foreign = read(table.rename(columns={"File Path": "filepath"}), sep=";")
    assert {"clip", "true", "predicted", "fold", "actor", "statement"} <= set(foreign.predictions)
    note = foreign.notes[0]
    assert note.startswith("columns filepath, Y-True, pred, ")
    assert "are taken for clip, true, predicted, " in note


def test_scores_are_scikit_learns(read):
    table = read(rows()).predictions
    found = {f.measure: f for f in score_findings(table, units_of(table)[0])}
    true, predicted = table["true"], table["predicted"]
    assert found["accuracy"].value == pytest.approx(metrics.accuracy_score(true, predicted))
    uar = metrics.balanced_accuracy_score(true, predicted)
    assert found["UAR"].value == pytest.approx(uar)
    for name, average in (("weighted F1", "weighted"), ("macro F1", "macro")):
        f1 = metrics.f1_score(true, predicted, average=average)
        assert found[name].value == pytest.approx(f1)
        assert found[name].low < f1 < found[name].high
    assert units_of(table)[1] == "speakers"
    assert units_of(table.drop(columns="actor"))[1] == "clips"


@pytest.mark.parametrize(
    ("table", "name"),
    [
        (rows("speaker"), "loso"),
        (rows("speaker").assign(fold=lambda t: t["speaker"] // 2), "speaker"),
        (rows("sentence"), "statement"),
        (rows("clip"), "random"),
        (rows("clip").drop(columns="speaker"), UNKNOWN),
        (rows(None), UNKNOWN),
        # Groups of speakers by sentence: nothing tells whether the other folds were learned from.
        (rows().assign(fold=lambda t: 2 * (t["speaker"] // 2) + t["sentence"]), UNKNOWN),
    ],
)
def test_the_protocol_is_told_from_the_folds(read, table, name):
    assert protocol(read(table))[0] == name


def test_what_stands_on_both_sides_is_counted(read):
    apart = told(read(rows("speaker")))
    assert apart["speakers on both sides"].verdict == "pass"
    assert apart["sentences on both sides"].value == 1
    assert apart["sentences on both sides"].verdict == ""
    assert apart["the same sound on both sides"].verdict == "pass"
    known = told(read(rows("clip")))
    assert (known["speakers on both sides"].value, known["speakers on both sides"].verdict) == (
        1,
        "fail",
    )
    assert told(read(rows("sentence")))["sentences on both sides"].value == 0
    assert told(read(rows(None)))["speakers on both sides"].verdict == "cannot tell"


def test_a_speaker_in_two_folds_is_found(read):
    table = rows("speaker")
    table.loc[0, "fold"] = 1  # one of the eight clips of speaker 0
    foreign = read(table)
    assert protocol(foreign)[0] == LEAK
    leaky = told(foreign)["speakers on both sides"]
    assert leaky.value == pytest.approx(8 / 32)
    assert leaky.note == "0"


def test_the_same_sound_under_two_names_is_found(read, tmp_path, write_tone):
    same = [write_tone(f"{name}.wav") for name in "ab"]
    others = [write_tone(f"{i}.wav", frequency=300 + i) for i in range(30)]
    table = rows("speaker").assign(file=[same[0], *others, same[1]])
    leaky = told(read(table))["the same sound on both sides"]
    assert leaky.value == pytest.approx(2 / 32)
    assert leaky.verdict == "fail"


def test_clips_that_the_table_says_were_learned_from_are_not_scored(read):
    table = rows(None).assign(split=lambda t: np.where(t["speaker"] == 0, "test", "train"))
    foreign = read(table)
    assert len(foreign.predictions) == 8
    assert protocol(foreign)[0] == "speaker"
    table["split"] = np.where(np.arange(len(table)) % 3, "train", "test")
    assert protocol(read(table))[0] == "random"
    with pytest.raises(SerError, match="no row whose split is test"):
        read(table[table["split"] == "train"])
    other = read(table.assign(split="dev"))
    assert other.notes[-1] == "all rows are scored, as split says neither train nor test but dev"
    table.loc[:9, "split"] = "dev"
    notes = read(table).notes
    assert notes[-1] == "rows whose split is dev are left out: neither train nor test"


def test_each_fold_may_say_what_it_has_learned_from(read):
    table = rows(None)
    both = [
        table.assign(fold=fold, part=np.where(table["speaker"] == fold, "test", "train"))
        for fold in range(4)
    ]
    foreign = read(pd.concat(both))
    assert protocol(foreign)[0] == "loso"
    assert told(foreign)["the same sound on both sides"].value == 0
    slipped = pd.concat([*both, both[1].head(1).assign(fold=0)])  # speaker 0 trains fold 0
    leaky = told(read(slipped))["the same sound on both sides"]
    assert (leaky.value, leaky.note) == (1 / 32, "0.wav")


def test_ravdess_names_tell_what_the_table_does_not(read):
    names = [
        f"03-01-{e:02d}-01-{s:02d}-01-{a:02d}.wav"
        for a in range(1, 25)
        for s in (1, 2)
        for e in (3, 5)
    ]
    table = pd.DataFrame({"path": names, "true": [3, 5.0] * 48, "pred": ["3", "5"] * 48})
    folds = [[1, 11, 20, 21], [4, 10, 12, 14], [8, 9, 19, 23], [3, 5, 7, 24], [2, 15, 16, 18]]
    folds += [[6, 13, 17, 22]]
    table["fold"] = [next(i for i, f in enumerate(folds) if int(n[18:20]) in f) for n in names]
    foreign = read(table)
    assert protocol(foreign)[0] == "emobox6"
    assert {"gender", "statement", "intensity"} <= set(foreign.predictions)
    assert set(foreign.predictions["true"]) == {"3", "5"}  # 3 and 3.0 are one label


def test_probabilities_must_be_some(read):
    p = np.tile([[0.75, 0.25]], (32, 1))
    table = rows().assign(prob_happy=p[:, 0], prob_sad=p[:, 1])
    assert list(read(table).predictions.filter(regex="^p_")) == ["p_happy", "p_sad"]
    comma = read(table.astype({"prob_happy": str}).replace("0.75", "0,75"), sep=";", name="de.csv")
    assert comma.predictions["p_happy"].eq(0.75).all()
    wrong = table["prediction"].eq("sad").sum()
    assert comma.notes[-1].startswith(f"in {wrong} of 32 rows another label than the predicted")


@pytest.mark.parametrize(
    ("change", "note"),
    [
        ({"prob_sad": 3.0}, "prob_happy, prob_sad, ... sum to 3.75 in row 1, not to 1"),
        ({"prob_sad": [0.25, None] * 16}, "prob_sad is no number in row 2"),
        ({"prob_sad": [0.25, 0.25, -1, 0.25] * 8}, "prob_sad is below 0 in row 3"),
        ({"prediction": ["bored", *["sad"] * 31]}, "there is no column prob_bored"),
    ],
)
def test_probabilities_that_are_left_out_are_named(read, change, note):
    foreign = read(rows().assign(prob_happy=0.75, prob_sad=0.25).assign(**change))
    assert not list(foreign.predictions.filter(regex="^p_"))
    assert f"probabilities are left out: {note}" in foreign.notes


def test_labels_that_are_never_true_are_named(read):
    foreign = read(rows().assign(prediction=["bored", *["sad"] * 31]))
    assert foreign.notes[-1] == "prediction has labels that are never true: bored"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.drop(columns="prediction"), "has no column predicted .or pred"),
        (lambda t: t.assign(label="happy"), "all clips have the label happy"),
        (lambda t: t.assign(prediction=["1", "2"] * 16), "no predicted label is ever true"),
        (lambda t: t.assign(prediction=[None, *t["prediction"][1:]]), "no prediction in row 1:"),
        (lambda t: t.assign(fold=[None] * 3 + [1] * 29), "no fold in row 1 and 2 others"),
        (
            lambda t: t.assign(prediction=t["prediction"].str.upper()),
            "'HAPPY' and 'happy' in label",
        ),
        (lambda t: t.assign(speaker=["Ann", *["ann"] * 31]), "'Ann' and 'ann' in speaker differ"),
        (lambda t: t.assign(Label="x"), "several columns label"),
        (lambda t: t.head(0), "has no rows"),
    ],
)
def test_a_table_that_cannot_be_scored_is_refused_in_a_sentence(read, change, message):
    with pytest.raises(SerError, match=message):
        read(change(rows()))


def test_a_column_that_is_there_twice_is_refused(read):
    with pytest.raises(SerError, match="several columns label"):
        read(rows().rename(columns={"sentence": "label"}))


def test_a_speaker_with_a_blank_behind_is_the_same(read):
    table = rows("speaker").astype({"speaker": str})
    table.loc[0, ["speaker", "fold"]] = ["0 ", 1]
    assert protocol(read(table))[0] == LEAK


@pytest.mark.parametrize("encoding", ["utf-16", "utf-8-sig"])
def test_tables_of_spreadsheets_are_read(read, encoding):
    assert len(read(rows(), encoding=encoding, sep="\t").predictions) == 32


@pytest.mark.parametrize("encoding", ["latin-1", "utf-16-le"])
def test_other_encodings_are_refused_in_a_sentence(read, encoding):
    with pytest.raises(SerError, match=r"theirs.csv cannot be read .* .it is not UTF-8"):
        read(rows().replace("sad", "müde"), encoding=encoding)


def test_cells_that_are_lists_are_refused(tmp_path):
    rows().assign(file=[["a.wav"]] * 32).to_parquet(tmp_path / "theirs.parquet")
    with pytest.raises(SerError, match="a ndarray for file in row 1"):
        read_predictions(tmp_path / "theirs.parquet")


def test_what_is_no_table_is_refused(tmp_path):
    with pytest.raises(SerError, match="There is no table"):
        read_predictions(tmp_path / "none.csv")
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(SerError, match="is a folder"):
        read_predictions(tmp_path / "folder.csv")
    (tmp_path / "theirs.xlsx").touch()
    with pytest.raises(SerError, match=r"theirs.xlsx is no table that can be read: give one of"):
        check(str(tmp_path / "theirs.xlsx"), Options())


def test_names_of_files_are_found_in_paths_of_any_system():
    assert [clip_name(path) for path in ("a/b.wav", r"C:\a\b.wav", "b.wav")] == ["b.wav"] * 3


# Fairness and confidence


def unfair(wrong_of_female):
    """20 speakers with 10 clips of each emotion; of women so many are called sad."""
    said = itertools.product(range(20), ("happy", "sad"), range(10))
    table = pd.DataFrame(said, columns=["actor", "true", "take"])
    table["gender"] = np.where(table["actor"] % 2, "male", "female")
    is_wrong = (table["gender"] == "female") & (table["take"] < wrong_of_female)
    return table.assign(predicted=np.where(is_wrong, "sad", table["true"]))


def gaps(table):
    units = table["actor"].astype(str).to_numpy(str)
    return {(f.check, f.measure): f for f in fairness(table, units, LIMITS)}


def test_gaps_between_genders_are_what_they_are():
    found = gaps(unfair(4))
    # Of women's happy clips 6 of 10 are found: UAR 0.8 against 1, recall 0.6 against 1.
    uar = found["gender", "UAR gap"]
    assert (uar.value, uar.verdict) == (pytest.approx(0.2), "fail")
    assert "more for male than for female" in uar.note
    recall = found["gender", "recall gap"]
    assert (recall.value, recall.verdict) == (pytest.approx(0.4), "fail")
    assert recall.note.startswith("happy: ")
    alarms = found["gender", "false alarm gap"]
    assert (alarms.value, alarms.verdict) == (pytest.approx(0.4), "fail")
    assert found["gender female", "UAR"].value == pytest.approx(0.8)
    assert found["gender female", "recall happy"].value == pytest.approx(0.6)


def test_no_gap_passes_and_few_clips_cannot_tell():
    assert gaps(unfair(0))["gender", "UAR gap"].verdict == "pass"
    few = unfair(0).groupby(["actor", "true"]).head(1)
    found = gaps(few[few["actor"] < 12])
    # All are right, so that actors do not differ: their few clips say little all the same.
    assert found["gender", "UAR gap"].verdict == "cannot tell"


def test_the_worst_actor_of_many_equals_is_no_finding():
    rng = np.random.default_rng(0)
    table = unfair(0)
    right = rng.random(len(table)) < 0.6
    other = np.where(table["true"] == "sad", "happy", "sad")
    table["predicted"] = np.where(right, table["true"], other)
    assert gaps(table)["actor", "UAR gap"].verdict == "cannot tell"


def test_sets_hold_the_right_answer_as_often_as_is_asked():
    # Probabilities of the right answer of the others: 0.1 ... 0.9; for 80 % the lowest two may go.
    true = np.array(["a"] * 9 + ["a"])
    p = np.array([*np.arange(1, 10) / 10, 0.15])
    proba = np.stack([p, 1 - p], axis=1)
    units = np.array(["x"] * 9 + ["y"])
    held, size = conformal_sets(true, proba, ["a", "b"], units, level=0.8)
    assert not held[-1]  # 0.15 is below the second lowest of the others, 0.2
    assert size[-1] == 1


def test_confidence_of_a_model_that_knows_when_it_is_right():
    table = unfair(4)
    right = (table["true"] == table["predicted"]).to_numpy()
    sure = np.where(right, 0.99, 0.6)
    is_sad = (table["predicted"] == "sad").to_numpy()
    table["p_happy"], table["p_sad"] = (
        np.where(is_sad, 1 - sure, sure),
        np.where(is_sad, sure, 1 - sure),
    )
    units = table["actor"].astype(str).to_numpy(str)
    limits = {"auroc": 0.7, "ece": 0.1, "coverage": 0.85}
    found = {(f.check, f.measure): f for f in confidence(table, units, 0.9, limits)}
    assert found["all clips", "AUROC of confidence"].value == 1
    assert found["all clips", "AUROC of confidence"].verdict == "pass"
    assert found["sets for 90 %, speaker 1", "coverage"].value == 1


def test_check_of_a_table_is_a_run_with_page_and_table(tmp_path, client, monkeypatch):
    from undrawn import draw_nothing

    draw_nothing(monkeypatch)
    file = tmp_path / "their numbers.csv"
    rows("clip").assign(sex="f").to_csv(file, index=False)
    text = check(str(file), Options(uri=client.tracking_uri))
    assert "Protocol: random." in text
    (experiment,) = (e for e in client.search_experiments() if e.name == "checks")
    (run,) = client.search_runs([experiment.experiment_id])
    assert run.info.status == "FINISHED"
    assert run.data.tags["kind"] == "check"
    assert run.data.metrics["check_fail"] >= 1
    place = client.download_artifacts(run.info.run_id, "", str(tmp_path))
    table = pd.read_csv(f"{place}/tables/check.csv")
    assert {"pass", "fail", "cannot tell"} >= set(table["verdict"].dropna())
    page = (tmp_path / "check.html").read_text(encoding="utf-8")
    assert "speakers on both sides" in page
    assert "their numbers" in page
