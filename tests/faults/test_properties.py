"""Any file name and any table: what the project knows, or a SerError; never another exception."""

import io
import re
import string
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from ser.core.errors import SerError
from ser.data.corpora import crema_d, emodb, emovo, ravdess, ravdess_song, savee, tess
from ser.data.corpora.table import load
from ser.data.recordings import find_recordings

NAMES = settings(derandomize=True, deadline=None, max_examples=300)
TABLES = settings(
    derandomize=True,
    deadline=None,
    max_examples=150,
    suppress_health_check=[HealthCheck.function_scoped_fixture],  # one folder serves all examples
)

# Grammars of file names

CODES = {field: list(words) for field, words in ravdess._FIELDS.items()}
RAVDESS_FIELDS = {*CODES, "gender"}
# Module -> fields that its parser knows, and names that are right.
GRAMMARS = {
    emodb: (
        {"actor", "statement", "code", "repetition", "gender"},
        st.from_regex(r"(03|08|09|1[0-6])(a0[12457]|b(0[1239]|10))[A-Z][a-z]?", fullmatch=True),
    ),
    tess: (
        {"actor", "statement", "code", "gender"},
        st.from_regex(r"(OAF|YAF)_[a-z]+_[a-z]+", fullmatch=True),
    ),
    crema_d: (
        {"actor", "statement", "code", "intensity"},
        st.builds(
            "{}_{}_{}_{}".format,
            st.sampled_from(crema_d.ACTORS),
            st.sampled_from(crema_d.STATEMENTS),
            st.text(string.ascii_uppercase, min_size=3, max_size=3),
            st.sampled_from(["LO", "MD", "HI", "XX"]),
        ),
    ),
    savee: (
        {"actor", "code", "number", "gender"},
        st.from_regex(r"(DC|JE|JK|KL)_[a-z]+[0-3][0-9]", fullmatch=True),
    ),
    emovo: (
        {"actor", "code", "statement", "gender"},
        st.from_regex(r"[a-z]{3}-[fm][123]-(b[1-3]|l[1-4]|n[1-5]|d[12])", fullmatch=True),
    ),
    ravdess_song: (
        {"actor", "code", "intensity", "statement", "repetition", "gender"},
        st.tuples(*map(st.sampled_from, CODES.values())).map("-".join),
    ),
}
# What a clip's fields say of its name.
NAMED = {
    emodb: "{actor}{statement}{code}{repetition}",
    tess: "{actor}_{statement}_{code}",
    crema_d: "{actor}_{statement}_{code}_{intensity}",
    savee: "{actor}_{code}{number:02d}",
    emovo: "{code}-{actor}-{statement}",
}
INTENSITIES = {word: code for code, word in crema_d.INTENSITIES.items() if len(code) == 2}

near = st.one_of(
    st.text(max_size=30),
    st.text("0123456789-_abcABCDfmFAO\N{ARABIC-INDIC DIGIT ONE}\N{KELVIN SIGN}\n\0.", max_size=24),
)


def mutated(names):
    """Right names with a character changed, left out or added."""

    def change(name, at, text, keep):
        at %= len(name) + 1
        return name[:at] + text + name[at + keep :]

    return st.builds(change, names, st.integers(0, 99), st.text(max_size=2), st.integers(0, 2))


@NAMES
@given(
    stem=st.one_of(near, mutated(st.tuples(*map(st.sampled_from, CODES.values())).map("-".join)))
)
@example("03-01-01-01-01-01-\N{ARABIC-INDIC DIGIT ZERO}\N{ARABIC-INDIC DIGIT ONE}")
@example("03-01-01-01-01-01-01\n")
def test_ravdess_tells_all_fields_or_why_not(stem):
    try:
        clip = ravdess.parse_name(stem)
    except SerError as error:
        assert repr(stem) in str(error)
    else:
        assert set(clip) == RAVDESS_FIELDS


@NAMES
@given(codes=st.tuples(*map(st.sampled_from, CODES.values())))
def test_ravdess_names_round_trip(codes):
    if codes[2] == "01" and codes[3] == "02":  # neutral is never strong
        with pytest.raises(SerError, match="strong"):
            ravdess.parse_name("-".join(codes))
        return
    clip = ravdess.parse_name("-".join(codes))
    back = [
        next(code for code, word in ravdess._FIELDS[field].items() if word == clip[field])
        for field in CODES
    ]
    assert tuple(back) == codes
    assert clip["gender"] == ("male" if int(codes[-1]) % 2 else "female")


@pytest.mark.parametrize("module", GRAMMARS, ids=lambda module: module.CORPUS.choice)
@NAMES
@given(data=st.data())
def test_a_corpus_tells_all_fields_or_why_not(module, data):
    fields, names = GRAMMARS[module]
    stem = data.draw(st.one_of(near, mutated(names), names))
    folder = data.draw(st.one_of(st.just("DC"), st.text(max_size=5)))
    path = Path(folder) / (stem.replace("/", "") + ".wav")
    try:
        clip = module.CORPUS.parse(path)
    except SerError as error:
        assert repr(path.stem) in str(error)
    else:
        assert clip is None or set(clip) == fields
        assert clip is None or all(str(value).isascii() for value in clip.values())


