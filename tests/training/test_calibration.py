"""Temperatures of classifiers."""

from __future__ import annotations

import numpy as np
import pytest

from mmclip.training.calibration import COLDEST, HOTTEST, fit_temperatures


def test_the_temperature_that_spoiled_the_log_odds_is_found() -> None:
    random = np.random.default_rng(0)
    right = random.normal(0, 2, (20_000, 3))
    truth = (random.random(right.shape) < 1 / (1 + np.exp(-right))).astype(np.int64)
    spoiled = (right * [1, 3, 0.5]).astype(np.float32)
    assert fit_temperatures(spoiled, truth) == pytest.approx([1, 3, 0.5], rel=0.05)


def test_it_minimises_the_negative_log_likelihood() -> None:
    random = np.random.default_rng(1)
    logits = random.normal(0, 3, (50, 1)).astype(np.float32)
    truth = random.integers(0, 2, (50, 1))
    sign = 2 * truth - 1

    def cost(temperature: float) -> float:
        return float(np.logaddexp(0, -sign * logits / temperature).mean())

    grid = np.geomspace(COLDEST, HOTTEST, 4001)
    best = grid[int(np.argmin([cost(value) for value in grid]))]
    assert float(fit_temperatures(logits, truth)[0]) == pytest.approx(best, rel=0.01)


def test_what_does_not_count_changes_nothing() -> None:
    random = np.random.default_rng(2)
    logits = random.normal(0, 2, (200, 2)).astype(np.float32)
    truth = random.integers(0, 2, (200, 2))
    more = np.concatenate([logits, np.full((5, 2), 99, np.float32)])
    unused = np.concatenate([truth, [[2, -100]] * 5])
    assert np.array_equal(fit_temperatures(logits, truth), fit_temperatures(more, unused))


def test_without_both_states_nothing_is_changed_and_bounds_hold() -> None:
    logits = np.array([[3, 3, -3], [2, -2, 2]], np.float32)
    truth = np.array([[1, 1, 1], [1, 0, 0]])
    assert fit_temperatures(logits, truth).tolist() == pytest.approx([1, COLDEST, HOTTEST])
    assert fit_temperatures(logits[:0], truth[:0]).tolist() == [1, 1, 1]
