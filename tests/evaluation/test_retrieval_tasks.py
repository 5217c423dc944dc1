"""Retrieval, parallel sentences and denials on embeddings whose answers are known."""

from __future__ import annotations

import numpy as np
import pytest

from mmclip.evaluation import audit, text
from mmclip.evaluation.retrieval import class_precision, instance_recall
from tests.evaluation.toy_encoder import ToyEncoder

AXES = np.eye(4, dtype=np.float32)


def by_key(rows: list) -> dict[tuple[str, str, int | None], float]:  # type: ignore[type-arg]
    return {(direction, metric, k): interval.value for direction, metric, k, interval in rows}


def test_identical_texts_are_one_item_and_ties_count_against() -> None:
    encoder = ToyEncoder({"one": AXES[0], "two": AXES[1], "three": AXES[2]})
    images = AXES[[0, 0, 1, 1]]  # the last one looks like "two", and its text is "three"
    texts = {"a": "one", "b": "one", "c": "two", "d": "three"}
    rows = instance_recall(images, list("abcd"), list("pqrs"), encoder, texts, (1, 2), 10)
    assert by_key(rows) == {
        ("image_to_text", "recall_at_k", 1): 0.75,
        ("image_to_text", "recall_at_k", 2): 0.75,
        ("image_to_text", "mean_rank", None): 1.5,  # ranks 1 1 1 3
        ("text_to_image", "recall_at_k", 1): 0.5,
        ("text_to_image", "recall_at_k", 2): 0.75,
        ("text_to_image", "mean_rank", None): 2,  # ranks 1 1 2 4
    }
    assert encoder.asked == ["one", "three", "two"]


def test_images_of_studies_without_a_text_are_left_out() -> None:
    encoder = ToyEncoder({"one": AXES[0], "two": AXES[1]})
    rows = instance_recall(AXES[[0, 2, 1]], ["a", "x", "b"], list("pqr"), encoder, {"a": "one", "b": "two"}, (1,), 0)
    assert by_key(rows)["image_to_text", "recall_at_k", 1] == 1
    assert instance_recall(AXES[:1], ["x"], ["p"], encoder, {"a": "one"}, (1,), 0) == []


def test_precision_at_k_by_class() -> None:
    encoder = ToyEncoder({"a": (1, 0.5, 0, 0), "b1": (0, 1, 0.5, 0), "b2": (0.5, 0, 1, 0)})
    prompts = {"A": ("a",), "B": ("b1", "b2")}
    truth = np.array([0, 0, 1, 1])
    rows = by_key(
        class_precision(AXES[[0, 0, 1, 2]], encoder, prompts, ("A", "B"), truth, list("pqrs"), (1, 2, 3, 9), 20)
    )
    # nearest images: a -> 0 0 | b1 -> 1 2 | b2 -> 2, then both of A at equal distance
    assert rows["text_to_image", "precision_at_k", 1] == 1
    assert rows["text_to_image", "precision_at_k", 2] == pytest.approx((1 + 1 + 0.5) / 3)
    # nearest prompts: A -> a, then b2 | image 1 -> b1, a | image 2 -> b2, b1
    assert rows["image_to_text", "precision_at_k", 1] == 1
    assert rows["image_to_text", "precision_at_k", 2] == pytest.approx((0.5 + 0.5 + 0.5 + 1) / 4)
    assert {k for _, _, k in rows} == {1, 2, 3}  # there are four images and three prompts, so no @9


def test_draws_with_fewer_images_than_k_do_not_fail() -> None:
    encoder = ToyEncoder({"a": AXES[0], "b": AXES[1]})
    patients = ["p", "q", "q", "q", "q"]  # a draw of p and p holds two images
    truth = np.array([0, 1, 1, 1, 1])
    rows = class_precision(AXES[truth], encoder, {"A": ("a",), "B": ("b",)}, ("A", "B"), truth, patients, (5,), 40)
    assert by_key(rows) == {("text_to_image", "precision_at_k", 5): pytest.approx(0.5)}


def test_parallel_recall_is_over_the_same_order() -> None:
    english = AXES[[0, 1, 2, 3]]
    assert text.parallel_recall(english, english) == 1
    assert text.parallel_recall(english, AXES[[0, 2, 1, 3]]) == 0.5
    assert text.parallel_recall(english, np.ones_like(english) / 2) == 0  # everything alike is nothing found


def test_negation_similarity() -> None:
    encoder = ToyEncoder({"yes": (1, 0), "no": (0, 1), "maybe": (1, 1)})
    assert text.negation_similarity(encoder, [("yes", "no"), ("yes", "yes")]) == pytest.approx(0.5)
    assert text.negation_similarity(encoder, [("yes", "maybe")]) == pytest.approx(np.sqrt(0.5))


def test_an_image_prefers_the_nearer_of_statement_and_denial() -> None:
    encoder = ToyEncoder({"A": (1, 0), "no A": (0, 1), "B": (0, 1), "no B": (1, 1)})
    says = audit.prefers_statement(np.eye(2, dtype=np.float32), encoder, [("A", "no A"), ("B", "no B")])
    np.testing.assert_array_equal(says, [[True, False], [False, True]])


@pytest.mark.parametrize("constant", [True, False])
def test_one_sided_answers_get_one_half_whatever_the_frequencies(constant: bool) -> None:
    shows = np.array([[True, False], [False, True], [False, False], [False, False], [False, False]])
    assert audit.negation_accuracy(np.full_like(shows, constant), shows) == 0.5
    assert audit.negation_accuracy(shows, shows) == 1
    assert audit.negation_accuracy(~shows, shows) == 0


def test_a_pair_without_both_kinds_of_images_is_left_out() -> None:
    shows = np.array([[True, True], [False, True]])
    assert audit.negation_accuracy(np.array([[True, False], [False, False]]), shows) == 1
    assert np.isnan(audit.negation_accuracy(np.ones((2, 1), dtype=bool), np.ones((2, 1), dtype=bool)))
