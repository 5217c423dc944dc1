"""Single instructions of the interpreter against values worked out by hand and formulas written out again."""

from __future__ import annotations

import numpy as np
import pytest

from tests.csrc.ptx.errors import UnknownInstructionError
from tests.csrc.ptx.global_memory import GlobalMemory
from tests.csrc.ptx.launch import launch
from tests.csrc.ptx.numbers import bfloat16_to_float, float_to_bfloat16
from tests.csrc.ptx.snippet import execute, snippet

F = np.float32
_INTEGERS = [
    ("add.s32 %r40, %r1, %r2;", 0xFFFFFFFF, 2, 1),
    ("sub.s32 %r40, %r1, %r2;", 1, 2, 0xFFFFFFFF),
    ("mul.lo.s32 %r40, %r1, %r2;", 0xFFFFFFFD, 5, 0xFFFFFFF1),
    ("mul.hi.u32 %r40, %r1, %r2;", 0xFFFFFFFF, 0xFFFFFFFF, 0xFFFFFFFE),
    ("mul.wide.s32 %rd5, %r1, %r2; shr.u64 %rd5, %rd5, 32; cvt.u32.u64 %r40, %rd5;", 0xFFFFFFFF, 1, 0xFFFFFFFF),
    ("mul.wide.u32 %rd5, %r1, %r2; shr.u64 %rd5, %rd5, 32; cvt.u32.u64 %r40, %rd5;", 0xFFFFFFFF, 1, 0),
    ("mad.lo.s32 %r40, %r1, %r2, 7;", 3, 4, 19),
    ("div.s32 %r40, %r1, %r2;", 0xFFFFFFF9, 2, 0xFFFFFFFD),
    ("rem.s32 %r40, %r1, %r2;", 0xFFFFFFF9, 2, 0xFFFFFFFF),
    ("div.u32 %r40, %r1, %r2;", 0xFFFFFFF9, 2, 0x7FFFFFFC),
    ("min.s32 %r40, %r1, %r2;", 0xFFFFFFFF, 1, 0xFFFFFFFF),
    ("max.u32 %r40, %r1, %r2;", 0xFFFFFFFF, 1, 0xFFFFFFFF),
    ("shl.b32 %r40, %r1, %r2;", 3, 31, 0x80000000),
    ("shl.b32 %r40, %r1, %r2;", 3, 32, 0),
    ("shr.u32 %r40, %r1, %r2;", 0x80000000, 4, 0x08000000),
    ("shr.s32 %r40, %r1, %r2;", 0x80000000, 4, 0xF8000000),
    ("shr.s32 %r40, %r1, %r2;", 0x80000000, 99, 0xFFFFFFFF),
    ("shf.l.wrap.b32 %r40, %r1, %r2, 8;", 0x12345678, 0x9ABCDEF0, 0xBCDEF012),
    ("shf.r.wrap.b32 %r40, %r1, %r2, 8;", 0x12345678, 0x9ABCDEF0, 0xF0123456),
    ("bfi.b32 %r40, %r1, %r2, 4, 8;", 0xFFF, 0, 0xFF0),
    ("bfe.u32 %r40, %r1, 4, 8;", 0xABCD, 0, 0xBC),
    ("prmt.b32 %r40, %r1, %r2, 0x7531;", 0x33221100, 0x77665544, 0x77553311),
    ("prmt.b32 %r40, %r1, %r2, 0x0009;", 0x00008000, 0, 0x000000FF),
    ("lop3.b32 %r40, %r1, %r2, 15, 0x96;", 0b1100, 0b1010, 0b1001),
    ("lop3.b32 %r40, %r1, %r2, 15, 0xEA;", 0b1100, 0b1010, 0b1111),
    ("popc.b32 %r40, %r1;", 0xF00F, 0, 8),
    ("clz.b32 %r40, %r1;", 0x00010000, 0, 15),
    ("brev.b32 %r40, %r1;", 0x1, 0, 0x80000000),
    ("not.b32 %r40, %r1;", 0xF0F0F0F0, 0, 0x0F0F0F0F),
    ("neg.s32 %r40, %r1;", 5, 0, 0xFFFFFFFB),
    ("setp.lt.s32 %p1, %r1, %r2; selp.u32 %r40, 1, 0, %p1;", 0xFFFFFFFF, 0, 1),
    ("setp.lt.u32 %p1, %r1, %r2; selp.u32 %r40, 1, 0, %p1;", 0xFFFFFFFF, 0, 0),
    ("setp.eq.s32 %p2, %r1, 1; setp.gt.and.s32 %p1|%p3, %r1, %r2, %p2; selp.u32 %r40, 1, 0, %p1;", 1, 0, 1),
    ("mov.b32 {%rs1, %rs2}, %r1; mov.b32 %r40, {%rs2, %rs1};", 0x12345678, 0, 0x56781234),
    ("mov.b64 %rd5, {%r1, %r2}; shr.u64 %rd5, %rd5, 16; cvt.u32.u64 %r40, %rd5;", 0x12345678, 0xABCD, 0xABCD1234),
    ("cvt.u16.u32 %rs1, %r1; cvt.s32.s8 %r40, %rs1;", 0xFF80, 0, 0xFFFFFF80),
    ("cvt.s64.s32 %rd5, %r1; shr.u64 %rd5, %rd5, 32; cvt.u32.u64 %r40, %rd5;", 0x80000000, 0, 0xFFFFFFFF),
    ("cvt.u64.u32 %rd5, %r1; shr.u64 %rd5, %rd5, 32; cvt.u32.u64 %r40, %rd5;", 0x80000000, 0, 0),
]  # fmt: skip


