"""Rows and columns that belong together by an id: how many there are, and their sums, without comparing all pairs."""

from __future__ import annotations

import torch
from torch import Tensor


def occurrences(wanted: Tensor, among: Tensor) -> Tensor:
    """How often each id of `wanted` [n] occurs in `among` [m]; the host does not wait."""
    ordered = among.sort().values
    return torch.searchsorted(ordered, wanted, right=True) - torch.searchsorted(ordered, wanted)


def sum_where_equal(values: Tensor, ids: Tensor, wanted: Tensor) -> Tensor:
    """For each id of `wanted` [n], the sum [n, D] of the values [m, D] whose id of `ids` [m] equals it.

    The same bits run to run, and the host does not wait.
    """
    if len(ids) == 0 or len(wanted) == 0:
        return values.new_zeros((len(wanted), values.shape[1]))
    ordered = ids.sort().values
    sums, places = torch.zeros_like(values), torch.searchsorted(ordered, ids)
    if values.is_cuda:
        sums.index_put_((places,), values, accumulate=True)  # sorts first; index_add_ adds in any order there
    else:
        sums.index_add_(0, places, values)
    found = torch.searchsorted(ordered, wanted).clamp(max=len(ids) - 1)
    return torch.where((ordered[found] == wanted)[:, None], sums[found], 0)
