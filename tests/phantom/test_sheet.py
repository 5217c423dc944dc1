"""The review sheet."""

from __future__ import annotations

import html
from pathlib import Path

from mmclip.phantom import phrasebook
from mmclip.phantom.sheet import review_sheet, rows

ENGLISH = "eng_Latn"


def test_every_frame_and_every_form_is_on_the_sheet(tmp_path: Path) -> None:
    review_sheet(ENGLISH, tmp_path / "sheet.html")
    page = html.unescape((tmp_path / "sheet.html").read_text(encoding="utf-8"))
    listed = list(rows(ENGLISH))
    assert {row.frame for row in listed} == {frame.id for frame in phrasebook.frames()}
    assert all(f">{row.translation}</td>" in page for row in listed)
    text = " ".join(row.translation for row in listed).casefold()
    assert all(form in text for forms in phrasebook.wording(ENGLISH).forms.values() for form in forms.values())


def test_it_says_that_nobody_has_reviewed_it_and_needs_nothing_else(tmp_path: Path) -> None:
    review_sheet(ENGLISH, tmp_path / "sheet.html")
    page = (tmp_path / "sheet.html").read_text(encoding="utf-8")
    assert "not reviewed by a native radiologist" in page
    assert "Reviewed by: nobody yet." in page
    assert "http" not in page
    assert page.count('class="correct"') == len(list(rows(ENGLISH)))
