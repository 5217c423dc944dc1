"""Branches, exits, barriers of the block and fences (PTX ISA, sections 9.7.12 and 9.7.13)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from tests.csrc.ptx.operands import Execute, Lanes, Operands
from tests.csrc.ptx.table import operation

if TYPE_CHECKING:
    from tests.csrc.ptx.block import Block


@operation(r"bra(?:\.uni)?")
def _branch(match: re.Match[str], operands: Operands) -> Execute:
    target = operands.kernel.labels.get(operands.text[0])
    if target is None:
        raise operands.unknown("no such label")
    return lambda block, lanes: block.jump(lanes, target)


@operation(r"ret|exit")
def _return(match: re.Match[str], operands: Operands) -> Execute:
    end = len(operands.kernel.instructions)
    return lambda block, lanes: block.jump(lanes, end)


@operation(r"(?:bar|barrier)(?:\.cta)?\.sync(?:\.aligned)?")
def _barrier(match: re.Match[str], operands: Operands) -> Execute:
    if operands.text != ("0",):
        raise operands.unknown("a barrier other than that of the whole block")
    return lambda block, lanes: block.arrive(lanes)


@operation(r"membar\.(?:cta|gl|sys)|fence\.(?:sc|acq_rel)\.(?:cta|gpu|sys)|prefetch\..*|griddepcontrol\..*")
def _fence(match: re.Match[str], operands: Operands) -> Execute:
    """Nothing: memory is written in order here. Races are judged by barriers, never by fences."""

    def execute(block: Block, lanes: Lanes) -> None:
        return None

    return execute
