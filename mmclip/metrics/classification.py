"""Classification metrics on NumPy arrays; tests hold them to scikit-learn's."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


def accuracy(truth: Ints, predicted: Ints) -> float:
    """Share of samples whose class is predicted. `truth`, `predicted`: [n] class numbers."""
    return float(np.mean(truth == predicted))


def balanced_accuracy(truth: Ints, predicted: Ints) -> float:
    """Mean over the classes that occur in `truth` of the share of their samples that are predicted as them."""
    return float(np.mean([np.mean(predicted[truth == label] == label) for label in np.unique(truth)]))


def macro_f1(truth: Ints, predicted: Ints) -> float:
    """Mean over the classes that occur of 2TP / (2TP + FP + FN)."""
    classes = 1 + int(max(truth.max(), predicted.max()))
    hits = np.bincount(truth[truth == predicted], minlength=classes)
    wanted, given = np.bincount(truth, minlength=classes), np.bincount(predicted, minlength=classes)
    occurs = wanted > 0  # TP + FN, so that no denominator is 0
    return float((2 * hits[occurs] / (wanted + given)[occurs]).mean())


def macro_auroc(truth: Ints, scores: Floats) -> float:
    """Mean over classes of the one-against-rest area under the ROC curve; nan where no class has both sides.

    The area is the Mann-Whitney statistic (Hanley and McNeil 1982), ties counted half: for p positives of rank sum R
    among n samples, (R - p(p + 1)/2) / (p(n - p)).

    Args:
        truth: [n] class numbers.
        scores: [n, classes], higher where the class is likelier.
    """
    from scipy.stats import rankdata

    of_class = truth[:, None] == np.arange(scores.shape[1])
    positives = of_class.sum(0)
    pairs = positives * (len(truth) - positives)
    rank_sums = (rankdata(scores, axis=0) * of_class).sum(0)
    areas = (rank_sums - positives * (positives + 1) / 2)[pairs > 0] / pairs[pairs > 0]
    return float(areas.mean()) if len(areas) else float("nan")


def log_odds(logits: Floats) -> Floats:
    """Log-odds of each class's softmax probability: its logit minus the logsumexp of the others.

    They rank as the probabilities do, which compare across samples where logits do not (adding a constant to all
    logits of a sample changes none), and do not round to 0 or 1 as probabilities do.

    Args:
        logits: [..., classes], at least two.
    """
    from scipy.special import logsumexp

    classes = logits.shape[-1]
    others = np.where(np.eye(classes, dtype=bool), -np.inf, logits[..., None, :])
    return np.asarray(logits - logsumexp(others, axis=-1))


def expected_calibration_error(truth: Ints, probabilities: Floats, bins: int = 15) -> float:
    """Mean gap between confidence and accuracy over equal-width bins of confidence, weighted by the bins' sizes
    (Guo et al. 2017, eq. 3).

    Args:
        truth: [n] class numbers.
        probabilities: [n, classes], rows sum to 1.
    """
    confidence = probabilities.max(1)
    correct = probabilities.argmax(1) == truth
    bin_of = np.minimum((confidence * bins).astype(int), bins - 1)
    size = np.bincount(bin_of, minlength=bins)
    gap = np.abs(np.bincount(bin_of, confidence - correct, minlength=bins))
    return float(gap[size > 0].sum() / len(truth))
