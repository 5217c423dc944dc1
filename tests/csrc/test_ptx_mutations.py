"""Faults put into the kernels: each is compiled and must be caught by the named check, or by wrong numbers.

This shows what the tests of the unchanged kernels are worth. A mutation whose text is no longer in the source fails:
then write it anew for what is there.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.csrc.ptx.compile import SOURCES, compile_file
from tests.csrc.ptx.device import Device
from tests.csrc.ptx.errors import PtxError
from tests.csrc.ptx.program import parse
from tests.csrc.test_ptx_kernels import check_gradient, check_statistics, problem, shifts

pytestmark = pytest.mark.needs("nvcc")


@dataclass(frozen=True)
class Mutation:
    """Replace `old` by `new` in csrc/cuda/`file`; `caught` names what catches it, one of several where they compete.

    With 160 columns there are five pieces, the last of which lies where the epilogues put what the block shares.
    """

    file: str
    old: str
    new: str
    caught: tuple[str, ...]
    plain: bool = True
    logit_scale: float = 14.3
    depth: int = 160


_COUNTS = "row < in.rows && column < in.columns"
_BARRIER = "__syncthreads();  // the piece is there for all"

FAST = {
    "no barrier in the main loop": Mutation(
        "tile.cuh", _BARRIER, "// the piece is there for all", ("InFlightError", "RaceError")
    ),
    "no swizzle": Mutation("tile.cuh", "((chunk ^ (row / 2 % 4)) << 4)", "(chunk << 4)", ("bank conflicts",)),
    "off by one at the last row": Mutation("tile.cuh", _COUNTS, _COUNTS.replace("<", "<=", 1), ("numbers",)),
    "waits for one group too few": Mutation(
        "tile.cuh", "wait_for_copies<kStages - 2>();", "wait_for_copies<kStages - 1>();", ("InFlightError",)
    ),
    "swapped registers of b": Mutation(
        "tile.cuh",
        "multiply_add(sums[i][j], a[i], b[j / 2][j % 2 * 2], b[j / 2][j % 2 * 2 + 1]);",
        "multiply_add(sums[i][j], a[i], b[j / 2][j % 2 * 2 + 1], b[j / 2][j % 2 * 2]);",
        ("numbers",),
    ),
}

SLOW = {
    "swizzle of the loads only": Mutation(
        "tile.cuh",
        "chunk_place(at.warp_row * 64 + lane % 16, 2 * k + lane / 16);",
        "(at.warp_row * 64 + lane % 16) * kDepth * 2 + (2 * k + lane / 16) * 16;",
        ("numbers",),
    ),
    "swapped matrices of a": Mutation(
        "tile.cuh",
        "chunk_place(at.warp_row * 64 + lane % 16, 2 * k + lane / 16);",
        "chunk_place(at.warp_row * 64 + lane % 8 + lane / 16 * 8, 2 * k + lane / 8 % 2);",
        ("numbers",),
    ),
    "copies one row beyond the end": Mutation(
        "tile.cuh",
        "const int64_t row = min(at.row + line + half * 64, in.rows - 1);",
        "const int64_t row = min(at.row + line + half * 64, in.rows);",
        ("OutOfBoundsError",),
    ),
    "overwrites the piece in use": Mutation(
        "tile.cuh", "fetch((s + kStages - 1) % kStages, s", "fetch(s, s", ("InFlightError", "RaceError")
    ),
    "a copy outside every group": Mutation(
        "tile.cuh",
        "if (s < steps) fetch(s, s);\n    commit_copies();",
        "commit_copies();\n    if (s < steps) fetch(s, s);",
        ("InFlightError",),
    ),
    "no barrier before the epilogue": Mutation(
        "gradient.cuh",
        "multiply(in, at, stages, sums);\n  __syncthreads();",
        "multiply(in, at, stages, sums);",
        ("RaceError", "InFlightError"),
    ),
    "no barrier after the shifts": Mutation(
        "gradient.cuh",
        "scratch.factor[side][line] = factor;\n  __syncthreads();",
        "scratch.factor[side][line] = factor;",
        ("RaceError", "UndefinedError"),
    ),
    "no barrier before the partials": Mutation(
        "statistics.cuh",
        "__syncthreads();\n  write_partials",
        "write_partials",
        ("RaceError", "UndefinedError"),
    ),
    "no barrier between the peaks": Mutation(
        "statistics.cuh",
        "find_warp_peaks<labels, masked, 1>(in, at, label_rows, scratch, logits);\n  __syncthreads();",
        "find_warp_peaks<labels, masked, 1>(in, at, label_rows, scratch, logits);",
        ("RaceError", "UndefinedError"),
        logit_scale=100.0,
    ),
    "no barrier in the merge": Mutation(
        "statistics.cuh",
        "shares[share][own] = entry;\n  __syncthreads();\n  if (share > 0 || !inside) return;",
        "shares[share][own] = entry;\n  if (share > 0 || !inside) return;",
        ("RaceError", "UndefinedError"),
    ),
    "a barrier that some threads miss": Mutation(
        "statistics.cuh",
        "shares[share][own] = entry;\n  __syncthreads();\n  if (share > 0 || !inside) return;",
        "shares[share][own] = entry;\n  if (!inside) return;\n  __syncthreads();\n  if (share > 0) return;",
        ("DeadlockError", "DivergenceError"),
    ),
    "a wrong lane in the reduction": Mutation(
        "statistics.cuh",
        "return operation(value, shuffle_xor(value, 2));",
        "return operation(value, shuffle_xor(value, 8));",
        ("numbers",),
    ),
    "one part too many in the merge": Mutation(
        "statistics.cuh", "part < in.parts;", "part <= in.parts;",
        ("OutOfBoundsError", "UndefinedError", "numbers"),
    ),
    "no bound on the columns of G": Mutation(
        "gradient.cuh", "(row >= in.rows || column >= in.columns)", "(row >= in.rows)",
        ("OutOfBoundsError", "RaceError"),
    ),
    "the low parts of the labels left out": Mutation(
        "tile.cuh", "in.label_parts == 1 ? n : 3 * n", "n", ("numbers",), plain=False
    ),
    "labels without a swizzle": Mutation(
        "tile.cuh", "((chunk ^ (row / 4 % 2)) << 4)", "(chunk << 4)", ("bank conflicts",), plain=False
    ),
    "the maximum never used": Mutation(
        "tile.cuh", "return !(logits <= kStaticLimit)", "return false", ("numbers",), logit_scale=100.0, depth=1,
    ),
}  # fmt: skip


def outcome(folder: Path, mutation: Mutation) -> str:
    """The name of the check that stopped the mutated kernels, or "numbers", "bank conflicts" or "nothing"."""
    shutil.copytree(SOURCES, folder / "csrc")
    path = folder / "csrc" / "cuda" / mutation.file
    text = path.read_text()
    assert mutation.old in text, f"the mutation no longer fits {mutation.file}"
    path.write_text(text.replace(mutation.old, mutation.new))
    _keep_entries(folder / "csrc" / "cuda", ("chunk", "_labels") if mutation.plain else ("chunk", "_plain"))
    compiled = compile_file(folder / "csrc" / "cuda" / "kernels.cu", "sm_80", "ptx")
    device = Device(parse(compiled.path.read_text()))
    given = problem(131, 138, mutation.depth, mutation.logit_scale, "none" if mutation.plain else "real")
    row_shift, column_shift = shifts(given, 1), shifts(given, 0)
    try:
        check_statistics(given, *device.statistics(given), exact=False)
        check_gradient(given, device.gradient(given, row_shift, column_shift), row_shift, column_shift, 2.0**-8)
    except PtxError as error:
        return type(error).__name__
    except AssertionError:
        return "numbers"
    conflicts = sum(sum(counts.conflicts.values()) for name, counts in device.counts.items() if "mmclip_p" not in name)
    return "bank conflicts" if conflicts else "nothing"


def _keep_entries(folder: Path, unused: tuple[str, ...]) -> None:
    """Leave out kernels that the test does not run, which take most of the time to compile."""
    lines = (folder / "entries.cuh").read_text().splitlines(keepends=True)
    kept = [line for line in lines if not (line.startswith("MMCLIP_") and any(name in line for name in unused))]
    (folder / "kernels.cu").write_text("#include <cuda_runtime.h>\n" + "".join(kept))


@pytest.mark.parametrize("name", FAST)
def test_a_fault_is_caught(tmp_path: Path, name: str) -> None:
    assert outcome(tmp_path, FAST[name]) in FAST[name].caught


@pytest.mark.slow
@pytest.mark.parametrize("name", SLOW)
def test_another_fault_is_caught(tmp_path: Path, name: str) -> None:
    assert outcome(tmp_path, SLOW[name]) in SLOW[name].caught
