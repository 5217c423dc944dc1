"""What the interpreter must find wrong, each in the fewest lines that have the fault, and beside it the sound form."""

from __future__ import annotations

import numpy as np
import pytest

from tests.csrc.ptx.errors import (
    DeadlockError,
    DivergenceError,
    InFlightError,
    MisalignedError,
    OutOfBoundsError,
    PtxError,
    RaceError,
    UndefinedError,
)
from tests.csrc.ptx.global_memory import GlobalMemory
from tests.csrc.ptx.launch import launch
from tests.csrc.ptx.snippet import execute, execute_counted, snippet

_OWN = "mov.u32 %r10, common; mad.lo.s32 %r11, %r0, 4, %r10;"
"""%r10 is the start of the shared memory, %r11 this thread's word of it."""
_COPY = "mad.lo.s32 %r11, %r0, 16, %r10; mul.wide.u32 %rd5, %r0, 16; add.s64 %rd6, %rd0, %rd5;"
"""%r11 and %rd6 are this thread's 16 bytes of the shared memory and of the input."""
_EXCHANGE = f"{_OWN} st.shared.u32 [%r11], %r0; {{}} xor.b32 %r12, %r0, 33; mad.lo.s32 %r13, %r12, 4, %r10; {{}}"
"""Each thread writes its word, then the code in the first braces, then the address of another warp's word."""


def test_a_barrier_orders_warps() -> None:
    sound = _EXCHANGE.format("bar.sync 0;", "ld.shared.u32 %r40, [%r13];")
    assert (execute(sound, shared=256, threads=64) == np.arange(64) ^ 33).all()


@pytest.mark.parametrize(
    "between", ["", "bar.warp.sync -1;", "membar.cta;"], ids=["nothing", "a warp's barrier", "a fence"]
)
def test_reading_what_another_warp_wrote(between: str) -> None:
    with pytest.raises(RaceError, match="a read of what another thread wrote"):
        execute(_EXCHANGE.format(between, "ld.shared.u32 %r40, [%r13];"), shared=256, threads=64)


def test_writing_what_another_warp_reads() -> None:
    body = _EXCHANGE.format("bar.sync 0;", "ld.shared.u32 %r40, [%r13]; {} st.shared.u32 [%r11], %r40;")
    execute(body.format("bar.sync 0;"), shared=256, threads=64)
    with pytest.raises(RaceError, match="a write to what another thread reads or writes"):
        execute(body.format(""), shared=256, threads=64)


def test_within_a_warp_a_warps_barrier_is_enough() -> None:
    body = f"{_OWN} st.shared.u32 [%r11], %r0; {{}} xor.b32 %r12, %r11, 4; ld.shared.u32 %r40, [%r12];"
    assert (execute(body.format("bar.warp.sync -1;"), shared=128) == np.arange(32) ^ 1).all()
    with pytest.raises(RaceError):
        execute(body.format(""), shared=128)


def test_two_values_for_one_address() -> None:
    execute(f"{_OWN} st.shared.u32 [%r10], 7;", kept=0)
    with pytest.raises(RaceError, match="lanes of one instruction write different values"):
        execute(f"{_OWN} st.shared.u32 [%r10], %r0;", kept=0)


def test_a_copy_must_be_waited_for() -> None:
    numbers = np.arange(128, dtype=np.uint32).reshape(4, 32)
    body = f"""{_OWN} {_COPY} cp.async.cg.shared.global [%r11], [%rd6], 16; cp.async.commit_group;
               {{}} ld.shared.u32 %r40, [%r11+4];"""
    out = execute(body.format("cp.async.wait_group 0;"), *numbers, shared=512)
    assert (out == 4 * np.arange(32) + 1).all()
    for fault in ("", "cp.async.wait_group 1;"):
        with pytest.raises(InFlightError, match="has not been waited for"):
            execute(body.format(fault), *numbers, shared=512)


def test_a_waited_copy_is_there_for_its_own_thread_only() -> None:
    """After the wait, a barrier is needed before another warp reads."""
    numbers = np.zeros((4, 64), np.uint32)
    body = f"""{_OWN} {_COPY} cp.async.cg.shared.global [%r11], [%rd6], 16; cp.async.commit_group;
               cp.async.wait_group 0; {{}} xor.b32 %r12, %r11, 512; ld.shared.u32 %r40, [%r12];"""
    execute(body.format("bar.sync 0;"), *numbers, shared=1024, threads=64)
    with pytest.raises(RaceError):
        execute(body.format(""), *numbers, shared=1024, threads=64)


