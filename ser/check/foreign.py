"""A table of anybody's predictions -> one with the columns that the checks know."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path, PurePosixPath, PureWindowsPath

import numpy as np
import pandas as pd
from pandas.api.types import is_float_dtype, is_numeric_dtype

from ser.core.errors import SerError
from ser.core.paths import meant_instead
from ser.data.corpora.table import NO_NAMES, dialect
from ser.data.folds import counted
from ser.data.names import tidy, twins

SUFFIXES = (".csv", ".tsv", ".txt", ".parquet")
# What a column may be called, in any case, with blanks or - for _: the first that is there counts.
NAMES = {
    "clip": ("clip", "path", "file", "filename", "file_name", "filepath", "audio", "utterance"),
    "true": ("true", "label", "emotion", "target", "actual", "y_true", "gold", "true_label"),
    "predicted": ("predicted", "pred", "prediction", "y_pred", "predicted_label", "pred_label"),
    "fold": ("fold", "session", "cv_fold", "fold_id"),
    "part": ("part", "split", "set", "subset", "partition"),
    "actor": ("actor", "speaker", "speaker_id", "subject", "actor_id"),
    "statement": ("statement", "sentence", "text", "transcript"),
    "gender": ("gender", "sex"),
    "intensity": ("intensity", "level"),
}
REQUIRED = ("clip", "true", "predicted")
TRAIN = ("train", "training", "cv")  # what the column part may say of clips that were learned from
TEST = ("test", "testing", "eval", "evaluation")
GRAMMARS = ("ravdess", "emodb", "crema_d", "emovo", "savee", "tess")  # of file names, by corpus
_PROBABILITY = ("p_", "prob_", "proba_", "probability_", "")  # before an emotion's name
_NO_TEXT = "it is not UTF-8: save it as such"
_SUM = 0.02  # how far probabilities of a clip may be from 1 in sum


@dataclass(frozen=True)
class Foreign:
    """Predictions as somebody gave them.

    Attributes
    ----------
    predictions : DataFrame
        clip, true, predicted, and what else is known of `NAMES` and, with probabilities,
        ``p_EMOTION``: a row for each answer that is scored.
    trained : DataFrame or None
        The same of clips that the table says were learned from.
    notes : tuple of str
        What was taken for what.
    """

    predictions: pd.DataFrame
    trained: pd.DataFrame | None
    notes: tuple[str, ...]


def is_table(what: str) -> bool:
    """Whether the command's argument is a table of predictions, there or not."""
    return Path(what).suffix.lower() in SUFFIXES


def read_predictions(file: Path) -> Foreign:
    """Read a table of predictions.

    Parameters
    ----------
    file : Path
        CSV, its separator ``,``, ``;``, ``|`` or a tab; or Parquet.

    Raises
    ------
    SerError
        If it cannot be read, lacks a column or a cell, or its true and predicted labels have
        nothing in common.
    """
    table = _read(file)
    columns = _columns(table, file)
    named = table[list(columns)].rename(columns=columns)
    theirs = {ours: str(name) for name, ours in columns.items()}
    _check_cells(named, theirs, file)
    for column in ("true", "predicted", "actor", "statement"):
        if column in named and not named[column].isna().any():
            named[column] = _labels(named[column])
    _check_twins(named, theirs, file)
    renamed = {name: ours for ours, name in theirs.items() if ours not in (name, "part")}
    notes = [f"{_are('column', renamed)} taken for {', '.join(renamed.values())}"] * bool(renamed)
    named, told = _with_names_told(named)
    probabilities, doubts = _probabilities(table, named, set(columns))
    named = pd.concat([named, probabilities], axis=1)
    scored, trained, parts = _parts(named, theirs, file)
    _check_labels(scored, theirs, file)
    never = scored["predicted"][~scored["predicted"].isin(set(scored["true"]))]
    if len(never):
        listed = ", ".join(sorted(set(never)))
        doubts.append(f"{theirs['predicted']} has labels that are never true: {listed}")
    return Foreign(scored.reset_index(drop=True), trained, (*notes, *told, *parts, *doubts))


def clip_name(path: object) -> str:
    r"""The file's name, of a path of any system.

    >>> clip_name("a/b.wav"), clip_name("C:\\a\\b.wav")
    ('b.wav', 'b.wav')
    """
    return PureWindowsPath(PurePosixPath(str(path)).name).name


