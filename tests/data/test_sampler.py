"""Sampling: pure functions of seed and position, exact shares, every item once a pass."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmclip.config.training import TextMix
from mmclip.data.randomness import generator, id_hashes, uniforms
from mmclip.data.sampler import Mixture, choose_languages, choose_sentences, language_weights


@given(
    sizes=st.lists(st.integers(0, 12), min_size=1, max_size=4).filter(lambda sizes: sum(sizes) > 0),
    seed=st.integers(0, 5),
    cuts=st.lists(st.integers(1, 9), max_size=6),
)
def test_any_cut_of_the_run_gives_the_same_samples(sizes: list[int], seed: int, cuts: list[int]) -> None:
    mixture = Mixture(sizes, sizes, seed, "images")
    whole, rounds = mixture.take(0, sum(cuts))
    again = Mixture(sizes, sizes, seed, "images")
    starts = np.cumsum([0, *cuts])
    parts = [again.take(int(start), cut) for start, cut in reversed(list(zip(starts, cuts, strict=False)))][::-1]
    assert np.array_equal(np.concatenate([np.empty(0, int), *(items for items, _ in parts)]), whole)
    assert np.array_equal(np.concatenate([np.empty(0, int), *(passes for _, passes in parts)]), rounds)


@given(sizes=st.lists(st.integers(0, 12), min_size=1, max_size=4).filter(lambda sizes: sum(sizes) > 0))
def test_an_epoch_is_every_item_once(sizes: list[int]) -> None:
    mixture = Mixture(sizes, sizes, 0, "images")
    for epoch in range(3):
        items, rounds = mixture.take(epoch * sum(sizes), sum(sizes))
        assert sorted(items) == list(range(sum(sizes)))
        assert set(rounds) == {epoch}


def test_weights_decide_shares_to_one_sample_and_items_do_not_repeat_early() -> None:
    mixture = Mixture([10, 40], [3, 1], 0, "images")
    items, rounds = mixture.take(0, 50)
    assert (items < 10).sum() in (37, 38)
    counts = np.bincount(items[items < 10])
    assert counts.max() - counts.min() <= 1, "the small source goes round evenly"
    assert len(set(items[items >= 10])) == (items >= 10).sum()
    assert set(rounds[items < 10]) == {0, 1, 2, 3}


def test_streams_and_seeds_differ() -> None:
    taken = {tuple(Mixture([50], [1], seed, name).take(0, 50)[0]) for seed in (0, 1) for name in ("a", "b")}
    assert len(taken) == 4
    with pytest.raises(ValueError, match="nothing to sample for texts"):
        Mixture([0, 5], [1, 0], 0, "texts")


@pytest.mark.parametrize("alpha", [0.0, 0.3, 1.0])
def test_language_shares_follow_the_power(alpha: float) -> None:
    counts = [1000, 100, 0, 10]
    weights = language_weights(counts, alpha)
    expected = np.array([1000**alpha, 100**alpha, 0, 10**alpha])
    np.testing.assert_allclose(weights, expected / expected.sum())
    items, _ = Mixture(counts, weights.tolist(), 0, "texts").take(0, sum(counts))
    shares = np.histogram(items, bins=np.cumsum([0, *counts]) - 0.5)[0] / sum(counts)
    np.testing.assert_allclose(shares[[0, 1, 3]], weights[[0, 1, 3]], atol=1e-3)


def test_languages_of_pairs_are_drawn_by_weight_among_the_available() -> None:
    available = np.ones((20_000, 3), bool)
    available[:, 2] = np.arange(20_000) % 2 == 0
    chosen = choose_languages(available, np.array([0.5, 0.3, 0.2]), 0, "language", 0)
    assert available[np.arange(20_000), chosen].all()
    both = np.bincount(chosen[available[:, 2]], minlength=3) / 10_000
    np.testing.assert_allclose(both, [0.5, 0.3, 0.2], atol=0.015)
    assert np.array_equal(chosen, choose_languages(available, np.array([0.5, 0.3, 0.2]), 0, "language", 0))


@given(
    counts=st.lists(st.integers(1, 7), min_size=1, max_size=20),
    step=st.integers(0, 50),
    mix=st.sampled_from(
        [
            TextMix(one=1, several=0, all=0),
            TextMix(one=0, several=1, all=0),
            TextMix(),
            TextMix(one=0, several=0, all=1),
        ]
    ),
)
def test_chosen_sentences_are_distinct_and_in_order(counts: list[int], step: int, mix: TextMix) -> None:
    shown, chosen = choose_sentences(np.array(counts), mix, 0, step)
    assert len(chosen) == shown.sum() and (shown >= 1).all() and (shown <= counts).all()
    for part, count in zip(np.split(chosen, np.cumsum(shown)[:-1]), counts, strict=True):
        assert (np.diff(part) > 0).all() and part.min() >= 0 and part.max() < count
    if mix.one == 1:
        assert set(shown) == {1}
    if mix.all == 1:
        assert list(shown) == counts
    if mix.several == 1:
        assert all(
            number >= min(2, count) and (number < count or count <= 2)
            for number, count in zip(shown, counts, strict=True)
        )


def test_every_sentence_has_the_same_chance() -> None:
    counts = np.full(30_000, 5)
    _, chosen = choose_sentences(counts, TextMix(one=1, several=0, all=0), 0, "x")
    np.testing.assert_allclose(np.bincount(chosen) / 30_000, 0.2, atol=0.01)


def test_mixture_of_text_lengths_follows_the_probabilities() -> None:
    shown, _ = choose_sentences(np.full(30_000, 5), TextMix(one=2, several=1, all=1), 0, "x")
    shares = np.bincount(shown, minlength=6) / 30_000
    np.testing.assert_allclose([shares[1], shares[2:5].sum(), shares[5]], [0.5, 0.25, 0.25], atol=0.01)
    np.testing.assert_allclose(shares[2:5], 0.25 / 3, atol=0.01)


def test_uniforms_look_uniform_and_belong_to_their_item() -> None:
    items = id_hashes([f"image {number}" for number in range(20_000)])
    draws = uniforms(3, items, np.zeros(20_000, np.int64), 5)
    assert draws.min() >= 0 and draws.max() < 1
    np.testing.assert_allclose(np.histogram(draws, bins=10, range=(0, 1))[0] / draws.size, 0.1, atol=0.005)
    correlation = np.corrcoef(draws.T) - np.eye(5)
    assert np.abs(correlation).max() < 0.03
    swapped = uniforms(3, items[::-1], np.zeros(20_000, np.int64), 5)
    assert np.array_equal(swapped[::-1], draws)
    later = uniforms(3, items, np.ones(20_000, np.int64), 5)
    assert abs(np.corrcoef(draws[:, 0], later[:, 0])[0, 1]) < 0.03


def test_generators_are_named_by_their_whole_key() -> None:
    first = generator(1, "a", 2).random()
    assert first == generator(1, "a", 2).random()
    assert (
        len({first, generator(1, "b", 2).random(), generator(1, "a", 3).random(), generator(2, "a", 2).random()}) == 4
    )
