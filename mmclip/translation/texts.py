"""Files of whole texts, as ``mmclip translate`` reads and writes them."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from mmclip.errors import UserError
from mmclip.tables.files import PRIVATE, atomic

_SEPARATORS = {".csv": ",", ".tsv": "\t"}


def read_texts(path: Path) -> pl.DataFrame:
    """study_id and text of each row; an empty cell is an empty text.

    Raises:
        UserError: the file is missing or of another kind, or a column is missing.
    """
    try:
        frame = _read(path)
    except FileNotFoundError as error:
        raise UserError(f"{path}: no such file") from error
    except (pl.exceptions.PolarsError, OSError, UnicodeError) as error:
        reason = f"cannot be read as {path.suffix[1:]}" if path.suffix == ".parquet" else _fault(path)
        raise UserError(f"{path}: {reason}") from error
    for name in ("study_id", "text"):
        if name not in frame.columns:
            raise UserError(f"{path}: column {name!r} is missing; it has {', '.join(frame.columns)}")
    return frame.select(pl.col(name).cast(pl.String).fill_null("") for name in ("study_id", "text"))


def _read(path: Path) -> pl.DataFrame:
    if path.suffix == ".parquet":
        return pl.read_parquet(path)
    if path.suffix not in _SEPARATORS:
        raise _ending(path)
    return pl.read_csv(path, separator=_SEPARATORS[path.suffix], infer_schema=False)


def _fault(path: Path) -> str:
    """What is wrong with a file of lines."""
    lines = path.read_bytes().split(b"\n")
    bad = [number for number, line in enumerate(lines, start=1) if not _is_text(line)]
    if not bad:
        return f"cannot be read as {path.suffix[1:]}; check its columns and quotes"
    return f"{len(bad)} of its {len(lines)} lines are not UTF-8, the first is line {bad[0]}; save it as UTF-8"


def _is_text(line: bytes) -> bool:
    try:
        line.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def write_texts(frame: pl.DataFrame, path: Path) -> None:
    """Write a table as its ending says, readable by its owner only since it holds report text."""
    if path.suffix not in (*_SEPARATORS, ".parquet"):
        raise _ending(path)
    with atomic(path, PRIVATE) as temporary:
        if path.suffix == ".parquet":
            frame.write_parquet(temporary, compression="zstd")
        else:
            frame.write_csv(temporary, separator=_SEPARATORS[path.suffix])


def _ending(path: Path) -> UserError:
    return UserError(f"{path}: ending {path.suffix!r} is unknown; use .csv, .tsv or .parquet")