def test_groups_land_in_order() -> None:
    """Two groups of one copy each: waiting for all but one lands the first, not the second."""
    numbers = np.arange(256, dtype=np.uint32).reshape(8, 32)
    body = f"""{_OWN} {_COPY}
               cp.async.cg.shared.global [%r11], [%rd6], 16; cp.async.commit_group;
               cp.async.cg.shared.global [%r11+512], [%rd6+512], 16; cp.async.commit_group;
               cp.async.wait_group 1; ld.shared.u32 %r40, [%r11+{{}}];"""
    assert (execute(body.format(0), *numbers, shared=1024) == 4 * np.arange(32)).all()
    with pytest.raises(InFlightError):
        execute(body.format(512), *numbers, shared=1024)


def test_a_copy_fills_with_zeros() -> None:
    numbers = np.full((4, 32), 9, np.uint32)
    body = f"""{_OWN} {_COPY} setp.lt.u32 %p1, %r0, 16; selp.b32 %r14, 16, 0, %p1;
               cp.async.cg.shared.global [%r11], [%rd6], 16, %r14; cp.async.wait_all; ld.shared.u32 %r40, [%r11+12];"""
    assert (execute(body, *numbers, shared=512) == np.where(np.arange(32) < 16, 9, 0)).all()


def test_writing_under_a_copy() -> None:
    numbers = np.zeros((4, 32), np.uint32)
    with pytest.raises(InFlightError, match="write"):
        execute(
            f"{_OWN} {_COPY} cp.async.cg.shared.global [%r11], [%rd6], 16; st.shared.u32 [%r11], %r0;",
            *numbers, shared=512, kept=0,
        )  # fmt: skip


@pytest.mark.parametrize(
    ("body", "check"),
    [
        ("ld.global.u32 %r40, [%rd3+128];", OutOfBoundsError),
        ("ld.global.u32 %r40, [%rd3+-4];", OutOfBoundsError),
        ("cvt.u32.u64 %r10, %rd3; cvt.u64.u32 %rd5, %r10; ld.global.u32 %r40, [%rd5];", OutOfBoundsError),
        ("st.global.u32 [%rd3], %r0;", OutOfBoundsError),
        (f"{_OWN} ld.shared.u32 %r40, [%r10];", UndefinedError),
        (f"{_OWN} st.shared.u32 [%r11], %r0;", OutOfBoundsError),
        (f"{_OWN} st.shared.v4.u32 [%r10+4], {{0, 0, 0, 0}};", MisalignedError),
        ("add.s64 %rd5, %rd3, 4; ld.global.v2.u32 {%r40, %r41}, [%rd5];", MisalignedError),
        ("add.s64 %rd5, %rd3, 2; ld.global.u32 %r40, [%rd5];", MisalignedError),
        ("mov.u32 %r40, %r30;", UndefinedError),
        ("ld.global.u32 %r40, [%rd1];", UndefinedError),
    ],
)
def test_addresses(body: str, check: type[PtxError]) -> None:
    """Beyond the input, before it, with 32 bits of an address, into it; shared memory; alignment; what nobody wrote."""
    with pytest.raises(check):
        execute(body, np.arange(32, dtype=np.uint32), kept=0)


def test_an_exited_thread_never_comes_to_a_barrier() -> None:
    with pytest.raises(DeadlockError, match="63 threads wait"):
        execute("setp.eq.u32 %p1, %r0, 40; @%p1 ret; bar.sync 0;", kept=0, threads=64)


def test_lanes_of_a_warp_at_two_barriers() -> None:
    body = (
        """setp.lt.u32 %p1, %r0, 16; @%p1 bra $here; bar.sync 0; bra $out; $here: bar.sync 0; $out: mov.u32 %r40, 0;"""
    )
    with pytest.raises(DivergenceError, match="different barriers"):
        execute(body)