@pytest.mark.parametrize(("body", "first", "second", "expected"), _INTEGERS)
def test_integers(body: str, first: int, second: int, expected: int) -> None:
    assert (execute(body, np.uint32(first), np.uint32(second)) == expected).all()


_TINY, _LARGE, _NAN = F(1e-40), F(3e38), F(np.nan)
_FLOATS = [
    ("add.f32 %f3, %f1, %f2;", F(1), F(2**-24), F(1)),
    ("fma.rn.f32 %f3, %f1, %f1, %f2;", F(1 + 2**-12), F(-1), F(2**-11 + 2**-24)),
    ("fma.rm.f32 %f3, %f1, %f2, 0f3F800000;", F(-1), F(2**-30), np.nextafter(F(1), F(0))),
    ("add.ftz.f32 %f3, %f1, %f2;", _TINY, _TINY, F(0)),
    ("add.f32 %f3, %f1, %f2;", _TINY, _TINY, F(2) * _TINY),
    ("mul.f32 %f3, %f1, %f2;", _LARGE, F(10), F(np.inf)),
    ("max.f32 %f3, %f1, %f2;", _NAN, F(3), F(3)),
    ("max.NaN.f32 %f3, %f1, %f2;", _NAN, F(3), _NAN),
    ("min.f32 %f3, %f1, %f2;", F(-2), F(3), F(-2)),
    ("ex2.approx.ftz.f32 %f3, %f1;", F(-3), F(0), F(0.125)),
    ("ex2.approx.ftz.f32 %f3, %f1;", F(-130), F(0), F(0)),
    ("ex2.approx.ftz.f32 %f3, %f1;", _NAN, F(0), _NAN),
    ("lg2.approx.f32 %f3, %f1;", F(8), F(0), F(3)),
    ("sqrt.rn.f32 %f3, %f1;", F(2), F(0), F(1.4142135)),
    ("rcp.rn.f32 %f3, %f1;", F(8), F(0), F(0.125)),
    ("div.rn.f32 %f3, %f1, %f2;", F(1), F(3), F(1) / F(3)),
    ("cvt.sat.f32.f32 %f3, %f1;", F(1.5), F(0), F(1)),
    ("cvt.sat.f32.f32 %f3, %f1;", _NAN, F(0), F(0)),
    ("cvt.rni.f32.f32 %f3, %f1;", F(2.5), F(0), F(2)),
    ("abs.f32 %f3, %f1;", F(-2.5), F(0), F(2.5)),
    ("cvt.f64.f32 %fd1, %f1; mul.f64 %fd1, %fd1, 0d3FE0000000000000; cvt.rn.f32.f64 %f3, %fd1;", F(5), F(0), F(2.5)),
    ("cvt.f64.f32 %fd1, %f1; mov.b64 {%r5, %r6}, %fd1; mov.b64 %fd2, {%r5, %r6}; cvt.rn.f32.f64 %f3, %fd2;",
     F(-7.5), F(0), F(-7.5)),
    ("cvt.f64.f32 %fd1, %f1; fma.rn.f64 %fd1, %fd1, %fd1, 0dBFF0000000000000; cvt.rn.f32.f64 %f3, %fd1;",
     F(1 + 2**-20), F(0), F(2**-19 + 2**-40)),
    ("setp.neu.f32 %p1, %f1, %f2; selp.f32 %f3, 0f3F800000, 0f00000000, %p1;", _NAN, F(0), F(1)),
    ("setp.ne.f32 %p1, %f1, %f2; selp.f32 %f3, 0f3F800000, 0f00000000, %p1;", _NAN, F(0), F(0)),
    ("setp.leu.f32 %p1, %f1, %f2; selp.f32 %f3, 0f3F800000, 0f00000000, %p1;", _NAN, F(0), F(1)),
    ("setp.nan.f32 %p1, %f1, %f2; selp.f32 %f3, 0f3F800000, 0f00000000, %p1;", _NAN, F(0), F(1)),
]  # fmt: skip


