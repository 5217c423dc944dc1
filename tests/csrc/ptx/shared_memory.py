"""The shared memory of one block: data, races by barrier epoch, bytes that asynchronous copies still write.

Two accesses of one byte by different threads, at least one of them a write, must be ordered: by a barrier of the block
(the epoch counts them), or within a warp by `bar.warp.sync` (a count of each warp). Instructions of a warp are not
ordered merely because the interpreter runs its lanes together.
"""

from __future__ import annotations

import numpy as np

from tests.csrc.ptx.errors import InFlightError, MisalignedError, OutOfBoundsError, RaceError, UndefinedError
from tests.csrc.ptx.numbers import UNSIGNED, Array

_NEVER = -1
_SEVERAL = -2


class _Touch:
    """The last accesses of each byte: by which thread and warp, in which epoch of the block and of the warp."""

    def __init__(self, size: int) -> None:
        self.thread, self.warp, self.epoch, self.turn = (np.full(size, _NEVER, np.int32) for _ in range(4))

    def conflicts(self, spans: Array, threads: Array, epoch: int, turns: Array) -> bool:
        """Whether some of these bytes were accessed by another thread with nothing between."""
        recent = self.epoch[spans] == epoch
        if not recent.any():
            return False
        same_warp = self.warp[spans] == threads // 32
        unordered = ~same_warp | (self.turn[spans] == turns)
        return bool((recent & (self.thread[spans] != threads) & unordered).any())

    def write(self, spans: Array, threads: Array, epoch: int, turns: Array) -> None:
        self.thread[spans], self.warp[spans] = threads, threads // 32
        self.epoch[spans], self.turn[spans] = epoch, turns

    def read(self, spans: Array, threads: Array, epoch: int, turns: Array) -> None:
        """Readers add up within an epoch: two of them count as several."""
        before = self.epoch[spans] == epoch
        for who, now in ((self.thread, threads), (self.warp, threads // 32)):
            others = who[spans]
            who[spans] = np.where(before & (others != now), _SEVERAL, now)
            who[spans[who[spans] != now]] = _SEVERAL
        self.epoch[spans], self.turn[spans] = epoch, turns


class SharedMemory:
    """`size` bytes for `threads` threads. It starts full of NaNs, and reading what nobody wrote is an error."""

    def __init__(self, size: int, threads: int) -> None:
        self.size = size
        padded = np.full(size + -size % 16, 0xFF, np.uint8)
        self.words = {width: padded.view(kind) for width, kind in UNSIGNED.items()}
        self.defined = np.zeros(size, np.bool_)
        self.in_flight = np.zeros(size, np.int16)
        self.writes, self.reads = _Touch(size), _Touch(size)
        self.epoch = 0
        self.turns = np.zeros(threads, np.int32)

    def load(self, addresses: Array, width: int, threads: Array) -> Array:
        """The words of `width` bytes, 1 to 8, as unsigned numbers."""
        self.check_read(addresses, width, threads)
        return np.asarray(self.words[width][addresses // width])

    def check_read(self, addresses: Array, width: int, threads: Array) -> None:
        """Everything that may be wrong with a read of `width` bytes at each address by each thread."""
        spans, who, turns = self._spans(addresses, width, threads)
        if self.in_flight[spans].any():
            raise InFlightError("shared memory: a read of bytes that an asynchronous copy has not been waited for")
        if not self.defined[spans].all():
            raise UndefinedError("shared memory: a read of bytes that nothing has written")
        if self.writes.conflicts(spans, who, self.epoch, turns):
            raise RaceError("shared memory: a read of what another thread wrote, with no barrier between")
        self.reads.read(spans, np.broadcast_to(who, spans.shape), self.epoch, turns)

    def store(self, addresses: Array, values: Array, threads: Array) -> None:
        """Write unsigned numbers of their own width."""
        width = values.dtype.itemsize
        values = np.broadcast_to(values, addresses.shape)
        spans = self.check_write(addresses, width, threads)
        self.words[width][addresses // width] = values
        self.defined[spans] = True
        if (self.words[width][addresses // width] != values).any():
            raise RaceError("shared memory: lanes of one instruction write different values to one address")

    def check_write(self, addresses: Array, width: int, threads: Array) -> Array:
        """Everything that may be wrong with a write; returns the bytes it covers."""
        spans, who, turns = self._spans(addresses, width, threads)
        if self.in_flight[spans].any():
            raise InFlightError("shared memory: a write to bytes that an asynchronous copy may be writing")
        if self.writes.conflicts(spans, who, self.epoch, turns) or self.reads.conflicts(spans, who, self.epoch, turns):
            raise RaceError("shared memory: a write to what another thread reads or writes, with no barrier between")
        self.writes.write(spans, who, self.epoch, turns)
        return spans

    def land(self, addresses: Array, data: Array, threads: Array) -> None:
        """Asynchronous copies end: rows of bytes `data` arrive, as if `threads` wrote them now."""
        spans, who, turns = self._spans(addresses, data.shape[1], threads)
        self.words[1][spans] = data
        self.defined[spans] = True
        self.in_flight[spans] -= 1
        self.writes.write(spans, who, self.epoch, turns)

    def _spans(self, addresses: Array, width: int, threads: Array) -> tuple[Array, Array, Array]:
        if (addresses % width).any():
            raise MisalignedError(f"shared address {int(addresses[(addresses % width) != 0][0])} for {width} bytes")
        if addresses.min() < 0 or addresses.max() + width > self.size:
            raise OutOfBoundsError(f"shared address {int(addresses.max())}: {width} bytes of {self.size}")
        return addresses[:, None] + np.arange(width), threads[:, None], self.turns[threads][:, None]
