"""Batches of texts of like length, so that little is padded, out of the very texts that were drawn at random."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mmclip.data.ragged import Ints, ranges
from mmclip.data.randomness import generator


@dataclass(frozen=True)
class ShownTexts:
    """Texts, and which of their sentences are shown.

    Attributes:
        texts: [M] text numbers.
        shown: [M] how many sentences of each are shown.
        chosen: [sum of shown] their places within their texts, text after text.
    """

    texts: Ints
    shown: Ints
    chosen: Ints

    def take(self, rows: Ints) -> ShownTexts:
        """Some of the texts, in the order of `rows`."""
        starts = np.cumsum(self.shown) - self.shown
        return ShownTexts(self.texts[rows], self.shown[rows], self.chosen[ranges(starts[rows], self.shown[rows])])

    @classmethod
    def joined(cls, parts: Sequence[ShownTexts]) -> ShownTexts:
        """The texts of all parts, one part after the other."""
        return cls(*(np.concatenate([getattr(part, name) for part in parts]) for name in ("texts", "shown", "chosen")))


def deal_by_length(lengths: Ints, batches: int, *key: int | str) -> Ints:
    """Which samples go into which batch: sorted by length and cut, the batches and the samples in them shuffled.

    Args:
        lengths: [batches * B] of samples that were drawn together.
        key: names the draw.

    Returns:
        [batches, B]; each sample once.
    """
    random = generator(*key)
    ordered = np.argsort(lengths, kind="stable").reshape(batches, -1)
    dealt: Ints = random.permuted(ordered[random.permutation(batches)], axis=1)
    return dealt
