"""The table of instructions: a pattern of the whole opcode, and how to execute what matches it.

A pattern names every modifier it understands, so one that nobody thought of is an error and never ignored.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable

from tests.csrc.ptx.errors import UnknownInstructionError
from tests.csrc.ptx.operands import Execute, Operands
from tests.csrc.ptx.program import Instruction, Kernel

Decode = Callable[[re.Match[str], Operands], Execute]
"""Turns an instruction into a function of a block and its active lanes."""

_TABLE: dict[str, list[tuple[re.Pattern[str], Decode]]] = defaultdict(list)


def operation(pattern: str) -> Callable[[Decode], Decode]:
    """Enter a decoder for the opcodes that `pattern` matches as a whole; the part before the first dot is the key."""

    def enter(decode: Decode) -> Decode:
        first = re.match(r"\((?:\?:)?([\w|]+)\)|(\w+)", pattern)
        if first is None:
            raise ValueError(f"{pattern}: starts with no name")
        for name in (first[1] or first[2]).split("|"):
            _TABLE[name].append((re.compile(pattern), decode))
        return decode

    return enter


def decode(kernel: Kernel, instruction: Instruction) -> Execute:
    """How to execute an instruction.

    Raises:
        UnknownInstructionError: no pattern matches its opcode, or its operands are of no known form.
    """
    for pattern, decoder in _TABLE.get(instruction.opcode.partition(".")[0], ()):
        if match := pattern.fullmatch(instruction.opcode):
            return decoder(match, Operands(kernel, instruction))
    raise UnknownInstructionError(f"{kernel.name}: {instruction}: no such instruction in the table")
