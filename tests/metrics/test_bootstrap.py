"""Intervals: whole patients, coverage, pairing, and seeds as a level of their own."""

import numpy as np
import pytest
from numpy.typing import NDArray

from mmclip.metrics.bootstrap import bootstrap, mean_intervals, patient_draws, two_level_bootstrap

Numbers = NDArray[np.int64]


def test_a_draw_takes_whole_patients() -> None:
    patients = ["a", "b", "a", "c", "c", "c"]
    for draw in patient_draws(patients, 50, seed=0):
        counts = np.bincount(draw, minlength=6)
        assert counts[0] == counts[2]
        assert counts[3] == counts[4] == counts[5]
        assert counts[0] + counts[1] + counts[3] == 3


def test_the_interval_covers_the_truth_as_often_as_it_says() -> None:
    covered = 0
    for trial in range(200):
        rng = np.random.default_rng(trial)
        sample = rng.normal(size=60)
        (interval,) = bootstrap(lambda i, x=sample: x[i].mean(), [str(n) for n in range(60)], 200, seed=trial)
        covered += interval.low <= 0 <= interval.high
    assert 0.9 <= covered / 200 <= 0.98


def test_copies_of_a_patient_do_not_narrow_the_interval() -> None:
    x = np.random.default_rng(0).normal(size=40)
    patients = [str(n) for n in range(40)]
    (once,) = bootstrap(lambda i: x[i].mean(), patients, 500)
    (ten_times,) = bootstrap(lambda i: np.repeat(x, 10)[i].mean(), list(np.repeat(patients, 10)), 500)
    assert ten_times.high - ten_times.low == pytest.approx(once.high - once.low, rel=1e-9)


def test_a_difference_inside_the_statistic_is_paired() -> None:
    x = np.random.default_rng(0).normal(size=50)
    (difference,) = bootstrap(lambda i: (x[i] + 0.1).mean() - x[i].mean(), [str(n) for n in range(50)], 200)
    assert difference.low == pytest.approx(0.1)
    assert difference.high == pytest.approx(0.1)


def test_one_patient_gives_no_bounds() -> None:
    (interval,) = bootstrap(lambda i: np.float64(len(i)), ["a", "a"], 10)
    assert interval.value == 2
    assert np.isnan(interval.low)


def test_the_worst_language_is_recomputed_in_each_draw() -> None:
    rng = np.random.default_rng(0)
    correct = (rng.random((1, 8, 300)) < 0.8).astype(float)  # eight equally good languages
    patients = [str(n) for n in range(300)]

    def mean_and_worst(seeds: Numbers, samples: Numbers) -> NDArray[np.float64]:
        of_language = correct[seeds][:, :, samples].mean((0, 2))
        return np.array([of_language.mean(), of_language.min()])

    mean, worst = two_level_bootstrap(mean_and_worst, 1, patients, 300)
    fixed = correct[0, correct.mean((0, 2)).argmin()]
    (same_language,) = bootstrap(lambda i: fixed[i].mean(), patients, 300)
    assert worst.value < mean.value
    assert worst.low < same_language.low + 0.02
    assert worst.high < same_language.high


def test_seeds_widen_the_interval() -> None:
    rng = np.random.default_rng(0)
    by_seed = np.stack([(rng.random((2, 400)) < p).astype(float) for p in (0.6, 0.7, 0.8, 0.9)])
    patients = [str(n) for n in range(400)]
    (both,) = two_level_bootstrap(lambda seeds, samples: by_seed[seeds][:, :, samples].mean(), 4, patients, 400)
    (one,) = two_level_bootstrap(lambda seeds, samples: by_seed[seeds][:, :, samples].mean(), 1, patients, 400)
    assert both.high - both.low > 1.5 * (one.high - one.low)


@pytest.mark.parametrize("n", [1, 2, 30])
def test_means_have_the_intervals_of_gathered_samples(n: int) -> None:
    rng = np.random.default_rng(n)
    scores, patients = rng.normal(size=(3, n)), [f"p{number}" for number in rng.integers(max(n // 2, 1), size=n)]
    found = mean_intervals(scores, patients, 200, seed=5)
    expected = bootstrap(lambda draw: scores[:, draw].mean(1), patients, 200, seed=5)
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(
            [one.value, one.low, one.high], [other.value, other.low, other.high], rtol=1e-12, atol=1e-15
        )