@pytest.mark.parametrize(
    ("module", "name"),
    [
        (crema_d, "\N{ARABIC-INDIC DIGIT ONE}001_DFA_ANG_XX"),
        (savee, "DC_a0\N{ARABIC-INDIC DIGIT ONE}"),
        (tess, "OAF_bac\N{KELVIN SIGN}_angry"),
        (tess, "OAF_back_\N{LATIN SMALL LETTER LONG S}ad"),
        (emovo, "di\N{LATIN SMALL LETTER LONG S}-f1-b1"),
    ],
)
def test_letters_and_digits_of_other_scripts_are_out_of_the_grammar(module, name):
    with pytest.raises(SerError, match="expected"):
        module.CORPUS.parse(Path(f"{name}.wav"))


@pytest.mark.parametrize("module", NAMED, ids=lambda module: module.CORPUS.choice)
@NAMES
@given(data=st.data())
def test_names_of_a_corpus_round_trip(module, data):
    name = data.draw(GRAMMARS[module][1])
    clip = module.CORPUS.parse(Path(f"{name}.wav"))
    words = clip | {"intensity": INTENSITIES.get(clip.get("intensity"))}
    assert NAMED[module].format(**words) == name


@NAMES
@given(codes=GRAMMARS[ravdess_song][1])
def test_a_song_is_what_ravdess_says_or_none(codes):
    try:
        spoken = ravdess.parse_name(codes)
    except SerError:
        return
    song = ravdess_song.parse_name(Path(f"{codes}.wav"))
    if (spoken["modality"], spoken["channel"]) == ("audio-only", "song"):
        assert song.items() - {("code", spoken["emotion"])} <= spoken.items()
    else:
        assert song is None


@NAMES
@given(wanted=st.one_of(st.text(max_size=8), st.text("*?[]/.~ax", max_size=8)))
@example("x" * 300)
@example("a\0b")
@example("~no_such_user/a.wav")
@example("x" * 300 + ".csv")
@example("a/" * 3000)
@example("*" * 300)
def test_any_name_is_recordings_or_a_message(wanted):
    try:
        assert find_recordings([f"no_such_folder/{wanted}"])
        assert find_recordings([wanted]) if wanted.startswith("~") or len(wanted) > 20 else True
    except SerError as error:
        assert re.search("names no audio|cannot be looked for", str(error))


@pytest.mark.parametrize("root", ["~no_such_user/corpus", "x" * 300])
def test_a_root_that_cannot_be_is_a_message(root):
    for module in GRAMMARS:
        with pytest.raises(SerError, match=r"No .* under"):
            module.CORPUS.load(root, labels={})


@TABLES
@given(names=st.lists(st.text(st.characters(exclude_characters="/\0"), max_size=20), max_size=4))
def test_a_folder_of_any_files_is_clips_or_a_message(names, tmp_path_factory):
    folder = tmp_path_factory.mktemp("corpus")
    for name in names:
        try:
            (folder / f"{name}.wav").touch()
        except (OSError, UnicodeEncodeError):
            continue
    for load_corpus in (
        lambda: ravdess.load(folder, download=False),
        *(
            lambda module=module: module.CORPUS.load(folder, labels={"a": "angry"})
            for module in GRAMMARS
        ),
    ):
        try:
            load_corpus()
        except SerError:
            continue


# Tables

odd = st.one_of(
    st.text(max_size=12),
    st.sampled_from(
        [
            *("", " ", "0.wav", "1.wav", "./0.wav", "/", ".", "..", "~", "x" * 300, "a/" * 3000),
            *("None", "NA", "nan", "inf", "-0", "1e999", "007", "True", "1,5", '"', '""', "'"),
            *("\0", "a\0b", "\ufeff", "\r", "\n", "\r\n", "\t", "=1+1", "\ud800", "#", "\\"),
        ]
    ),
    st.integers(),
    st.floats(),
    st.booleans(),
    st.none(),
    st.binary(max_size=4),
    st.dates(),
)
columns = st.one_of(
    st.sampled_from(["path", "emotion", "speaker", "actor", "duration", "sr", "", " path", "Path"]),
    st.text(max_size=5),
)


GOOD = {
    "path": ["0.wav", "1.wav", "./2.wav"],
    "emotion": ["happy", "sad", "sad"],
    "speaker": [1, "b", 1],
}


