"""A page on which a radiologist reviews a language's phrase book."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import jinja2

from mmclip import languages
from mmclip.languages import ENGLISH
from mmclip.phantom import phrasebook
from mmclip.phantom.phrasebook import NUMBERS, Frame, Value
from mmclip.tables.files import write_text

TEMPLATE = Path(__file__).parent / "sheet.html.j2"


@dataclass(frozen=True)
class Row:
    """One line of the sheet: a sentence, its translation, its frame and that frame's role (training or held out)."""

    frame: str
    role: str
    english: str
    translation: str


def review_sheet(language: str, out_html: Path | str) -> None:
    """Writes the review sheet of a language: one self-contained HTML file whose answers can be saved as CSV.

    Every frame is there, as often as it takes to show each form of its slots once. The sheet says who reviewed the
    phrase book, or that nobody has.

    Raises:
        UserError: the language has no phrase book, or the book cannot be written out.
    """
    book = phrasebook.wording(language)
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True)
    page = environment.from_string(TEMPLATE.read_text(encoding="utf-8")).render(
        language=languages.language(language), reviewed_by=book.reviewed_by, note=book.note, rows=list(rows(language))
    )
    write_text(page, out_html)


def rows(language: str) -> Iterator[Row]:
    """The lines of a language's sheet, in the order of the frames."""
    for frame in phrasebook.frames():
        for slots in _examples(frame):
            english = phrasebook.realise(ENGLISH, frame.id, slots)
            yield Row(frame.id, frame.role.replace("_", " "), english, phrasebook.realise(language, frame.id, slots))


def _examples(frame: Frame) -> Iterator[dict[str, Value]]:
    """Fillings that together show each named value of each slot at least once."""
    named = [len(values) for slot, values in frame.slots.items() if slot not in NUMBERS]
    for number in range(max(named, default=1)):
        yield {slot: values[number % len(values)] for slot, values in frame.slots.items()}
