"""Global memory as buffers far apart, so that a wrong address lies in none of them; bounds, alignment and races.

Addresses have 64 bits and lie above 2**32, so that an address or an offset cut to 32 bits is found too.
"""

from __future__ import annotations

import bisect
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tests.csrc.ptx.errors import MisalignedError, OutOfBoundsError, RaceError, UndefinedError
from tests.csrc.ptx.numbers import UNSIGNED, Array

_FIRST = 0x7F00_0000_0000
_APART = 1 << 36
_NOBODY = 0
_SEVERAL = -1


class Buffer:
    """One allocation. `read_only` marks inputs; `defined` says which bytes hold something (None: all)."""

    def __init__(self, name: str, base: int, data: NDArray[np.uint8], read_only: bool, defined: bool) -> None:
        self.name, self.base, self.size, self.read_only = name, base, data.size, read_only
        padded = np.full(data.size + -data.size % 16, 0xFF, np.uint8)
        padded[: data.size] = data
        self.words = {width: padded.view(kind) for width, kind in UNSIGNED.items()}
        self.bytes = self.words[1]
        self.defined = None if defined else np.zeros(data.size, np.bool_)
        self.forget()

    def forget(self) -> None:
        """A new launch: what earlier ones did is ordered before it. Zeros, since memory full of them costs nothing."""
        if not self.read_only:
            self.writer, self.reader, self.reader_block = (np.zeros(self.size, np.int64) for _ in range(3))
            self.write_epoch, self.read_epoch = (np.zeros(self.size, np.int32) for _ in range(2))

    def values(self, kind: Any, shape: tuple[int, ...]) -> Array:
        """What the buffer holds now, as a copy.

        Raises:
            UndefinedError: some of it was never written.
        """
        if self.defined is not None and not self.defined.all():
            raise UndefinedError(f"{self.name}: byte {int(np.argmin(self.defined))} of {self.size} was never written")
        return np.array(self.bytes[: self.size].view(kind).reshape(shape))


