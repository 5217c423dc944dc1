"""A text's soft labels from its sentences'."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from mmclip.data.targets import combine_vectors
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