@pytest.mark.parametrize(("body", "first", "second", "expected"), _FLOATS)
def test_floats(body: str, first: np.float32, second: np.float32, expected: np.float32) -> None:
    out = execute(f"mov.b32 %f1, %r1; mov.b32 %f2, %r2; {body} mov.b32 %r40, %f3;", first, second)
    np.testing.assert_array_equal(out.view(np.float32)[0], np.full(32, expected, np.float32))


@pytest.mark.parametrize(
    ("value", "expected"),
    [(3.99, 3), (-3.99, -3), (3e9, 2**31 - 1), (-3e9, -(2**31)), (np.nan, 0)],
)
def test_floats_to_integers_are_cut_and_clamped(value: float, expected: int) -> None:
    out = execute("mov.b32 %f1, %r1; cvt.rzi.s32.f32 %r40, %f1;", F(value))
    assert (out.view(np.int32) == expected).all()


def test_bfloat16_is_rounded_to_nearest_even() -> None:
    """1 + 2**-8 lies between two numbers: to even, down; 1 + 3 * 2**-8 up. The first operand is the upper half."""
    body = "mov.b32 %f1, %r1; mov.b32 %f2, %r2; cvt.rn.bf16x2.f32 %r40, %f1, %f2;"
    out = execute(body, F(1 + 2**-8), F(1 + 3 * 2**-8))
    assert (out == (0x3F80 << 16 | 0x3F82)).all()
    assert float_to_bfloat16(F([np.nan]))[0] == 0x7FFF
    assert bfloat16_to_float(np.uint16([0xC0A0]))[0] == -5


