"""A text's soft labels from those of the sentences it contains."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from mmclip.observations import NO_FINDING, OBSERVATIONS

SLOTS = 3
"""Parts of a vector with one-hot slots, each in the order of the observations: present, absent, uncertain."""

WIDTHS = (len(OBSERVATIONS), SLOTS * len(OBSERVATIONS))
"""Lengths that soft label vectors have: what is present, 14, or with one-hot slots 42."""


def combine_vectors(vectors: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """The soft label vector of a text: the largest of each entry, but for No Finding the smallest.

    It equals the aggregation of the sentences' states followed by the policy: present (1) is above a settled doubt
    (0 to 1), which is above absent and not mentioned (0); and a text is without finding only if every sentence is.
    Of one-hot slots, see :func:`make_exclusive`.

    Args:
        vectors: [S, L], one row a sentence of one study, in the order of the observations; L is 14, or 42 for one-hot
            slots.

    Returns:
        [L]; zeros for a text without sentences.
    """
    if len(vectors) == 0:
        return np.zeros(vectors.shape[1], np.float32)
    combined: npt.NDArray[np.float32] = vectors.max(axis=0)
    normal = OBSERVATIONS.index(NO_FINDING)
    combined[normal] = vectors[:, normal].min()
    return make_exclusive(combined)


def make_exclusive(vectors: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Let present go before uncertain and uncertain before absent where sentences of one text say different things.

    Each slot has room for what the ones before it leave of 1. That is again the aggregation of the states followed by
    the policy, since all sentences of a study settle a doubt alike.

    Args:
        vectors: [..., L], the largest of each entry over the sentences; what is 14 long is given back as it is.
    """
    if vectors.shape[-1] == len(OBSERVATIONS):
        return vectors
    present, absent, uncertain = np.split(vectors, SLOTS, axis=-1)
    uncertain = np.minimum(uncertain, 1 - present)
    absent = np.minimum(absent, 1 - present - uncertain)
    return np.concatenate([present, absent, uncertain], axis=-1)
