"""Thresholds drawn from a sample of a corpus: the rule, for one language and engine.

    threshold = median -+ spread * 1.4826 * MAD, no farther than the limits in DRAWN

MAD is the median absolute deviation from the median; times 1.4826 it is the standard deviation of a normal
distribution, and up to half of the sample may be faulty before it says anything else (Hampel 1974). The default spread
of 3.5 is that of the modified z-score (Iglewicz and Hoaglin 1993). Ratios are taken by their logarithm. Where more than
half of the sample has one and the same score there is no spread to speak of, and the configured threshold holds.

Drawn are the scores whose usual value depends on the language, the engine and the reports. What counts facts (numbers,
sides, negations, repetitions, broken characters) has the configured threshold everywhere.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from mmclip.config.filtering import Drawing, Thresholds

RULE = "median -+ spread * 1.4826 * MAD, within the limits; as configured where MAD is 0 or the sample too small"
NORMAL = 1.4826
"""1 / the third quartile of the standard normal distribution."""


@dataclass(frozen=True)
class Drawn:
    """A threshold that is drawn.

    Attributes:
        threshold: its name in :class:`~mmclip.config.filtering.Thresholds`.
        score: the score that it bounds.
        side: -1 where low scores are bad, 1 where high ones are.
        logarithm: whether the score is a ratio.
        limits: the lowest and highest value that it may take, whatever the sample.
    """

    threshold: str
    score: str
    side: int
    logarithm: bool
    limits: tuple[float, float]


DRAWN: tuple[Drawn, ...] = (
    Drawn("min_ttr_ratio", "ttr_ratio", -1, True, (0.4, 0.7)),
    Drawn("min_distinct_ngrams", "distinct_ngrams", -1, False, (0.6, 0.8)),
    Drawn("min_length_ratio", "length_ratio", -1, True, (0.25, 0.4)),
    Drawn("max_length_ratio", "length_ratio", 1, True, (2.25, 4.0)),
    Drawn("min_language", "language", -1, False, (-1.5, -0.25)),
    Drawn("min_script", "script", -1, False, (0.3, 0.8)),
    Drawn("max_copy", "copy", 1, False, (0.6, 0.9)),
    Drawn("min_similarity", "similarity", -1, False, (0.0, 0.95)),
)


def draw(sample: pl.DataFrame, settings: Drawing, configured: Thresholds) -> tuple[Thresholds, list[dict[str, Any]]]:
    """The thresholds of one engine in one language, and how each came about.

    Args:
        sample: scored sentences (``score_*``); empty translations do not count.

    Returns:
        the thresholds; and for each drawn one its name, score, median, deviation (of the logarithm for ratios), the
        value configured and the value drawn.
    """
    readable = sample.filter(pl.col("score_content") > 0)
    if readable.height < settings.least:
        return configured, []
    values: dict[str, float] = {}
    how: list[dict[str, Any]] = []
    for one in DRAWN:
        if f"score_{one.score}" not in readable.columns:
            continue
        found = _draw(one, readable[f"score_{one.score}"].to_numpy(), settings.spread)
        if found is not None:
            value, median, deviation = found
            values[one.threshold] = value
            how.append(
                {
                    "threshold": one.threshold,
                    "score": one.score,
                    "median": round(median, 4),
                    "deviation": round(deviation, 4),
                    "configured": getattr(configured, one.threshold),
                    "drawn": value,
                }
            )
    return configured.model_copy(update=values), how


def _draw(one: Drawn, scores: np.ndarray, spread: float) -> tuple[float, float, float] | None:
    """(threshold, median, robust standard deviation), or None where there is no spread."""
    values = scores.astype(float)
    values = np.log(np.maximum(values, 1e-6)) if one.logarithm else values
    middle = float(np.median(values))
    deviation = NORMAL * float(np.median(np.abs(values - middle)))
    if deviation < 1e-6:
        return None
    bound = middle + one.side * spread * deviation
    if one.logarithm:
        middle, bound = math.exp(middle), math.exp(bound)
    low, high = one.limits
    return round(min(high, max(low, bound)), 4), middle, deviation
