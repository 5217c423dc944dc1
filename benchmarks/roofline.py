"""What the CUDA form of the loss should take on A100 and H100: predicted, not measured.

    python benchmarks/roofline.py [--sizes 1024 4096 16384 32768 65536] [--depth 512] [--json FILE]

A tile kernel's time is that of the unit it keeps busiest, over all tiles, divided by an assumed efficiency. The
units, for each tile of 128 x 128 entries: the tensor cores; the slots in which a scheduler issues instructions; the
unit of exponentials; the shared memory. What a tile asks of them is counted in the machine code
(tests/csrc/resources.json, by tests/csrc/test_sass.py: labels of 0 and 1, at most 16, no maximum, tiles that lie
whole within the batch). The two products of the gradient are cuBLAS's; a chunk of G is written once and read twice.
"products" are the four products alone at the chip's peak; "eager" is the plain PyTorch form, counted as 45 readings
and writings of an N x N float32 matrix and three products.

Sources of the chips' figures: NVIDIA A100 and H100 white papers and data sheets (multiprocessors, boost clock, dense
bfloat16 peak, memory bandwidth); CUDA C++ Programming Guide, table of arithmetic throughput (16 exponentials a cycle
and multiprocessor) and shared memory (32 banks of 4 bytes a cycle); all from memory, like the share of the H100's
peak that the older matrix instruction reaches (0.62, published microbenchmarks of Hopper). The efficiencies are
assumptions.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

RESOURCES = Path(__file__).parents[1] / "tests" / "csrc" / "resources.json"
TILE_KERNELS = (
    "mmclip_gradient_labels",
    "mmclip_gradient_plain",
    "mmclip_statistics_labels",
    "mmclip_statistics_plain",
)
WORDS = "predicted, not measured"

_TILE = 128
_WARPS, _SCHEDULERS = 8, 4
_TURN = 128
"""Columns of x that one turn of the main loop takes."""
_TILE_EFFICIENCY, _LIBRARY_EFFICIENCY = 0.65, 0.8
"""Assumed: of a tile kernel's busiest unit, and of cuBLAS at the tensor cores' peak or the memory's bandwidth."""
_EAGER_PASSES = 45
"""Readings and writings of an N x N float32 matrix by the eager form, forward and backward, counted by operator."""


@dataclass(frozen=True)
class Chip:
    """A GPU by its data sheet. `products`: multiply-adds of bfloat16 a cycle and multiprocessor, dense."""

    name: str
    architecture: str
    processors: int
    gigahertz: float
    products: int
    gigabytes_per_second: float

    @property
    def peak(self) -> float:
        """Multiply-adds a second."""
        return self.processors * self.products * self.gigahertz * 1e9


CHIPS = (
    Chip("A100-40", "sm_80", 108, 1.41, 1024, 1555),
    Chip("A100-80", "sm_80", 108, 1.41, 1024, 2039),
    Chip("H100", "sm_90", 132, 1.83, 2048, 3352),
)

_MATRIX_CYCLES = {"sm_80": 8.0, "sm_90": 4.0 / 0.62}
"""Cycles of a tensor core for one 16 x 8 x 16 product of a warp: 2048 multiply-adds by a quarter of `products`."""
_EXPONENTIAL_CYCLES = 32 / (16 / _SCHEDULERS)
_SHARED_BYTES = 128
"""Bytes of shared memory a cycle."""


@dataclass(frozen=True)
class Kernel:
    """Counts of one thread's instructions: until the main loop, in one turn of it, after it."""

    start: dict[str, int]
    turn: dict[str, int]
    end: dict[str, int]

    @classmethod
    def read(cls, values: dict[str, Any]) -> Kernel:
        return cls(values["start"], values["turn"], values["end"])

    def count(self, name: str, depth: int) -> float:
        """How often a thread executes an instruction, for `depth` columns of x and y."""
        return self.start[name] + self.turn[name] * depth / _TURN + self.end[name]


@dataclass(frozen=True)
class Cycles:
    """Cycles of one multiprocessor's units for one tile."""

    tensor: float
    issue: float
    exponential: float
    shared: float

    @property
    def bound(self) -> float:
        return max(self.tensor, self.issue, self.exponential, self.shared)

    @property
    def bounded_by(self) -> str:
        return max(asdict(self), key=lambda name: getattr(self, name))


