"""Which element of a matrix each lane and register holds (PTX ISA, section 9.7.14: ldmatrix and the shapes of mma).

`group` = lane / 4 and `place` = lane % 4, as the ISA calls them. Arrays are indexed [register, half, lane]; a register
of bfloat16 holds two elements, the lower half first.
"""

from __future__ import annotations

import numpy as np

from tests.csrc.ptx.numbers import Array

LANE = np.arange(32)
GROUP, PLACE = LANE // 4, LANE % 4


def operand_a(registers: int) -> tuple[Array, Array]:
    """Row and column of A (16 x 16 in four registers, 16 x 8 in two)."""
    register, half = np.meshgrid(np.arange(registers), np.arange(2), indexing="ij")
    row = GROUP + 8 * (register % 2)[..., None]
    column = 2 * PLACE + (half + 8 * (register // 2))[..., None]
    return row, column


def operand_b(registers: int) -> tuple[Array, Array]:
    """Row and column of B (16 x 8 in two registers, 8 x 8 in one)."""
    register, half = np.meshgrid(np.arange(registers), np.arange(2), indexing="ij")
    row = 2 * PLACE + (half + 8 * register)[..., None]
    return row, np.broadcast_to(GROUP, row.shape)


def accumulator() -> tuple[Array, Array]:
    """Row and column of C and D (16 x 8 floats in four registers): indexed [register, lane]."""
    register = np.arange(4)[:, None]
    return GROUP + 8 * (register // 2), 2 * PLACE + register % 2
