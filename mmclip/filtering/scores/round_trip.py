"""How near a text comes to itself when it is translated back: chrF and BLEU as sacrebleu defines them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np


def chrf(sources: Sequence[str], backs: Sequence[str]) -> np.ndarray:
    """chrF2 of each text translated back against its source, 0 to 1; low is bad.

    Both ways may fail, so a low score says that one of them did. A high one does not see a single lost "no".
    """
    from sacrebleu.metrics.chrf import CHRF

    return _scores(CHRF(), sources, backs)


def bleu(sources: Sequence[str], backs: Sequence[str]) -> np.ndarray:
    """BLEU of the same, 0 to 1, of n-grams as long as the text allows; low is bad."""
    from sacrebleu.metrics.bleu import BLEU

    return _scores(BLEU(effective_order=True), sources, backs)


def _scores(metric: Any, sources: Sequence[str], backs: Sequence[str]) -> np.ndarray:
    pairs = zip(sources, backs, strict=True)
    return np.array([metric.sentence_score(back, [source]).score / 100 for source, back in pairs], dtype=float)
