"""One row of the user's table, checked: its ids, its text, its labels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from mmclip.config.ingest import TableSource
from mmclip.data.image_header import BadImage
from mmclip.ingest.image_files import inside
from mmclip.ingest.sections import Sections, select, split
from mmclip.ingest.source import BROKEN, LINE
from mmclip.ingest.splits import official
from mmclip.ingest.text import clean, read_report
from mmclip.languages import LANGUAGES
from mmclip.observations import OBSERVATIONS, State, column

_STATES: dict[str, State] = {"": None, "1": 1, "1.0": 1, "0": 0, "0.0": 0, "-1": -1, "-1.0": -1}

_VIEWS = {
    "AP": "AP",
    "PA": "PA",
    "FRONTAL": "FRONTAL",
    "L": "LATERAL",
    "LL": "LATERAL",
    "LAT": "LATERAL",
    "LATERAL": "LATERAL",
}


class BadRow(Exception):
    """A row that cannot be used; `reason` says why in a word."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True)
class Row:
    """What a row says.

    Attributes:
        line: where it starts in the file.
        image: name of the image file as given, or "".
        text, text_from: the study's text by the section policy, and which sections it is.
        official: the source's own split, or None.
        labels: column of the `labels` table -> state; empty where the table has no label columns.
        removed: number of control characters removed from the text.
    """

    line: int
    study_id: str
    patient_id: str
    image: str
    view: str
    language: str
    findings: str
    impression: str
    text: str
    text_from: str
    official: str | None
    labels: dict[str, State]
    removed: int


def parse_row(cells: dict[str, Any], settings: TableSource) -> Row:
    """A row from its cells by key.

    Raises:
        BadRow: empty_id, empty_patient, wrong_encoding, unknown_language, unknown_split, bad_label, outside_root,
            missing_report, unreadable_report, empty_report or no_image.
    """
    study_id = cells["id"].strip()
    if not study_id:
        raise BadRow("empty_id")
    if any(BROKEN in value for key, value in cells.items() if key != LINE):
        raise BadRow("wrong_encoding")
    patient_id = cells["patient"].strip() if "patient" in cells else study_id
    if not patient_id:
        raise BadRow("empty_patient")
    sections, removed = _sections(cells, settings)
    text, text_from = select(sections, settings.sections)
    image = cells.get("image", "").strip()
    if not image and not text:
        raise BadRow("empty_report" if settings.columns.image is None or _has_text(settings) else "no_image")
    return Row(
        line=cells[LINE],
        study_id=study_id,
        patient_id=patient_id,
        image=image,
        view=view_of(cells.get("view", "")),
        language=_language(cells, settings),
        findings=sections.findings,
        impression=sections.impression,
        text=text,
        text_from=text_from,
        official=_official(cells),
        labels=_labels(cells, settings),
        removed=removed,
    )


def view_of(value: str) -> str:
    """One of the views of the `images` table from what sources write: the first word counts (``AP Supine``)."""
    words = value.upper().replace("_", " ").split()
    return _VIEWS.get(words[0], "UNKNOWN") if words else "UNKNOWN"


def _has_text(settings: TableSource) -> bool:
    columns = settings.columns
    return any((columns.text, columns.report, columns.findings, columns.impression))


def _sections(cells: dict[str, Any], settings: TableSource) -> tuple[Sections, int]:
    if "findings" in cells or "impression" in cells:
        findings, removed = clean(cells.get("findings", ""))
        impression, more = clean(cells.get("impression", ""))
        return Sections(findings.strip(), impression.strip(), ""), removed + more
    text, removed = clean(_report(cells["report"].strip(), settings) if "report" in cells else cells.get("text", ""))
    return split(text), removed


def _report(name: str, settings: TableSource) -> str:
    if not name:
        return ""
    try:
        return read_report(inside(name, (settings.report_root or settings.file.parent).resolve()))
    except BadImage as error:
        raise BadRow(error.reason) from error
    except FileNotFoundError as error:
        raise BadRow("missing_report") from error
    except (OSError, ValueError) as error:
        raise BadRow("unreadable_report") from error


def _language(cells: dict[str, Any], settings: TableSource) -> str:
    code = str(cells.get("language", "")).strip() or settings.language
    if code not in LANGUAGES:
        raise BadRow("unknown_language")
    return code


def _official(cells: dict[str, Any]) -> str | None:
    value = cells.get("split", "").strip()
    if not value:
        return None
    found = official(value)
    if found is None:
        raise BadRow("unknown_split")
    return found


def _labels(cells: dict[str, Any], settings: TableSource) -> dict[str, State]:
    if not settings.columns.labels:
        return {}
    states: dict[str, State] = {}
    for name in OBSERVATIONS:
        value = cells.get(f"labels.{name}", "").strip()
        if value not in _STATES:
            raise BadRow("bad_label")
        states[column(name)] = _STATES[value]
    return states
