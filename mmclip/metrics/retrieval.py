"""Retrieval metrics with an explicit correspondence: many texts may fit an image, and many images a text."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating]
Bools = NDArray[np.bool_]


def precision_at_k(similarity: Floats, relevant: Bools, k: int) -> NDArray[np.float64]:
    """Share of relevant items among each query's k most similar: P@K of Huang et al. 2021 before the mean.

    Args:
        similarity: [queries, items]; ties are broken by the item's number.
        relevant: [queries, items], true where the item has the query's class.
        k: at most the number of items.

    Returns:
        [queries] values in [0, 1].
    """
    if not 1 <= k <= similarity.shape[1]:
        raise ValueError(f"k is {k}; it must be between 1 and the number of items, {similarity.shape[1]}")
    best = np.argsort(-similarity, axis=1, kind="stable")[:, :k]
    return np.asarray(np.take_along_axis(relevant, best, 1).mean(1), dtype=np.float64)


def ranks(similarity: Floats, relevant: Bools) -> NDArray[np.int64]:
    """Rank of each query's best relevant item, from 1; items as similar as it count as ranked before it.

    Counting ties against the model keeps one that gives every pair the same score from looking perfect.

    Raises:
        ValueError: a query has no relevant item.
    """
    if not relevant.any(1).all():
        raise ValueError(f"query {int(np.argmin(relevant.any(1)))} has no relevant item")
    best = np.where(relevant, similarity, -np.inf).max(1, keepdims=True)
    return np.asarray(1 + ((similarity >= best) & ~relevant).sum(1), dtype=np.int64)


def recall_at_k(rank: NDArray[np.int64], k: int) -> NDArray[np.float64]:
    """1 where the best relevant item is among the first k, else 0: [queries]."""
    return (rank <= k).astype(np.float64)
