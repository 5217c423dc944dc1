"""One block (CTA) of threads: all of them advance together as lanes of NumPy arrays.

Where they diverge, those at the smallest instruction number go first, so that they meet again where the branches of an
`if` end. Which order a chip would choose is not modelled: the checks of races do not depend on it.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

import numpy as np

from tests.csrc.ptx import banks
from tests.csrc.ptx.copies import Copies
from tests.csrc.ptx.errors import DeadlockError, DivergenceError, PtxError
from tests.csrc.ptx.global_memory import GlobalMemory
from tests.csrc.ptx.numbers import Array
from tests.csrc.ptx.operands import Execute, Lanes
from tests.csrc.ptx.program import Kernel
from tests.csrc.ptx.shared_memory import SharedMemory

Shape = tuple[int, int, int]
ALL = slice(None)
_STEPS = 2_000_000
"""A loop without an end is given up after so many instructions of one block."""


@dataclass
class Counts:
    """What was executed: instructions of warps by opcode, and bank conflicts by instruction number."""

    instructions: Counter[str] = field(default_factory=Counter)
    conflicts: Counter[int] = field(default_factory=Counter)


class Block:
    """The state of a block and its execution: registers by name, program counters, shared memory, copies."""

    def __init__(
        self,
        kernel: Kernel,
        program: list[Execute],
        memory: GlobalMemory,
        parameters: bytes,
        grid: Shape,
        shape: Shape,
        index: Shape,
        shared_bytes: int,
        counts: Counts,
    ) -> None:
        self.kernel, self.program, self.memory = kernel, program, memory
        self.parameters = np.frombuffer(parameters, np.uint8)
        self.grid, self.shape, self.index, self.counts = grid, shape, index, counts
        self.threads = shape[0] * shape[1] * shape[2]
        self.thread_numbers = np.arange(self.threads)
        x, y = self.thread_numbers % shape[0], self.thread_numbers // shape[0]
        self.thread_index = (x, y % shape[1], y // shape[1])
        number = index[0] + grid[0] * (index[1] + grid[1] * index[2])
        self.actors = number * self.threads + self.thread_numbers + 1
        self.registers: dict[str, Array] = {}
        self.shared = SharedMemory(shared_bytes, self.threads)
        self.copies = Copies(memory, self.shared, self.actors)
        self.together: int | None = 0
        self.next = np.zeros(self.threads, np.int64)
        self.waiting = np.zeros(self.threads, np.bool_)
        self.at = 0

    def run(self) -> None:
        """Execute to the end of every thread.

        Raises:
            PtxError: a check found something; the message starts with kernel, block and instruction.
        """
        try:
            with np.errstate(all="ignore"):
                for _ in range(_STEPS):
                    if not self._step():
                        return
            raise DeadlockError("a loop has no end")
        except PtxError as error:
            where = self.kernel.instructions[self.at]
            raise type(error)(f"{self.kernel.name}, block {self.index}, {where}: {error}") from error

    def count(self, lanes: Lanes) -> int:
        """How many threads `lanes` are."""
        return self.threads if isinstance(lanes, slice) else lanes.size

    def jump(self, lanes: Lanes, target: int) -> None:
        """These threads go on at `target`."""
        if isinstance(lanes, slice):
            self.together = target
            return
        if self.together is not None:
            self.next[:], self.together = self.together, None
        self.next[lanes] = target

    def arrive(self, lanes: Lanes) -> None:
        """These threads wait for the others at the block's barrier."""
        if isinstance(lanes, slice):
            self.shared.epoch += 1
            return
        if self.together is not None:
            self.next[:], self.together = self.together, None
        self.waiting[lanes] = True

    def count_conflicts(self, addresses: Array, width: int, lanes: Lanes) -> None:
        """Note the bank conflicts of the instruction that executes now."""
        threads = self.thread_numbers[lanes]
        extra = banks.conflicts(addresses.astype(np.int64), width, threads)
        if extra:
            self.counts.conflicts[self.at] += extra

    def _step(self) -> bool:
        """One instruction of some or all threads; False when all have ended."""
        end = len(self.program)
        if self.together is not None:
            if self.together >= end:
                return False
            self.at = self.together
            lanes: Lanes = ALL
            self.together += 1
        else:
            ready = (self.next < end) & ~self.waiting
            if not ready.any():
                return self._release(end)
            self.at = int(self.next[ready].min())
            lanes = np.flatnonzero(ready & (self.next == self.at))
            if self.count(lanes) == self.threads:
                self.together, lanes = self.at + 1, ALL
            else:
                self.next[lanes] = self.at + 1
        instruction = self.kernel.instructions[self.at]
        if instruction.predicate is not None:
            lanes = self._guarded(instruction.predicate, instruction.negated, lanes)
            if self.count(lanes) == 0:
                return True
        warps = self.threads // 32 if isinstance(lanes, slice) else int(np.count_nonzero(np.diff(lanes // 32))) + 1
        self.counts.instructions[instruction.opcode] += warps
        self.program[self.at](self, lanes)
        return True

    def _guarded(self, predicate: str, negated: bool, lanes: Lanes) -> Lanes:
        chosen = self.registers[predicate][lanes] != negated
        if chosen.all():
            return lanes
        return np.asarray(self.thread_numbers[lanes][chosen])

    def _release(self, end: int) -> bool:
        """No thread can go on: all wait, so that the barrier opens, or all have ended."""
        if not self.waiting.any():
            return False
        if not self.waiting.all():
            raise DeadlockError(f"{int(self.waiting.sum())} threads wait at a barrier, the others have ended")
        warps = self.next[: self.threads // 32 * 32].reshape(-1, 32)
        if (warps != warps[:, :1]).any():
            raise DivergenceError("lanes of one warp wait at different barriers")
        self.waiting[:] = False
        self.shared.epoch += 1
        return True
