"""The two device operators by the compiled kernels, executed by the interpreter.

It stands for the host side, csrc/cuda/host.cpp, which another test executes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from tests.csrc.ptx.arguments import constants, structures
from tests.csrc.ptx.block import Counts
from tests.csrc.ptx.compile import SOURCES
from tests.csrc.ptx.global_memory import Buffer, GlobalMemory
from tests.csrc.ptx.launch import launch
from tests.csrc.ptx.numbers import Array, bfloat16_to_float, float_to_bfloat16
from tests.csrc.ptx.program import Kernel
from tests.csrc.ptx.reference import Problem

THREADS = 256
TILE = 128
_LABEL_STEP = 16
_FEW_BLOCKS = 2
"""Blocks of the kernels whose threads take entries in turn: fewer than the entries need, so that they do."""


@dataclass
class Device:
    """Kernels of one architecture. `counts` keeps what the last launch of each kernel executed."""

    kernels: Mapping[str, Kernel]
    header: Path = SOURCES / "cuda" / "launch.h"
    counts: dict[str, Counts] = field(default_factory=dict)

    def statistics(self, problem: Problem, chunk: int = 1 << 22) -> tuple[Array, Array]:
        """Rows [5 or 2, N] and columns [5 or 2, M] by design B, from x and y in bfloat16, `chunk` rows at a time."""
        memory = GlobalMemory()
        tile = self._tile(memory, problem)
        kind, count = ("plain", 2) if problem.a is None else ("labels", 5)
        out = {side: memory.empty(f"{side} statistics", 4 * count * tile[f"{side}s"]) for side in ("row", "column")}
        for start in range(0, len(problem.x), chunk):
            part = _rows_from(tile, start, chunk)
            tiles = _tiles(part)
            partials = [memory.empty("partials", 4 * count * tiles[0] * tiles[1] * TILE) for _ in range(2)]
            given = part | {"row_partials": partials[0], "column_partials": partials[1]}
            self.launch(f"mmclip_statistics_{kind}", "StatisticsArgs", tiles, memory, self.shared_bytes(tile), **given)
            for side, of_side, parts in zip(out, partials, reversed(tiles), strict=True):
                merging = {"partials": of_side, "parts": parts, "lines": part[f"{side}s"], "statistics": count}
                merging |= {"partial_stride": -(-part[f"{side}s"] // TILE) * TILE, "out_stride": tile[f"{side}s"]}
                merging |= {"out": out[side].base + (4 * start if side == "row" else 0)}
                merging |= {"accumulate": int(side == "column" and start > 0)}
                self.launch("mmclip_merge", "MergeArgs", (-(-part[f"{side}s"] // 32), 1), memory, **merging)
        rows, columns = (out[side].values(np.float32, (count, tile[f"{side}s"])) for side in out)
        return rows, columns

    def gradient(self, problem: Problem, row_shift: Array, column_shift: Array) -> Array:
        """G [N, M] as the float32 values of its bfloat16 numbers."""
        memory = GlobalMemory()
        tile = self._tile(memory, problem)
        kind = "labels" if problem.a is not None else "plain"
        stride = tile["columns"] + tile["columns"] % 2
        gradient = memory.empty("gradient", 2 * tile["rows"] * stride)
        arguments = {
            "row_shift": memory.give("row shift", row_shift.astype(np.float32)), "row_shift_stride": tile["rows"],
            "column_shift": memory.give("column shift", column_shift.astype(np.float32)),
            "column_shift_stride": tile["columns"], "gradient": gradient, "gradient_stride": stride,
        }  # fmt: skip
        shared = self.shared_bytes(tile)
        self.launch(f"mmclip_gradient_{kind}", "GradientArgs", _tiles(tile), memory, shared, **tile, **arguments)
        written = gradient.words[2].reshape(-1)[: tile["rows"] * stride].reshape(-1, stride)[:, : tile["columns"]]
        return bfloat16_to_float(written)

    def launch(
        self,
        name: str,
        struct: str,
        grid: tuple[int, int],
        memory: GlobalMemory,
        shared: int = 0,
        only: tuple[int, int] | None = None,
        /,
        **given: Any,
    ) -> None:
        """Execute one kernel, or `only` one of its blocks; a buffer among the arguments becomes its address.

        Raises:
            PtxError: a check found something.
        """
        arguments = structures(self.header.read_text(), "double" if name.endswith("f64") else "float")[struct]()
        for key, value in given.items():
            if not hasattr(arguments, key):
                raise KeyError(f"{struct} has no field {key}")
            setattr(arguments, key, value.base if isinstance(value, Buffer) else value)
        blocks = None if only is None else [(*only, 0)]
        kernel, block = self.kernels[name], (THREADS, 1, 1)
        self.counts[name] = launch(kernel, (*grid, 1), block, bytes(arguments), memory, shared, blocks)

    def _tile(self, memory: GlobalMemory, problem: Problem) -> dict[str, Any]:
        """The arguments that both tile kernels share."""
        rows, depth = problem.x.shape
        columns = len(problem.y)
        steps, parts = _label_shape(problem)
        bounds = memory.give("bounds", np.zeros(4, np.uint32), read_only=False)
        tile: dict[str, Any] = {
            "logit_scale": memory.give("logit scale", np.array([problem.logit_scale], np.float32)), "bounds": bounds,
            "label_scale": problem.label_scale, "cosine": int(problem.cosine), "rows": rows, "columns": columns,
            "label_steps": steps, "label_parts": parts, "depth": depth + -depth % 32,
        }  # fmt: skip
        tile |= self._side(memory, "row", "x", problem.x, problem.a, tile, 0)
        tile |= self._side(memory, "column", "y", problem.y, problem.b, tile, 8)
        return tile | groups(memory, problem)

    def _side(
        self, memory: GlobalMemory, side: str, name: str, values: Array, labels: Array | None, tile: Any, offset: int
    ) -> dict[str, Any]:
        """One side's values padded, its labels prepared, its share of the bounds."""
        lines = len(values)
        padded = np.zeros((lines, tile["depth"]), np.float32)
        padded[:, : values.shape[1]] = values
        given = memory.give(name, float_to_bfloat16(padded))
        steps, parts = tile["label_steps"], tile["label_parts"]
        out = memory.empty(f"{side} labels", max(2 * lines * parts * steps * _LABEL_STEP, 2))
        factor = memory.empty(f"{side} factor", 4 * lines)
        arguments = {
            "x": given, "out": out, "factor": factor, "bounds": tile["bounds"].base + offset, "rows": lines,
            "depth": tile["depth"], "label_steps": steps, "label_parts": parts, "cosine": tile["cosine"],
            "label_type": 0,
        }  # fmt: skip
        if labels is not None:
            exact = labels.dtype == np.uint8
            arguments |= {"label_count": labels.shape[1], "label_type": 1 if exact else 2}
            arguments["labels"] = memory.give(f"{side} raw labels", labels if exact else labels.astype(np.float32))
        self.launch("mmclip_prepare", "PrepareArgs", (_FEW_BLOCKS, 1), memory, **arguments)
        return {name: given, f"{side}_labels": out, f"{side}_label_factor": factor}

    def shared_bytes(self, tile: dict[str, Any]) -> int:
        """shared_bytes() of launch.h."""
        known = constants(self.header.read_text())
        stage = 2 * known["kTile"] * known["kDepth"] * 2
        labels = 2 * tile["label_parts"] * tile["label_steps"] * known["kTile"] * known["kLabelStep"] * 2
        return int(known["kStages"] * stage + labels)


