"""Reading texts to embed: a column of a table, or a line each."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from mmclip.errors import UserError


def read_texts(path: Path) -> list[str]:
    """The column ``text`` of a CSV, TSV or Parquet file, or the lines of any other text file; one for each row.

    Raises:
        UserError: the file is missing, is not UTF-8, or has no such column.
    """
    ending = path.suffix.lower()
    try:
        if ending not in (".parquet", ".csv", ".tsv"):
            content = path.read_text(encoding="utf-8").removesuffix("\n")
            return content.split("\n") if content else []
        if ending == ".parquet":
            frame = pl.read_parquet(path)
        else:
            frame = pl.read_csv(path, separator="," if ending == ".csv" else "\t", infer_schema=False)
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: not UTF-8 text (byte {error.start}); save it as UTF-8") from error
    except (OSError, pl.exceptions.PolarsError) as error:
        raise UserError(f"{path}: cannot be read ({str(error).splitlines()[0]})") from error
    if "text" not in frame.columns:
        raise UserError(f"{path}: column 'text' is missing; it has {', '.join(frame.columns)}")
    if frame.schema["text"] != pl.String:
        raise UserError(f"{path}: column 'text' is {frame.schema['text']}, expected text")
    return frame["text"].fill_null("").to_list()