@st.composite
def tables(draw):
    """The rows of a good table with a few odd cells, columns and headings."""
    heads = [*GOOD, *draw(st.lists(columns, max_size=2))]
    rows = [
        [*row, *draw(st.tuples(*[odd] * (len(heads) - 3)))]
        for row in zip(*GOOD.values(), strict=True)
    ]
    for _ in range(draw(st.integers(0, 3))):
        row, column = draw(st.sampled_from(rows)), draw(st.integers(0, len(heads) - 1))
        row[column] = draw(odd)
    if draw(st.integers(0, 4)) == 0:
        heads[draw(st.integers(0, len(heads) - 1))] = draw(columns)
    return heads, draw(st.permutations(rows))[: draw(st.sampled_from([3, 3, 3, 2, 1, 0]))]


def mostly(usual, *others):
    return st.integers(0, 2 + len(others)).map(lambda i: (*others, *[usual] * 3)[i])


def as_text(value):
    return "" if value is None else value.hex() if isinstance(value, bytes) else str(value)


def is_clip_table_or_message(file):
    try:
        clips = load(file, min_clips=1)
    except SerError as error:
        assert str(file) in str(error)
        return
    assert {"path", "emotion", "actor", "duration", "sr"} <= set(clips.columns)
    assert clips.columns.is_unique
    assert list(clips.index) == list(range(len(clips))) and len(clips) >= 2
    assert all(isinstance(value, str) for value in [*clips["path"], *clips["emotion"]])
    assert not clips[["path", "emotion", "actor"]].isna().any(axis=None)
    assert all(Path(path).is_file() for path in clips["path"])


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    root = tmp_path_factory.mktemp("table")
    for i in range(4):
        (root / f"{i}.wav").write_bytes(b"no audio")
    return root


@TABLES
@given(
    table=tables(),
    quote=mostly("as needed", "never", "always"),
    encoding=mostly("utf-8", "utf-8-sig", "utf-16", "latin-1"),
    newline=mostly("\n", "\r\n", "\r"),
    comma=mostly(",", ";"),
)
def test_any_csv_is_a_clip_table_or_a_message(table, quote, encoding, newline, comma, folder):
    heads, rows = table
    lines = []
    for row in [heads, *rows]:
        cells = [as_text(value) for value in row]
        if quote != "never":
            special = re.compile('[\r\n",;]' if quote == "as needed" else "")
            cells = ['"' + c.replace('"', '""') + '"' if special.search(c) else c for c in cells]
        lines.append(comma.join(cells))
    file = folder / "clips.csv"
    file.write_bytes((newline.join(lines) + newline).encode(encoding, errors="replace"))
    is_clip_table_or_message(file)


@TABLES
@given(data=st.binary(max_size=200), start=st.sampled_from([b"", b"path,emotion,speaker\n0.wav,"]))
@example(data=b"happy,1\n1.wav,sad," + b"x" * 200_000, start=b"path,emotion,speaker\n0.wav,")
@example(data=b"happy,1\n" + b"x" * 300 + b".wav,sad,2", start=b"path,emotion,speaker\n0.wav,")
@example(data=b"\0" * 50, start=b"")
def test_any_bytes_are_a_clip_table_or_a_message(data, start, folder):
    file = folder / "clips.csv"
    file.write_bytes(start + data)
    is_clip_table_or_message(file)
    try:
        find_recordings([str(file)])
    except SerError:
        return


# Of one type each, as Parquet has them.
typed = st.one_of(
    *(
        st.lists(st.one_of(values, st.none()), min_size=4, max_size=4)
        for values in (
            st.sampled_from(["0.wav", "1.wav", "x" * 300, "a\0b", "~", "..", ""]),
            st.sampled_from(["happy", "sad"]),
            st.integers(-(2**63), 2**63 - 1),
            st.integers(0, 1),
            st.floats(),
            st.booleans(),
            st.sampled_from([b"0.wav", b"1.wav", b"\xff"]),
            st.dates(),
            st.lists(st.integers(0, 9), max_size=2),
            st.fixed_dictionaries({"a": st.integers(0, 9)}),
        )
    )
)


@TABLES
@given(
    rest=st.lists(st.tuples(columns, typed), max_size=1),
    wrong=st.dictionaries(st.sampled_from([*GOOD]), typed, max_size=1),
    flip=mostly(None, *[(at, 255) for at in (5, 50, 200, 400, 700, 1000, 1500)]),
)
def test_any_parquet_is_a_clip_table_or_a_message(rest, wrong, flip, folder):
    good = {
        "path": ["0.wav", "1.wav", "./2.wav", "3.wav"],
        "emotion": [*"abab"],
        "speaker": [1] * 4,
    }
    table = good | wrong
    named = [*table.items(), *rest]
    arrays = [pa.array(values) for _, values in named]
    buffer = io.BytesIO()
    pq.write_table(pa.Table.from_arrays(arrays, names=[name for name, _ in named]), buffer)
    content = bytearray(buffer.getvalue())
    if flip:
        content[flip[0] % len(content)] ^= flip[1]
    file = folder / "clips.parquet"
    file.write_bytes(bytes(content))
    is_clip_table_or_message(file)
