"""PTX text to kernels: instructions, labels, parameters, registers and shared variables.

The grammar is that of the PTX ISA, sections 4 and 5, as far as nvcc uses it for kernels without calls.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from tests.csrc.ptx.errors import UnknownInstructionError

_COMMENT = re.compile(r"//[^\n]*|/\*.*?\*/", re.DOTALL)
_ENTRY = re.compile(r"\.entry\s+([\w$]+)\s*\(([^)]*)\)([^{;]*)\{")
_PARAMETER = re.compile(r"\.param\s+(?:\.align\s+(\d+)\s+)?\.(\w\d+)\s+([\w$]+)(?:\[(\d+)\])?")
_SHARED = re.compile(r"\.shared\s+(?:\.align\s+(\d+)\s+)?\.(\w\d+)\s+([\w$]+)(?:\[(\d*)\])?")
_REGISTERS = re.compile(r"\.reg\s+\.(\w+)\s+(.*)", re.DOTALL)
_STATEMENT = re.compile(r"\s*(?:(?P<label>[$\w]+):|(?P<brace>[{}])|(?P<text>[^;]*?);)", re.DOTALL)
_GUARD = re.compile(r"@(!?)([%\w.]+)\s+(.*)", re.DOTALL)
_OPERAND = re.compile(r"\{[^}]*\}|\[[^\]]*\]|[^,{\[]+")
_DIRECTIVE = re.compile(r"\.(loc|pragma|file)\b")


@dataclass(frozen=True)
class Instruction:
    """One instruction: `opcode` with its modifiers, operands as text, guard predicate, line of the PTX text."""

    opcode: str
    operands: tuple[str, ...]
    predicate: str | None
    negated: bool
    line: int

    def __str__(self) -> str:
        guard = f"@{'!' * self.negated}{self.predicate} " if self.predicate else ""
        return f"line {self.line}: {guard}{self.opcode} {', '.join(self.operands)}"


@dataclass(eq=False)
class Kernel:
    """One entry point. Offsets and sizes are bytes; `registers` maps a declared prefix (or name) to its type."""

    name: str
    instructions: list[Instruction] = field(default_factory=list)
    labels: dict[str, int] = field(default_factory=dict)
    registers: dict[str, str] = field(default_factory=dict)
    parameters: dict[str, int] = field(default_factory=dict)
    parameter_bytes: int = 0
    shared: dict[str, int] = field(default_factory=dict)
    shared_bytes: int = 0
    dynamic: dict[str, int] = field(default_factory=dict)
    threads: int | None = None

    def register_type(self, name: str) -> str | None:
        """The declared type of a register (`b32`, `pred`, ...), or None where `name` is no register."""
        return self.registers.get(name) or self.registers.get(name.rstrip("0123456789"))

    def loops(self) -> list[tuple[int, int]]:
        """First and last instruction of each loop: from the label of a backward branch to that branch."""
        branches = [(i, o) for i, o in enumerate(self.instructions) if o.opcode.startswith("bra")]
        spans = [(self.labels[o.operands[0]], i) for i, o in branches]
        return sorted((first, last) for first, last in spans if first <= last)

    def main_loop(self) -> tuple[int, int]:
        """The span of the smallest loop that holds the most matrix products."""
        opcodes = [o.opcode.startswith("mma.") for o in self.instructions]
        return max(self.loops(), key=lambda span: (sum(opcodes[span[0] : span[1] + 1]), span[0] - span[1]))


def parse(text: str) -> dict[str, Kernel]:
    """The kernels of a PTX module by their (mangled) names."""
    text = _COMMENT.sub(lambda match: "\n" * match[0].count("\n"), text)
    kernels = {}
    first = next(_ENTRY.finditer(text)).start()
    for entry in _ENTRY.finditer(text):
        kernel = Kernel(entry[1])
        _read_parameters(kernel, entry[2])
        if bound := re.search(r"\.(?:maxntid|reqntid)\s+(\d+)", entry[3]):
            kernel.threads = int(bound[1])
        _read_shared(kernel, text[:first])
        _read_body(kernel, text, entry.end())
        _place_dynamic(kernel)
        kernels[kernel.name] = kernel
    return kernels


def operands(text: str) -> tuple[str, ...]:
    """The operands of an instruction: commas inside braces and brackets do not separate."""
    return tuple(part.strip() for part in _OPERAND.findall(text) if part.strip())


def _read_parameters(kernel: Kernel, text: str) -> None:
    for align, kind, name, count in _PARAMETER.findall(text):
        size = int(kind[1:]) // 8
        alignment = int(align or size)
        kernel.parameter_bytes += -kernel.parameter_bytes % alignment
        kernel.parameters[name] = kernel.parameter_bytes
        kernel.parameter_bytes += size * int(count or 1)


def _read_shared(kernel: Kernel, text: str) -> None:
    """Place shared variables one after the other; those without a size (`extern`) wait until the others have one."""
    for align, kind, name, count in _SHARED.findall(text):
        size = int(kind[1:]) // 8
        if f"{name}[]" in text:
            kernel.dynamic[name] = int(align or size)
            continue
        kernel.shared_bytes += -kernel.shared_bytes % int(align or size)
        kernel.shared[name] = kernel.shared_bytes
        kernel.shared_bytes += size * int(count or 1)


def _place_dynamic(kernel: Kernel) -> None:
    """Shared variables without a size all start where the others end."""
    if kernel.dynamic:
        kernel.shared_bytes += -kernel.shared_bytes % max(kernel.dynamic.values())
    kernel.shared.update(dict.fromkeys(kernel.dynamic, kernel.shared_bytes))


def _read_body(kernel: Kernel, text: str, position: int) -> None:
    """Statements up to the brace that closes the kernel. Names declared in an inner scope get its number."""
    scopes: list[dict[str, str]] = [{}]
    opened, line, counted = 0, 1, 0
    while scopes:
        match = _STATEMENT.match(text, position)
        if match is None:
            raise UnknownInstructionError(f"{kernel.name}: no statement at {text[position : position + 60]!r}")
        start = match.start("text") if match["text"] is not None else match.start()
        line, counted = line + text.count("\n", counted, start), start
        position = match.end()
        if match["label"]:
            kernel.labels[match["label"]] = len(kernel.instructions)
        elif match["brace"] == "{":
            opened += 1
            scopes.append({})
        elif match["brace"] == "}":
            scopes.pop()
        else:
            _read_statement(kernel, match["text"].strip(), line, scopes, opened)


def _read_statement(kernel: Kernel, text: str, line: int, scopes: list[dict[str, str]], number: int) -> None:
    if not text or _DIRECTIVE.match(text):
        return
    if declared := _REGISTERS.match(text):
        _declare(kernel, declared[1], declared[2], scopes[-1], number if len(scopes) > 1 else 0)
        return
    if text.startswith(".shared"):
        _read_shared(kernel, text)
        return
    if text.startswith("."):
        raise UnknownInstructionError(f"{kernel.name}: line {line}: {text}: no such directive")
    for scope in scopes:
        for name, renamed in scope.items():
            text = re.sub(rf"(?<![\w%.$]){re.escape(name)}(?![\w])", renamed, text)
    guard = _GUARD.match(text)
    opcode, _, rest = (guard[3] if guard else text).partition(" ")
    if "\t" in opcode:
        opcode, _, rest = (guard[3] if guard else text).partition("\t")
    kernel.instructions.append(
        Instruction(opcode, operands(rest), guard[2] if guard else None, bool(guard and guard[1]), line)
    )


def _declare(kernel: Kernel, kind: str, names: str, scope: dict[str, str], number: int) -> None:
    for name in (part.strip() for part in names.split(",")):
        prefix = name.partition("<")[0]
        if number:
            scope[prefix] = f"{prefix}.scope{number}."
        kernel.registers[scope.get(prefix, prefix)] = kind
