"""Files of reports and of labels that users bring: CSV, TSV or Parquet by their ending."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import polars as pl

from mmclip.errors import UserError
from mmclip.observations import ABSENT, COLUMNS, OBSERVATIONS, PRESENT, UNCERTAIN
from mmclip.tables.files import atomic

_SEPARATORS = {".csv": ",", ".tsv": "\t"}


def read_reports(path: Path, id_column: str, text_columns: Sequence[str]) -> pl.DataFrame:
    """The id and text columns as strings; an empty text is "".

    Raises:
        UserError: the file cannot be read, a column is missing, an id is empty or occurs twice.
    """
    if not text_columns:
        raise UserError(f"{path}: no text column is named; name at least one")
    if id_column in text_columns or len(set(text_columns)) < len(text_columns):
        raise UserError(f"{path}: columns {', '.join((id_column, *text_columns))} must be different ones")
    frame = _keyed(_read(path), id_column, path)
    for name in text_columns:
        _require(frame, name, path)
    return frame.select(id_column, *(pl.col(name).cast(pl.String).fill_null("") for name in text_columns))


def read_labels(path: Path, id_column: str) -> pl.DataFrame:
    """`id` and those of the 14 observations that the file has, by name or by column name, as -1, 0, 1 or null.

    Raises:
        UserError: as for reports; or no column is an observation, or a value is no state.
    """
    frame = _keyed(_read(path), id_column, path)
    names = {name.lower().replace(" ", "_"): name for name in frame.columns if name != id_column}
    known = [name for name in COLUMNS if name in names]
    if not known:
        raise UserError(f"{path}: none of its columns is an observation; expected some of {', '.join(OBSERVATIONS)}")
    return frame.select(pl.col(id_column).alias("id"), *(_states(frame[names[name]], name, path) for name in known))


def write_labels(labels: pl.DataFrame, path: Path, id_column: str) -> None:
    """Write `id` and the 14 states, the observations under their names.

    Raises:
        UserError: the ending is not one of .csv, .tsv, .parquet.
    """
    named = labels.rename({"id": id_column, **dict(zip(COLUMNS, OBSERVATIONS, strict=True))})
    ending = path.suffix.lower()
    if ending not in (*_SEPARATORS, ".parquet"):
        raise UserError(f"{path}: ending {ending!r} is not supported; use .csv, .tsv or .parquet")
    with atomic(path) as temporary:
        if ending == ".parquet":
            named.write_parquet(temporary, compression="zstd")
        else:
            named.write_csv(temporary, separator=_SEPARATORS[ending])


def _read(path: Path) -> pl.DataFrame:
    ending = path.suffix.lower()
    try:
        if ending == ".parquet":
            return pl.read_parquet(path)
        if ending in _SEPARATORS:
            return pl.read_csv(path, separator=_SEPARATORS[ending], infer_schema=False, encoding="utf8")
    except FileNotFoundError as error:
        raise UserError(f"{path}: no such file") from error
    except (pl.exceptions.PolarsError, OSError) as error:
        kind = "Parquet" if ending == ".parquet" else "UTF-8 text with one header line and quoted fields"
        raise UserError(f"{path}: cannot be read; expected {kind}") from error
    raise UserError(f"{path}: ending {ending!r} is not supported; use .csv, .tsv or .parquet")


def _require(frame: pl.DataFrame, name: str, path: Path) -> None:
    if name not in frame.columns:
        raise UserError(f"{path}: column {name!r} is missing; it has {', '.join(frame.columns)}")


def _keyed(frame: pl.DataFrame, id_column: str, path: Path) -> pl.DataFrame:
    """The frame with its id column as strings, each once."""
    _require(frame, id_column, path)
    frame = frame.with_columns(pl.col(id_column).cast(pl.String))
    ids = frame[id_column]
    empty = ids.is_null() | (ids.str.strip_chars() == "")
    if empty.any():
        raise UserError(f"{path}: row {(empty.arg_max() or 0) + 1}: {id_column} is empty; every report needs an id")
    repeated = ids.is_duplicated()
    if repeated.any():
        row = repeated.arg_max() or 0
        raise UserError(f"{path}: row {row + 1}: {id_column} {ids[row]!r} occurs more than once; ids must be unique")
    return frame


def _states(values: pl.Series, name: str, path: Path) -> pl.Series:
    text = values.cast(pl.String).str.strip_chars().replace("", None)
    numbers = text.cast(pl.Float64, strict=False)
    wrong = text.is_not_null() & ~numbers.is_in([float(PRESENT), float(ABSENT), float(UNCERTAIN)]).fill_null(False)
    if wrong.any():
        row = wrong.arg_max() or 0
        raise UserError(f"{path}: row {row + 1}: {name} is {text[row]!r}; a label is 1, 0, -1 or empty")
    return numbers.cast(pl.Int8).alias(name)
