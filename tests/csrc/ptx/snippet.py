"""A few lines of PTX as a kernel of one block, for tests of single instructions and of the checks."""

from __future__ import annotations

import numpy as np

from tests.csrc.ptx.block import Counts
from tests.csrc.ptx.global_memory import GlobalMemory
from tests.csrc.ptx.launch import launch
from tests.csrc.ptx.numbers import Array
from tests.csrc.ptx.program import Kernel, parse

FIRST_OUT = 40
"""Results are what %r40 and the registers after it hold at the end."""

_TEXT = """
.version 9.0
.target sm_80
.address_size 64
.visible .entry snippet(.param .u64 given, .param .u64 kept)
{{
  .reg .pred %p<20>; .reg .b16 %rs<20>; .reg .b32 %r<60>; .reg .f32 %f<20>; .reg .b64 %rd<20>; .reg .f64 %fd<20>;
  .shared .align 16 .b8 common[{shared}];
  ld.param.u64 %rd0, [given];
  ld.param.u64 %rd1, [kept];
  mov.u32 %r0, %tid.x;
  mul.wide.u32 %rd2, %r0, 4;
  add.s64 %rd3, %rd0, %rd2;
{loads}
{body}
  add.s64 %rd4, %rd1, %rd2;
{stores}
  ret;
}}
"""


def snippet(body: str, given: int = 0, kept: int = 0, shared: int = 16, threads: int = 32) -> Kernel:
    """A kernel in which %r0 is the thread, %r1 on the `given` numbers, `common` the shared memory, %rd0 the input."""
    loads = "\n".join(f"  ld.global.u32 %r{i + 1}, [%rd3+{4 * threads * i}];" for i in range(given))
    stores = "\n".join(f"  st.global.u32 [%rd4+{4 * threads * i}], %r{FIRST_OUT + i};" for i in range(kept))
    return parse(_TEXT.format(shared=shared, loads=loads, body=body, stores=stores))["snippet"]


def execute(body: str, *given: Array, kept: int = 1, shared: int = 16, threads: int = 32) -> Array:
    """What the threads leave in %r40 and on, as uint32 [kept, threads]; `given` are arrays of 4-byte numbers."""
    return execute_counted(body, *given, kept=kept, shared=shared, threads=threads)[0]


def execute_counted(
    body: str, *given: Array, kept: int = 1, shared: int = 16, threads: int = 32
) -> tuple[Array, Counts]:
    """The same, and what was executed."""
    memory = GlobalMemory()
    words = [np.broadcast_to(np.asarray(each), threads).copy().view(np.uint32) for each in given]
    source = memory.give("given", np.stack(words) if words else np.zeros(1, np.uint32))
    out = memory.empty("kept", 4 * threads * max(kept, 1))
    kernel = snippet(body, len(given), kept, shared, threads)
    parameters = source.base.to_bytes(8, "little") + out.base.to_bytes(8, "little")
    counts = launch(kernel, (1, 1, 1), (threads, 1, 1), parameters, memory)
    return out.values(np.uint32, (kept, threads)) if kept else np.zeros((0, threads), np.uint32), counts