def test_shuffles() -> None:
    lane = np.arange(32)
    out = execute(
        """shfl.sync.bfly.b32 %r40, %r0, 5, 31, -1;
           shfl.sync.down.b32 %r41|%p1, %r0, 3, 31, -1;
           selp.u32 %r42, 1, 0, %p1;
           shfl.sync.up.b32 %r43, %r0, 3, 0, -1;
           shfl.sync.idx.b32 %r44, %r0, 2, 6175, -1;""",
        kept=5,
    )
    assert (out[0] == lane ^ 5).all()
    assert (out[1] == np.where(lane + 3 < 32, lane + 3, lane)).all()
    assert (out[2] == (lane + 3 < 32)).all()
    assert (out[3] == np.where(lane >= 3, lane - 3, lane)).all()
    assert (out[4] == lane // 8 * 8 + 2).all()  # 6175 = 0x181F: segments of eight lanes


def test_votes_and_reductions() -> None:
    out = execute(
        """setp.lt.u32 %p1, %r0, 3;
           vote.sync.ballot.b32 %r40, %p1, -1;
           vote.sync.any.pred %p2, %p1, -1; selp.u32 %r41, 1, 0, %p2;
           vote.sync.all.pred %p3, %p1, -1; selp.u32 %r42, 1, 0, %p3;
           redux.sync.add.s32 %r43, %r0, -1;""",
        kept=4,
    )
    assert (out == np.array([[7], [1], [0], [496]])).all()


def test_divergent_lanes_meet_again() -> None:
    out = execute(
        """setp.lt.u32 %p1, %r0, 10;
           @!%p1 bra $other;
           mov.u32 %r40, 1;
           bra.uni $after;
           $other:
           mov.u32 %r40, 2;
           $after:
           shfl.sync.idx.b32 %r41, %r40, 31, 31, -1;""",
        kept=2,
    )
    assert (out[0] == np.where(np.arange(32) < 10, 1, 2)).all()
    assert (out[1] == 2).all()


def test_a_loop_runs_as_often_as_each_lane_asks() -> None:
    body = """mov.u32 %r40, 0;
              $again:
              add.s32 %r40, %r40, 1;
              setp.lt.u32 %p1, %r40, %r0;
              @%p1 bra $again;"""
    assert (execute(body) == np.maximum(np.arange(32), 1)).all()


def test_scopes_hide_their_registers() -> None:
    body = """{ .reg .b32 own; add.s32 own, %r0, 1; mov.u32 %r40, own; }
              { .reg .b32 own; add.s32 own, %r0, 2; add.s32 %r40, %r40, own; }"""
    assert (execute(body) == 2 * np.arange(32) + 3).all()


def test_atomics_return_what_was_there() -> None:
    """Lane l finds the sum of the lanes before it, and the next block finds all of them."""
    memory = GlobalMemory()
    total = memory.give("total", np.zeros(1, np.uint32), read_only=False)
    out = memory.empty("out", 4 * 64)
    body = """atom.global.add.u32 %r40, [%rd0], %r0;
              mov.u32 %r10, %ctaid.x; mad.lo.s32 %r10, %r10, 32, %r0; mul.wide.u32 %rd5, %r10, 4;
              add.s64 %rd6, %rd1, %rd5; st.global.u32 [%rd6], %r40;"""
    parameters = b"".join(buffer.base.to_bytes(8, "little") for buffer in (total, out))
    launch(snippet(body), (2, 1, 1), (32, 1, 1), parameters, memory)
    lane = np.arange(32)
    expected = lane * (lane - 1) // 2
    assert (out.values(np.uint32, (2, 32)) == [expected, 496 + expected]).all()
    assert total.values(np.uint32, (1,))[0] == 992


def test_vectors_of_loads_and_stores() -> None:
    body = """mul.lo.s32 %r10, %r0, 16;
              mov.u32 %r11, common; add.s32 %r11, %r11, %r10;
              st.shared.v4.u32 [%r11], {%r0, %r10, 7, %r0};
              ld.shared.v2.u32 {%r40, %r41}, [%r11];
              ld.shared.v2.u32 {%r42, %r43}, [%r11+8];"""
    lane = np.arange(32)
    assert (execute(body, kept=4, shared=512) == np.stack([lane, 16 * lane, np.full(32, 7), lane])).all()


@pytest.mark.parametrize("opcode", ["add.cc.u32", "mul.sat.f32", "wgmma.fence", "tex.2d", "ld.local.u32", "mma.sync"])
def test_an_unknown_instruction_is_named(opcode: str) -> None:
    with pytest.raises(UnknownInstructionError, match=opcode.replace(".", r"\.")):
        execute(f"{opcode} %r40, %r0, %r0;")


def test_an_unknown_operand_is_named() -> None:
    with pytest.raises(UnknownInstructionError, match="%clock"):
        execute("mov.u32 %r40, %clock;")
