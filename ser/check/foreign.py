"""A table of anybody's predictions -> one with the columns that the checks know."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path, PurePosixPath, PureWindowsPath

import numpy as np
import pandas as pd
from pandas.api.types import is_float_dtype

from ser.core.errors import SerError
from ser.core.paths import meant_instead
from ser.data.corpora.table import dialect
from ser.data.names import tidy

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
    _check_cells(named, file)
    named["true"], named["predicted"] = _labels(named["true"]), _labels(named["predicted"])
    renamed = {theirs: ours for theirs, ours in columns.items() if theirs != ours}
    notes = [
        f"columns {', '.join(map(str, renamed))} are taken for {', '.join(renamed.values())}"
    ] * bool(renamed)
    named, told = _with_names_told(named)
    notes += told
    probabilities, doubts = _probabilities(table, named, set(columns))
    named, notes = pd.concat([named, probabilities], axis=1), notes + doubts
    scored, trained = _parts(named, file)
    _check_labels(scored, file)
    return Foreign(scored.reset_index(drop=True), trained, tuple(notes))


def clip_name(path: object) -> str:
    r"""The file's name, of a path of any system.

    >>> clip_name("a/b.wav"), clip_name("C:\\a\\b.wav")
    ('b.wav', 'b.wav')
    """
    return PureWindowsPath(PurePosixPath(str(path)).name).name


def _read(file: Path) -> pd.DataFrame:
    if not file.is_file():
        raise SerError(f"There is no table {file}.{meant_instead(file)}")
    try:
        if file.suffix.lower() == ".parquet":
            table = pd.read_parquet(file)
        else:
            table = pd.read_csv(file, keep_default_na=False, na_values=[""], **dialect(file))
    except Exception as error:  # pandas, pyarrow and Unicode have several each
        reason = str(error).partition("\n")[0].rstrip(".")
        raise SerError(f"{file} cannot be read as a table of predictions ({reason}).") from error
    if table.empty:
        raise SerError(f"{file} has no rows: expected one for each prediction.")
    return table.dropna(how="all").reset_index(drop=True)


def _columns(table: pd.DataFrame, file: Path) -> dict[str, str]:
    """The table's own names of columns -> ours."""
    plain = {str(name).strip().lower().replace(" ", "_").replace("-", "_"): name for name in table}
    found = {}
    for ours, theirs in NAMES.items():
        name = next((plain[name] for name in theirs if name in plain), None)
        if name is not None and name not in found:
            found[name] = ours
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


def _check_cells(table: pd.DataFrame, file: Path) -> None:
    for name in (name for name in (*REQUIRED, "fold", "actor") if name in table):
        empty = table[name].isna() | (table[name].astype(str).str.strip() == "")
        if empty.any():
            raise SerError(
                f"{file} has no {name} in row {int(empty.to_numpy().argmax()) + 1} (and "
                f"{int(empty.sum()) - 1} others): every prediction needs one."
            )


def _check_labels(scored: pd.DataFrame, file: Path) -> None:
    true, predicted = set(scored["true"]), set(scored["predicted"])
    if len(true) < 2:
        raise SerError(f"{file}: all clips have the label {true.pop()}; there is nothing to tell.")
    if not true & predicted:
        raise SerError(
            f"{file}: no predicted label is ever true: {', '.join(sorted(predicted)[:5])} are "
            f"predicted, {', '.join(sorted(true)[:5])} are true. Give both the same names."
        )


def _parts(table: pd.DataFrame, file: Path) -> tuple[pd.DataFrame, pd.DataFrame | None]:
    """Rows that are scored, and rows that were learned from, where the table says so."""
    if "part" not in table:
        return table, None
    part = table["part"].astype(str).str.strip().str.lower()
    if not part.isin(TEST).any():
        if part.isin(TRAIN).any():
            raise SerError(f"{file} has no row of the part test: only these are scored.")
        rest = table.drop(columns="part")
        is_number = pd.to_numeric(part, errors="coerce").notna().all()
        return (rest.assign(fold=part) if "fold" not in table and is_number else rest), None
    trained = table[part.isin(TRAIN)]
    return table[part.isin(TEST)], trained if len(trained) else None


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
        note = [f"{', '.join(added)} are read from the clips' names, as {corpus}'s"]
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
    for before in _PROBABILITY:
        columns = {label: plain.get(f"{before}{label.lower()}") for label in labels}
        if all(name is not None for name in columns.values()):
            break
    else:
        return pd.DataFrame(index=table.index), []
    named_as = {name: label for label, name in columns.items()}
    more = [n for n in plain.values() if before and str(n).lower().startswith(before)]
    named_as |= {n: str(n)[len(before) :] for n in more if n not in named_as}
    values = table[list(named_as)].apply(pd.to_numeric, errors="coerce")
    sums = values.sum(axis=1).to_numpy()
    if values.isna().any(axis=None) or (values < 0).any(axis=None) or np.abs(sums - 1).max() > _SUM:
        return pd.DataFrame(index=table.index), [
            f"columns {', '.join(map(str, list(named_as)[:3]))}, ... are no probabilities (they "
            "do not sum to 1) and are left out"
        ]
    values = values.rename(columns={name: f"p_{label}" for name, label in named_as.items()})
    values = values.div(values.sum(axis=1), axis=0)
    return values[sorted(values.columns)], []
