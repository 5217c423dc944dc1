"""The images that lie nearest to sentences."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Embeddings = NDArray[np.float32]


def nearest(sentences: Embeddings, images: Embeddings, top: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Row numbers and cosines of the `top` nearest images of each sentence, the nearest first.

    Args:
        sentences: [Q, D] unit vectors.
        images: [N, D] unit vectors; where two are equally near, the earlier comes first.
        top: at most N are given.

    Returns:
        two arrays [Q, min(top, N)].
    """
    similarity = sentences @ images.T
    order = np.argsort(-similarity, axis=1, kind="stable")[:, :top]
    return order, np.take_along_axis(similarity, order, axis=1)
