"""Integer, logic and bit instructions (PTX ISA, sections 9.7.1 and 9.7.8), moves and selections."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np

from tests.csrc.ptx.numbers import TYPES, UNSIGNED, Array
from tests.csrc.ptx.operands import Execute, Operands
from tests.csrc.ptx.table import operation

BINARY: dict[str, Callable[[Any, Any], Any]] = {
    "add": np.add, "sub": np.subtract, "mul": np.multiply, "min": np.minimum, "max": np.maximum,
    "and": np.bitwise_and, "or": np.bitwise_or, "xor": np.bitwise_xor,
}  # fmt: skip


def elementwise(operands: Operands, function: Callable[..., Any], *kinds: str) -> Execute:
    """Operand 0 becomes `function` of the following operands, read as `kinds`."""
    readers = [operands.read(index + 1, kind) for index, kind in enumerate(kinds)]
    write = operands.write()
    return lambda block, lanes: write(block, lanes, function(*[read(block, lanes) for read in readers]))


@operation(r"(add|sub|min|max)\.([us](?:16|32|64))")
def _binary(match: re.Match[str], operands: Operands) -> Execute:
    return elementwise(operands, BINARY[match[1]], match[2], match[2])


@operation(r"(and|or|xor)\.(b16|b32|b64|pred)")
def _logic(match: re.Match[str], operands: Operands) -> Execute:
    return elementwise(operands, BINARY[match[1]], match[2], match[2])


@operation(r"not\.(b16|b32|b64|pred)")
def _not(match: re.Match[str], operands: Operands) -> Execute:
    return elementwise(operands, np.invert, match[1])


@operation(r"(neg|abs)\.(s16|s32|s64)")
def _sign(match: re.Match[str], operands: Operands) -> Execute:
    return elementwise(operands, np.negative if match[1] == "neg" else np.abs, match[2])


def product(low: str, width: str) -> Callable[[Any, Any], Any]:
    """The product of two numbers of type `low`: its lower or upper half, or all of it in twice the width."""
    kind = TYPES[low]
    if width == "lo":
        return np.multiply
    bits = kind.itemsize * 8
    if width == "wide":
        double = np.dtype(f"{kind.kind}{kind.itemsize * 2}")
        return lambda a, b: np.asarray(a).astype(double) * np.asarray(b).astype(double)
    exact = np.frompyfunc(lambda a, b: (int(a) * int(b)) >> bits, 2, 1)
    return lambda a, b: np.asarray(exact(a, b)).astype(kind)


@operation(r"(mul|mad)\.(lo|hi|wide)\.([us](?:16|32|64))")
def _multiply(match: re.Match[str], operands: Operands) -> Execute:
    times, kind = product(match[3], match[2]), match[3]
    if match[1] == "mul":
        return elementwise(operands, times, kind, kind)
    third = f"{kind[0]}{2 * int(kind[1:])}" if match[2] == "wide" else kind
    return elementwise(operands, lambda a, b, c: times(a, b) + c, kind, kind, third)


@operation(r"(div|rem)\.([us](?:16|32|64))")
def _divide(match: re.Match[str], operands: Operands) -> Execute:
    """Towards zero, as in C; nothing is promised for a divisor of 0."""

    def function(a: Any, b: Any) -> Array:
        a, b = np.broadcast_arrays(a, b)
        remainder = np.fmod(a, b)
        return np.asarray(remainder if match[1] == "rem" else (a - remainder) // np.where(b == 0, b.dtype.type(1), b))

    return elementwise(operands, function, match[2], match[2])


@operation(r"(shl|shr)\.([usb](?:16|32|64))")
def _shift(match: re.Match[str], operands: Operands) -> Execute:
    """A shift by the width or more leaves zeros, or signs."""
    kind = TYPES[match[2]]
    last = kind.itemsize * 8 - 1

    def function(value: Any, amount: Any) -> Any:
        over = amount > last
        amount = np.minimum(amount, last).astype(kind)
        if match[1] == "shr":
            shifted = np.right_shift(value, amount)
            return shifted if kind.kind == "i" else np.where(over, kind.type(0), shifted)
        return np.where(over, kind.type(0), np.left_shift(value, amount))

    return elementwise(operands, function, match[2], "u32")


@operation(r"shf\.(l|r)\.(wrap|clamp)\.b32")
def _funnel_shift(match: re.Match[str], operands: Operands) -> Execute:
    def function(low: Any, high: Any, amount: Any) -> Array:
        shift = (amount & np.uint32(31) if match[2] == "wrap" else np.minimum(amount, 32)).astype(np.uint64)
        both = (np.asarray(high).astype(np.uint64) << np.uint64(32)) | low
        whole = both >> shift if match[1] == "r" else (both << shift) >> np.uint64(32)
        return np.asarray((whole & np.uint64(0xFFFFFFFF)).astype(np.uint32))

    return elementwise(operands, function, "b32", "b32", "u32")


@operation(r"bfi\.b32")
def _insert_bits(match: re.Match[str], operands: Operands) -> Execute:
    def function(value: Any, into: Any, position: Any, length: Any) -> Array:
        value, into, position, length = (np.asarray(part).astype(np.uint64) for part in (value, into, position, length))
        mask = ((np.uint64(1) << length) - np.uint64(1)) << position
        merged = (into & ~mask) | ((value << position) & mask)
        return np.asarray((merged & np.uint64(0xFFFFFFFF)).astype(np.uint32))

    return elementwise(operands, function, "b32", "b32", "u32", "u32")


@operation(r"bfe\.u32")
def _extract_bits(match: re.Match[str], operands: Operands) -> Execute:
    def function(value: Any, position: Any, length: Any) -> Array:
        value, position, length = (np.asarray(part).astype(np.uint64) for part in (value, position, length))
        mask = (np.uint64(1) << length) - np.uint64(1)
        return np.asarray(((value >> position) & mask).astype(np.uint32))

    return elementwise(operands, function, "u32", "u32", "u32")


@operation(r"prmt\.b32")
def _permute(match: re.Match[str], operands: Operands) -> Execute:
    """Each of the four nibbles of the selector picks one of eight bytes; its top bit spreads that byte's sign."""

    def function(low: Any, high: Any, selector: Any) -> Array:
        both = (np.asarray(high).astype(np.uint64) << np.uint64(32)) | low
        result = np.zeros(np.broadcast(both, selector).shape, np.uint32)
        for place in range(4):
            nibble = (np.asarray(selector).astype(np.uint64) >> np.uint64(4 * place)) & np.uint64(15)
            byte = (both >> (np.uint64(8) * (nibble & np.uint64(7)))) & np.uint64(0xFF)
            byte = np.where(nibble & np.uint64(8), np.where(byte & np.uint64(0x80), 0xFF, 0), byte)
            result |= byte.astype(np.uint32) << np.uint32(8 * place)
        return result

    return elementwise(operands, function, "b32", "b32", "u32")


