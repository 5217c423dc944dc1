"""What ptxas made of the kernels: resources by its own account, and the instructions along a tile's path.

A thread's path through a tile kernel has three parts: up to the main loop, one turn of the main loop (four pieces of
32 columns), and from there to the end. They are found in the control flow: the main loop is the smallest one with the
most matrix products; each part is the shortest way that has the copies, or the products of labels, of a tile that lies
whole within the batch, needs no maximum, and has at most 16 labels of 0 and 1.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sysconfig
from collections import Counter
from dataclasses import dataclass
from functools import cache
from pathlib import Path as FilePath

from tests.csrc.ptx.compile import SOURCES, compile_file

_FUNCTION = re.compile(r"^\.text\.(\w+):$")
_LABEL = re.compile(r"^(\.L_x_\d+):$")
_INSTRUCTION = re.compile(r"^\s*/\*[0-9a-f]{4,}\*/\s+(?:(@!?U?P[T\d]+)\s+)?([A-Z][\w.]*)\s*(.*?)\s*;")
_TARGET = re.compile(r"`\((\.L_x_\d+)\)")
_RESOURCES = re.compile(
    r"Compiling entry function '(\w+)' for '\w+'.*?(\d+) bytes stack frame, (\d+) bytes spill stores, "
    r"(\d+) bytes spill loads.*?Used (\d+) registers",
    re.DOTALL,
)


@dataclass(frozen=True)
class Resources:
    """Of one thread, by ptxas: registers, and bytes of stack and of spilled registers."""

    registers: int
    stack: int
    spilled: int


@dataclass(frozen=True)
class Line:
    """One machine instruction: its name with modifiers, whether it is guarded, and the label it may jump to."""

    name: str
    guarded: bool
    target: str | None


@dataclass
class Path:
    """Instructions of a thread, by name before the first dot: until the main loop, in one turn of it, and after it."""

    start: Counter[str]
    turn: Counter[str]
    end: Counter[str]


def disassembler() -> str | None:
    """nvdisasm: on the PATH, of the toolkit, or of the wheels that come with torch."""
    site = FilePath(sysconfig.get_paths()["purelib"])
    places = [
        FilePath("/usr/local/cuda/bin"),
        site / "triton" / "backends" / "nvidia" / "bin",
        *site.glob("nvidia/*/bin"),
    ]
    found = shutil.which("nvdisasm")
    return found or next((str(place / "nvdisasm") for place in places if (place / "nvdisasm").is_file()), None)


@cache
def resources(architecture: str) -> dict[str, Resources]:
    """What every kernel takes."""
    compiled = compile_file(SOURCES / "cuda" / "kernels.cu", architecture, "cubin", "-Xptxas", "-v")
    return {
        name: Resources(int(registers), int(stack), int(stores) + int(loads))
        for name, stack, stores, loads, registers in _RESOURCES.findall(compiled.said)
    }


@cache
def functions(architecture: str) -> dict[str, tuple[list[Line], dict[str, int]]]:
    """Instructions of each function, and its labels as indices of them.

    Raises:
        RuntimeError: there is no disassembler.
    """
    program = disassembler()
    if program is None:
        raise RuntimeError("there is no nvdisasm")
    compiled = compile_file(SOURCES / "cuda" / "kernels.cu", architecture, "cubin", "-Xptxas", "-v")
    text = subprocess.run([program, "-c", str(compiled.path)], capture_output=True, text=True, check=True).stdout
    found: dict[str, tuple[list[Line], dict[str, int]]] = {}
    lines: list[Line] = []
    labels: dict[str, int] = {}
    for row in text.splitlines():
        if match := _FUNCTION.match(row):
            lines, labels = [], {}
            found[match[1]] = (lines, labels)
        elif match := _LABEL.match(row):
            labels[match[1]] = len(lines)
        elif match := _INSTRUCTION.match(row):
            target = _TARGET.search(match[3])
            lines.append(Line(match[2], match[1] is not None, target[1] if target else None))
    return found


def path(architecture: str, kernel: str) -> Path:
    """The path of a thread through a tile kernel."""
    lines, labels = functions(architecture)[kernel]
    after = [_successors(lines, labels, index) for index in range(len(lines))]
    first, last = _main_loop(lines, labels)
    label_products, label_copies = (16, 2) if kernel.endswith("labels") else (0, 0)
    exits = {index for index, line in enumerate(lines) if line.name == "EXIT" and not line.guarded}
    leaving = next(n for index in range(last, first, -1) for n in after[index] if n > last)
    return Path(
        start=_walk(lines, after, 0, {first}, "LDGSTS", 3 * 4 + label_copies),
        turn=_walk(lines, after, first, {last}, "LDGSTS", 4 * 4),
        end=_walk(lines, after, leaving, exits, "HMMA", label_products),
    )


def _successors(lines: list[Line], labels: dict[str, int], index: int) -> list[int]:
    """What may follow an instruction. ptxas leaves a loop by a call that never returns; a call elsewhere returns."""
    line = lines[index]
    base = line.name.split(".")[0]
    jumps = line.target is not None and base in ("BRA", "CALL")
    following = [labels[line.target]] if jumps and line.target is not None else []
    stays = line.guarded or (base not in ("EXIT", "BRA", "RET") and not (base == "CALL" and jumps))
    if stays and index + 1 < len(lines):
        following.append(index + 1)
    return following


def _main_loop(lines: list[Line], labels: dict[str, int]) -> tuple[int, int]:
    backward = [
        (labels[line.target], index)
        for index, line in enumerate(lines)
        if line.target is not None and line.name.startswith("BRA") and labels[line.target] <= index
    ]
    products = [line.name.startswith("HMMA") for line in lines]
    return max(backward, key=lambda span: (sum(products[span[0] : span[1] + 1]), span[0] - span[1]))


def _walk(
    lines: list[Line], after: list[list[int]], start: int, ends: set[int], name: str, wanted: int
) -> Counter[str]:
    """The instructions of the shortest way from `start` to one of `ends`, never backwards, with `wanted` called `name`.

    Code that ptxas moved behind (a slow path) is reached and left by jumps in both directions; such ways are not taken.

    Raises:
        RuntimeError: no way has so many.
    """
    best: dict[tuple[int, int], tuple[int, tuple[int, int] | None]] = {}
    for index in range(max(ends), start - 1, -1):
        own = int(lines[index].name.split(".")[0] == name)
        if index in ends:
            best[index, own] = (1, None)
            continue
        for count in range(own, wanted + 1):
            onward = [
                (best[following, count - own][0] + 1, (following, count - own))
                for following in after[index]
                if following > index and (following, count - own) in best
            ]
            if onward:
                best[index, count] = min(onward)
    if (start, wanted) not in best:
        raise RuntimeError(f"no way through the machine code has {wanted} {name}")
    names: Counter[str] = Counter()
    at: tuple[int, int] | None = (start, wanted)
    while at is not None:
        names[lines[at[0]].name.split(".")[0]] += 1
        at = best[at][1]
    return names