class GlobalMemory:
    """The buffers of a test. An `actor` names a thread of the launch: block * threads of a block + thread + 1."""

    def __init__(self) -> None:
        self.buffers: list[Buffer] = []
        self._bases: list[int] = []
        self.threads = 1

    def give(self, name: str, values: Array, read_only: bool = True) -> Buffer:
        """A buffer that holds `values`."""
        return self._add(name, np.ascontiguousarray(values).view(np.uint8).reshape(-1), read_only, defined=True)

    def empty(self, name: str, size: int) -> Buffer:
        """A buffer of `size` bytes that nothing has written yet; it holds NaNs."""
        return self._add(name, np.full(size, 0xFF, np.uint8), read_only=False, defined=False)

    def _add(self, name: str, data: NDArray[np.uint8], read_only: bool, defined: bool) -> Buffer:
        buffer = Buffer(name, _FIRST + _APART * len(self.buffers), data, read_only, defined)
        self.buffers.append(buffer)
        self._bases.append(buffer.base)
        return buffer

    def launch(self, threads: int) -> None:
        """A kernel with blocks of `threads` threads starts; all that ran before has ended."""
        self.threads = threads
        for buffer in self.buffers:
            buffer.forget()

    def load(self, addresses: Array, width: int, actors: Array, epoch: int) -> Array:
        """The words of `width` bytes, 1 to 8, at `addresses` as unsigned numbers."""
        _check_alignment(addresses, width)
        return np.asarray(self.load_bytes(addresses, width, actors, epoch).view(UNSIGNED[width])[:, 0])

    def load_bytes(self, addresses: Array, width: int, actors: Array, epoch: int) -> Array:
        """Rows of `width` bytes, of any width and alignment."""
        result = np.empty((addresses.size, width), np.uint8)
        for buffer, chosen, offsets in self._split(addresses, width):
            spans = offsets[:, None] + np.arange(width)
            if buffer.defined is not None and not buffer.defined[spans].all():
                raise UndefinedError(f"{buffer.name}: a read of bytes that nothing has written")
            if not buffer.read_only:
                self._check_read(buffer, spans, actors[chosen][:, None], epoch)
            result[chosen] = buffer.bytes[spans]
        return result

    def store(self, addresses: Array, values: Array, actors: Array, epoch: int) -> None:
        """Write unsigned numbers of their own width to `addresses`."""
        width = values.dtype.itemsize
        _check_alignment(addresses, width)
        values = np.broadcast_to(values, addresses.shape)
        for buffer, chosen, offsets in self._split(addresses, width):
            if buffer.read_only:
                raise OutOfBoundsError(f"{buffer.name}: a write to an input")
            self._check_write(buffer, offsets[:, None] + np.arange(width), actors[chosen][:, None], epoch)
            buffer.words[width][offsets // width] = values[chosen]
            if (buffer.words[width][offsets // width] != values[chosen]).any():
                raise RaceError(f"{buffer.name}: lanes of one instruction write different values to one address")

    def view(self, addresses: Array, width: int) -> tuple[Array, Array]:
        """For atomics: the words of the one buffer that holds all of `addresses`, and their indices in it."""
        _check_alignment(addresses, width)
        parts = list(self._split(addresses, width))
        if len(parts) != 1 or parts[0][0].read_only:
            raise OutOfBoundsError("an atomic on several buffers or on an input")
        buffer, _, offsets = parts[0]
        if buffer.defined is not None and not buffer.defined[offsets].all():
            raise UndefinedError(f"{buffer.name}: an atomic on bytes that nothing has written")
        return buffer.words[width], offsets // width

    def _split(self, addresses: Array, width: int) -> list[tuple[Buffer, Any, Array]]:
        """Each buffer touched, which of the addresses touch it, and their offsets in it."""
        first = self._buffer(int(addresses.min()), width)
        if int(addresses.max()) + width <= first.base + first.size:
            return [(first, slice(None), (addresses - np.uint64(first.base)).astype(np.int64))]
        owners = np.searchsorted(np.array(self._bases, np.uint64), addresses, side="right") - 1
        parts = []
        for owner in np.unique(owners):
            chosen = np.flatnonzero(owners == owner)
            part = addresses[chosen]
            buffer = self._buffer(int(part.min()), width)
            self._buffer(int(part.max()), width)
            parts.append((buffer, chosen, (part - np.uint64(buffer.base)).astype(np.int64)))
        return parts

    def _buffer(self, address: int, width: int) -> Buffer:
        index = bisect.bisect_right(self._bases, address) - 1
        if index < 0:
            raise OutOfBoundsError(f"global address {address:#x}: below every buffer")
        buffer = self.buffers[index]
        if address + width > buffer.base + buffer.size:
            offset = address - buffer.base
            raise OutOfBoundsError(f"{buffer.name}: {width} bytes at offset {offset} of a buffer of {buffer.size}")
        return buffer

    def _block(self, actors: Array) -> Array:
        """The number of an actor's block, from 1 on; 0 of nobody."""
        return (actors + self.threads - 1) // self.threads

    def _check_read(self, buffer: Buffer, spans: Array, actors: Array, epoch: int) -> None:
        self._after_writes(buffer, spans, actors, epoch, "read")
        block = self._block(actors)
        before = buffer.reader_block[spans]
        buffer.reader_block[spans] = np.where((before == _NOBODY) | (before == block), block, _SEVERAL)
        shared = (before == block) & (buffer.read_epoch[spans] == epoch) & (buffer.reader[spans] != actors)
        buffer.reader[spans] = np.where(shared, _SEVERAL, actors)
        buffer.reader[spans[buffer.reader[spans] != actors]] = _SEVERAL
        buffer.read_epoch[spans] = epoch

    def _check_write(self, buffer: Buffer, spans: Array, actors: Array, epoch: int) -> None:
        self._after_writes(buffer, spans, actors, epoch, "write")
        block = buffer.reader_block[spans]
        unordered = (buffer.read_epoch[spans] == epoch) & (buffer.reader[spans] != actors)
        if ((block != _NOBODY) & ((block != self._block(actors)) | unordered)).any():
            raise RaceError(f"{buffer.name}: a write to what another thread reads")
        buffer.writer[spans] = actors
        buffer.write_epoch[spans] = epoch
        if buffer.defined is not None:
            buffer.defined[spans] = True

    def _after_writes(self, buffer: Buffer, spans: Array, actors: Array, epoch: int, what: str) -> None:
        """A write is ordered before an access of its own thread, and of its own block after a barrier."""
        writer = buffer.writer[spans]
        elsewhere = self._block(writer) != self._block(actors)
        unordered = (writer != actors) & (elsewhere | (buffer.write_epoch[spans] == epoch))
        if ((writer != _NOBODY) & unordered).any():
            raise RaceError(f"{buffer.name}: a {what} of what another thread writes")


def _check_alignment(addresses: Array, width: int) -> None:
    if (addresses % np.uint64(width)).any():
        raise MisalignedError(f"global address {int(addresses[0]):#x} for {width} bytes")
