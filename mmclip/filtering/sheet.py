"""The sheets that judges fill in: one HTML page and one CSV file, without the filter's decision."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

import polars as pl
from jinja2 import Environment

from mmclip.filtering.criteria import CRITERIA
from mmclip.languages import LANGUAGES
from mmclip.tables.files import PRIVATE, write_text

TEMPLATE = Path(__file__).parent / "sheet.html.j2"


def write_sheets(sample: pl.DataFrame, folder: Path) -> None:
    """Write sheet.csv and sheet.html of a SAMPLE table, readable by the owner only."""
    write_text(_csv(sample), folder / "sheet.csv", mode=PRIVATE)
    write_text(_html(sample), folder / "sheet.html", mode=PRIVATE)


def _csv(sample: pl.DataFrame) -> str:
    """The sheet for a spreadsheet: one row an item, the marks left empty."""
    out = io.StringIO()
    columns = ["item", "language", "before", "source", "after", "translation"]
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow([*columns, "judge", *CRITERIA, "comment"])
    for row in sample.select(columns).iter_rows():
        writer.writerow([*map(_plain_cell, row), "", *([""] * len(CRITERIA)), ""])
    return out.getvalue()


def _plain_cell(text: str) -> str:
    """The text, with an apostrophe before what a spreadsheet would take for a formula."""
    return f"'{text}" if text.startswith(("=", "+", "-", "@", "\t", "\r")) else text


def _html(sample: pl.DataFrame) -> str:
    """The sheet as one HTML page that works offline and saves the marks as CSV."""
    languages: list[dict[str, Any]] = [
        {
            "code": code,
            "iso": LANGUAGES[code].iso,
            "name": LANGUAGES[code].name,
            "direction": LANGUAGES[code].direction,
            "rows": rows.to_dicts(),
        }
        for (code,), rows in sample.drop("kept", "reasons", "study_id", "index").group_by(
            "language", maintain_order=True
        )
    ]
    template = Environment(autoescape=True).from_string(TEMPLATE.read_text(encoding="utf-8"))
    return template.render(languages=languages, criteria=CRITERIA, marks=range(1, 6))