def _read(file: Path) -> pd.DataFrame:
    if file.is_dir():
        raise SerError(f"{file} is a folder: give the table of predictions in it.")
    if not file.is_file():
        raise SerError(f"There is no table {file}.{meant_instead(file)}")
    try:
        if file.suffix.lower() == ".parquet":
            table = pd.read_parquet(file)
        else:
            table = pd.read_csv(file, keep_default_na=False, na_values=[""], **dialect(file))
            if any("\0" in str(name) for name in table):
                raise ValueError(_NO_TEXT)
    except UnicodeError:
        raise SerError(f"{file} cannot be read as a table of predictions ({_NO_TEXT}).") from None
    except Exception as error:  # pandas, pyarrow and Unicode have several each
        reason = str(error).partition("\n")[0].rstrip(".")
        raise SerError(f"{file} cannot be read as a table of predictions ({reason}).") from error
    if table.empty:
        raise SerError(f"{file} has no rows: expected one for each prediction.")
    return table.dropna(how="all").reset_index(drop=True)


def _columns(table: pd.DataFrame, file: Path) -> dict[str, str]:
    """The table's own names of columns -> ours."""
    plain: dict[str, list[str]] = {}
    for name in table:
        plain.setdefault(str(name).strip().lower().replace(" ", "_").replace("-", "_"), []).append(
            name
        )
    found: dict[str, str] = {}
    for ours, theirs in NAMES.items():
        alike = next((plain[name] for name in theirs if name in plain), [])
        twice = [f"{name}.1" for name in alike if f"{name}.1" in table]  # as pandas calls it
        if len(alike) + len(twice) > 1:
            raise SerError(f"{file} has several columns {alike[0]} (in any case): keep one.")
        if alike and alike[0] not in found:
            found[alike[0]] = ours
    if missing := [name for name in REQUIRED if name not in found.values()]:
        raise SerError(
            f"{file} has no column {missing[0]} (or {', '.join(NAMES[missing[0]][1:4])}, ...): it "
            f"has {', '.join(map(str, table))}. Rename the one that is meant."
        )
    return found


def _labels(column: pd.Series) -> pd.Series:
    """Labels as text: 1 and 1.0 are one."""
    if is_float_dtype(column) and (column == column.round()).all():
        column = column.astype(int)
    return column.astype(str).map(tidy)


def _check_cells(table: pd.DataFrame, theirs: Mapping[str, str], file: Path) -> None:
    for name in table:
        unusable = table[name].map(lambda value: isinstance(value, NO_NAMES)).to_numpy(bool)
        if unusable.any():
            kind, row = type(table[name][unusable.argmax()]).__name__, unusable.argmax() + 1
            raise SerError(
                f"{file} has a {kind} for {theirs[name]} in row {row}: expected text or a number."
            )
    for name in (name for name in (*REQUIRED, "fold", "actor") if name in table):
        empty = table[name].isna() | (table[name].astype(str).str.strip() == "")
        if empty.any():
            more = f" and {counted(n, 'other')}" if (n := int(empty.sum()) - 1) else ""
            raise SerError(
                f"{file} has no {theirs[name]} in row {int(empty.to_numpy().argmax()) + 1}{more}: "
                "every prediction needs one."
            )


def _check_twins(table: pd.DataFrame, theirs: Mapping[str, str], file: Path) -> None:
    for columns in (["true", "predicted"], ["actor"] if "actor" in table else []):
        for alike in twins(name for column in columns for name in table[column]):
            raise SerError(
                f"{file}: {' and '.join(map(repr, alike))} in "
                f"{' and '.join(theirs[column] for column in columns)} differ by no more than case "
                "or characters that are not seen: give each one name."
            )


def _check_labels(scored: pd.DataFrame, theirs: Mapping[str, str], file: Path) -> None:
    true, predicted = set(scored["true"]), set(scored["predicted"])
    if len(true) < 2:
        raise SerError(
            f"{file}: all clips have the label {true.pop()} in {theirs['true']}; there is nothing "
            "to tell."
        )
    if not true & predicted:
        raise SerError(
            f"{file}: no predicted label is ever true: {', '.join(sorted(predicted)[:5])} are in "
            f"{theirs['predicted']}, {', '.join(sorted(true)[:5])} in {theirs['true']}. Give both "
            "the same names."
        )


def _parts(
    table: pd.DataFrame, theirs: Mapping[str, str], file: Path
) -> tuple[pd.DataFrame, pd.DataFrame | None, list[str]]:
    """Rows that are scored, rows that were learned from where the table says so, and notes."""
    if "part" not in table:
        return table, None, []
    part, name = table["part"].astype(str).str.strip().str.lower(), theirs["part"]
    is_test, is_train = part.isin(TEST), part.isin(TRAIN)
    if is_test.any():
        trained = table[is_train] if is_train.any() else None
        rest = sorted(set(part[~is_test & ~is_train]))
        note = f"rows whose {name} is {', '.join(rest)} are left out: neither train nor test"
        return table[is_test], trained, [note] * bool(rest)
    if is_train.any():
        raise SerError(f"{file} has no row whose {name} is test: only these are scored.")
    rest = table.drop(columns="part")
    if "fold" not in table and pd.to_numeric(part, errors="coerce").notna().all():
        return rest.assign(fold=part), None, [f"{_are('column', [name])} taken for fold"]
    words = ", ".join(sorted(set(part))[:3])
    return rest, None, [f"all rows are scored, as {name} says neither train nor test but {words}"]


