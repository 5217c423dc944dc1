"""Small tables that the filter's tests start from."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from mmclip.tables.files import write_table
from mmclip.tables.phantom import FAULTS
from mmclip.tables.translation import SENTENCES

Row = tuple[str, int, str, str]


def sentences(rows: list[Row], engine: str = "memory", flags: dict[int, list[str]] | None = None) -> pl.DataFrame:
    """A SENTENCES table of (study, index, source, translation); `flags` by row number."""
    return SENTENCES.frame(
        [
            {
                "study_id": study,
                "index": index,
                "source": source,
                "translation": translation,
                "engine": engine,
                "flags": (flags or {}).get(number, []),
            }
            for number, (study, index, source, translation) in enumerate(rows)
        ]
    )


def shard(path: Path, rows: list[Row], flags: dict[int, list[str]] | None = None) -> Path:
    """The table above, written."""
    write_table(sentences(rows, flags=flags), path, SENTENCES)
    return path


def faults(path: Path, rows: list[tuple[str, int, str, str]]) -> Path:
    """A FAULTS table of (study, index, language, kind), written."""
    names = ("study_id", "index", "language", "kind")
    write_table(FAULTS.frame([dict(zip(names, row, strict=True)) for row in rows]), path, FAULTS)
    return path


SPANISH: list[Row] = [
    ("a", 0, "There is no pleural effusion.", "No hay derrame pleural."),
    ("a", 1, "The heart size is normal.", "El tamaño del corazón es normal."),
    ("a", 2, "There is a 12 mm nodule in the left lung.", "Hay un nódulo de 12 mm en el pulmón derecho."),
    ("b", 0, "There is no pneumothorax.", "Hay un neumotórax."),
    ("b", 1, "The lungs are clear.", "The lungs are clear."),
    ("b", 2, "The bones of the chest are intact.", "Los huesos del tórax están intactos."),
    ("c", 0, "There is no pleural effusion.", "No hay derrame pleural."),
    ("d", 0, "There is mild pulmonary edema.", ""),
]
"""Good: a/0, a/1, b/2, c/0. Faults: a/2 another side, b/0 lost negation, b/1 copied, d/0 empty."""
