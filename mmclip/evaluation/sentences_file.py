"""Reading texts to embed: a column of a table, or a line each."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from mmclip.errors import UserError


def read_texts(path: Path) -> list[str]:
    """The column ``text`` of a CSV, TSV or Parquet file, or the lines of any other text file.

    Raises:
        UserError: the file is missing, or has no such column.
    """
    try:
        match path.suffix:
            case ".parquet":
                frame = pl.read_parquet(path)
            case ".csv" | ".tsv":
                frame = pl.read_csv(path, separator="," if path.suffix == ".csv" else "\t", infer_schema=False)
            case _:
                return path.read_text(encoding="utf-8").splitlines()
    except (OSError, pl.exceptions.PolarsError) as error:
        raise UserError(f"{path}: cannot be read ({str(error).splitlines()[0]})") from error
    if "text" not in frame.columns:
        raise UserError(f"{path}: column 'text' is missing; it has {', '.join(frame.columns)}")
    return [value or "" for value in frame["text"]]
