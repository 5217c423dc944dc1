"""Counts and sums by id against the comparison of all pairs."""

from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from mmclip.ops.matching import occurrences, sum_where_equal

IDS = st.lists(st.sampled_from([-(2**63), -1, 0, 3, 2**63 - 1]), max_size=12).map(
    lambda ids: torch.tensor(ids, dtype=torch.int64)
)


@given(IDS, IDS)
def test_occurrences(wanted: Tensor, among: Tensor) -> None:
    assert torch.equal(occurrences(wanted, among), (wanted[:, None] == among).sum(1))


@given(IDS, IDS, st.integers(1, 3))
def test_sums(ids: Tensor, wanted: Tensor, d: int) -> None:
    values = torch.arange(len(ids) * d, dtype=torch.float64).view(len(ids), d) - 5
    assert torch.equal(sum_where_equal(values, ids, wanted), (wanted[:, None] == ids).double() @ values)


def test_a_value_that_is_no_number_stays_with_its_id() -> None:
    values = torch.tensor([[float("nan")], [1.0], [2.0]])
    sums = sum_where_equal(values, torch.tensor([7, 8, 8]), torch.tensor([8, 7, 9]))
    assert sums[0] == 3 and sums[1].isnan() and sums[2] == 0
