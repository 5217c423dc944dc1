"""Entries beyond 2**31: one block at the far end of arrays of which only that end exists.

A pointer to the start of such an array lies far before the buffer, so an index cut to 32 bits lands in no buffer.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.csrc.ptx.compile import kernels
from tests.csrc.ptx.device import TILE, Device
from tests.csrc.ptx.global_memory import GlobalMemory
from tests.csrc.ptx.numbers import Array, bfloat16_to_float, float_to_bfloat16
from tests.csrc.test_ptx_kernels import unit_vectors

pytestmark = pytest.mark.needs("nvcc")
_ROWS, _COLUMNS, _DEPTH = 1 << 20, 100, 2080
_SCALE = 14.0


def _sides(memory: GlobalMemory) -> tuple[Array, Array, dict[str, Any]]:
    """The last tile of x, all of y, and the arguments of a tile kernel."""
    rng = np.random.default_rng(1)
    x, y = unit_vectors(rng, TILE, _DEPTH), unit_vectors(rng, _COLUMNS, _DEPTH)
    end = memory.give("end of x", float_to_bfloat16(x.astype(np.float32)))
    assert _ROWS * _DEPTH > 1 << 31
    given = {
        "x": end.base - 2 * (_ROWS - TILE) * _DEPTH,
        "y": memory.give("y", float_to_bfloat16(y.astype(np.float32))),
        "logit_scale": memory.give("logit scale", np.array([_SCALE], np.float32)),
        "bounds": memory.give("bounds", np.full(4, 1.01, np.float32)),
        "rows": _ROWS, "columns": _COLUMNS, "depth": _DEPTH,
    }  # fmt: skip
    return x, y, given


def test_statistics_of_the_last_of_a_million_rows() -> None:
    memory, device = GlobalMemory(), Device(kernels("sm_80"))
    x, y, given = _sides(memory)
    tiles = (_ROWS // TILE, 1)
    partials = {side: memory.empty(f"{side} partials", 4 * 2 * _ROWS) for side in ("row", "column")}
    given |= {f"{side}_partials": buffer for side, buffer in partials.items()}
    shared = device.shared_bytes({"label_parts": 0, "label_steps": 0})
    last = (tiles[0] - 1, 0)
    device.launch("mmclip_statistics_plain", "StatisticsArgs", tiles, memory, shared, last, **given)
    sums = partials["row"].bytes.view(np.float32).reshape(2, _ROWS)[1, -TILE:]
    expected = np.exp(_SCALE * (x @ y.T))
    np.testing.assert_allclose(sums, expected.sum(1), rtol=1e-5)
    sums = partials["column"].bytes.view(np.float32).reshape(2, tiles[0], TILE)[1, -1, :_COLUMNS]
    np.testing.assert_allclose(sums, expected.sum(0), rtol=1e-5)


def test_gradient_beyond_two_to_the_31() -> None:
    """G of rows so long that the last of them lie 2**31 entries from the first; groups whose table is as large."""
    memory, device = GlobalMemory(), Device(kernels("sm_80"))
    x, y, given = _sides(memory)
    stride, groups = 1 << 12, 1 << 20
    out = memory.empty("end of G", 2 * TILE * stride)
    relation = memory.give("end of excluded", np.zeros(groups, np.uint8))
    row_shift, column_shift = np.full(TILE, 20, np.float32), np.full(_COLUMNS, 18, np.float32)
    given |= {
        "gradient": out.base - 2 * (_ROWS - TILE) * stride, "gradient_stride": stride,
        "row_shift": memory.give("row shift", row_shift).base - 4 * (_ROWS - TILE),
        "column_shift": memory.give("column shift", column_shift),
        "row_group": memory.give("row groups", np.full(TILE, groups - 1)).base - 8 * (_ROWS - TILE),
        "column_group": memory.give("column groups", np.arange(_COLUMNS, dtype=np.int64)),
        "excluded": relation.base - groups * (groups - 1), "groups": groups,
    }  # fmt: skip
    shared = device.shared_bytes({"label_parts": 0, "label_steps": 0})
    tiles = (_ROWS // TILE, 1)
    device.launch("mmclip_gradient_plain", "GradientArgs", tiles, memory, shared, (tiles[0] - 1, 0), **given)
    got = bfloat16_to_float(out.words[2].reshape(TILE, stride)[:, :_COLUMNS])
    logits = _SCALE * (x @ y.T)
    np.testing.assert_allclose(got, np.exp(logits - 20) + np.exp(logits - 18), rtol=2.0**-8 + 1e-4)


@pytest.mark.parametrize("kind", ["f32", "f64"])
def test_rows_of_a_chunk_beyond_two_to_the_31(kind: str) -> None:
    memory, device = GlobalMemory(), Device(kernels("sm_80"))
    rows, columns = 1 << 25, 96
    scalar = np.float32 if kind == "f32" else np.float64
    size = np.dtype(scalar).itemsize
    logits = np.random.default_rng(2).standard_normal(columns).astype(scalar)
    out = memory.empty("end of the statistics", 2 * size)
    given = {
        "logits": memory.give("end of the logits", logits).base - size * (rows - 1) * columns,
        "logit_scale": memory.give("logit scale", np.array([1.0], scalar)),
        "rows": rows, "columns": columns, "out": out.base - size * (rows - 1), "out_stride": 1,
    }  # fmt: skip
    device.launch(f"mmclip_chunk_rows_{kind}", "ChunkStatisticsArgs", (rows, 1), memory, 0, (rows - 1, 0), **given)
    peak, total = out.values(scalar, (2,))
    np.testing.assert_allclose(peak + np.log(total), np.log(np.exp(logits.astype(np.float64)).sum()), rtol=1e-6)
