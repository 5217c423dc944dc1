"""Metrics against hand-computed values, scikit-learn, torchmetrics and brute force."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import softmax
from sklearn.metrics import balanced_accuracy_score, f1_score, roc_auc_score
from torchmetrics.functional.classification import multiclass_calibration_error

from mmclip.metrics.classification import (
    accuracy,
    balanced_accuracy,
    expected_calibration_error,
    log_odds,
    macro_auroc,
    macro_f1,
)
from mmclip.metrics.retrieval import precision_at_k, precision_of_draws, ranks, recall_at_k


def test_accuracies_by_hand() -> None:
    truth, predicted = np.array([0, 0, 0, 1]), np.array([0, 0, 1, 1])
    assert accuracy(truth, predicted) == 0.75
    assert balanced_accuracy(truth, predicted) == pytest.approx((2 / 3 + 1) / 2)


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=1, max_size=60))
def test_balanced_accuracy_and_f1_equal_scikit_learn(pairs: list[tuple[int, int]]) -> None:
    truth, predicted = np.array(pairs).T
    if set(predicted) <= set(truth):
        assert balanced_accuracy(truth, predicted) == pytest.approx(balanced_accuracy_score(truth, predicted))
    expected = f1_score(truth, predicted, labels=np.unique(truth), average="macro", zero_division=0)
    assert macro_f1(truth, predicted) == pytest.approx(expected)


def test_macro_auroc_equals_one_against_rest() -> None:
    rng = np.random.default_rng(0)
    truth, scores = rng.integers(0, 4, 200), rng.random((200, 4))
    probabilities = scores / scores.sum(1, keepdims=True)
    expected = roc_auc_score(truth, probabilities, multi_class="ovr", average="macro")
    assert macro_auroc(truth, probabilities) == pytest.approx(expected)


def test_log_odds_are_those_of_the_softmax() -> None:
    logits = np.random.default_rng(2).normal(size=(6, 5, 4)) * 3
    probabilities = softmax(logits, axis=-1)
    np.testing.assert_allclose(log_odds(logits), np.log(probabilities / (1 - probabilities)), rtol=1e-9)
    far_apart = log_odds(np.array([[0.0, 100.0], [0.0, 101.0]]))
    assert far_apart.tolist() == [[-100.0, 100.0], [-101.0, 101.0]], "their probabilities are both 1"


def test_macro_auroc_of_one_class_is_nan() -> None:
    assert np.isnan(macro_auroc(np.zeros(5, dtype=int), np.random.default_rng(0).random((5, 1))))


def test_calibration_error_equals_torchmetrics() -> None:
    rng = np.random.default_rng(1)
    logits = rng.normal(size=(500, 5)) * 2
    probabilities = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    truth = rng.integers(0, 5, 500)
    expected = multiclass_calibration_error(torch.tensor(probabilities), torch.tensor(truth), 5, n_bins=15)
    assert expected_calibration_error(truth, probabilities) == pytest.approx(float(expected), abs=1e-6)


def test_precision_at_k_by_hand() -> None:
    similarity = np.array([[0.9, 0.8, 0.1], [0.2, 0.3, 0.4]])
    relevant = np.array([[True, False, True], [False, True, True]])
    assert precision_at_k(similarity, relevant, 1).tolist() == [1.0, 1.0]
    assert precision_at_k(similarity, relevant, 2).tolist() == [0.5, 1.0]
    with pytest.raises(ValueError, match="number of items, 3"):
        precision_at_k(similarity, relevant, 4)


@given(queries=st.integers(1, 4), items=st.integers(1, 9), drawn=st.integers(1, 12), seed=st.integers(0, 2**30))
def test_precision_of_a_draw_is_that_of_the_drawn_items(queries: int, items: int, drawn: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    similarity, relevant = rng.random((queries, items)), rng.random((queries, items)) < 0.5
    draw = rng.integers(items, size=drawn)
    got = precision_of_draws(similarity, relevant, [1, 2, 5])(draw)
    wanted = [precision_at_k(similarity[:, draw], relevant[:, draw], min(k, drawn)).mean() for k in (1, 2, 5)]
    np.testing.assert_allclose(got, wanted)


def test_a_constant_similarity_gets_the_worst_rank() -> None:
    relevant = np.eye(4, dtype=bool)
    assert ranks(np.zeros((4, 4)), relevant).tolist() == [4, 4, 4, 4]
    assert recall_at_k(ranks(np.eye(4), relevant), 1).tolist() == [1, 1, 1, 1]


@given(st.integers(0, 10_000))
def test_ranks_equal_sorting(seed: int) -> None:
    rng = np.random.default_rng(seed)
    similarity = rng.permutation(42).reshape(6, 7).astype(float)  # without ties
    relevant = rng.random((6, 7)) < 0.4
    relevant[:, 0] = True
    for query, rank in enumerate(ranks(similarity, relevant)):
        order = sorted(range(7), key=lambda item: -similarity[query, item])
        assert rank == 1 + next(i for i, item in enumerate(order) if relevant[query, item])


def test_a_query_without_a_relevant_item_is_an_error() -> None:
    with pytest.raises(ValueError, match="query 1"):
        ranks(np.zeros((2, 2)), np.array([[True, False], [False, False]]))


def test_undefined_similarities_rank_worst() -> None:
    """nan compares as false with everything, which must not look like the first place."""
    relevant = np.eye(3, dtype=bool)
    assert ranks(np.full((3, 3), np.nan), relevant).tolist() == [3, 3, 3]
    one = np.array([[0.5, np.nan, 0.1], [0.3, np.nan, 0.2], [np.nan, np.nan, 0.9]])
    assert ranks(one, relevant).tolist() == [2, 3, 3]
