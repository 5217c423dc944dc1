"""A study counts once, however many images it has: which of them is used is drawn anew in each pass."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mmclip.data.ragged import Ints, starts_of
from mmclip.data.randomness import id_hashes, uniforms


class OneView:
    """The images of each study, of which a pass over the studies uses one.

    What is drawn are items: one for each study, numbered in the order of their first images. Where every study has one
    image, items are images.

    Args:
        studies: [n] id of each image's study.
        apart: [n] images of one study are two items where these numbers differ (its data sets); none means alike.
    """

    def __init__(self, studies: Sequence[str], apart: Ints | None = None) -> None:
        numbers: dict[tuple[str, int], int] = {}
        keys = zip(studies, [0] * len(studies) if apart is None else apart.tolist(), strict=True)
        item = np.array([numbers.setdefault(key, len(numbers)) for key in keys], np.int64)
        self._hashes = id_hashes([f"view/{study}" for study, _ in numbers])
        self._first = starts_of(np.bincount(item, minlength=len(numbers)))
        self._images: Ints = np.argsort(item, kind="stable")

    def __len__(self) -> int:
        return len(self._hashes)

    def first(self) -> Ints:
        """The first image of each item."""
        return self._images[self._first[:-1]]

    def draw(self, items: Ints, passes: Ints, seed: int) -> Ints:
        """One image of each item: a function of the seed, the study's id and the pass alone.

        Args:
            items: [N] item numbers.
            passes: [N] how often each item had been drawn before.

        Returns:
            [N] image numbers.
        """
        counts = self._first[items + 1] - self._first[items]
        fractions = uniforms(seed, self._hashes[items], passes, 1)[:, 0]
        return self._images[self._first[items] + np.floor(fractions * counts).astype(np.int64)]
