"""A study's text: from its record's text, sections or report file, by the section policy."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from mmclip.config.source import SectionPolicy
from mmclip.data.image_header import BadImage
from mmclip.ingest.image_files import inside
from mmclip.ingest.records import Record
from mmclip.ingest.sections import Sections, select, split
from mmclip.ingest.text import clean, read_report


class BadReport(Exception):
    """A report that cannot be used; `reason` says why in a word."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class StudyText:
    """A study's sections, its text by the policy, which sections that is, and how many characters were removed."""

    findings: str
    impression: str
    text: str
    text_from: str
    removed: int


def read_text(record: Record, report_root: Path, policy: SectionPolicy) -> StudyText:
    """The text of a record; all parts are "" where it has none.

    Args:
        report_root: resolved; report files outside are refused.

    Raises:
        BadReport: outside_root, missing_report or unreadable_report.
    """
    if record.findings is not None or record.impression is not None:
        findings, removed = clean(record.findings or "")
        impression, more = clean(record.impression or "")
        sections, removed = Sections(findings.strip(), impression.strip(), ""), removed + more
        if not (sections.findings or sections.impression) and record.text:
            text, removed = clean(record.text)
            sections = split(text)
    else:
        text, removed = clean(_report(record.report_file, report_root) if record.report_file else record.text or "")
        sections = split(text)
    text, text_from = select(sections, policy)
    return StudyText(sections.findings, sections.impression, text, text_from, removed)


def _report(name: str, root: Path) -> str:
    try:
        return read_report(inside(name, root))
    except BadImage as error:
        raise BadReport(error.reason) from error
    except FileNotFoundError as error:
        raise BadReport("missing_report") from error
    except (OSError, ValueError) as error:
        raise BadReport("unreadable_report") from error
