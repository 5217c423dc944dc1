"""Zero-shot classification on embeddings whose answers are known."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from scipy.special import softmax

from mmclip.evaluation import zero_shot
from mmclip.metrics.bootstrap import bootstrap
from mmclip.metrics.classification import accuracy, balanced_accuracy, macro_auroc
from tests.evaluation.toy_encoder import ToyEncoder

CLASSES = ("a", "b", "c")
TRUTH = np.array([0, 0, 0, 0, 1, 1, 2, 2, 2, 2])
SCALE = 10.0
PATIENTS = [f"p{number // 2}" for number in range(10)]
IMAGES = np.eye(3, dtype=np.float32)[TRUTH]
PROMPTS = {
    "right": {"a": ("a1", "a2"), "b": ("b1",), "c": ("c1",)},
    "swapped": {"a": ("a1",), "b": ("c1",), "c": ("b1",)},
}
ENCODER = ToyEncoder({"a1": (1, 0, 0), "a2": (1, 0, 1), "b1": (0, 1, 0), "c1": (0, 0, 1)})


def scores() -> dict[str, np.ndarray]:
    return zero_shot.scores(IMAGES, ENCODER, PROMPTS, CLASSES)


def measured(by_language: dict[str, np.ndarray], resamples: int = 50) -> dict[tuple[str, str], zero_shot.Interval]:
    rows = zero_shot.measure(by_language, SCALE, TRUTH, PATIENTS, resamples)
    return {(language, metric): interval for language, metric, interval in rows}


def test_a_class_scores_the_mean_cosine_of_its_prompts() -> None:
    by_hand = [
        [np.mean([image @ ENCODER.texts([text])[0] for text in PROMPTS["right"][name]]) for name in CLASSES]
        for image in IMAGES
    ]
    np.testing.assert_allclose(scores()["right"], by_hand, atol=1e-6)


def test_known_answers() -> None:
    rows = measured(scores())
    assert rows["right", "accuracy"].value == 1
    assert rows["swapped", "accuracy"].value == pytest.approx(0.4)  # only class a is right
    assert rows["swapped", "balanced_accuracy"].value == pytest.approx(1 / 3)
    assert rows["mean", "accuracy"].value == pytest.approx(0.7)
    assert rows["worst", "accuracy"].value == pytest.approx(0.4)


def test_auroc_is_the_share_of_ordered_pairs() -> None:
    values = softmax(SCALE * scores()["swapped"].astype(np.float64), axis=1)
    areas = []
    for label in range(3):
        positive, negative = values[label == TRUTH, label], values[label != TRUTH, label]
        areas.append(np.mean([(p > n) + (p == n) / 2 for p, n in product(positive, negative)]))
    assert measured(scores())["swapped", "auroc"].value == pytest.approx(np.mean(areas))


def test_auroc_compares_images_that_are_near_to_every_sentence_with_images_that_are_far_from_all() -> None:
    """Each image is nearest to its class, but the images' distances from all sentences differ by more than that."""
    offset = np.linspace(0, 0.5, 10)[[3, 8, 1, 6, 0, 9, 4, 2, 7, 5]]
    classes = np.array([0, 1] * 5)
    values = (offset[:, None] + 0.01 * np.eye(2)[classes]).astype(np.float32)
    assert macro_auroc(classes, values.astype(np.float64)) < 0.6, "the cosine alone ranks images by their offset"
    rows = zero_shot.measure({"x": values}, 1.0, classes, PATIENTS, 0)
    assert {metric: interval.value for _, metric, interval in rows} == {
        "accuracy": 1, "balanced_accuracy": 1, "auroc": 1
    }  # fmt: skip


def test_the_worst_is_never_above_a_language_nor_its_bounds_above_the_mean() -> None:
    rng = np.random.default_rng(0)
    rows = measured({code: rng.normal(size=(10, 3)).astype(np.float32) for code in "vwxyz"})
    for metric in ("accuracy", "balanced_accuracy", "auroc"):
        worst, mean = rows["worst", metric], rows["mean", metric]
        assert all(worst.value <= rows[code, metric].value for code in "vwxyz")
        assert worst.low <= mean.low <= mean.high
        assert worst.high <= mean.high
        assert mean.value == pytest.approx(np.mean([rows[code, metric].value for code in "vwxyz"]))


def test_without_resamples_there_are_no_bounds() -> None:
    interval = measured(scores(), resamples=0)["right", "accuracy"]
    assert interval.value == 1
    assert np.isnan(interval.low) and np.isnan(interval.high)


def test_the_constant_predictor_says_the_commonest_class() -> None:
    assert zero_shot.constant_predictor(TRUTH) == pytest.approx(0.4)
    assert zero_shot.constant_predictor(np.array([1, 1, 1, 0])) == 0.75


def test_intervals_are_those_of_the_plain_metrics() -> None:
    rng = np.random.default_rng(1)
    by_language = {code: rng.normal(size=(10, 3)).astype(np.float32) for code in "xy"}
    rows = measured(by_language)
    for metric, plain in (("accuracy", accuracy), ("balanced_accuracy", balanced_accuracy)):
        for code, values in by_language.items():
            predicted = values.argmax(1)
            (expected,) = bootstrap(lambda i, p=predicted, m=plain: np.array([m(TRUTH[i], p[i])]), PATIENTS, 50)
            found = rows[code, metric]
            assert (found.value, found.low, found.high) == pytest.approx((expected.value, expected.low, expected.high))
