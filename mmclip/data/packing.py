"""Short texts behind each other in one row, so that no row is mostly padding (the text streams of XLM)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from mmclip.data.ragged import Ints


@dataclass(frozen=True)
class Rows:
    """Which texts each row holds, in their order.

    Attributes:
        texts: [M] numbers of the texts, row after row.
        counts: [R] texts of each row.
    """

    texts: Ints
    counts: Ints

    def of(self, rows: Sequence[int] | Ints) -> Rows:
        """Some of the rows."""
        ends = np.cumsum(self.counts)
        parts = [self.texts[ends[row] - self.counts[row] : ends[row]] for row in rows]
        return Rows(np.concatenate(parts) if parts else self.texts[:0], self.counts[np.asarray(rows, np.int64)])


def one_each(texts: int) -> Rows:
    """Every text in a row of its own."""
    return Rows(np.arange(texts), np.ones(texts, np.int64))


def fill_rows(lengths: Ints, groups: Ints, limit: int) -> Rows:
    """Put texts into as few rows as first-fit decreasing finds, a group's texts in rows of their own.

    Args:
        lengths: [M] tokens of each text, none above `limit`.
        groups: [M]; texts of different groups share no row.
        limit: tokens that a row may hold.
    """
    rows: list[list[int]] = []
    free: list[int] = []
    for group in np.unique(groups):
        first = len(rows)
        members = np.flatnonzero(groups == group)
        for text in members[np.argsort(-lengths[members], kind="stable")].tolist():
            length = int(lengths[text])
            row = next((number for number in range(first, len(rows)) if free[number] >= length), len(rows))
            if row == len(rows):
                rows.append([])
                free.append(limit)
            rows[row].append(text)
            free[row] -= length
    return Rows(
        np.array([text for row in rows for text in row], np.int64), np.array([len(row) for row in rows], np.int64)
    )


def put_together(values: Tensor, mask: Tensor, rows: Rows, padding: int) -> Tensor:
    """Rows of ids (or of anything that goes with them), each the values of its texts without their padding.

    Args:
        values: int64 [M, W].
        mask: [M, W], 1 where a text has a token.
        padding: what fills a row's end.

    Returns:
        [R, W'], W' the length of the longest row.
    """
    pieces = [values[text, : int(length)] for text, length in zip(rows.texts, mask.sum(dim=1)[rows.texts], strict=True)]
    ends = np.cumsum(rows.counts)
    joined = [torch.cat(pieces[end - count : end]) for end, count in zip(ends, rows.counts, strict=True)]
    width = max((len(row) for row in joined), default=0)
    out = values.new_full((len(joined), width), padding)
    for number, row in enumerate(joined):
        out[number, : len(row)] = row
    return out
