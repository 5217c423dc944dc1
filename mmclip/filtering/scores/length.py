"""How long a translation is, and whether it ends like a sentence."""

from __future__ import annotations

import numpy as np

from mmclip.filtering.cues import cues
from mmclip.filtering.pairs import Pairs

_ENDS = frozenset(".!?:;。！？｡।॥۔؟…")
_CLOSING = "\"'”’»)]」』）"
_UNSEEN = "\u200b\u200e\u200f\u202a\u202b\u202c\u2066\u2067\u2068\u2069\ufeff"
"""Direction marks and the like, which editors leave behind a full stop."""


SLACK = 1
"""Letters that either side of the ratio is given: a translation of two characters has no finer length than that."""


def letters(text: str) -> int:
    """Letters and digits of a text; spaces and punctuation do not count."""
    return sum(map(str.isalnum, text))


def content(pairs: Pairs) -> np.ndarray:
    """Letters and digits of the translation; 0 is an empty one."""
    return np.array([letters(text) for text in pairs.translations], dtype=float)


def length_ratio(pairs: Pairs) -> np.ndarray:
    """Letters of the translation / letters of the source, relative to what the two languages usually need.

    1 is typical; both low and high are bad. :data:`SLACK` is added on both sides.
    """
    usual = cues(pairs.language).length / cues(pairs.source_language).length
    sources = np.array([letters(text) for text in pairs.sources], dtype=float)
    return np.asarray((content(pairs) + SLACK) / (sources * usual + SLACK))


def ends(text: str) -> bool:
    """Whether a text ends with a sentence's punctuation, closing quotes and brackets apart."""
    return text.rstrip(_CLOSING + _UNSEEN + " \t\n\r\u00a0\u3000")[-1:] in _ENDS


def kept_end(pairs: Pairs) -> np.ndarray:
    """0 where the source ends with final punctuation and the translation does not, else 1; low is bad."""
    return np.array(
        [
            0.0 if ends(source) and not ends(translation) else 1.0
            for source, translation in zip(pairs.sources, pairs.translations, strict=True)
        ],
        dtype=float,
    )
