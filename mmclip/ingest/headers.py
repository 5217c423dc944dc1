"""The headings of radiology reports, and what stands below each.

Only these names divide a report. Any other label (``Lungs:``, ``LEFT SHOULDER:``) belongs to the section it stands in,
so that structured reports keep their text.
"""

from __future__ import annotations

import re
from typing import Literal

Role = Literal["findings", "impression", "views", "comparison", "other", "final"]
"""``views`` is a heading that names the examination, below which some reports state the findings; ``final`` starts the
signed report (what stands before it is preliminary); ``other`` is never part of a study's text."""

NAMES: dict[Role, tuple[str, ...]] = {
    "findings": (
        "FINDINGS",
        "FINDING",
        "FINDINGS AND IMPRESSION",
        "FINDINGS/IMPRESSION",
        "FINDINGS / IMPRESSION",
        "FINDINGS & IMPRESSION",
        "CHEST FINDINGS",
        "RADIOGRAPHIC FINDINGS",
        "OBSERVATIONS",
        "DESCRIPTION",
        "REPORT",
    ),
    "impression": (
        "IMPRESSION",
        "IMPRESSIONS",
        "FINAL IMPRESSION",
        "CONCLUSION",
        "CONCLUSIONS",
        "INTERPRETATION",
        "OPINION",
        "SUMMARY",
        "DIAGNOSIS",
    ),
    "comparison": ("COMPARISON", "COMPARISONS", "COMPARISON STUDY", "COMPARISON STUDIES"),
    "final": ("FINAL REPORT",),
    "other": (
        "ADDENDUM",
        "FINAL ADDENDUM",
        "CLINICAL DATA",
        "CLINICAL DETAILS",
        "CLINICAL HISTORY",
        "CLINICAL INDICATION",
        "CLINICAL INFORMATION",
        "CLINICAL QUESTION",
        "DATE",
        "DICTATED BY",
        "ELECTRONICALLY SIGNED BY",
        "EXAM",
        "EXAM DATE",
        "EXAM TYPE",
        "EXAMINATION",
        "HISTORY",
        "INDICATION",
        "INDICATIONS",
        "MEDICAL CONDITION",
        "NOTIFICATION",
        "PATIENT HISTORY",
        "PRELIMINARY REPORT",
        "PROCEDURE",
        "REASON FOR EXAM",
        "REASON FOR EXAMINATION",
        "REASON FOR STUDY",
        "REASON FOR THIS EXAMINATION",
        "RECOMMENDATION",
        "RECOMMENDATIONS",
        "SIGNED BY",
        "STUDY",
        "TECHNIQUE",
        "TRANSCRIBED BY",
        "TYPE OF EXAMINATION",
        "WET READ",
        "END OF REPORT",
        "END OF IMPRESSION",
    ),
}

ROLE_OF: dict[str, Role] = {name: role for role, names in NAMES.items() for name in names}

_ALONE = (
    "FINAL REPORT",
    "FINAL ADDENDUM",
    "ADDENDUM",
    "WET READ",
    "PRELIMINARY REPORT",
    "END OF REPORT",
    "END OF IMPRESSION",
    "FINDINGS",
    "IMPRESSION",
    "CONCLUSION",
)
"""Headings that need no colon when they fill a line."""

_VIEWS = (
    r"(?=[^:\n]{0,80}\b(?:CHEST|THORAX)\b)"
    r"(?=[^:\n]{0,80}\b(?:VIEWS?|AP|PA|LAT|LATERAL|FRONTAL|PORTABLE|RADIOGRAPHS?)\b)"
    r"[A-Z][A-Z0-9 ,()/&-]{4,80}"
)


def _either(names: tuple[str, ...] | dict[str, Role]) -> str:
    ordered = sorted(names, key=len, reverse=True)
    return "|".join(re.escape(name).replace(r"\ ", "[ \t]+") for name in ordered)


def _title(names: dict[str, Role]) -> dict[str, Role]:
    """The names as they begin a sentence: ``Clinical history``, ``Clinical History``."""
    return {form: role for name, role in names.items() for form in (name.capitalize(), name.title())}


HEADING = re.compile(
    # at the start of a line, in any case
    rf"^[ \t]*+(?:\*\*)?(?P<line>(?i:{_either(ROLE_OF)}))(?:\*\*)?[ \t]*:(?:\*\*)?"
    # alone on a line, in capitals
    rf"|^[ \t]*+(?P<alone>{_either(_ALONE)})[ \t]*$"
    # the examination as a heading, in capitals
    rf"|^[ \t]*+(?P<views>{_VIEWS}):"
    # within a line: after a sentence's end or a wide gap, in capitals or as a sentence begins
    rf"|(?:(?<=[.!?:;_\])][ \t])|(?<=[ \t]{{2}}))(?P<inline>{_either(ROLE_OF)}|{_either(_title(ROLE_OF))})[ \t]*:",
    re.MULTILINE,
)
"""One match a heading. Every part is bounded or anchored, so that the search is linear in the text's length."""


def role_of(match: re.Match[str]) -> Role:
    """The role of the heading that :data:`HEADING` found."""
    if match["views"]:
        return "views"
    name = match["line"] or match["alone"] or match["inline"]
    return ROLE_OF[" ".join(name.upper().split())]
