"""Reports that users bring, and the labels they get: CSV, TSV or Parquet by their ending."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import polars as pl

from mmclip.errors import UserError
from mmclip.observations import COLUMNS, OBSERVATIONS
from mmclip.tables.files import atomic
from mmclip.tables.user_files import SEPARATORS, read_keyed, require


def read_reports(path: Path, id_column: str, text_columns: Sequence[str]) -> pl.DataFrame:
    """The id and text columns as strings; an empty text is "".

    Raises:
        UserError: the file cannot be read, a column is missing, an id is empty or occurs twice.
    """
    if not text_columns:
        raise UserError(f"{path}: no text column is named; name at least one")
    if id_column in text_columns or len(set(text_columns)) < len(text_columns):
        raise UserError(f"{path}: columns {', '.join((id_column, *text_columns))} must be different ones")
    frame = read_keyed(path, id_column)
    for name in text_columns:
        require(frame, name, path)
    return frame.select(id_column, *(pl.col(name).cast(pl.String).fill_null("") for name in text_columns))


def check_ending(path: Path) -> None:
    """Raise where labels cannot be written under this name.

    Raises:
        UserError: the ending is not one of .csv, .tsv, .parquet.
    """
    if path.suffix.lower() not in (*SEPARATORS, ".parquet"):
        raise UserError(f"{path}: ending {path.suffix!r} is not supported; use .csv, .tsv or .parquet")


def write_labels(labels: pl.DataFrame, path: Path, id_column: str) -> None:
    """Write `id` and the 14 states, the observations under their names.

    Raises:
        UserError: the ending is not one of .csv, .tsv, .parquet.
    """
    check_ending(path)
    named = labels.rename({"id": id_column, **dict(zip(COLUMNS, OBSERVATIONS, strict=True))})
    with atomic(path) as temporary:
        if path.suffix.lower() == ".parquet":
            named.write_parquet(temporary, compression="zstd")
        else:
            named.write_csv(temporary, separator=SEPARATORS[path.suffix.lower()])
