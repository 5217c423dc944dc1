"""Findings, impression and last paragraph of a report, and which of them become a study's text.

The sections are those that the MIMIC-CXR authors document for their reports: findings, impression, and, where a report
has neither, its last paragraph. Decisions that their description leaves open are made here:

* Only the headings of :mod:`mmclip.ingest.headers` divide a report; other labels stay in the text.
* Everything before the last ``FINAL REPORT`` is preliminary and dropped. An addendum, and what follows a signature's
  heading, is no part of findings or impression.
* A section that occurs several times is joined in order; ``FINDINGS AND IMPRESSION`` counts as findings.
* Without a findings heading, what stands below the examination's own heading (``CHEST, PA AND LATERAL:``) counts as
  findings if it tells something.
* The last paragraph is the last block between empty lines that is not below a heading of another kind; where only a
  comparison is left, that, since some reports describe the image there.

:func:`select` never leaves a report without text because the section that was asked for is missing: it takes the other
section, then the last paragraph, and says which it took, so that the ingest can count them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from mmclip.config.source import SectionPolicy
from mmclip.ingest.headers import HEADING, Role, role_of

_BLANK = re.compile(r"\n[ \t]*\n\s*")
_RULE = re.compile(r"^[ \t]*[_=*-]{5,}[ \t]*$", re.MULTILINE)
_TELLING = re.compile(r"\b(?:[^\W\d_]++[\s,]++){3}[^\W\d_]|[^\W\d_]{3}[.!?。।]")
"""Four words or a sentence's end: what tells something, and is not a name or a date below a report."""


@dataclass(frozen=True)
class Sections:
    """Parts of a report; "" where it has none."""

    findings: str
    impression: str
    last_paragraph: str


@dataclass(frozen=True)
class _Part:
    role: Role
    body: str


def split(report: str) -> Sections:
    """The sections of a report in any of the shapes described above; line ends of any system.

    Reports in which the whole text stands under no heading have a last paragraph only.
    """
    text = report.replace("\r\n", "\n").replace("\r", "\n").strip()
    lead, parts = _parts(text)
    findings = _join(part.body for part in parts if part.role == "findings")
    if not findings:
        findings = _join(part.body for part in parts if part.role == "views" and _TELLING.search(part.body))
    impression = _join(part.body for part in parts if part.role == "impression")
    return Sections(findings, impression, _last_paragraph(lead, parts))


def select(sections: Sections, policy: SectionPolicy) -> tuple[str, str]:
    """A study's text by the policy, and which sections it consists of.

    ``both`` joins findings and impression with an empty line between; ``findings`` and ``impression`` take that
    section, or else the other; ``longest`` takes the longer one. Without either section it is the last paragraph.

    Returns:
        The text, and one of ``findings+impression``, ``findings``, ``impression``, ``last_paragraph``, ``nothing``.
    """
    found = {name: text for name in ("findings", "impression") if (text := getattr(sections, name))}
    if not found:
        return sections.last_paragraph, "last_paragraph" if sections.last_paragraph else "nothing"
    if policy == "both":
        return "\n\n".join(found.values()), "+".join(found)
    chosen = max(found, key=lambda name: len(found[name])) if policy == "longest" else policy
    if chosen not in found:
        chosen = next(iter(found))
    return found[chosen], chosen


def _parts(text: str) -> tuple[str, list[_Part]]:
    """What stands before the first heading of the final report, and the headed parts in order."""
    matches = list(HEADING.finditer(text))
    edges = [*(match.start() for match in matches), len(text)]
    parts = [
        _Part(role_of(match), _tidy(text[match.end() : end])) for match, end in zip(matches, edges[1:], strict=True)
    ]
    final = max((number for number, part in enumerate(parts) if part.role == "final"), default=-1)
    if final >= 0:
        return parts[final].body, parts[final + 1 :]
    return _tidy(text[: edges[0]]), parts


def _tidy(body: str) -> str:
    """A part without ruled lines, trailing white space of its lines, and white space around it."""
    lines = (line.rstrip() for line in _RULE.sub("", body).split("\n"))
    return "\n".join(lines).strip()


def _join(bodies: Iterator[str]) -> str:
    return "\n\n".join(body for body in bodies if body)


def _last_paragraph(lead: str, parts: list[_Part]) -> str:
    """The last block of text that describes the image, as far as one can tell without a heading.

    A block directly below a heading belongs to it; a further one in the same part stands alone.
    """
    blocks = _blocks(lead)
    fallback = ""
    for part in parts:
        own, *further = _blocks(part.body) or [""]
        if part.role in ("findings", "impression", "views"):
            further = [own, *further]
        elif part.role == "comparison":
            fallback = own
        blocks += [block for block in further if block]
    telling = [block for block in blocks if _TELLING.search(block)]
    return (telling or blocks or [fallback])[-1]


def _blocks(text: str) -> list[str]:
    return [block.strip() for block in _BLANK.split(text) if any(map(str.isalnum, block))]
