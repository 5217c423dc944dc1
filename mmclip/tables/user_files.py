"""Tables that users bring, keyed by an id: CSV, TSV or Parquet by their ending, a CSV or TSV gzipped or not."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import polars as pl

from mmclip.errors import UserError
from mmclip.observations import ABSENT, OBSERVATIONS, PRESENT, UNCERTAIN, column

SEPARATORS = {".csv": ",", ".tsv": "\t"}

SYNONYMS: dict[str, str] = {"Lung Opacity": "Airspace Opacity"}
"""Observation -> what some files call it: the radiologists' labels of MIMIC-CXR's test set (version 2.1.0)."""


def read_keyed(path: Path, id_column: str) -> pl.DataFrame:
    """The table with its id column as strings, each once; the cells of a CSV or TSV are strings.

    Raises:
        UserError: the file cannot be read, the id column is missing, or an id is empty or occurs twice.
    """
    frame = _read(path)
    require(frame, id_column, path)
    frame = frame.with_columns(pl.col(id_column).cast(pl.String))
    ids = frame[id_column]
    empty = ids.is_null() | (ids.str.strip_chars() == "")
    if empty.any():
        raise UserError(f"{path}: row {(empty.arg_max() or 0) + 1}: {id_column} is empty; every row needs an id")
    repeated = ids.is_duplicated()
    if repeated.any():
        row = repeated.arg_max() or 0
        raise UserError(f"{path}: row {row + 1}: {id_column} {ids[row]!r} occurs more than once; ids must be unique")
    return frame


def read_labels(path: Path, id_column: str, columns: Mapping[str, str] | None = None) -> pl.DataFrame:
    """`id` and the observations that the file has, as columns of Int8: -1, 0, 1, or null where the cell is empty.

    This reads the files of CheXpert (id column ``Path``) and of MIMIC-CXR-JPG (``study_id``) as they are, and those
    that ``mmclip label`` writes. Columns are found by name, never by place: the official files order them differently.
    An empty cell stays null, which is not 0.

    Args:
        columns: observation -> its column; without it, the columns that are named as the observations are, in any
            case and with blanks or underscores; where there is none, the one that has the name in :data:`SYNONYMS`.

    Raises:
        UserError: as for :func:`read_keyed`; a column is missing, no column is an observation, or a value is no state.
    """
    frame = read_keyed(path, id_column)
    found = dict(columns) if columns else _observations(frame, id_column, path)
    for name in found.values():
        require(frame, name, path)
    states = [_states(frame[name], observation, path) for observation, name in found.items()]
    return frame.select(pl.col(id_column).alias("id"), *states)


def require(frame: pl.DataFrame, name: str, path: Path) -> None:
    """Raise where a column is missing.

    Raises:
        UserError: it is; the message lists the columns.
    """
    if name not in frame.columns:
        raise UserError(f"{path}: column {name!r} is missing; it has {', '.join(frame.columns)}")


def _read(path: Path) -> pl.DataFrame:
    ending = path.with_suffix("").suffix.lower() if path.suffix.lower() == ".gz" else path.suffix.lower()
    try:
        if ending == ".parquet":
            return pl.read_parquet(path)
        if ending in SEPARATORS:
            return pl.read_csv(path, separator=SEPARATORS[ending], infer_schema=False, encoding="utf8")
    except FileNotFoundError as error:
        raise UserError(f"{path}: no such file") from error
    except (pl.exceptions.PolarsError, OSError) as error:
        kind = "Parquet" if ending == ".parquet" else "UTF-8 text with one header line and quoted fields"
        raise UserError(f"{path}: cannot be read; expected {kind}") from error
    raise UserError(f"{path}: ending {ending!r} is not supported; use .csv, .tsv or .parquet")


def _observations(frame: pl.DataFrame, id_column: str, path: Path) -> dict[str, str]:
    """Observation -> the column that is named so."""
    found: dict[str, str] = {}
    for observation in OBSERVATIONS:
        named = {
            wanted: [name for name in frame.columns if name != id_column and _plain(name) == column(wanted)]
            for wanted in (observation, SYNONYMS.get(observation, observation))
        }
        names = next(filter(None, named.values()), [])
        if len(names) > 1:
            raise UserError(f"{path}: columns {names[0]!r} and {names[1]!r} are both {observation}; rename one of them")
        found |= dict.fromkeys([observation], names[0]) if names else {}
    if not found:
        raise UserError(f"{path}: none of its columns is an observation; expected some of {', '.join(OBSERVATIONS)}")
    return found


def _plain(name: str) -> str:
    return "_".join(name.lower().split())


def _states(values: pl.Series, observation: str, path: Path) -> pl.Series:
    if values.dtype.is_float():
        values = values.fill_nan(None)  # what pandas writes for an empty cell
    text = values.cast(pl.String).str.strip_chars().replace("", None)
    numbers = text.cast(pl.Float64, strict=False)
    wrong = text.is_not_null() & ~numbers.is_in([float(PRESENT), float(ABSENT), float(UNCERTAIN)]).fill_null(False)
    if wrong.any():
        row = wrong.arg_max() or 0
        raise UserError(f"{path}: row {row + 1}: {values.name} is {text[row]!r}; a label is 1, 0, -1 or empty")
    return numbers.cast(pl.Int8).alias(column(observation))
