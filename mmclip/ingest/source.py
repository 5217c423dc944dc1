"""The user's table as strings: CSV, TSV or Parquet, nothing guessed.

A cell stays what it is: "NA", "null" and "1.0" are text, and an empty cell is "".
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path

import polars as pl

from mmclip.errors import UserError

LINE = "line"
"""Column with the number of the line (CSV) or row (Parquet) at which each row starts, for messages."""

BROKEN = "\ufffd"
"""Stands in a cell for each byte that is no character in the file's encoding."""

_SEPARATORS = {".csv": ",", ".tsv": "\t", ".tab": "\t"}
_FIELD_LIMIT = 16_000_000


def read_source(path: Path, columns: dict[str, str], separator: str | None, encoding: str) -> pl.DataFrame:
    """The columns that are needed, renamed to their keys, all strings without nulls, and :data:`LINE`.

    Args:
        columns: key of the settings -> name of the column in the file; only these are kept.
        separator: None for the one that the file's ending says.

    Raises:
        UserError: no such file, an unknown ending, a missing column (with the columns that exist), or a line that
            cannot be read (with its number, never its content).
    """
    if not path.is_file():
        raise UserError(f"{path}: no such file")
    if path.suffix.lower() in (".parquet", ".pq"):
        return _parquet(path, columns)
    if separator is None and path.suffix.lower() not in _SEPARATORS:
        raise UserError(f"{path}: ending {path.suffix!r} is not .csv, .tsv or .parquet; rename it or set separator")
    return _delimited(path, columns, separator or _SEPARATORS[path.suffix.lower()], encoding)


def _parquet(path: Path, columns: dict[str, str]) -> pl.DataFrame:
    try:
        names = list(pl.read_parquet_schema(path))
        _require(path, columns, names)
        frame = pl.read_parquet(path, columns=sorted(set(columns.values())))
        cells = [pl.col(name).cast(pl.String).fill_null("").alias(key) for key, name in columns.items()]
        return frame.select(cells).with_row_index(LINE, offset=1)
    except pl.exceptions.PolarsError as error:
        raise UserError(f"{path}: cannot be read as a Parquet table of plain columns") from error


def _delimited(path: Path, columns: dict[str, str], separator: str, encoding: str) -> pl.DataFrame:
    codec = "utf-8-sig" if encoding == "utf-8" else "cp1252"  # what calls itself Latin-1 is mostly Windows' form
    before = csv.field_size_limit(_FIELD_LIMIT)
    try:
        with path.open(encoding=codec, errors="replace", newline="") as handle:
            if handle.read(1) == BROKEN or "\0" in handle.read(4096):
                raise UserError(f"{path}: not {encoding} text; save it as UTF-8")
            handle.seek(0)
            rows = _records(path, csv.reader(handle, delimiter=separator, strict=True))
            _, names = next(rows, (0, []))
            _require(path, columns, names)
            places = {key: names.index(name) for key, name in columns.items()}
            cells: dict[str, list[str]] = {key: [] for key in columns}
            lines = []
            for line, row in rows:
                if len(row) != len(names):
                    raise UserError(
                        f"{path}: line {line} has {len(row)} fields, the first line {len(names)}; "
                        f"put fields that hold {separator!r} or line ends in double quotes"
                    )
                lines.append(line)
                for key, place in places.items():
                    cells[key].append(row[place])
    finally:
        csv.field_size_limit(before)
    return pl.DataFrame({LINE: lines, **cells}, schema={LINE: pl.UInt32, **dict.fromkeys(columns, pl.String)})


def _records(path: Path, reader: Iterator[list[str]]) -> Iterator[tuple[int, list[str]]]:
    """Records with the number of the line on which each starts; empty lines are passed over."""
    line = 1
    while True:
        try:
            row = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise UserError(
                f"{path}: the record at line {line} is broken ({error}); check its double quotes"
            ) from error
        if row:
            yield line, row
        line = reader.line_num + 1  # type: ignore[attr-defined]


def _require(path: Path, columns: dict[str, str], names: list[str]) -> None:
    for key, name in columns.items():
        if name not in names:
            known = ", ".join(names) if names else "none: the file is empty"
            raise UserError(f"{path}: column {name!r} is missing; columns: {known}; set columns.{key}")
        if names.count(name) > 1:
            raise UserError(f"{path}: column {name!r} occurs {names.count(name)} times; rename one of them")
