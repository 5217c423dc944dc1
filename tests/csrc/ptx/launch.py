"""Launch a kernel: decode it once, then execute block after block."""

from __future__ import annotations

import itertools
from weakref import WeakKeyDictionary

from tests.csrc.ptx import access, control, floats, integers, warps
from tests.csrc.ptx.block import Block, Counts, Shape
from tests.csrc.ptx.errors import OutOfBoundsError
from tests.csrc.ptx.global_memory import GlobalMemory
from tests.csrc.ptx.operands import Execute
from tests.csrc.ptx.program import Kernel
from tests.csrc.ptx.table import decode

INSTRUCTIONS = (integers, floats, access, warps, control)
"""The modules that fill the table."""

_PROGRAMS: WeakKeyDictionary[Kernel, list[Execute]] = WeakKeyDictionary()


def launch(
    kernel: Kernel,
    grid: Shape,
    block: Shape,
    parameters: bytes,
    memory: GlobalMemory,
    dynamic_shared: int = 0,
    blocks: list[Shape] | None = None,
) -> Counts:
    """Execute `kernel` on a grid of blocks; `parameters` are the bytes of its arguments.

    Args:
        kernel: what to execute.
        grid: blocks along x, y and z.
        block: threads along x, y and z.
        parameters: the arguments as the kernel's parameter space holds them.
        memory: the buffers that the arguments point to.
        dynamic_shared: bytes of shared memory beyond the kernel's own variables.
        blocks: execute these only (for grids of which a few blocks tell all).

    Raises:
        OutOfBoundsError: the arguments have another size than the kernel's parameters.
        PtxError: a check found something.
    """
    if len(parameters) != kernel.parameter_bytes:
        raise OutOfBoundsError(f"{kernel.name}: {len(parameters)} bytes of arguments for {kernel.parameter_bytes}")
    if kernel not in _PROGRAMS:
        _PROGRAMS[kernel] = [decode(kernel, instruction) for instruction in kernel.instructions]
    memory.launch(block[0] * block[1] * block[2])
    counts = Counts()
    shared = kernel.shared_bytes + dynamic_shared
    if blocks is None:
        blocks = [(x, y, z) for z, y, x in itertools.product(range(grid[2]), range(grid[1]), range(grid[0]))]
    for index in blocks:
        Block(kernel, _PROGRAMS[kernel], memory, parameters, grid, block, index, shared, counts).run()
    return counts