def _with_names_told(table: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
    """What the clips' names say where the table does not, if all are named as one corpus's are."""
    stems = [Path(clip_name(clip)) for clip in table["clip"]]
    for corpus in GRAMMARS:
        fields = _parsed(corpus, stems)
        if fields is None:
            continue
        told = pd.DataFrame(fields, index=table.index)
        told = told.rename(columns={"text": "statement", "word": "statement"})
        added = [c for c in ("actor", "statement", "gender", "intensity") if c in told]
        added = [column for column in added if column not in table]
        note = [f"{_are('column', added)} read from the clips' names, as {corpus}'s"]
        return table.assign(**{column: told[column] for column in added}), note if added else []
    return table, []


def _parsed(corpus: str, names: list[Path]) -> list[Mapping[str, object]] | None:
    parse = import_module(f"ser.data.corpora.{corpus}").CORPUS.parse
    fields = []
    for name in names:
        try:
            told = parse(name)
        except (SerError, ValueError, KeyError, IndexError):
            return None
        if told is None:
            return None
        fields.append(told)
    return fields


def _probabilities(
    table: pd.DataFrame, named: pd.DataFrame, used: set[str]
) -> tuple[pd.DataFrame, list[str]]:
    """Columns ``p_EMOTION``, sorted; none where one is missing, or they are no probabilities."""
    labels = sorted(set(named["true"]) | set(named["predicted"]))
    plain = {tidy(str(name)).lower(): name for name in table if name not in used}
    missing: list[str] = []
    for before in _PROBABILITY:
        columns = {label: plain.get(f"{before}{label.lower()}") for label in labels}
        lacking = [f"{before}{label}" for label in labels if columns[label] is None]
        if not lacking:
            break
        if len(lacking) < len(labels):
            missing = missing or lacking
    else:
        note = f"probabilities are left out: there is no column {', '.join(missing[:3])}"
        return pd.DataFrame(index=table.index), [note] * bool(missing)
    named_as = {name: label for label, name in columns.items()}
    more = [n for n in plain.values() if before and str(n).lower().startswith(before)]
    named_as |= {n: str(n)[len(before) :] for n in more if n not in named_as}
    values = table[list(named_as)].apply(_numbers)
    if doubt := _doubt(values):
        return pd.DataFrame(index=table.index), [f"probabilities are left out: {doubt}"]
    values = values.rename(columns={name: f"p_{label}" for name, label in named_as.items()})
    values = values.div(values.sum(axis=1), axis=0)
    values = values[sorted(values.columns)]
    most = values.columns.str.removeprefix("p_").to_numpy()
    own = values.to_numpy()[most == named["predicted"].to_numpy(str)[:, None]]
    n = int((own < values.max(axis=1)).sum())
    note = f"in {n} of {len(table)} rows another label than the predicted is the most probable"
    return values, [note] * bool(n)


def _numbers(column: pd.Series) -> pd.Series:
    """Numbers, with a point or a comma; NaN of what is none."""
    if not is_numeric_dtype(column):
        column = column.astype(str).str.replace(",", ".")
    return pd.to_numeric(column, errors="coerce")


def _doubt(values: pd.DataFrame) -> str:
    """Why these are no probabilities, with column and row; empty where they are."""
    for wrong, what in ((values.isna(), "no number"), (values < 0, "below 0")):
        if wrong.any(axis=None):
            row, column = np.argwhere(wrong.to_numpy())[0]
            return f"{values.columns[column]} is {what} in row {row + 1}"
    sums = values.sum(axis=1).to_numpy()
    wrong = np.abs(sums - 1) > _SUM
    listed = ", ".join(map(str, values.columns[:3]))
    row = wrong.argmax()
    return f"{listed}, ... sum to {sums[row]:.3g} in row {row + 1}, not to 1" if wrong.any() else ""


def _are(noun: str, names: Collection[str]) -> str:
    """Names with their verb.

    >>> _are("column", ["a"]), _are("column", ["a", "b"])
    ('column a is', 'columns a, b are')
    """
    one = len(names) == 1
    return f"{noun}{'' if one else 's'} {', '.join(names)} {'is' if one else 'are'}"