@operation(r"lop3\.b32")
def _lookup(match: re.Match[str], operands: Operands) -> Execute:
    table = int(operands.text[4], 0)

    def function(a: Any, b: Any, c: Any) -> Any:
        result = np.uint32(0)
        for case in range(8):
            if table >> case & 1:
                picked = (a if case & 4 else ~a) & (b if case & 2 else ~b) & (c if case & 1 else ~c)
                result = result | picked
        return result

    return elementwise(operands, function, "b32", "b32", "b32")


@operation(r"(popc|clz|brev)\.b(32|64)")
def _count_bits(match: re.Match[str], operands: Operands) -> Execute:
    bits = int(match[2])
    functions: dict[str, Callable[[int], int]] = {
        "popc": int.bit_count,
        "clz": lambda value: bits - value.bit_length(),
        "brev": lambda value: int(f"{value:0{bits}b}"[::-1], 2),
    }
    each = np.frompyfunc(lambda value: functions[match[1]](int(value)), 1, 1)
    kind = UNSIGNED[bits // 8] if match[1] == "brev" else np.dtype(np.uint32)
    return elementwise(operands, lambda value: np.asarray(each(value)).astype(kind), f"b{bits}")


@operation(r"mov\.([usb](?:16|32|64)|f32|f64|pred)")
def _move(match: re.Match[str], operands: Operands) -> Execute:
    """A move, or with braces on one side the packing or unpacking of the parts of a wider register."""
    kind = match[1]
    if not any(text.startswith("{") for text in operands.text):
        return elementwise(operands, lambda value: value, kind)
    packing = operands.text[1].startswith("{")
    parts = operands.vector(1 if packing else 0)
    part = UNSIGNED[TYPES[kind].itemsize // len(parts)]
    name = f"b{part.itemsize * 8}"
    if packing:
        readers, put = [operands.reader(text, name) for text in parts], operands.write()

        def pack(block: Any, lanes: Any) -> None:
            values = np.stack(np.broadcast_arrays(*[read(block, lanes) for read in readers]), axis=-1)
            put(block, lanes, np.ascontiguousarray(values).view(UNSIGNED[TYPES[kind].itemsize])[..., 0])

        return pack
    whole, writers = operands.read(1, kind), [operands.writer(text) for text in parts]

    def unpack(block: Any, lanes: Any) -> None:
        values = np.ascontiguousarray(whole(block, lanes))[..., None].view(part)
        for index, write in enumerate(writers):
            write(block, lanes, np.ascontiguousarray(values[..., index]))

    return unpack


@operation(r"selp\.([usb](?:16|32|64)|f32|f64)")
def _select(match: re.Match[str], operands: Operands) -> Execute:
    return elementwise(operands, lambda a, b, choice: np.where(choice, a, b), match[1], match[1], "pred")
