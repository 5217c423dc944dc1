"""Which sentences of a whole report describe the film: those below "Indication:" or "History:" do not."""

from __future__ import annotations

import re

from mmclip.sentences import spans

_HEADING = re.compile(r"[^\W\d_][^:\n]*:|[A-Z]{4,}")
_ASKS = re.compile(r"indication|history|information|reason", re.IGNORECASE)
_EMPTY_LINE = re.compile(r"\n\s*\n")


def described(text: str) -> list[tuple[int, int]]:
    """Start and end of each sentence but those below a heading that asks or tells the past.

    Such a section ends at the next heading or at an empty line. Reports that come through ingest are divided there;
    this is for whole reports in a user's file.
    """
    kept: list[tuple[int, int]] = []
    asks, before = False, 0
    for start, end in spans(text):
        gap = text[before:start]
        headings = _HEADING.findall(gap)
        if headings:
            asks = _ASKS.search(headings[-1]) is not None
        elif _EMPTY_LINE.search(gap):
            asks = False
        if not asks:
            kept.append((start, end))
        before = end
    return kept


def described_sentences(text: str) -> list[str]:
    """Those sentences, each on one line as :func:`mmclip.sentences.split` gives them."""
    return [" ".join(text[start:end].split()) for start, end in described(text)]
