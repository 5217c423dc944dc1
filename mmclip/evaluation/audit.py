"""Does the model mind a denial? An image that shows a finding should prefer the sentence that states it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from mmclip.evaluation.encoder import Embeddings, Encoder


def prefers_statement(images: Embeddings, encoder: Encoder, pairs: Sequence[tuple[str, str]]) -> NDArray[np.bool_]:
    """[n, pairs] whether the image is nearer to the statement than to the denial.

    Args:
        images: [n, D].
        pairs: (statement, denial) of each finding.
    """
    stated, denied = (encoder.texts([pair[side] for pair in pairs]) for side in (0, 1))
    return np.asarray(images @ stated.T > images @ denied.T)


def negation_accuracy(says_present: NDArray[np.bool_], shows: NDArray[np.bool_]) -> float:
    """Mean over the pairs of the balanced accuracy of "present": half for the images that show the finding, half for
    those that do not. Whoever always prefers denials, or never, gets 0.5 whatever the findings' frequencies.

    Args:
        says_present: [n, pairs] of :func:`prefers_statement`.
        shows: [n, pairs] whether the image shows the pair's finding. A pair without images of both kinds is left out;
            nan if that leaves none.
    """
    positive, negative = shows.sum(0), (~shows).sum(0)
    both = (positive > 0) & (negative > 0)
    sensitivity = (says_present & shows).sum(0)[both] / positive[both]
    specificity = (~says_present & ~shows).sum(0)[both] / negative[both]
    return float(((sensitivity + specificity) / 2).mean()) if both.any() else float("nan")
