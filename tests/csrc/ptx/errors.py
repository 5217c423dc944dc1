"""What can be wrong with a kernel: one class a check, so that a test names the check that must catch a fault."""

from __future__ import annotations


class PtxError(Exception):
    """Something that the kernel may not do; the message says where (line of the PTX) and what."""


class UnknownInstructionError(PtxError):
    """The interpreter has no such instruction, or not with these modifiers or operands."""


class OutOfBoundsError(PtxError):
    """An access outside every buffer, outside the shared memory, or a write to an input."""


class MisalignedError(PtxError):
    """An address that is no multiple of the size of its access."""


class UndefinedError(PtxError):
    """A read of a register or a byte that nothing has written."""


class RaceError(PtxError):
    """Two threads touch the same byte, one of them writes, and nothing orders them."""


class InFlightError(PtxError):
    """A byte that an asynchronous copy may be writing is read or written."""


class DeadlockError(PtxError):
    """Threads wait at a barrier that others never reach, or a loop has no end."""


class DivergenceError(PtxError):
    """A warp-wide instruction is not executed by all the lanes that it names."""
