"""Files of published data sets: whether they are there, and tables of them as rows of strings."""

from __future__ import annotations

import codecs
import csv
import gzip
import math
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TextIO

from mmclip.errors import UserError
from mmclip.ingest.records import Terms
from mmclip.observations import OBSERVATIONS, State
from mmclip.tables.user_files import SYNONYMS

_FIELD_LIMIT = 16_000_000

_OTHERWISE_LATIN = "mmclip.otherwise_latin"


def _as_latin(error: UnicodeError) -> tuple[str, int]:
    """Bytes that are not UTF-8 as Latin-1, as of report files (see :mod:`mmclip.ingest.text`)."""
    if not isinstance(error, UnicodeDecodeError):
        raise error
    return error.object[error.start : error.end].decode("latin-1"), error.end


codecs.register_error(_OTHERWISE_LATIN, _as_latin)

_STATES: dict[str, State] = {
    "": None, "1": 1, "1.0": 1, "0": 0, "0.0": 0, "-1": -1, "-1.0": -1,
}  # fmt: skip


def require_file(root: Path, name: str, terms: Terms) -> Path:
    """The file of this name below `root`; one that ends in .gz may also have been unpacked.

    Raises:
        UserError: there is none; the message says where it comes from, and names files that look alike.
    """
    found = optional_file(root, name)
    if found is None:
        raise UserError(f"{root / name}: no such file{_alike(root / name)}; it comes from {terms.origin}")
    return found


def optional_file(root: Path, name: str) -> Path | None:
    """The file of this name below `root`, packed or not, or None."""
    for path in (root / name, root / name.removesuffix(".gz")):
        if path.is_file():
            return path
    return None


def require_folder(root: Path, name: str, terms: Terms) -> Path:
    """The folder of this name below `root`.

    Raises:
        UserError: there is none; the message says where it comes from.
    """
    path = root / name if name else root
    if not path.is_dir():
        raise UserError(f"{path}: no such folder; it comes from {terms.origin}")
    return path


def _alike(path: Path) -> str:
    """What lies in the folder and ends alike: another version, perhaps."""
    ending = path.name.rpartition("-")[2].removesuffix(".gz").lower()
    near = sorted(file.name for file in path.parent.glob("*") if ending and ending in file.name.lower())[:3]
    return f" (found {', '.join(near)}: another version?)" if near else ""


def read_rows(path: Path, columns: Sequence[str], terms: Terms) -> Iterator[dict[str, str]]:
    """The rows of a CSV file, gzipped or not: column -> cell, as strings without white space around them.

    Args:
        columns: those that it must have, in any order; names are compared without white space around them.

    Raises:
        UserError: a column is missing, a row has more or fewer fields than the first line, or the file is not whole.
    """
    rows = read_fields(path, terms)
    names = [name.strip() for name in next(rows, (0, []))[1]]
    for column in columns:
        if column not in names:
            known = " ".join(", ".join(names).split())[:300]  # a damaged name may hold line ends
            raise UserError(
                f"{path}: column {column!r} is missing; it has {known}; expected the file of {terms.origin}"
            )
    for line, row in rows:
        if len(row) != len(names):
            raise UserError(
                f"{path}: line {line} has {len(row)} fields, the first line {len(names)}; "
                f"the file is not whole: get it again from {terms.origin}"
            )
        yield dict(zip(names, map(str.strip, row), strict=True))


def read_fields(path: Path, terms: Terms) -> Iterator[tuple[int, list[str]]]:
    """The rows of a CSV file with the numbers of their lines; empty lines are passed over.

    Raises:
        UserError: the file is cut off or not what its name says.
    """
    before = csv.field_size_limit(_FIELD_LIMIT)
    try:
        with _open(path) as text:
            reader = csv.reader(text, strict=True)
            for row in reader:
                if row:
                    yield reader.line_num, row
    except (EOFError, OSError, zlib.error, csv.Error) as error:
        raise UserError(
            f"{path}: cannot be read to its end ({error}); it is not whole: get it again from {terms.origin}"
        ) from error
    finally:
        csv.field_size_limit(before)


def read_lines(path: Path, terms: Terms) -> list[str]:
    """The lines of a text file that are not empty, without white space around them.

    Raises:
        UserError: it cannot be read.
    """
    try:
        with _open(path) as text:
            return [line.strip() for line in text.read().splitlines() if line.strip()]
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error}); get it again from {terms.origin}") from error


def number_of(value: str) -> float:
    """A number from a cell.

    Raises:
        ValueError: it is none, or not finite.
    """
    number = float(value)
    if not math.isfinite(number):
        raise ValueError(f"{value} is not finite")
    return number


def _open(path: Path) -> TextIO:
    if path.suffix == ".gz":
        return gzip.open(path, "rt", encoding="utf-8-sig", errors=_OTHERWISE_LATIN, newline="")
    return path.open(encoding="utf-8-sig", errors=_OTHERWISE_LATIN, newline="")


def state_of(value: str, path: Path, where: str) -> State:
    """A label's state from a cell: 1, 0, -1 or nothing, with or without decimals.

    Raises:
        UserError: it is something else.
    """
    if value not in _STATES:
        raise UserError(f"{path}: {where}: found {value!r}; a label is 1, 0, -1 or empty")
    return _STATES[value]


def states_by_name(row: dict[str, str], path: Path) -> dict[str, State]:
    """States of the observations that a row has columns for, found by name or its synonym and never by place."""
    named = {name: name if name in row else SYNONYMS.get(name, name) for name in OBSERVATIONS}
    return {name: state_of(row[column], path, column) for name, column in named.items() if column in row}
