"""One image of a study at a time: a study with three films is drawn as often as one with one film."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from mmclip.data.views import OneView

STUDIES = st.lists(st.sampled_from("abcdef"), min_size=1, max_size=15)


def every(view: OneView) -> np.ndarray:
    return np.arange(len(view))


@settings(deadline=None)
@given(count=st.integers(1, 40), number=st.integers(0, 9), seed=st.integers(0, 9))
def test_items_are_images_where_every_study_has_one(count: int, number: int, seed: int) -> None:
    view = OneView([f"s{place}" for place in range(count)])
    assert len(view) == count and np.array_equal(view.first(), np.arange(count))
    items = np.random.default_rng(seed).integers(0, count, 20)
    assert np.array_equal(view.draw(items, np.full(20, number), seed), items)


@settings(deadline=None)
@given(studies=STUDIES, number=st.integers(0, 99), seed=st.integers(0, 9))
def test_an_item_is_a_study_and_gives_one_of_its_images(studies: list[str], number: int, seed: int) -> None:
    view = OneView(studies)
    named = list(dict.fromkeys(studies))
    assert len(view) == len(named) and view.first().tolist() == [studies.index(name) for name in named]
    drawn = view.draw(every(view), np.full(len(view), number), seed)
    assert [studies[image] for image in drawn] == named


@settings(deadline=None)
@given(studies=STUDIES, number=st.integers(0, 99), seed=st.integers(0, 9))
def test_other_studies_do_not_matter(studies: list[str], number: int, seed: int) -> None:
    """Which image of study a is used depends on the seed, the pass and the study alone."""
    own = [place for place, name in enumerate(studies) if name == "a"]
    if not own:
        return
    whole, alone = OneView(studies), OneView(["a"] * len(own))
    item = list(dict.fromkeys(studies)).index("a")
    drawn = whole.draw(np.array([item]), np.array([number]), seed)[0]
    assert drawn == own[alone.draw(np.array([0]), np.array([number]), seed)[0]]


def test_a_studys_images_are_used_equally_often_and_anew_in_each_pass() -> None:
    view = OneView(["a", "b", "a", "a"])
    passes = np.arange(6000)
    drawn = view.draw(np.zeros(6000, np.int64), passes, 0)
    np.testing.assert_allclose(np.bincount(drawn, minlength=4) / 6000, [1 / 3, 0, 1 / 3, 1 / 3], atol=0.02)
    changes = np.mean(drawn[1:] != drawn[:-1])
    assert abs(changes - 2 / 3) < 0.02, "one pass says nothing about the next"
    assert not np.array_equal(drawn, view.draw(np.zeros(6000, np.int64), passes, 1))


def test_a_study_in_two_data_sets_is_an_item_in_each() -> None:
    view = OneView(["a", "a", "b", "a"], np.array([0, 0, 0, 1]))
    assert len(view) == 3 and view.first().tolist() == [0, 2, 3]
    for number in range(20):
        drawn = view.draw(every(view), np.full(3, number), 0)
        assert drawn[0] in (0, 1) and drawn[1:].tolist() == [2, 3]
