"""Run lengths of masks."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from mmclip.tables.runs import decode_runs, encode_runs


def test_known_runs() -> None:
    assert encode_runs(np.array([[0, 0, 1], [1, 1, 0]], dtype=bool)) == [2, 3, 1]
    assert encode_runs(np.ones((2, 2), dtype=bool)) == [0, 4]
    assert encode_runs(np.zeros((2, 2), dtype=bool)) == [4]


@given(arrays(bool, st.tuples(st.integers(1, 12), st.integers(1, 12))))
def test_round_trip(mask: np.ndarray) -> None:
    runs = encode_runs(mask)
    assert all(run > 0 for run in runs[1:])
    assert np.array_equal(decode_runs(runs, mask.shape[1], mask.shape[0]), mask)


def test_runs_of_another_size_are_refused() -> None:
    with pytest.raises(ValueError, match="add up to 4 pixels"):
        decode_runs([4], 3, 3)
