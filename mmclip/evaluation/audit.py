"""Does the model mind a denial? An image that shows a finding should prefer the sentence that states it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from mmclip.evaluation.encoder import Embeddings, Encoder


def negation_preference(
    images: Embeddings, encoder: Encoder, pairs: Sequence[tuple[str, str]], shows: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """[n, pairs] 1 where the image is on the right side of the pair: nearer to the statement if it shows the finding,
    nearer to the denial if it does not.

    Args:
        images: [n, D].
        pairs: (statement, denial) of each finding.
        shows: [n, pairs] whether the image shows the finding.
    """
    stated, denied = (encoder.texts([pair[side] for pair in pairs]) for side in (0, 1))
    says_present = images @ stated.T > images @ denied.T
    return np.asarray(says_present == shows, dtype=np.float64)
