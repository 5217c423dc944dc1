"""Sentences of a radiology report: the one splitter that translation and labeling share, so that numbers agree.

A text is cut into sentences and the gaps around them. Section headers (``FINDINGS:``), list markers (``1.``, ``-``)
and pieces without a letter or digit (``___``) belong to the gaps, so that a sentence holds words only; gaps and
sentences put together again are the text, to the character. Labels that carry meaning (``HEART: normal``) stay.

The rules, each for a habit of reports:

* ``.``, ``!``, ``?`` and their Arabic, Devanagari and Chinese/Japanese forms end a sentence, with closing quotes or
  brackets after them. A full stop does not where it belongs to a decimal, a title (``Dr.``), an abbreviation, an
  initial, a list marker or a de-identified span (``[**...**]``). ``? pneumonia`` asks, it does not end; nor
  does ``0 ? 1 mg``, where a dash was lost.
* An empty line, a line that starts with a list marker, and a section header end a sentence without a stop. So does the
  next number of a running list (``1. Edema 2. Effusion``).
* A line end inside a paragraph ends a sentence only if the next line starts with a capital, its first word would have
  fitted on the line, and the line does not end in "by", "the" and the like: then somebody broke the line on purpose,
  not an editor that wraps.

Every pattern is linear in the length of the text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

_SECTION = (
    r"(?:FINDINGS?|IMPRESSIONS?|CONCLUSIONS?|INTERPRETATION|OPINION|SUMMARY|DIAGNOSIS|"
    r"INDICATIONS?|(?:CLINICAL\ {1,3})?(?:HISTORY|INFORMATION|INDICATION)|REASON(?:\ {1,3}FOR\ {1,3}[A-Z]{4,12})?|"
    r"TECHNIQUE|COMPARISONS?|EXAM(?:INATION)?|PROCEDURE|STUDY|(?:FINAL\ {1,3})?REPORT|WET\ {1,3}READ|"
    r"ADDENDUM|NOTIFICATION|RECOMMENDATION(?:S|\(S\))?)"
)
_HEADER = rf"{_SECTION}(?:\ {{0,3}}(?:/|&|AND)\ {{0,3}}{_SECTION})?\ {{0,3}}:"
_ALONE = rf"{_SECTION}(?=[ \t\r]{{0,20}}(?:\n|\Z))"
_MARKER = r"(?:[-*•·–—◦▪●‣]++(?=\s)|\(?\d{1,2}\)|\d{1,2}\.(?=\s|[A-Z][a-z])|\(?[a-h]\)(?=\s))"

_LEAD = re.compile(rf"\s+|(?i:{_HEADER})|{_ALONE}|{_MARKER}")
_HEADER_AHEAD = re.compile(rf"(?i:{_HEADER})|{_ALONE}")
_MARKER_AHEAD = re.compile(_MARKER)
_BREAK = re.compile(
    r"""
      (?P<hidden>\[\*\*[^\[\]]*\])                          # a de-identified span: nothing in it ends a sentence
    | (?P<stop>(?P<marks>[.!?؟।۔]++)["'”’»)\]]*+)(?=\s|\Z)
    | (?P<wide>[。！？]++[」』”’）]*+)                          # needs no space after it
    | (?P<glued>(?<=[a-z][a-z)])\.)(?=[A-Z](?:[a-z]|\s))    # "apex.There"
    | (?P<line>\n\s*+)
    | (?P<number>(?<=\s)(?=(?P<item>\d{1,2})[.)]\s{1,9}[A-Z]))
    | (?P<header>(?<=\s)"""
    + _HEADER
    + r")",
    re.VERBOSE,
)

_TITLES = frozenset(
    {
        "dr",
        "drs",
        "mr",
        "mrs",
        "ms",
        "prof",
        "st",
        "vs",
        "e.g",
        "i.e",
        "cf",
        "fig",
        "approx",
        "ca",
        "viz",
        "resp",
        "nos",
    }
)
"""Abbreviations that never end a sentence (without their last full stop)."""
_ABBREVIATIONS = frozenset(
    {"a.m", "p.m", "etc", "al", "inc", "dept", "ext", "min", "max", "ave", "incl", "excl", "temp", "no"}
)
"""Abbreviations that end a sentence only before a capital."""
_INITIALS = re.compile(r"[A-Za-z](?:\.[A-Za-z])+")
"""Initials with stops between them (``R.U.L``); they too end a sentence only before a capital."""
_GOES_ON = frozenset({"a", "an", "and", "at", "by", "for", "from", "in", "is", "of", "on", "or", "the", "to", "with"})
"""Words that no sentence ends with: a line that does was wrapped."""
_WIDTHS = (60, 100)
"""No editor wraps below the first; a longer line than the second is not a wrapped one."""


def spans(text: str) -> list[tuple[int, int]]:
    """Start and end of each sentence, in order, without white space at either end."""
    found = []
    start = 0
    for end in _ends(text):
        span = _trim(text, start, end)
        if span is not None:
            found.append(span)
        start = end
    return found


def split(text: str) -> list[str]:
    """The sentences of a text, each on one line: runs of white space inside a sentence become one space."""
    return [" ".join(text[start:end].split()) for start, end in spans(text)]


def pieces(text: str) -> tuple[list[str], list[str]]:
    """Sentences as they stand in the text, and the gaps before, between and after them (one more than sentences)."""
    found = spans(text)
    edges = [0, *(edge for span in found for edge in span), len(text)]
    gaps = [text[start:end] for start, end in zip(edges[::2], edges[1::2], strict=True)]
    return [text[start:end] for start, end in found], gaps


def join(sentences: Sequence[str], gaps: Sequence[str]) -> str:
    """The text from its sentences (or their translations) and the gaps of :func:`pieces`."""
    return gaps[0] + "".join(sentence + gap for sentence, gap in zip(sentences, gaps[1:], strict=True))


def _ends(text: str) -> Iterator[int]:
    """Where a piece ends, the end of the text included; a piece may turn out to be empty."""
    width = min(max((_WIDTHS[0], *map(len, text.split("\n")))), _WIDTHS[1])
    lead = _after_lead(text, 0)
    item = _item(text, 0, lead, None)
    for match in _BREAK.finditer(text):
        kind = match.lastgroup
        if match.start() < lead or kind == "hidden":
            continue
        if kind in ("stop", "glued") and (_abbreviates(text, match) or _asks_ahead(text, match, lead)):
            continue
        if kind == "line" and not _line_ends(text, match, width):
            continue
        if kind == "number" and not _next_item(text, match, item):
            continue
        end = match.start() if kind in ("number", "header") else match.end()
        lead = _after_lead(text, end)
        item = _item(text, end, lead, item)
        yield end
    yield len(text)


def _after_lead(text: str, start: int) -> int:
    """The position after white space, headers and list markers at `start`."""
    while (match := _LEAD.match(text, start)) is not None:
        start = match.end()
    return start


def _item(text: str, start: int, end: int, before: int | None) -> int | None:
    """The number of the list item whose marker stands in ``text[start:end]``; else the last one seen."""
    numbers = re.findall(r"\d{1,2}(?=[.)])", text[start:end])
    return int(numbers[-1]) if numbers else before


def _next_item(text: str, match: re.Match[str], before: int | None) -> bool:
    """Whether a number in the running text is the next item of a list, or the first after a colon."""
    first = text[max(0, match.start() - 9) : match.start()].rstrip().endswith(":")
    return int(match["item"]) == (1 if before is None else before + 1) and (before is not None or first)


def _trim(text: str, start: int, end: int) -> tuple[int, int] | None:
    """A piece without its header, marker and outer white space; None where no letter or digit is left."""
    start = min(_after_lead(text, start), end)
    while end > start and text[end - 1].isspace():
        end -= 1
    return (start, end) if any(map(str.isalnum, text[start:end])) else None


def _abbreviates(text: str, match: re.Match[str]) -> bool:
    """Whether the stop that `match` found does not end a sentence."""
    marks = match["marks"] or "."
    after = text[match.end() : match.end() + 40].lstrip()[:1]
    if marks != ".":
        return after.islower() or (marks == "?" and after.isdigit() and text[match.start() - 1 : match.start()] == " ")
    token = text[max(0, match.start() - 14) : match.start()].split()
    before = token[-1].lstrip("([\"'") if token and not text[match.start() - 1].isspace() else ""
    word = before.lower()
    if word in _TITLES:
        return True
    if word in _ABBREVIATIONS:
        return after.isdigit() if word == "no" else not after.isupper()
    if _INITIALS.fullmatch(before):
        return not after.isupper()
    if len(before) == 1 and before.isupper():  # R. and L. are sides; J. after a title or initial is a name
        former = token[-2].lower().rstrip(".") if len(token) > 1 else ""
        return before in "RL" or former in _TITLES or len(former) == 1
    return False


def _asks_ahead(text: str, match: re.Match[str], lead: int) -> bool:
    """Whether a question mark stands before what it doubts: "? PNEUMONIA"."""
    return match["marks"] == "?" and match.start() == lead


def _line_ends(text: str, match: re.Match[str], width: int) -> bool:
    """Whether a line end also ends a sentence (see the module's text)."""
    after = match.end()
    if match.group().count("\n") > 1 or _MARKER_AHEAD.match(text, after) or _HEADER_AHEAD.match(text, after):
        return True
    last = text[max(0, match.start() - 9) : match.start()].split()
    if not text[after : after + 1].isupper() or (last and last[-1] in _GOES_ON):
        return False
    first = text[after : after + width].split(None, 1)[0]
    line = match.start() - (text.rfind("\n", max(0, match.start() - width), match.start()) + 1)
    return line + 1 + len(first) <= width
