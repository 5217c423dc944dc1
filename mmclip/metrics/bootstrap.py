"""Intervals by resampling patients; and seeds first, then patients, for claims about a method.

Images of one patient are alike, so that patients are drawn, with all their samples (cluster bootstrap). All metrics of
one draw use the same patients, which makes differences paired.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]
Draw = NDArray[np.int64]

LEVEL = 0.95
"""Coverage of intervals."""


@dataclass(frozen=True)
class Interval:
    """A value with its percentile interval [`low`, `high`]."""

    value: float
    low: float
    high: float


def patient_draws(patients: Sequence[str], resamples: int, seed: int) -> Iterator[NDArray[np.int64]]:
    """Sample numbers of `resamples` bootstrap draws of whole patients.

    Args:
        patients: patient of each of the n samples.
    """
    names, of_sample = np.unique(np.asarray(patients), return_inverse=True)
    order = np.argsort(of_sample, kind="stable")
    starts = np.searchsorted(of_sample[order], np.arange(len(names) + 1))
    members = [order[starts[i] : starts[i + 1]] for i in range(len(names))]
    rng = np.random.default_rng(seed)
    for _ in range(resamples):
        yield np.concatenate([members[i] for i in rng.integers(len(names), size=len(names))])


def bootstrap(
    statistic: Callable[[Draw], Values],
    patients: Sequence[str],
    resamples: int = 1000,
    seed: int = 0,
) -> list[Interval]:
    """Percentile intervals of one or more statistics over patients.

    Args:
        statistic: sample numbers [m], with repeats, -> values [k]. What is derived from others (the worst language,
            a difference) belongs inside, so that it is recomputed in each draw.
        patients: patient of each sample; fewer than two different ones give nan bounds.
        resamples: number of draws; 0 gives nan bounds.
        seed: of the draws.
    """
    values = np.atleast_1d(statistic(np.arange(len(patients))))
    wanted = resamples if len(set(patients)) > 1 else 0
    draws = [np.atleast_1d(statistic(draw)) for draw in patient_draws(patients, wanted, seed)]
    return _intervals(values, draws)


def mean_intervals(scores: Values, patients: Sequence[str], resamples: int = 1000, seed: int = 0) -> list[Interval]:
    """Intervals of the means of per-sample scores: [k, n] -> k intervals, all from the draws of :func:`bootstrap`.

    A mean over drawn patients is the sum of their sums by that of their sample numbers, which is quicker than to gather
    their samples.
    """
    names, of_sample = np.unique(np.asarray(patients), return_inverse=True)
    sums = np.stack([np.bincount(of_sample, weights=row, minlength=len(names)) for row in scores])
    sizes = np.bincount(of_sample, minlength=len(names))
    rng = np.random.default_rng(seed)
    draws = []
    for _ in range(resamples if len(names) > 1 else 0):
        times = np.bincount(rng.integers(len(names), size=len(names)), minlength=len(names))
        draws.append(sums @ times / (sizes @ times))
    return _intervals(scores.mean(1), draws)


def two_level_bootstrap(
    statistic: Callable[[Draw, Draw], Values],
    seeds: int,
    patients: Sequence[str],
    resamples: int = 1000,
    seed: int = 0,
) -> list[Interval]:
    """Intervals for a method that was trained with several seeds: seeds are drawn first, then patients.

    Args:
        statistic: numbers of seeds and of samples, both with repeats, -> values [k]; languages stay fixed.
        seeds: how many there are, each scored on the same samples.
        patients: patient of each sample.
        resamples: number of draws.
        seed: of the draws.
    """
    rng = np.random.default_rng((seed, 1))
    values = np.atleast_1d(statistic(np.arange(seeds), np.arange(len(patients))))
    draws = [
        np.atleast_1d(statistic(rng.integers(seeds, size=seeds), draw))
        for draw in patient_draws(patients, resamples, seed)
    ]
    return _intervals(values, draws)


def _intervals(values: Values, draws: Sequence[Values]) -> list[Interval]:
    """Percentile intervals over the draws in which a value is defined (AUROC is not where a class was not drawn)."""
    tail = (1 - LEVEL) / 2 * 100
    out = []
    for number, value in enumerate(values):
        of_value = np.array([draw[number] for draw in draws])
        defined = of_value[np.isfinite(of_value)]
        low, high = np.percentile(defined, [tail, 100 - tail]) if len(defined) else (np.nan, np.nan)
        out.append(Interval(float(value), float(low), float(high)))
    return out
