"""Counts and sums by id against the comparison of all pairs."""

from __future__ import annotations

from unittest.mock import patch

import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from mmclip.ops import matching
from mmclip.ops.matching import SumsById, occurrences, sums_of_kinds

IDS = st.lists(st.sampled_from([-(2**63), -1, 0, 3, 2**63 - 1]), max_size=12).map(
    lambda ids: torch.tensor(ids, dtype=torch.int64)
)


@given(IDS, IDS)
def test_occurrences(wanted: Tensor, among: Tensor) -> None:
    assert torch.equal(occurrences(wanted, among), (wanted[:, None] == among).sum(1))


@given(IDS, IDS, st.integers(1, 3), st.integers(1, 4))
def test_sums(ids: Tensor, wanted: Tensor, d: int, block: int) -> None:
    values = torch.arange(len(ids) * d, dtype=torch.float64).view(len(ids), d) - 5
    weights = torch.arange(len(ids), dtype=torch.float64) / 2 - 1
    with patch.object(matching, "BLOCK", block):
        sums = SumsById.of(ids, values, weights).look_up(wanted)
    torch.testing.assert_close(sums, (wanted[:, None] == ids).double() @ (weights[:, None] * values))


@given(st.lists(st.integers(0, 4), max_size=12), st.integers(1, 3), st.integers(1, 4))
def test_sums_of_kinds(kinds: list[int], d: int, block: int) -> None:
    values = torch.arange(len(kinds) * d, dtype=torch.float32).view(len(kinds), d) - 5
    kind = torch.tensor(kinds, dtype=torch.int64)
    with patch.object(matching, "BLOCK", block):
        sums = sums_of_kinds(values, kind, 5, torch.float64)
    torch.testing.assert_close(sums, (torch.arange(5)[:, None] == kind).double() @ values.double())


def test_a_value_that_is_no_number_stays_with_its_id() -> None:
    values = torch.tensor([[float("nan")], [1.0], [2.0]])
    sums = SumsById.of(torch.tensor([7, 8, 8]), values, torch.ones(3)).look_up(torch.tensor([8, 7, 9]))
    assert sums[0] == 3 and sums[1].isnan() and sums[2] == 0
