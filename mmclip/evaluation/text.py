"""What the text tower alone does: sentence retrieval from English into every language, and whether it minds a "no"."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mmclip.evaluation.encoder import Embeddings, Encoder
from mmclip.metrics.retrieval import ranks, recall_at_k


def parallel_recall(english: Embeddings, other: Embeddings) -> float:
    """Share of English sentences whose nearest sentence of the other language is their translation (recall@1).

    Args:
        english, other: [n, D] embeddings of the same n meanings in the same order.
    """
    return float(recall_at_k(ranks(english @ other.T, np.eye(len(english), dtype=bool)), 1).mean())


def negation_similarity(encoder: Encoder, pairs: Sequence[tuple[str, str]]) -> float:
    """Mean cosine of sentences that state a finding with those that deny it: near 1 where "no" goes unread."""
    stated, denied = (encoder.texts([pair[side] for pair in pairs]) for side in (0, 1))
    return float((stated * denied).sum(1).mean())
