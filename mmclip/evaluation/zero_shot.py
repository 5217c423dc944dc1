"""Zero-shot classification: the class whose prompts lie nearest to the image, language by language."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from mmclip.evaluation.encoder import Embeddings, Encoder
from mmclip.metrics.bootstrap import Draw, Interval, Values, bootstrap
from mmclip.metrics.classification import accuracy, log_odds, macro_auroc

Scores = NDArray[np.float32]

MEAN, WORST = "mean", "worst"
"""Rows over all languages: the mean, and the worst language of each bootstrap draw."""


def class_embeddings(encoder: Encoder, prompts: Mapping[str, Sequence[str]], classes: Sequence[str]) -> Embeddings:
    """[classes, D]: the mean of each class's prompt embeddings, so that a score is the mean of the image's cosines to
    the prompts (MedCLIP's ensemble)."""
    return np.stack([encoder.texts(list(prompts[name])).mean(0) for name in classes])


def scores(
    images: Embeddings, encoder: Encoder, prompts: Mapping[str, Mapping[str, Sequence[str]]], classes: Sequence[str]
) -> dict[str, Scores]:
    """language -> [n, classes] mean cosines of the images with each class's prompts."""
    return {code: images @ class_embeddings(encoder, by_class, classes).T for code, by_class in prompts.items()}


def measure(
    by_language: Mapping[str, Scores],
    logit_scale: float,
    truth: NDArray[np.int64],
    patients: Sequence[str],
    resamples: int,
) -> list[tuple[str, str, Interval]]:
    """(language, metric, value with interval) of accuracy, balanced accuracy and macro AUROC in each language, of their
    means over languages, and of the worst language.

    AUROC ranks images by their probability of the class: a cosine alone compares one image's classes, but not one
    image with another, since some images are nearer to every sentence than others are.

    Args:
        by_language: language -> [n, classes] mean cosines.
        logit_scale: the model's multiplier of cosines, for the softmax over classes.
        truth: [n] class numbers.
        patients: patient of each image.
    """
    languages = list(by_language)
    stacked = np.stack([by_language[code] for code in languages])
    right = (stacked.argmax(2) == truth).astype(np.float64)
    of_class = np.eye(stacked.shape[2])[truth]
    comparable = log_odds(logit_scale * stacked.astype(np.float64))

    def balanced(draw: Draw) -> Values:
        times = np.bincount(draw, minlength=len(truth))  # how often each sample was drawn
        drawn = times @ of_class
        recall = ((right * times) @ of_class)[:, drawn > 0] / drawn[drawn > 0]
        return np.asarray(recall.mean(1))

    metrics: dict[str, tuple[Callable[[Draw], Values], int]] = {
        "accuracy": (lambda draw: right @ np.bincount(draw, minlength=len(truth)) / len(draw), resamples),
        "balanced_accuracy": (balanced, resamples),
        "auroc": (
            lambda draw: np.array([macro_auroc(truth[draw], one[draw]) for one in comparable]),
            min(resamples, 200),
        ),
    }
    rows: list[tuple[str, str, Interval]] = []
    for name, (by_draw, draws) in metrics.items():

        def with_summary(draw: Draw, by_draw: Callable[[Draw], Values] = by_draw) -> Values:
            values = by_draw(draw)
            return np.append(values, [values.mean(), values.min()])

        intervals = bootstrap(with_summary, patients, draws)
        rows += [(code, name, interval) for code, interval in zip([*languages, MEAN, WORST], intervals, strict=True)]
    return rows


def constant_predictor(truth: NDArray[np.int64]) -> float:
    """Accuracy of always answering the commonest class of the test set: what a model without input can reach."""
    return accuracy(truth, np.full_like(truth, np.bincount(truth).argmax()))
