"""Batches of like length hold what was drawn at random, and nothing else."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from mmclip.data.length_buckets import ShownTexts, deal_by_length


@settings(deadline=None)
@given(
    batches=st.integers(1, 6),
    size=st.integers(1, 8),
    longest=st.integers(1, 30),
    seed=st.integers(0, 50),
)
def test_each_sample_once_and_batches_do_not_overlap_in_length(
    batches: int, size: int, longest: int, seed: int
) -> None:
    lengths = np.random.default_rng(seed).integers(1, longest + 1, batches * size)
    dealt = deal_by_length(lengths, batches, seed)
    assert dealt.shape == (batches, size) and sorted(dealt.ravel()) == list(range(batches * size))
    ranges = sorted((lengths[rows].min(), lengths[rows].max()) for rows in dealt)
    assert all(one[1] <= two[0] for one, two in pairwise(ranges))
    assert np.array_equal(dealt, deal_by_length(lengths, batches, seed))


def test_batches_and_samples_come_in_any_order() -> None:
    lengths = np.arange(600)
    firsts = [deal_by_length(lengths, 3, key)[0] for key in range(300)]
    shortest = np.array([rows.max() < 200 for rows in firsts])
    assert 70 < shortest.sum() < 130, "a window's first batch is any of its three"
    assert all((np.diff(rows) < 0).any() and (np.diff(rows) > 0).any() for rows in firsts)


@settings(deadline=None)
@given(counts=st.lists(st.integers(1, 4), min_size=1, max_size=8), data=st.data())
def test_rows_take_their_sentences_with_them(counts: list[int], data: st.DataObject) -> None:
    shown = np.array(counts)
    chosen = np.concatenate([10 * number + np.arange(count) for number, count in enumerate(counts)])
    texts = ShownTexts(np.arange(len(counts)) + 100, shown, chosen)
    rows = np.array(data.draw(st.lists(st.integers(0, len(counts) - 1), max_size=10)), np.int64)
    taken = texts.take(rows)
    assert taken.texts.tolist() == (rows + 100).tolist() and taken.shown.tolist() == shown[rows].tolist()
    assert taken.chosen.tolist() == [10 * row + place for row in rows for place in range(counts[row])]
    both = ShownTexts.joined([texts, taken])
    assert both.take(np.arange(len(counts), len(counts) + len(rows))).chosen.tolist() == taken.chosen.tolist()
