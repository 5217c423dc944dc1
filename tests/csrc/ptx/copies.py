"""Asynchronous copies of one block: issued, grouped by thread, and landed only when a thread waits for them.

Until then the bytes count as in flight, so that a kernel which does not wait is found whenever the copy might land.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tests.csrc.ptx.global_memory import GlobalMemory
from tests.csrc.ptx.numbers import Array
from tests.csrc.ptx.shared_memory import SharedMemory


@dataclass
class _Issued:
    """Copies of one instruction: rows of bytes to `target`, by `thread`, in that thread's group number `group`."""

    target: Array
    data: Array
    thread: Array
    group: Array


class Copies:
    """The copies of a block of `threads` threads from `memory` to `shared`. `actors` names its threads there."""

    def __init__(self, memory: GlobalMemory, shared: SharedMemory, actors: Array) -> None:
        self.memory, self.shared, self.actors = memory, shared, actors
        self.group = np.zeros(actors.size, np.int64)
        self.pending: list[_Issued] = []

    def issue(self, target: Array, source: Array, size: int, taken: Array, threads: Array) -> None:
        """Start copies of `size` bytes of which the first `taken` come from `source`, the others are zeros."""
        spans = self.shared.check_write(target, size, threads)
        self.shared.in_flight[spans] += 1
        data = np.zeros((target.size, size), np.uint8)
        for count in np.unique(taken[taken > 0]):
            rows = np.flatnonzero(taken == count)
            who = self.actors[threads[rows]]
            data[rows, :count] = self.memory.load_bytes(source[rows], int(count), who, self.shared.epoch)
        self.pending.append(_Issued(target, data, threads, self.group[threads]))

    def commit(self, threads: Array) -> None:
        """All that these threads issued since their last commit becomes a group."""
        self.group[threads] += 1

    def wait(self, threads: Array, remaining: int) -> None:
        """Land the copies of these threads except those of their `remaining` last groups (and what has no group)."""
        landed = np.zeros(self.group.size, np.int64)
        landed[threads] = np.maximum(self.group[threads] - remaining, 0)
        still = []
        for issued in self.pending:
            now = issued.group < landed[issued.thread]
            if now.any():
                self.shared.land(issued.target[now], issued.data[now], issued.thread[now])
            if not now.all():
                kept = ~now
                still.append(_Issued(issued.target[kept], issued.data[kept], issued.thread[kept], issued.group[kept]))
        self.pending = still
