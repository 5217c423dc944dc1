"""How much of the source stands untranslated in the translation."""

from __future__ import annotations

import re
from collections import Counter

import numpy as np

from mmclip.filtering.pairs import Pairs
from mmclip.filtering.tokens import words

FEWEST = 2
"""Words that a source must have: one word alone ("Pneumothorax.") is often the same in two languages."""

_ACRONYM = re.compile(r"\b[A-Z]{2,}\b")
"""COPD, PICC: the same in most languages, and no sign of copying."""


def acronyms(source: str) -> set[str]:
    """The acronyms of a text, folded; a text in capitals shows none."""
    return set() if source.isupper() else {word.casefold() for word in _ACRONYM.findall(source)}


def copied_share(pairs: Pairs) -> np.ndarray:
    """Words of the source that the translation repeats / words of the source, 0 to 1; high is bad.

    Numbers and acronyms do not count. 0 where the source has fewer than two words.
    """
    out = np.zeros(len(pairs))
    for row, source in enumerate(pairs.sources):
        ignored = acronyms(source)
        wanted = Counter(
            word for word in words(pairs.folded_sources[row]) if not word.isdigit() and word not in ignored
        )
        if wanted.total() >= FEWEST:
            out[row] = (wanted & Counter(words(pairs.folded_translations[row]))).total() / wanted.total()
    return out
