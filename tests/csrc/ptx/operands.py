"""Operands as functions of a block and its active lanes: registers, special registers, immediates, addresses.

A register holds its bits as an unsigned number of the width it was declared with. An instruction reads them as its own
type (PTX ISA, section 9.4: a load or conversion may use a wider register than its type).
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from tests.csrc.ptx.errors import UndefinedError, UnknownInstructionError
from tests.csrc.ptx.numbers import FLAG, TYPES, UNSIGNED, Array
from tests.csrc.ptx.program import Instruction, Kernel, operands

if TYPE_CHECKING:
    from tests.csrc.ptx.block import Block

Lanes = slice | Array
"""Which threads of the block execute: all (a slice) or some (their indices, ascending)."""
Execute = Callable[["Block", Lanes], None]
Reader = Callable[["Block", Lanes], Any]
Writer = Callable[["Block", Lanes, Any], None]

_ADDRESS = re.compile(r"\[\s*([%\w$.]+)\s*(?:\+\s*(-?\d+))?\s*\]")
_SPECIAL = re.compile(r"%(?:(tid|ntid|ctaid|nctaid)\.([xyz])|(laneid|warpid))")


class Operands:
    """The operands of one instruction of a kernel."""

    def __init__(self, kernel: Kernel, instruction: Instruction) -> None:
        self.kernel, self.instruction = kernel, instruction
        self.text = instruction.operands

    def unknown(self, why: str) -> UnknownInstructionError:
        return UnknownInstructionError(f"{self.kernel.name}: {self.instruction}: {why}")

    def read(self, index: int, kind: str) -> Reader:
        """Operand `index` as an array (or a scalar) of PTX type `kind`."""
        return self.reader(self.text[index], kind)

    def write(self, index: int = 0) -> Writer:
        """Where operand `index` is written, value by value of a NumPy type; `_` takes nothing."""
        return self.writer(self.text[index])

    def vector(self, index: int) -> tuple[str, ...]:
        """The names in braces, or the one name."""
        text = self.text[index]
        return operands(text[1:-1]) if text.startswith("{") else (text,)

    def address(self, index: int) -> Reader:
        """`[register + offset]` or `[variable + offset]` as unsigned 64-bit numbers, one a lane."""
        match = _ADDRESS.fullmatch(self.text[index])
        if match is None:
            raise self.unknown(f"no address: {self.text[index]}")
        offset = np.uint64(int(match[2] or 0) & 0xFFFF_FFFF_FFFF_FFFF)
        kind = self.kernel.register_type(match[1])
        base = self.reader(match[1], "u32" if kind in ("b32", "u32", "s32") else "u64")

        def read(block: Block, lanes: Lanes) -> Array:
            return np.broadcast_to(np.asarray(base(block, lanes)).astype(np.uint64) + offset, block.count(lanes))

        return read

    def reader(self, text: str, kind: str) -> Reader:
        """See :meth:`read`."""
        wanted = TYPES[kind]
        declared = self.kernel.register_type(text)
        if declared is not None:
            if TYPES[declared].itemsize < wanted.itemsize:
                raise self.unknown(f"{text} is narrower than {kind}")
            return _register_reader(text, wanted)
        if match := _SPECIAL.fullmatch(text):
            return _special_reader(match, wanted)
        for variables in (self.kernel.shared, self.kernel.parameters):
            if text in variables:
                return _constant_reader(wanted.type(variables[text]))
        return _constant_reader(self._immediate(text, wanted))

    def writer(self, text: str) -> Writer:
        """See :meth:`write`."""
        if text == "_":
            return lambda block, lanes, value: None
        declared = self.kernel.register_type(text)
        if declared is None:
            raise self.unknown(f"{text} is no register")
        wanted: Any = FLAG if declared == "pred" else UNSIGNED[TYPES[declared].itemsize]

        def write(block: Block, lanes: Lanes, value: Any) -> None:
            if value.dtype.itemsize > wanted.itemsize or (value.dtype == FLAG) != (wanted == FLAG):
                raise self.unknown(f"{text} cannot hold {value.dtype}")
            if value.dtype.itemsize < wanted.itemsize:
                value = value.astype(np.dtype(f"{value.dtype.kind}{wanted.itemsize}"))
            if text not in block.registers:
                block.registers[text] = np.full(block.threads, 0 if wanted == FLAG else wanted.type(~wanted.type(0)))
            block.registers[text][lanes] = value.view(wanted)

        return write

    def _immediate(self, text: str, wanted: np.dtype[Any]) -> Any:
        if re.fullmatch(r"0[fF][0-9a-fA-F]{8}", text):
            bits = np.uint32(int(text[2:], 16))
            return bits.view(wanted) if wanted.itemsize == 4 else wanted.type(bits.view(np.float32))
        if re.fullmatch(r"0[dD][0-9a-fA-F]{16}", text):
            return wanted.type(struct.unpack(">d", bytes.fromhex(text[2:]))[0])
        try:
            value = int(text.rstrip("U"), 0)
        except ValueError:
            raise self.unknown(f"unknown operand {text}") from None
        if wanted == FLAG:
            return np.bool_(value != 0)
        unsigned = UNSIGNED[wanted.itemsize]
        return unsigned.type(value & (256**wanted.itemsize - 1)).view(wanted)


def _register_reader(name: str, wanted: np.dtype[Any]) -> Reader:
    def read(block: Block, lanes: Lanes) -> Array:
        try:
            bits = block.registers[name]
        except KeyError:
            raise UndefinedError(f"register {name} is read before anything was written to it") from None
        if bits.dtype.itemsize != wanted.itemsize:
            bits = bits.astype(UNSIGNED[wanted.itemsize])
        return bits[lanes].view(wanted)

    return read


def _special_reader(match: re.Match[str], wanted: np.dtype[Any]) -> Reader:
    axis = "xyz".index(match[2]) if match[2] else 0
    name = match[1] or match[3]

    def read(block: Block, lanes: Lanes) -> Any:
        if name == "laneid":
            return (block.thread_numbers[lanes] % 32).astype(wanted)
        if name == "warpid":
            return (block.thread_numbers[lanes] // 32).astype(wanted)
        if name == "tid":
            return block.thread_index[axis][lanes].astype(wanted)
        return wanted.type({"ntid": block.shape, "ctaid": block.index, "nctaid": block.grid}[name][axis])

    return read


def _constant_reader(value: Any) -> Reader:
    return lambda block, lanes: value
