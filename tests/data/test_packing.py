"""Texts behind each other in one row."""

from __future__ import annotations

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from mmclip.data.packing import fill_rows, one_each, put_together

LIMIT = 12
texts = st.lists(st.tuples(st.integers(1, LIMIT), st.integers(0, 3)), min_size=1, max_size=30)


@given(texts)
def test_every_text_is_in_one_row_of_its_group_and_no_row_is_too_long(drawn: list[tuple[int, int]]) -> None:
    lengths, groups = (np.array(column) for column in zip(*drawn, strict=True))
    rows = fill_rows(lengths, groups, LIMIT)
    assert sorted(rows.texts.tolist()) == list(range(len(drawn))) and (rows.counts > 0).all()
    filled = []
    for part in np.split(rows.texts, np.cumsum(rows.counts)[:-1]):
        assert len(set(groups[part])) == 1 and lengths[part].sum() <= LIMIT
        filled.append((groups[part[0]], lengths[part].sum()))
    for group in set(groups.tolist()):
        totals = [total for own, total in filled if own == group]
        assert sum(total <= LIMIT // 2 for total in totals) <= 1, "two rows that are half empty would have been one"


def test_rows_hold_the_tokens_without_padding() -> None:
    ids = torch.tensor([[5, 6, 0], [7, 0, 0], [8, 9, 4]])
    mask = (ids > 0).long()
    rows = fill_rows(np.array([2, 1, 3]), np.array([0, 0, 1]), 4)
    assert put_together(ids, mask, rows, 0).tolist() == [[5, 6, 7], [8, 9, 4]]
    assert put_together(ids, mask, one_each(3), 0).tolist() == ids.tolist()
    assert put_together(ids, mask, one_each(3).of([1, 0]), 0).tolist() == [[7, 0], [5, 6]]
    assert put_together(ids, mask, one_each(3).of([]), 0).shape == (0, 0)