def groups(memory: GlobalMemory, problem: Problem) -> dict[str, Any]:
    """The arguments that leave pairs out; none where nothing is excluded."""
    if problem.row_group is None or problem.column_group is None or problem.excluded is None:
        return {}
    return {
        "row_group": memory.give("row groups", problem.row_group.astype(np.int64)),
        "column_group": memory.give("column groups", problem.column_group.astype(np.int64)),
        "excluded": memory.give("excluded", problem.excluded.astype(np.uint8)),
        "groups": len(problem.excluded),
    }


def _label_shape(problem: Problem) -> tuple[int, int]:
    """Steps of 16 labels, and parts: one of 0/1 labels, two of real ones."""
    if problem.a is None:
        return 0, 0
    return -(-problem.a.shape[1] // _LABEL_STEP), 1 if problem.a.dtype == np.uint8 else 2


def _tiles(tile: dict[str, Any]) -> tuple[int, int]:
    """Rows and columns of tiles."""
    return -(-tile["rows"] // TILE), -(-tile["columns"] // TILE)


def _rows_from(tile: dict[str, Any], start: int, count: int) -> dict[str, Any]:
    """The arguments of `count` rows from `start` on."""
    width = tile["label_parts"] * tile["label_steps"] * _LABEL_STEP
    bytes_of_row = {"x": 2 * tile["depth"], "row_labels": 2 * width, "row_label_factor": 4, "row_group": 8}
    moved = {name: tile[name].base + size * start for name, size in bytes_of_row.items() if name in tile}
    return tile | moved | {"rows": min(count, tile["rows"] - start)}
