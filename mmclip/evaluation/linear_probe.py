"""Linear probe: how much of the classes is linear in frozen image features, for shares of the training images."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mmclip.errors import UserError
from mmclip.evaluation.encoder import Embeddings

STRENGTHS = (0.01, 0.1, 1.0, 10.0, 100.0, 1000.0)
"""Inverse regularisation strengths that are tried; the validation split chooses."""


def linear_probe(
    train: tuple[Embeddings, NDArray[np.int64]],
    val: tuple[Embeddings, NDArray[np.int64]],
    test: Embeddings,
    classes: int,
    fraction: float,
    seed: int,
) -> NDArray[np.float32]:
    """[n, classes] probabilities of the test images by logistic regression on frozen features.

    Args:
        train, val: features [n, D] and class numbers [n]; val chooses the regularisation, and test is only scored.
        fraction: share of the training images, drawn by `seed`, at least one of each class.

    Raises:
        UserError: the training images are all of one class.
    """
    from sklearn.linear_model import LogisticRegression

    features, labels = train
    if len(np.unique(labels)) < 2:
        raise UserError("linear_probe: the training images are all of one class; give a train split with several")
    chosen = draw_share(labels, fraction, seed)
    scale = 1 / max(float(features.std()), 1e-12)  # unit vectors have small entries; this keeps STRENGTHS meaningful
    models = [
        LogisticRegression(C=strength, max_iter=1000).fit(features[chosen] * scale, labels[chosen])
        for strength in STRENGTHS
    ]
    best = max(models, key=lambda model: float(np.mean(model.predict(val[0] * scale) == val[1])))
    probabilities = np.zeros((len(test), classes), dtype=np.float32)
    probabilities[:, best.classes_] = best.predict_proba(test * scale)
    return probabilities


def draw_share(labels: NDArray[np.int64], fraction: float, seed: int) -> NDArray[np.int64]:
    """Sorted numbers of a share of each class's samples, at least one; a larger share contains the smaller ones."""
    rng = np.random.default_rng(seed)
    by_class = [rng.permutation(np.flatnonzero(labels == label)) for label in np.unique(labels)]
    return np.sort(np.concatenate([rows[: max(1, round(fraction * len(rows)))] for rows in by_class]))
