"""What ``mmclip translate --compare`` looks for in translations, by the filter's word lists of all 21 languages."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from mmclip.filtering.cues import cues
from mmclip.filtering.pairs import Pairs
from mmclip.filtering.scores.laterality import kept_sides
from mmclip.filtering.scores.negation import kept_negation
from mmclip.filtering.scores.numbers import kept_numbers, numbers
from mmclip.translation.compare import Check

_LOST = 0.5
"""Scores below this are losses: half is what may be said in another way."""


def _check(score: Callable[[Pairs], np.ndarray], concerns: Callable[[Pairs], list[bool]], least: float) -> Check:
    """A check that counts the sentences whose source is concerned, and those that a translation has made so."""

    def check(sources: Sequence[str], translations: Sequence[str], source: str, target: str) -> list[bool | None]:
        pairs = Pairs(sources, translations, source, target)
        kept = score(pairs) >= least
        return [
            bool(value) if concerned or not value else None
            for value, concerned in zip(kept, concerns(pairs), strict=True)
        ]

    return check


def _has_number(pairs: Pairs) -> list[bool]:
    return [bool(numbers(text)) for text in pairs.sources]


def _has_side(pairs: Pairs) -> list[bool]:
    words = cues(pairs.source_language)
    return [words.left(text) or words.right(text) for text in pairs.folded_sources]


def _denies(pairs: Pairs) -> list[bool]:
    return [cues(pairs.source_language).negation(text) for text in pairs.folded_sources]


PRESERVATION: dict[str, Check] = {
    "negation": _check(kept_negation, _denies, _LOST),
    "side": _check(kept_sides, _has_side, _LOST),
    "numbers": _check(kept_numbers, _has_number, 1.0),
}
"""Name -> check; the share that is kept is among the sentences that have or get a negation, a side, a number."""