def tile_cycles(kernel: Kernel, architecture: str, depth: int) -> Cycles:
    """What one tile asks of each unit. A scheduler issues one instruction a cycle, of two of a block's eight warps."""
    warps = _WARPS / _SCHEDULERS
    # A matrix load of a warp fetches four matrices of 128 bytes; a copy brings 16 bytes a lane; other accesses 4.
    moved = 512 * (kernel.count("LDSM", depth) + kernel.count("LDGSTS", depth))
    moved += 128 * (kernel.start["LDS"] + kernel.end["LDS"] + kernel.count("STS", depth))
    return Cycles(
        tensor=warps * kernel.count("HMMA", depth) * _MATRIX_CYCLES[architecture],
        issue=warps * kernel.count("instructions", depth),
        exponential=warps * kernel.count("MUFU", depth) * _EXPONENTIAL_CYCLES,
        shared=_WARPS * moved / _SHARED_BYTES,
    )


def predict(chip: Chip, resources: dict[str, Any], size: int, depth: int) -> dict[str, Any]:
    """Milliseconds of the loss of `size` pairs with 14 labels of 0 and 1, bfloat16, and what decides them."""
    tiles = math.ceil(size / _TILE) ** 2
    entries = size * size
    kernels = resources[chip.architecture]
    row: dict[str, Any] = {"chip": chip.name, "size": size, "depth": depth, "figures": WORDS}
    for name in ("statistics", "gradient"):
        cycles = tile_cycles(Kernel.read(kernels[f"mmclip_{name}_labels"]), chip.architecture, depth)
        # A block more or less a multiprocessor: the last round of tiles may be partly empty.
        full = tiles >= 64 * chip.processors
        rounds = tiles / chip.processors if full else math.ceil(tiles / (2 * chip.processors)) * 2
        row[f"{name}_ms"] = rounds * cycles.bound / (chip.gigahertz * 1e9) / _TILE_EFFICIENCY * 1e3
        row[f"{name}_bound"] = cycles.bounded_by
        row[f"{name}_cycles"] = {key: round(value) for key, value in asdict(cycles).items()}
    products = 2 * entries * depth / chip.peak / _LIBRARY_EFFICIENCY
    traffic = 6 * entries / (chip.gigabytes_per_second * 1e9) / _LIBRARY_EFFICIENCY
    row["library_ms"] = max(products, traffic) * 1e3
    row["total_ms"] = row["statistics_ms"] + row["gradient_ms"] + row["library_ms"]
    row["products_ms"] = 4 * entries * depth / chip.peak * 1e3
    passes = _EAGER_PASSES * 4 * entries / (chip.gigabytes_per_second * 1e9)
    row["eager_ms"] = (passes + 3 * entries * depth / chip.peak / _LIBRARY_EFFICIENCY) * 1e3
    return row


def table(rows: list[dict[str, Any]]) -> str:
    """The predictions as a table, each line saying what its figures are."""
    lines = [
        "| chip | N | statistics | gradient | cuBLAS | loss, forward and backward | four products at peak | eager | |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        names = ("statistics", "gradient", "library", "total", "products", "eager")
        times = (f"{row[f'{name}_ms']:.2f} ms" for name in names)
        lines.append(f"| {row['chip']} | {row['size']:,} | {' | '.join(times)} | {WORDS} |")
    return "\n".join(lines)


def main(arguments: list[str]) -> int:
    """Print the table of the chips and sizes asked for."""
    parser = argparse.ArgumentParser(description=f"Times of the CUDA loss: {WORDS}.")
    parser.add_argument("--sizes", type=int, nargs="+", default=[1024, 4096, 16384, 32768, 65536])
    parser.add_argument("--depth", type=int, default=512)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args(arguments)
    resources = json.loads(RESOURCES.read_text())
    rows = [predict(chip, resources, size, options.depth) for chip in CHIPS for size in options.sizes]
    print(table(rows))
    if options.json:
        options.json.write_text(json.dumps({"figures": WORDS, "rows": rows}, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
