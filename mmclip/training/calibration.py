"""Temperatures of classifiers: how far their log-odds must be stretched for their probabilities to be right."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from mmclip.data.ragged import Vectors

COLDEST, HOTTEST = 0.05, 20.0
"""Bounds of a temperature: where all are classified right, any colder one fits better."""

_HALVINGS = 50


def fit_temperatures(logits: Vectors, truth: npt.NDArray[np.int64]) -> Vectors:
    """The temperature of each observation that makes sigmoid(logit / temperature) likeliest (Guo et al. 2017).

    The likelihood's negative logarithm is convex in 1 / temperature, so that halving an interval by the sign of its
    slope finds the minimum.

    Args:
        logits: [n, K] log-odds that an observation is present.
        truth: [n, K] 1 present, 0 absent; anything else does not count.

    Returns:
        [K] float32 within the bounds; 1 for an observation that is not both present and absent somewhere.
    """
    counted = (truth == 0) | (truth == 1)
    logits_, sign = logits.astype(np.float64), np.where(truth == 1, 1.0, -1.0)
    low, high = (np.full(logits.shape[1], 1 / bound) for bound in (HOTTEST, COLDEST))
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        margin = np.clip(sign * logits_ * middle, -700, 700)
        slope = np.where(counted, -sign * logits_ / (1 + np.exp(margin)), 0).sum(axis=0)
        low, high = np.where(slope < 0, middle, low), np.where(slope < 0, high, middle)
    both = ((truth == 1).any(axis=0)) & ((truth == 0).any(axis=0))
    fitted: Vectors = np.where(both, 2 / (low + high), 1).astype(np.float32)
    return fitted
