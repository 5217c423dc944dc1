"""A text's soft labels from its sentences'."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from mmclip.data.ragged import combine_segments
from mmclip.data.targets import WIDTHS, combine_vectors, make_exclusive
from mmclip.observations import NO_FINDING, OBSERVATIONS

_NORMAL = OBSERVATIONS.index(NO_FINDING)


def test_known_answer() -> None:
    vectors = np.zeros((2, 14), np.float32)
    vectors[0, _NORMAL], vectors[1, 6], vectors[0, 6] = 1, 0.25, 0.5
    expected = np.zeros(14, np.float32)
    expected[6] = 0.5
    assert np.array_equal(combine_vectors(vectors), expected)


def test_no_sentence_no_label() -> None:
    assert not combine_vectors(np.zeros((0, 14), np.float32)).any()


@given(arrays(np.float32, st.tuples(st.integers(1, 6), st.just(14)), elements=st.floats(0, 1, width=32)), st.randoms())
def test_order_and_repetition_do_not_matter(vectors: np.ndarray, random: object) -> None:  # type: ignore[type-arg]
    rows = [*range(len(vectors)), 0]
    random.shuffle(rows)  # type: ignore[attr-defined]
    assert np.array_equal(combine_vectors(vectors[rows]), combine_vectors(vectors))
    brute = [max(column) if k != _NORMAL else min(column) for k, column in enumerate(vectors.T.tolist())]
    assert combine_vectors(vectors).tolist() == brute


def slots(present: float = 0, absent: float = 0, uncertain: float = 0) -> np.ndarray:  # type: ignore[type-arg]
    """A one-hot vector that says something of Consolidation only."""
    vector = np.zeros((3, 14), np.float32)
    vector[:, 6] = present, absent, uncertain
    return vector.ravel()


@pytest.mark.parametrize(
    ("sentences", "expected"),
    [
        ([slots(absent=1), slots(present=1)], slots(present=1)),
        ([slots(uncertain=1), slots(present=1), slots(absent=1)], slots(present=1)),
        ([slots(absent=1), slots(uncertain=1)], slots(uncertain=1)),
        ([slots(present=0.25, absent=0.75), slots(absent=1)], slots(present=0.25, absent=0.75)),
        ([slots(present=0.25, absent=0.75), slots()], slots(present=0.25, absent=0.75)),
        ([slots(), slots()], slots()),
    ],
)
def test_known_answers_of_one_hot_slots(sentences: list[np.ndarray], expected: np.ndarray) -> None:  # type: ignore[type-arg]
    assert np.array_equal(combine_vectors(np.stack(sentences)), expected)
    assert np.array_equal(combine_vectors(np.stack(sentences[::-1])), expected)


def test_no_finding_of_one_hot_slots_needs_every_sentence() -> None:
    vectors = np.zeros((2, 42), np.float32)
    vectors[0, _NORMAL] = 1
    assert combine_vectors(vectors)[_NORMAL] == 0
    assert combine_vectors(vectors[:1])[_NORMAL] == 1


@given(arrays(np.float32, st.tuples(st.integers(1, 6), st.just(42)), elements=st.floats(0, 1, width=32)))
def test_slots_of_an_observation_share_one(vectors: np.ndarray) -> None:  # type: ignore[type-arg]
    (combined,) = combine_segments(vectors, np.array([len(vectors)]))
    assert np.array_equal(combined, combine_vectors(vectors))
    assert combined.shape == (WIDTHS[1],)
    assert (combined >= 0).all() and (combined.reshape(3, 14).sum(axis=0) <= 1 + 1e-6).all()
    assert np.array_equal(combined[1:14], vectors[:, 1:14].max(axis=0))
    assert np.array_equal(make_exclusive(combined), combined)
