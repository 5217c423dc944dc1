"""Linear probe and fine-tuning on data where the answer is known."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from mmclip.errors import UserError
from mmclip.evaluation.fine_tune import Split, fine_tune
from mmclip.evaluation.linear_probe import draw_share, linear_probe
from mmclip.models.dual_encoder import DualEncoder


def clouds(per_class: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Three separable clouds of unit vectors."""
    rng = np.random.default_rng(seed)
    labels = np.repeat(np.arange(3), per_class)
    points = np.eye(5)[labels] + rng.normal(0, 0.1, (3 * per_class, 5))
    return (points / np.linalg.norm(points, axis=1, keepdims=True)).astype(np.float32), labels


def test_separable_clouds_are_told_apart_with_few_images() -> None:
    test, truth = clouds(20, 2)
    scores = linear_probe(clouds(30, 0), clouds(10, 1), test, classes=3, fraction=0.1, seed=0)
    assert scores.shape == (60, 3)
    np.testing.assert_allclose(scores.sum(1), 1, atol=1e-5)
    assert (scores.argmax(1) == truth).mean() > 0.95


def test_a_class_without_training_images_gets_probability_zero() -> None:
    features, labels = clouds(10, 0)
    scores = linear_probe((features[:20], labels[:20]), clouds(5, 1), features, classes=4, fraction=1.0, seed=0)
    assert scores.shape == (30, 4)
    assert not scores[:, 2:].any()


def test_one_class_is_the_users_mistake() -> None:
    features, labels = clouds(5, 0)
    with pytest.raises(UserError, match="one class"):
        linear_probe((features[:5], labels[:5]), (features, labels), features, classes=3, fraction=1.0, seed=0)


def test_shares_are_stratified_and_nested() -> None:
    labels = np.array([0] * 50 + [1] * 10 + [2])
    small, large = draw_share(labels, 0.1, seed=3), draw_share(labels, 0.5, seed=3)
    assert np.bincount(labels[small]).tolist() == [5, 1, 1]
    assert set(small) < set(large)
    assert not np.array_equal(small, draw_share(labels, 0.1, seed=4))


def grey_squares(count: int, seed: int) -> Split:
    """Dark and bright images."""
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % 2
    pixels = np.clip(rng.normal(70 + 110 * labels[:, None, None], 15, (count, 32, 32)), 0, 255).astype(np.uint8)
    return Split(lambda rows: pixels[rows], labels)


def test_fine_tuning_learns_and_leaves_the_model_alone(model_folder: Path) -> None:
    model = DualEncoder.from_pretrained(model_folder)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    test = grey_squares(41, 2)

    def tuned(seed: int) -> np.ndarray:
        return fine_tune(model, grey_squares(33, 0), grey_squares(20, 1), test, 2, 2, 3e-3, 16, seed)

    scores = tuned(0)
    assert (scores.argmax(1) == test.labels).mean() > 0.9
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    np.testing.assert_array_equal(scores, tuned(0))
    assert not np.array_equal(scores, tuned(1))
