"""Which lane holds what: mma and ldmatrix against the formulas of the PTX ISA, written out here a second time.

The formulas are those of "Matrix Fragments for mma.m16n8k16 with floating point type" and of "ldmatrix"; here lane by
lane and register by register, in tests/csrc/ptx/fragments.py as arrays.
"""

from __future__ import annotations

import numpy as np
import pytest

from tests.csrc.ptx.errors import DivergenceError
from tests.csrc.ptx.numbers import Array, bfloat16_to_float, float_to_bfloat16
from tests.csrc.ptx.snippet import execute

_MULTIPLY = """mov.b32 %f1, %r7; mov.b32 %f2, %r8; mov.b32 %f3, %r9; mov.b32 %f4, %r10;
mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%f5, %f6, %f7, %f8}, {%r1, %r2, %r3, %r4}, {%r5, %r6},
  {%f1, %f2, %f3, %f4};
mov.b32 %r40, %f5; mov.b32 %r41, %f6; mov.b32 %r42, %f7; mov.b32 %r43, %f8;"""


def place_a(lane: int, i: int) -> tuple[int, int]:
    """Row and column of element a_i, 0 <= i < 8."""
    row = lane >> 2 if 0 <= i < 2 or 4 <= i < 6 else (lane >> 2) + 8
    column = (lane % 4) * 2 + (i & 1) if i < 4 else (lane % 4) * 2 + (i & 1) + 8
    return row, column


def place_b(lane: int, i: int) -> tuple[int, int]:
    """Row and column of element b_i, 0 <= i < 4."""
    return ((lane % 4) * 2 + (i & 1) if i < 2 else (lane % 4) * 2 + (i & 1) + 8), lane >> 2


def place_c(lane: int, i: int) -> tuple[int, int]:
    """Row and column of element c_i, 0 <= i < 4."""
    return (lane >> 2 if i < 2 else (lane >> 2) + 8), (lane % 4) * 2 + (i & 1)


def pack(matrix: Array, place: object, registers: int) -> list[Array]:
    """The registers of a bfloat16 operand: element 2 r in the lower half of register r."""
    words = np.zeros((registers, 32), np.uint32)
    for lane in range(32):
        for i in range(2 * registers):
            bits = int(float_to_bfloat16(np.float32([matrix[place(lane, i)]]))[0])  # type: ignore[operator]
            words[i // 2, lane] |= np.uint32(bits << (16 * (i % 2)))
    return list(words)


def multiply(a: Array, b: Array, c: Array) -> Array:
    """D of one warp's mma, from matrices and to a matrix by the formulas above."""
    sums = np.zeros((4, 32), np.float32)
    for lane in range(32):
        for i in range(4):
            sums[i, lane] = c[place_c(lane, i)]
    out = execute(_MULTIPLY, *pack(a, place_a, 4), *pack(b, place_b, 2), *sums, kept=4).view(np.float32)
    result = np.full((16, 8), np.nan)
    for lane in range(32):
        for i in range(4):
            result[place_c(lane, i)] = out[i, lane]
    return result


def test_a_product_of_small_integers_is_exact() -> None:
    rng = np.random.default_rng(0)
    a, b, c = (rng.integers(-8, 9, shape) for shape in ((16, 16), (16, 8), (16, 8)))
    np.testing.assert_array_equal(multiply(a, b, c), a @ b + c)


@pytest.mark.parametrize(("row", "depth", "column"), [(0, 0, 0), (9, 3, 5), (7, 8, 1), (15, 15, 7), (8, 12, 6)])
def test_one_product_lands_in_one_place(row: int, depth: int, column: int) -> None:
    a, b = np.zeros((16, 16)), np.zeros((16, 8))
    a[row, depth], b[depth, column] = 3, 5
    expected = np.zeros((16, 8))
    expected[row, column] = 15
    np.testing.assert_array_equal(multiply(a, b, np.zeros((16, 8))), expected)


def test_the_registers_worked_out_by_hand() -> None:
    """Lane 5: group 1, place 1. Its first register of A holds A[1, 2], A[1, 3], its second of B B[10, 1], B[11, 1]."""
    a, b = np.arange(256).reshape(16, 16) % 100, np.arange(128).reshape(16, 8) % 100
    halves = [pack(a, place_a, 4)[0][5], pack(b, place_b, 2)[1][5]]
    values = [
        [float(bfloat16_to_float(np.uint32([word >> shift & 0xFFFF]))[0]) for shift in (0, 16)] for word in halves
    ]
    assert values == [[18.0, 19.0], [81.0, 89.0]]


@pytest.mark.parametrize("transposed", [False, True])
def test_matrices_are_loaded_as_the_operands_want_them(transposed: bool) -> None:
    """Matrix m, row r is stored where lane 8 m + r says; lane l gets elements 2 (l % 4) and the next of row l / 4."""
    matrices = np.arange(4 * 8 * 8, dtype=np.uint16).reshape(4, 8, 8)
    words = matrices.reshape(32, 8).view(np.uint32)
    trans = ".trans" if transposed else ""
    body = f"""mul.lo.s32 %r10, %r0, 16; mov.u32 %r11, common; add.s32 %r12, %r11, %r10;
               st.shared.v4.u32 [%r12], {{%r1, %r2, %r3, %r4}};
               bar.sync 0;
               ldmatrix.sync.aligned.m8n8.x4{trans}.shared.b16 {{%r40, %r41, %r42, %r43}}, [%r12];"""
    out = execute(body, *words.T, kept=4, shared=512)
    for matrix in range(4):
        source = matrices[matrix].T if transposed else matrices[matrix]
        for lane in range(32):
            low, high = source[lane // 4, 2 * (lane % 4)], source[lane // 4, 2 * (lane % 4) + 1]
            assert out[matrix, lane] == int(low) | int(high) << 16


def test_a_product_needs_the_whole_warp() -> None:
    with pytest.raises(DivergenceError):
        execute(
            f"setp.eq.u32 %p1, %r0, 7; @%p1 bra $out; {_MULTIPLY} $out: mov.u32 %r40, 0;",
            *np.zeros((10, 32), np.uint32),
        )
