"""Design A by the interpreter: the products x y^T and a b^T as a library writes them, then the elementwise kernels.

Rows are taken in chunks, so that columns are merged with what earlier chunks left.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tests.csrc.ptx.device import Device, groups
from tests.csrc.ptx.global_memory import Buffer, GlobalMemory
from tests.csrc.ptx.numbers import Array
from tests.csrc.ptx.reference import Problem

_FEW_BLOCKS = 3
"""Blocks of the gradient kernel: fewer than its entries need, so that its threads take several in turn."""


def statistics(device: Device, problem: Problem, kind: str, chunk: int) -> tuple[Array, Array]:
    """Rows [5 or 2, N] and columns [5 or 2, M] in precision `kind` (f32 or f64), `chunk` rows at a time."""
    scalar = np.float32 if kind == "f32" else np.float64
    count, columns = (2 if problem.a is None else 5), len(problem.y)
    rows, of_columns = [], np.zeros((count, columns), scalar)
    for start in range(0, len(problem.x), chunk):
        memory = GlobalMemory()
        given = _chunk(memory, problem, scalar, start, chunk)
        out = memory.empty("row statistics", count * given["rows"] * np.dtype(scalar).itemsize)
        arguments = {"out": out, "out_stride": given["rows"], "accumulate": 0}
        grid = (given["rows"], 1)
        device.launch(f"mmclip_chunk_rows_{kind}", "ChunkStatisticsArgs", grid, memory, **given, **arguments)
        rows.append(out.values(scalar, (count, given["rows"])))
        if start == 0:
            out = memory.empty("column statistics", of_columns.nbytes)
        else:
            out = memory.give("column statistics", of_columns, read_only=False)
        arguments = {"out": out, "out_stride": columns, "accumulate": int(start > 0)}
        grid = (-(-columns // 32), 1)
        device.launch(f"mmclip_chunk_columns_{kind}", "ChunkStatisticsArgs", grid, memory, **given, **arguments)
        of_columns = out.values(scalar, (count, columns))
    return np.concatenate(rows, axis=1), of_columns


def gradient(device: Device, problem: Problem, kind: str, row_shift: Array, column_shift: Array) -> Array:
    """G [N, M], in one chunk."""
    scalar = np.float32 if kind == "f32" else np.float64
    memory = GlobalMemory()
    given = _chunk(memory, problem, scalar, 0, len(problem.x))
    shifts = {
        "row_shift": memory.give("row shift", row_shift.astype(scalar)), "row_shift_stride": row_shift.shape[1],
        "column_shift": memory.give("column shift", column_shift.astype(scalar)),
        "column_shift_stride": column_shift.shape[1],
    }  # fmt: skip
    device.launch(f"mmclip_chunk_gradient_{kind}", "ChunkGradientArgs", (_FEW_BLOCKS, 1), memory, **given, **shifts)
    logits: Buffer = given["logits"]
    return logits.values(scalar, (given["rows"], given["columns"]))


def _chunk(memory: GlobalMemory, problem: Problem, scalar: Any, start: int, length: int) -> dict[str, Any]:
    """The arguments of rows `start` to `start + length`."""
    rows = slice(start, start + length)
    logits = (problem.x[rows] @ problem.y.T).astype(scalar)
    given: dict[str, Any] = {
        "logits": memory.give("logits", logits, read_only=False),
        "logit_scale": memory.give("logit scale", np.array([problem.logit_scale], scalar)),
        "label_scale": problem.label_scale, "rows": logits.shape[0], "columns": logits.shape[1],
    }  # fmt: skip
    if problem.a is not None and problem.b is not None:
        a, b = problem.a[rows].astype(np.float64), problem.b.astype(np.float64)
        if problem.cosine:
            a, b = (side / np.maximum(np.linalg.norm(side, axis=1, keepdims=True), 1e-300) for side in (a, b))
        given["targets"] = memory.give("targets", (a @ b.T).astype(scalar))
    excluding = groups(memory, problem)
    if excluding and problem.row_group is not None:
        excluding["row_group"] = memory.give("row groups of the chunk", problem.row_group[rows].astype(np.int64))
    return given | excluding
