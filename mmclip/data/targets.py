"""A text's soft labels from those of the sentences it contains."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from mmclip.observations import NO_FINDING, OBSERVATIONS


def combine_vectors(vectors: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """The soft label vector of a text: the largest of each entry, but for No Finding the smallest.

    It equals the aggregation of the sentences' states followed by the policy: present (1) is above a settled doubt
    (0 to 1), which is above absent and not mentioned (0); and a text is without finding only if every sentence is.

    Args:
        vectors: [S, 14], one row a sentence, in the order of the observations.

    Returns:
        [14]; zeros for a text without sentences.
    """
    if len(vectors) == 0:
        return np.zeros(len(OBSERVATIONS), np.float32)
    combined: npt.NDArray[np.float32] = vectors.max(axis=0)
    normal = OBSERVATIONS.index(NO_FINDING)
    combined[normal] = vectors[:, normal].min()
    return combined
