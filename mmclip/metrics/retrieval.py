"""Retrieval metrics with an explicit correspondence: many texts may fit an image, and many images a text."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from mmclip.metrics.bootstrap import Draw, Values

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


def precision_of_draws(similarity: Floats, relevant: Bools, cutoffs: Sequence[int]) -> Callable[[Draw], Values]:
    """From a draw of items, with repeats, to the mean P@K over queries, for each K: [len(cutoffs)].

    The items are sorted once: in a draw, an item stands in its place as often as it was drawn. Where a draw holds fewer
    items than K, K is their number.

    Args:
        similarity, relevant: [queries, items], as for :func:`precision_at_k`.
        cutoffs: the K.
    """
    order = np.argsort(-similarity, axis=1, kind="stable")
    hits = np.take_along_axis(relevant, order, 1)

    def of_draw(draw: Draw) -> Values:
        drawn = np.bincount(draw, minlength=similarity.shape[1])[order]
        before = drawn.cumsum(1) - drawn
        fitting = np.minimum(cutoffs, len(draw))
        return np.array([(np.clip(k - before, 0, drawn) * hits).sum(1).mean() / k for k in fitting])

    return of_draw


def ranks(similarity: Floats, relevant: Bools) -> NDArray[np.int64]:
    """Rank of each query's best relevant item, from 1; items as similar as it count as ranked before it.

    Counting ties against the model keeps one that gives every pair the same score from looking perfect. Where a
    comparison is undefined (nan), it counts against the model too.

    Raises:
        ValueError: a query has no relevant item.
    """
    if not relevant.any(1).all():
        raise ValueError(f"query {int(np.argmin(relevant.any(1)))} has no relevant item")
    best = np.where(relevant, similarity, -np.inf).max(1, keepdims=True)
    return np.asarray(1 + (~(similarity < best) & ~relevant).sum(1), dtype=np.int64)


def recall_at_k(rank: NDArray[np.int64], k: int) -> NDArray[np.float64]:
    """1 where the best relevant item is among the first k, else 0: [queries]."""
    return (rank <= k).astype(np.float64)
