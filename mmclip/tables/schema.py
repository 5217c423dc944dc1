"""What a table's columns are, and the one function that checks a table against that."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

from mmclip.errors import UserError
from mmclip.observations import COLUMNS


@dataclass(frozen=True)
class Table:
    """Columns of a table.

    Attributes:
        name: what errors call it.
        columns: name -> type.
        nullable: columns that may hold nulls.
        key: columns whose combination is unique.
        extra: prefixes of further columns that are allowed (``score_``).
    """

    name: str
    columns: dict[str, pl.DataType | type[pl.DataType]]
    nullable: frozenset[str] = frozenset()
    key: tuple[str, ...] = ()
    extra: tuple[str, ...] = ()

    def empty(self) -> pl.DataFrame:
        """A table without rows."""
        return pl.DataFrame(schema=self.columns)

    def only(self, columns: Sequence[str]) -> Table:
        """The table of some of the columns, in this order; the key holds where they include it."""
        key = self.key if set(self.key) <= set(columns) else ()
        chosen = {name: self.columns[name] for name in columns}
        return Table(self.name, chosen, self.nullable & chosen.keys(), key)

    def frame(self, rows: list[dict[str, object]]) -> pl.DataFrame:
        """A table of these rows, checked."""
        return check(pl.DataFrame(rows, schema=self.columns, orient="row"), self)


def check(frame: pl.DataFrame, table: Table, where: str = "") -> pl.DataFrame:
    """Return `frame` with the columns in the table's order, or say what is wrong.

    Args:
        where: the file it came from, for the error.

    Raises:
        UserError: a column is missing, unknown, of another type, null where it must not be, or a key repeats.
    """
    label = f"{where or 'table'} ({table.name})"
    missing = [name for name in table.columns if name not in frame.columns]
    if missing:
        raise UserError(f"{label}: column {missing[0]!r} is missing; it has {', '.join(frame.columns)}")
    extra = [name for name in frame.columns if name not in table.columns]
    unknown = [name for name in extra if not name.startswith(table.extra or ("\0",))]
    if unknown:
        raise UserError(f"{label}: column {unknown[0]!r} is not part of this table")
    for name, dtype in table.columns.items():
        if frame.schema[name] != dtype:
            raise UserError(f"{label}: column {name!r} is {frame.schema[name]}, expected {dtype}")
        if name not in table.nullable and frame[name].null_count():
            row = frame[name].is_null().arg_max()
            raise UserError(f"{label}: column {name!r} is empty in row {row}; every row needs a value")
    if table.key:
        repeated = frame.select(table.key).is_duplicated()
        if repeated.any():
            row = repeated.arg_max()
            values = frame.select(table.key).row(row or 0)
            raise UserError(f"{label}: {', '.join(table.key)} {values} occurs more than once; it must be unique")
    return frame.select(*table.columns, *extra)


LABEL_COLUMNS: dict[str, pl.DataType | type[pl.DataType]] = dict.fromkeys(COLUMNS, pl.Int8)
"""The 14 observations as columns: 1 present, 0 absent, -1 uncertain, null not mentioned."""
