"""Loads, stores and atomics (PTX ISA, section 9.7.9), and the asynchronous copies to shared memory (9.7.9.25)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import numpy as np

from tests.csrc.ptx.errors import MisalignedError
from tests.csrc.ptx.numbers import TYPES, UNSIGNED, Array
from tests.csrc.ptx.operands import Execute, Lanes, Operands
from tests.csrc.ptx.table import operation

if TYPE_CHECKING:
    from tests.csrc.ptx.block import Block

_KIND = r"([usb](?:8|16|32|64)|f32|f64)"
_CACHE = (
    r"(?:\.(?:relaxed|gpu|volatile|nc|ca|cg|cs|lu|cv|wb|wt|L1::no_allocate|L1::evict_last|L1::evict_first"
    r"|L2::128B|L2::256B))*"
)


@operation(rf"ld\.param(\.v[24])?\.{_KIND}")
def _load_parameter(match: re.Match[str], operands: Operands) -> Execute:
    kind = TYPES[match[2]]
    address = operands.address(1)
    writers = [operands.writer(name) for name in operands.vector(0)]

    def execute(block: Block, lanes: Lanes) -> None:
        start = address(block, lanes).astype(np.int64)
        for index, write in enumerate(writers):
            spans = start[:, None] + (np.arange(kind.itemsize) + index * kind.itemsize)
            write(block, lanes, block.parameters[spans].view(kind)[:, 0])

    return execute


@operation(rf"ld{_CACHE}(?:\.(global|shared))?(?:::cta)?{_CACHE}(?:\.v[24])?\.{_KIND}")
def _load(match: re.Match[str], operands: Operands) -> Execute:
    kind, space = TYPES[match[2]], match[1]
    address = operands.address(1)
    writers = [operands.writer(name) for name in operands.vector(0)]

    def execute(block: Block, lanes: Lanes) -> None:
        first = address(block, lanes)
        _check_alignment(first, kind.itemsize * len(writers))
        shared = is_shared(space, first)
        if shared:
            block.count_conflicts(first, kind.itemsize * len(writers), lanes)
        for index, write in enumerate(writers):
            at = first + np.uint64(index * kind.itemsize)
            if shared:
                value = block.shared.load(at.astype(np.int64), kind.itemsize, block.thread_numbers[lanes])
            else:
                value = block.memory.load(at, kind.itemsize, block.actors[lanes], block.shared.epoch)
            write(block, lanes, value.view(kind))

    return execute


@operation(rf"st{_CACHE}(?:\.(global|shared))?(?:::cta)?{_CACHE}(?:\.v[24])?\.{_KIND}")
def _store(match: re.Match[str], operands: Operands) -> Execute:
    kind, space = TYPES[match[2]], match[1]
    unsigned = UNSIGNED[kind.itemsize]
    address = operands.address(0)
    readers = [operands.reader(name, match[2]) for name in operands.vector(1)]

    def execute(block: Block, lanes: Lanes) -> None:
        first = address(block, lanes)
        _check_alignment(first, kind.itemsize * len(readers))
        shared = is_shared(space, first)
        if shared:
            block.count_conflicts(first, kind.itemsize * len(readers), lanes)
        for index, read in enumerate(readers):
            at = first + np.uint64(index * kind.itemsize)
            values = np.asarray(read(block, lanes)).view(unsigned)
            if shared:
                block.shared.store(at.astype(np.int64), values, block.thread_numbers[lanes])
            else:
                block.memory.store(at, values, block.actors[lanes], block.shared.epoch)

    return execute


@operation(
    r"(atom|red)(?:\.relaxed)?(?:\.gpu)?\.global(?:\.gpu)?\.(add|min|max|inc|exch)(?:\.noftz)?\.(u32|s32|b32|u64|f32|f64)"
)
def _atomic(match: re.Match[str], operands: Operands) -> Execute:
    """The lanes one after the other, in their order."""
    returns = match[1] == "atom"
    kind = TYPES[match[3]]
    address, operand = operands.address(int(returns)), operands.read(1 + returns, match[3])
    write = operands.write() if returns else None

    def combine(old: Any, value: Any) -> Any:
        if match[2] == "inc":
            return kind.type(0) if old >= value else old + kind.type(1)
        return {"add": old + value, "min": min(old, value), "max": max(old, value), "exch": value}[match[2]]

    def execute(block: Block, lanes: Lanes) -> None:
        addresses = address(block, lanes)
        words, indices = block.memory.view(addresses, kind.itemsize)
        values, memory = np.broadcast_to(operand(block, lanes), addresses.shape), words.view(kind)
        before = np.empty(addresses.size, kind)
        for lane, index in enumerate(indices):
            before[lane] = memory[index]
            memory[index] = combine(memory[index], values[lane])
        if write is not None:
            write(block, lanes, before)

    return execute


@operation(r"cp\.async\.(ca|cg)\.shared(?:::cta)?\.global(?:\.L2::(?:64|128|256)B)?")
def _copy(match: re.Match[str], operands: Operands) -> Execute:
    """Size in bytes, and how many of them come from memory: the others become zeros."""
    size = int(operands.text[2], 0)
    if size not in ((16,) if match[1] == "cg" else (4, 8, 16)):
        raise operands.unknown(f"a copy of {size} bytes")
    target, source = operands.address(0), operands.address(1)
    given = operands.read(3, "u32") if len(operands.text) > 3 else None

    def execute(block: Block, lanes: Lanes) -> None:
        to = target(block, lanes).astype(np.int64)
        come = source(block, lanes)
        _check_alignment(come, size)
        taken = np.broadcast_to(size if given is None else given(block, lanes), to.shape).astype(np.int64)
        block.count_conflicts(to.astype(np.uint64), size, lanes)
        block.copies.issue(to, come, size, taken, block.thread_numbers[lanes])

    return execute


@operation(r"cp\.async\.(commit_group|wait_group|wait_all)")
def _group(match: re.Match[str], operands: Operands) -> Execute:
    if match[1] == "commit_group":
        return lambda block, lanes: block.copies.commit(block.thread_numbers[lanes])
    remaining = int(operands.text[0]) if match[1] == "wait_group" else 0

    def execute(block: Block, lanes: Lanes) -> None:
        if match[1] == "wait_all":
            block.copies.commit(block.thread_numbers[lanes])
        block.copies.wait(block.thread_numbers[lanes], remaining)

    return execute


def is_shared(space: str | None, addresses: Array) -> bool:
    """A generic access is to the shared memory where its addresses are below all of the global memory's."""
    return space == "shared" or (space is None and int(addresses[0]) < 1 << 32)


def _check_alignment(addresses: Array, width: int) -> None:
    if (addresses % np.uint64(width)).any():
        raise MisalignedError(f"address {int(addresses[0]):#x} for {width} bytes")
