"""Warp-wide instructions: shuffles, votes, ldmatrix and the tensor cores' mma (PTX ISA, 9.7.9.6, 9.7.13.x, 9.7.14)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import numpy as np

from tests.csrc.ptx.errors import DivergenceError
from tests.csrc.ptx.fragments import GROUP, PLACE, accumulator, operand_a, operand_b
from tests.csrc.ptx.numbers import Array, bfloat16_to_float
from tests.csrc.ptx.operands import Execute, Lanes, Operands, Reader
from tests.csrc.ptx.table import operation

if TYPE_CHECKING:
    from tests.csrc.ptx.block import Block


def members(block: Block, lanes: Lanes, mask: Any) -> Array:
    """The active threads in rows of warps.

    Raises:
        DivergenceError: a lane that a mask names is not among them, or one that executes is not named.
    """
    threads = block.thread_numbers[lanes]
    masks = np.broadcast_to(mask, threads.shape).astype(np.uint64)
    active = np.zeros(block.threads // 32 + 1, np.uint64)
    np.bitwise_or.at(active, threads // 32, np.uint64(1) << (threads % 32).astype(np.uint64))
    if (masks != active[threads // 32]).any():
        raise DivergenceError("a warp-wide instruction is executed by other lanes than it names")
    return threads


def whole_warps(block: Block, lanes: Lanes) -> Array:
    """The active threads as [warps, 32].

    Raises:
        DivergenceError: a warp is incomplete.
    """
    return members(block, lanes, 0xFFFFFFFF).reshape(-1, 32)


@operation(r"shfl\.sync\.(bfly|idx|up|down)\.b32")
def _shuffle(match: re.Match[str], operands: Operands) -> Execute:
    target, *valid = operands.text[0].split("|")
    write, writers = operands.writer(target), [operands.writer(name) for name in valid]
    value, second, clamp, mask = (operands.read(index, "u32") for index in range(1, 5))

    def execute(block: Block, lanes: Lanes) -> None:
        threads = members(block, lanes, mask(block, lanes))
        lane, b = threads % 32, np.asarray(second(block, lanes)).astype(np.int64) & 31
        c = np.asarray(clamp(block, lanes)).astype(np.int64)
        segment, bound = (c >> 8) & 31, c & 31
        lowest, highest = lane & segment, (lane & segment) | (bound & ~segment)
        source = {"up": lane - b, "down": lane + b, "bfly": lane ^ b, "idx": lowest | (b & ~segment)}[match[1]]
        inside = source >= highest if match[1] == "up" else source <= highest
        whole = np.zeros(block.threads, np.uint32)
        whole[threads] = value(block, lanes)
        present = np.zeros(block.threads + 32, np.bool_)
        present[threads] = True
        chosen = threads - lane + np.where(inside, source, lane)
        if not present[chosen].all():
            raise DivergenceError("a shuffle reads from a lane that does not take part")
        write(block, lanes, whole[chosen])
        for put in writers:
            put(block, lanes, inside)

    return execute


@operation(r"vote\.sync\.(any|all|uni|ballot)\.(pred|b32)")
def _vote(match: re.Match[str], operands: Operands) -> Execute:
    predicate, mask, write = operands.read(1, "pred"), operands.read(2, "u32"), operands.write()

    def execute(block: Block, lanes: Lanes) -> None:
        threads = members(block, lanes, mask(block, lanes))
        votes = np.broadcast_to(predicate(block, lanes), threads.shape)
        warp = threads // 32
        yes = np.bincount(warp, votes, block.threads // 32)[warp]
        count = np.bincount(warp, minlength=block.threads // 32)[warp]
        if match[1] == "ballot":
            bits = np.where(votes, np.uint32(1) << (threads % 32).astype(np.uint32), np.uint32(0))
            ballots = np.zeros(block.threads // 32 + 1, np.uint32)
            np.bitwise_or.at(ballots, warp, bits)
            write(block, lanes, ballots[warp])
        else:
            write(block, lanes, {"any": yes > 0, "all": yes == count, "uni": (yes == 0) | (yes == count)}[match[1]])

    return execute


@operation(r"redux\.sync\.(add|min|max|and|or|xor)\.(u32|s32|b32)")
def _reduce(match: re.Match[str], operands: Operands) -> Execute:
    function = {"add": np.add, "min": np.minimum, "max": np.maximum, "and": np.bitwise_and, "or": np.bitwise_or}
    value, mask, write = operands.read(1, match[2]), operands.read(2, "u32"), operands.write()

    def execute(block: Block, lanes: Lanes) -> None:
        warp = members(block, lanes, mask(block, lanes)) // 32
        values = np.broadcast_to(value(block, lanes), warp.shape)
        result = np.empty_like(values)
        for number in np.unique(warp):
            result[warp == number] = function[match[1]].reduce(values[warp == number])
        write(block, lanes, result)

    return execute


@operation(r"ldmatrix\.sync\.aligned\.m8n8\.x([124])(\.trans)?\.shared(?:::cta)?\.b16")
def _load_matrix(match: re.Match[str], operands: Operands) -> Execute:
    """Lane 8 m + r holds the address of row r of matrix m; register m of a lane becomes two elements of matrix m."""
    count = int(match[1])
    address, writers = operands.address(1), [operands.writer(name) for name in operands.vector(0)]

    def execute(block: Block, lanes: Lanes) -> None:
        threads = whole_warps(block, lanes)[:, : 8 * count]
        at = address(block, lanes).astype(np.int64).reshape(-1, 32)[:, : 8 * count]
        block.count_conflicts(at.reshape(-1).astype(np.uint64), 16, threads.reshape(-1))
        block.shared.check_read(at.reshape(-1), 16, threads.reshape(-1))
        elements = block.shared.words[2][at[..., None] // 2 + np.arange(8)].reshape(-1, count, 8, 8)
        if match[2]:
            elements = elements.swapaxes(2, 3)
        for number, write in enumerate(writers):
            low, high = (elements[:, number, GROUP, 2 * PLACE + half].astype(np.uint32) for half in (0, 1))
            write(block, lanes, (low | (high << np.uint32(16))).reshape(-1))

    return execute


@operation(r"mma\.sync\.aligned\.m16n8k(16|8)\.row\.col\.f32\.bf16\.bf16\.f32")
def _multiply(match: re.Match[str], operands: Operands) -> Execute:
    """D = A B + C of every warp: bfloat16 products, summed in float32."""
    depth = int(match[1])
    place_a, place_b, place_c = operand_a(depth // 4), operand_b(depth // 8), accumulator()
    readers = [
        [operands.reader(name, kind) for name in operands.vector(index)]
        for index, kind in ((1, "b32"), (2, "b32"), (3, "f32"))
    ]
    if [len(each) for each in readers] != [depth // 4, depth // 8, 4]:
        raise operands.unknown("a fragment has another number of registers")
    writers = [operands.writer(name) for name in operands.vector(0)]

    def matrix(block: Block, lanes: Lanes, parts: list[Reader], place: tuple[Array, Array], shape: Any) -> Array:
        registers = [np.broadcast_to(read(block, lanes), shape[0] * 32).reshape(-1, 32) for read in parts]
        values = np.stack(registers, axis=1)
        if values.dtype == np.uint32:
            halves = np.stack([values & np.uint32(0xFFFF), values >> np.uint32(16)], axis=2)
            values = bfloat16_to_float(halves)
        result = np.empty(shape, np.float32)
        result[:, place[0], place[1]] = values
        return result

    def execute(block: Block, lanes: Lanes) -> None:
        warps = len(whole_warps(block, lanes))
        a = matrix(block, lanes, readers[0], place_a, (warps, 16, depth))
        b = matrix(block, lanes, readers[1], place_b, (warps, depth, 8))
        c = matrix(block, lanes, readers[2], place_c, (warps, 16, 8))
        result = (c + a @ b)[:, place_c[0], place_c[1]]
        for register, write in enumerate(writers):
            write(block, lanes, np.ascontiguousarray(result[:, register]).reshape(-1))

    return execute


@operation(r"bar\.warp\.sync")
def _synchronise_warp(match: re.Match[str], operands: Operands) -> Execute:
    mask = operands.read(0, "u32")

    def execute(block: Block, lanes: Lanes) -> None:
        threads = members(block, lanes, mask(block, lanes))
        block.shared.turns[threads] += 1

    return execute


@operation(r"activemask\.b32")
def _active(match: re.Match[str], operands: Operands) -> Execute:
    write = operands.write()

    def execute(block: Block, lanes: Lanes) -> None:
        threads = block.thread_numbers[lanes]
        masks = np.zeros(block.threads // 32 + 1, np.uint32)
        np.bitwise_or.at(masks, threads // 32, np.uint32(1) << (threads % 32).astype(np.uint32))
        write(block, lanes, masks[threads // 32])

    return execute