def test_a_loop_without_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.csrc.ptx.block._STEPS", 1000)
    with pytest.raises(DeadlockError, match="no end"):
        execute("$again: bra $again;", kept=0)


@pytest.mark.parametrize(
    "instruction", ["shfl.sync.bfly.b32 %r40, %r0, 1, 31, -1;", "bar.warp.sync -1;", "vote.sync.any.pred %p2, %p1, -1;"]
)
def test_warp_wide_instructions_in_a_branch(instruction: str) -> None:
    with pytest.raises(DivergenceError):
        execute(f"mov.u32 %r40, 0; setp.lt.u32 %p1, %r0, 16; @%p1 bra $out; {instruction} $out: mov.u32 %r41, 0;")


def test_a_mask_may_name_the_lanes_of_a_branch() -> None:
    body = """mov.u32 %r40, 99; setp.lt.u32 %p1, %r0, 16; @%p1 bra $out;
              shfl.sync.bfly.b32 %r40, %r0, 1, 31, 0xFFFF0000; $out: mov.u32 %r41, 0;"""
    lane = np.arange(32)
    assert (execute(body) == np.where(lane < 16, 99, lane ^ 1)).all()


@pytest.mark.parametrize(("stride", "turns"), [(4, 0), (8, 1), (12, 0), (16, 3), (128, 31)], ids="stride {}".format)
def test_bank_conflicts_of_words(stride: int, turns: int) -> None:
    """A stride of 8 bytes puts two words on every second bank, one of 128 all of them on one."""
    body = f"mov.u32 %r10, common; mad.lo.s32 %r11, %r0, {stride}, %r10; st.shared.u32 [%r11], %r0;"
    _, counts = execute_counted(body, kept=0, shared=32 * stride)
    assert sum(counts.conflicts.values()) == turns


def test_one_word_for_all_is_no_conflict() -> None:
    _, counts = execute_counted(
        f"{_OWN} st.shared.u32 [%r10], 1; bar.warp.sync -1; ld.shared.u32 %r12, [%r10];", kept=0
    )
    assert not counts.conflicts


@pytest.mark.parametrize(("stride", "turns"), [(16, 0), (64, 12), (80, 0), (128, 28)])
def test_bank_conflicts_of_matrix_rows(stride: int, turns: int) -> None:
    """Four matrices of eight rows: rows 64 bytes apart meet in fours on the same banks, rows 128 apart all eight."""
    body = f"""mov.u32 %r10, common; mad.lo.s32 %r11, %r0, {stride}, %r10;
               st.shared.v4.u32 [%r11], {{0, 0, 0, 0}}; bar.warp.sync -1;
               ldmatrix.sync.aligned.m8n8.x4.shared.b16 {{%r40, %r41, %r42, %r43}}, [%r11];"""
    kernel = snippet(body, 0, 4, 32 * stride)
    _, counts = execute_counted(body, kept=4, shared=32 * stride)
    at = next(i for i, each in enumerate(kernel.instructions) if each.opcode.startswith("ldmatrix"))
    assert counts.conflicts[at] == turns


def _two_blocks(body: str) -> None:
    memory = GlobalMemory()
    shared = memory.give("between blocks", np.zeros(64, np.uint32), read_only=False)
    parameters = shared.base.to_bytes(8, "little") * 2
    launch(snippet(body), (2, 1, 1), (32, 1, 1), parameters, memory)


def test_blocks_of_one_launch_are_not_ordered() -> None:
    address = (
        "mov.u32 %r10, %ctaid.x; mul.wide.u32 %rd5, %r10, {}; add.s64 %rd6, %rd3, %rd5; st.global.u32 [%rd6], %r0;"
    )
    _two_blocks(address.format(128))
    with pytest.raises(RaceError, match="write of what another thread writes"):
        _two_blocks(address.format(0))
    with pytest.raises(RaceError, match="read of what another thread writes"):
        _two_blocks(address.format(128) + "ld.global.u32 %r11, [%rd3];")


def test_the_message_says_where() -> None:
    with pytest.raises(
        OutOfBoundsError, match=r"snippet, block \(0, 0, 0\), line \d+: ld\.global\.u32 .*: given: 4 bytes"
    ):
        execute("ld.global.u32 %r40, [%rd3+512];", np.uint32(1))
