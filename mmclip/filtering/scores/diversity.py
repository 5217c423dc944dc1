"""Type-token ratio: how varied a text's words are. A looping translation repeats the same few."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from mmclip.filtering.pairs import Pairs

WINDOW = 50
"""Tokens in the moving window (Covington and McFall 2010 take 500 for books; a report is short)."""


def mattr(tokens: Sequence[str], window: int = WINDOW) -> float:
    """Moving-average type-token ratio: the mean, over all windows, of distinct tokens / tokens.

    Unlike the plain ratio it does not fall with length. A text no longer than the window has one window: the plain
    ratio. An empty text has 0.
    """
    if len(tokens) <= window:
        return len(set(tokens)) / len(tokens) if tokens else 0.0
    counts = Counter(tokens[:window])
    total = len(counts)
    for leaving, entering in zip(tokens, tokens[window:], strict=False):
        counts[leaving] -= 1
        if not counts[leaving]:
            del counts[leaving]
        counts[entering] += 1
        total += len(counts)
    return total / (window * (len(tokens) - window + 1))


def ttr(pairs: Pairs) -> np.ndarray:
    """MATTR of the translation, 0 to 1; low is bad. Tokens are words, or characters in Chinese and Japanese."""
    return np.array([mattr(tokens) for tokens in pairs.translation_tokens], dtype=float)


def ttr_ratio(pairs: Pairs) -> np.ndarray:
    """MATTR of the translation / MATTR of the source; low is bad. 1 where the source has no token."""
    sources = np.array([mattr(tokens) for tokens in pairs.source_tokens], dtype=float)
    return np.asarray(np.divide(ttr(pairs), sources, out=np.ones(len(pairs)), where=sources > 0))
