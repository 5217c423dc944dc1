"""Which image, which text and which sentences a step sees: pure functions of the seed and the position in the run.

A position counts samples from the start of training, over all ranks; so ranks, workers and resuming change nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from mmclip.config.training import TextMix
from mmclip.data.ragged import Ints
from mmclip.data.randomness import generator


class Mixture:
    """Endless samples from several sources, each source in its own shuffled passes, mixed by weight.

    An epoch has as many samples as all sources together. Each source has its share of every epoch, exact to one
    sample, and gives out all its items before it repeats one; with weights in proportion to the sizes an epoch is
    every item once.

    Args:
        sizes: items of each source; items are numbered through, source after source.
        weights: of each source, not all zero; an empty source has weight 0.
        name: of the stream, so that two streams of one seed differ.
    """

    def __init__(self, sizes: Sequence[int], weights: Sequence[float], seed: int, name: str) -> None:
        weight = np.where(np.asarray(sizes) > 0, np.asarray(weights, dtype=float), 0.0)
        if not weight.sum() > 0:
            raise ValueError(f"nothing to sample for {name}: sizes {list(sizes)}, weights {list(weights)}")
        self.length = int(sum(sizes))
        self._sizes = [int(size) for size in sizes]
        self._starts = np.concatenate([[0], np.cumsum(self._sizes)])[:-1]
        self._counts = _apportion(weight / weight.sum(), self.length)
        self._seed, self._name = seed, name
        self._epoch = lru_cache(maxsize=2)(self._draw_epoch)
        self._order = lru_cache(maxsize=2 * len(self._sizes))(self._draw_order)

    def take(self, start: int, count: int) -> tuple[Ints, Ints]:
        """Samples `start` to `start + count` of the run.

        Returns:
            items [count], and how often the source of each had been passed through before [count].
        """
        items, passes = np.empty(count, np.int64), np.empty(count, np.int64)
        done = 0
        while done < count:
            epoch, at = divmod(start + done, self.length)
            many = min(count - done, self.length - at)
            epoch_items, epoch_passes = self._epoch(epoch)
            items[done : done + many] = epoch_items[at : at + many]
            passes[done : done + many] = epoch_passes[at : at + many]
            done += many
        return items, passes

    def _draw_epoch(self, epoch: int) -> tuple[Ints, Ints]:
        items, passes = [], []
        for source, count in enumerate(self._counts):
            if not count:
                continue
            positions = np.arange(epoch * count, (epoch + 1) * count)
            rounds, places = np.divmod(positions, self._sizes[source])
            for number in np.unique(rounds):
                chosen = places[rounds == number]
                items.append(self._starts[source] + self._order(source, int(number))[chosen])
            passes.append(rounds)
        mixed = generator(self._seed, self._name, "mix", epoch).permutation(self.length)
        return np.concatenate(items)[mixed], np.concatenate(passes)[mixed]

    def _draw_order(self, source: int, number: int) -> Ints:
        return generator(self._seed, self._name, "order", source, number).permutation(self._sizes[source])


def _apportion(shares: npt.NDArray[np.float64], total: int) -> list[int]:
    """Whole numbers that sum to `total`, in proportion to `shares` (largest remainders)."""
    exact = shares * total
    counts = np.floor(exact).astype(int)
    largest = np.argsort(counts - exact, kind="stable")[: total - counts.sum()]
    counts[largest] += 1
    return [int(count) for count in counts]


def language_weights(counts: Sequence[int], alpha: float) -> npt.NDArray[np.float64]:
    """Shares q_l = n_l^alpha / sum n^alpha of languages with n_l texts (Lample and Conneau 2019, section 3.1).

    The share is zero for a language without texts, whatever alpha.
    """
    numbers = np.asarray(counts, dtype=float)
    powered = np.where(numbers > 0, numbers, 1.0) ** alpha * (numbers > 0)
    shares: npt.NDArray[np.float64] = powered / powered.sum()
    return shares


def choose_languages(available: npt.NDArray[np.bool_], weights: npt.NDArray[np.float64], *key: int | str) -> Ints:
    """One language for each row, by weight among those available to it (the Gumbel-max trick).

    Args:
        available: [N, languages]; at least one in each row.
        weights: [languages].
        key: names the draw.

    Returns:
        [N] language numbers.
    """
    noise = generator(*key).gumbel(size=available.shape)
    with np.errstate(divide="ignore"):
        scores = np.where(available, np.log(weights)[None] + noise, -np.inf)
    chosen: Ints = scores.argmax(axis=1)
    return chosen


def choose_sentences(counts: Ints, mix: TextMix, *key: int | str) -> tuple[Ints, Ints]:
    """Which sentences of each text are shown: one, several or all, in their order.

    A text too short for what was drawn shows all it has.

    Args:
        counts: [M] sentences of each text, at least 1.
        mix: probabilities.
        key: names the draw.

    Returns:
        number of sentences shown [M], and their places within their texts, text after text [sum of the first].
    """
    random = generator(*key)
    kind = random.random(len(counts)) * (mix.one + mix.several + mix.all)
    several = 2 + np.floor(random.random(len(counts)) * np.maximum(counts - 2, 1)).astype(np.int64)
    shown = np.where(kind < mix.one, 1, np.where(kind < mix.one + mix.several, several, counts))
    shown = np.minimum(shown, counts)
    owner = np.repeat(np.arange(len(counts)), counts)
    place = np.arange(len(owner)) - np.repeat(np.cumsum(counts) - counts, counts)
    shuffled = np.lexsort((random.random(len(owner)), owner))  # within each text
    rank = np.empty(len(owner), np.int64)
    rank[shuffled] = place
    return shown, place[rank < shown[owner]]
