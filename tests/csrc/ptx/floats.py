"""Floating-point instructions (PTX ISA, section 9.7.3), comparisons (9.7.6) and conversions (9.7.9.21).

`.approx` functions are computed in float64 and rounded: what they lose on a chip (2 units in the last place of ex2) is
not modelled. A product and sum (`fma`) of float32 is exact before its one rounding; of float64 it has the 64-bit
significand of `numpy.longdouble`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np

from tests.csrc.ptx.integers import elementwise
from tests.csrc.ptx.numbers import TYPES, Array, bfloat16_to_float, float_to_bfloat16, flush
from tests.csrc.ptx.operands import Execute, Operands
from tests.csrc.ptx.table import operation

_BINARY: dict[str, Callable[[Any, Any], Any]] = {
    "add": np.add,
    "sub": np.subtract,
    "mul": np.multiply,
    "div": np.divide,
}

_UNARY: dict[str, Callable[[Any], Any]] = {
    "ex2": np.exp2,
    "lg2": np.log2,
    "rcp": np.reciprocal,
    "sqrt": np.sqrt,
    "rsqrt": lambda value: 1 / np.sqrt(value),
}


def _flushed(function: Callable[..., Any], ftz: str | None) -> Callable[..., Any]:
    if not ftz:
        return function
    return lambda *values: flush(function(*[flush(value) for value in values]))


@operation(r"(add|sub|mul|div)(?:\.rn)?(\.ftz)?\.(f32|f64)")
def _binary(match: re.Match[str], operands: Operands) -> Execute:
    return elementwise(operands, _flushed(_BINARY[match[1]], match[2]), match[3], match[3])


@operation(r"fma\.(rn|rm)(\.ftz)?\.(f32|f64)(?<!rm\.f64)")
def _fused(match: re.Match[str], operands: Operands) -> Execute:
    kind = TYPES[match[3]].type
    wide = np.float64 if match[3] == "f32" else np.longdouble

    def function(a: Any, b: Any, c: Any) -> Any:
        exact = np.asarray(a).astype(wide) * b + c
        rounded = exact.astype(kind)
        return np.where(rounded > exact, np.nextafter(rounded, kind(-np.inf)), rounded) if match[1] == "rm" else rounded

    return elementwise(operands, _flushed(function, match[2]), match[3], match[3], match[3])


@operation(r"fma\.rn(?:\.ftz)?(\.sat)\.f32")
def _saturated(match: re.Match[str], operands: Operands) -> Execute:
    def function(a: Any, b: Any, c: Any) -> Any:
        return _saturate((np.asarray(a).astype(np.float64) * b + c).astype(np.float32))

    return elementwise(operands, function, "f32", "f32", "f32")


def _saturate(value: Array) -> Array:
    """Clamped to [0, 1]; a NaN becomes 0."""
    return np.where(np.isnan(value), np.float32(0), np.clip(value, np.float32(0), np.float32(1)))


@operation(r"(min|max)(\.ftz)?(\.NaN)?\.(f32|f64)")
def _extreme(match: re.Match[str], operands: Operands) -> Execute:
    """The other operand where one is NaN, unless the modifier keeps it."""
    function = {"min": np.fmin, "max": np.fmax, "min.NaN": np.minimum, "max.NaN": np.maximum}[
        match[1] + (match[3] or "")
    ]
    return elementwise(operands, _flushed(function, match[2]), match[4], match[4])


@operation(r"(neg|abs)(\.ftz)?\.(f32|f64)")
def _sign(match: re.Match[str], operands: Operands) -> Execute:
    return elementwise(operands, _flushed(np.negative if match[1] == "neg" else np.abs, match[2]), match[3])


@operation(r"copysign\.(f32|f64)")
def _copysign(match: re.Match[str], operands: Operands) -> Execute:
    return elementwise(operands, lambda sign, value: np.copysign(value, sign), match[1], match[1])


@operation(r"(ex2|lg2|rcp|rsqrt|sqrt)\.(?:approx|rn)(\.ftz)?\.(f32|f64)")
def _unary(match: re.Match[str], operands: Operands) -> Execute:
    kind = TYPES[match[3]].type

    def function(value: Any) -> Any:
        return np.asarray(_UNARY[match[1]](np.asarray(value).astype(np.float64))).astype(kind)

    return elementwise(operands, _flushed(function, match[2]), match[3])


_COMPARE: dict[str, Callable[[Any, Any], Any]] = {
    "eq": np.equal, "ne": np.not_equal, "lt": np.less, "le": np.less_equal, "gt": np.greater, "ge": np.greater_equal,
}  # fmt: skip


def comparison(name: str, kind: str) -> Callable[[Any, Any], Any]:
    """PTX's comparisons: of floats, `ne` is false with a NaN, and a name that ends in u is true with one."""
    if name in ("num", "nan"):
        return lambda a, b: (np.isnan(a) | np.isnan(b)) == (name == "nan")
    if kind.startswith("f"):
        compare, unordered = _COMPARE[name[:2]], len(name) == 3

        def function(a: Any, b: Any) -> Any:
            missing = np.isnan(a) | np.isnan(b)
            return np.where(missing, unordered, compare(a, b))

        return function
    return _COMPARE[{"lo": "lt", "ls": "le", "hi": "gt", "hs": "ge"}.get(name, name)]


@operation(
    r"setp\.(eq|ne|lt|le|gt|ge|lo|ls|hi|hs|equ|neu|ltu|leu|gtu|geu|num|nan)(?:\.(and|or|xor))?(?:\.ftz)?"
    r"\.([usb](?:16|32|64)|f32|f64)"
)
def _compare(match: re.Match[str], operands: Operands) -> Execute:
    """`setp d|e, a, b, c`: d is the comparison combined with c, e the opposite comparison combined with c."""
    compare = comparison(match[1], match[3])
    first, *second = operands.text[0].split("|")
    writers = [operands.writer(name) for name in (first, *second)]
    a, b = operands.read(1, match[3]), operands.read(2, match[3])
    c = operands.read(3, "pred") if match[2] else None
    combine = {None: None, "and": np.logical_and, "or": np.logical_or, "xor": np.logical_xor}[match[2]]

    def execute(block: Any, lanes: Any) -> None:
        result = np.asarray(compare(a(block, lanes), b(block, lanes)))
        for write, value in zip(writers, (result, ~result), strict=False):
            write(block, lanes, value if c is None or combine is None else combine(value, c(block, lanes)))

    return execute


@operation(r"cvt\.(?:rn\.)?bf16x2\.f32")
def _convert_pair(match: re.Match[str], operands: Operands) -> Execute:
    """The first source becomes the upper half."""

    def function(high: Any, low: Any) -> Array:
        high, low = (float_to_bfloat16(part).astype(np.uint32) for part in (high, low))
        return np.asarray((high << np.uint32(16)) | low)

    return elementwise(operands, function, "f32", "f32")


@operation(r"cvt\.(?:rn\.)?(?:(bf16)\.f32|f32\.(bf16))")
def _convert_bfloat16(match: re.Match[str], operands: Operands) -> Execute:
    if match[1]:
        return elementwise(operands, float_to_bfloat16, "f32")
    return elementwise(operands, bfloat16_to_float, "bf16")


_ROUND = {"rni": np.rint, "rzi": np.trunc, "rmi": np.floor, "rpi": np.ceil}


@operation(
    r"cvt(?:\.(rni|rzi|rmi|rpi|rn))?(\.ftz)?(\.sat)?\.([us](?:8|16|32|64)|f32|f64)\.([us](?:8|16|32|64)|f32|f64)"
)
def _convert(match: re.Match[str], operands: Operands) -> Execute:
    """Floats to integers are clamped to the integer's range, NaN to 0; integers are cut to a narrower one."""
    rounding, _, saturate, to, source = match.groups()
    kind = TYPES[to]
    if saturate and (to, source) == ("f32", "f32"):
        return elementwise(operands, _saturate, "f32")
    if saturate:
        raise operands.unknown("saturation of other than float32")

    def function(value: Any) -> Array:
        value = np.asarray(value)
        if rounding in _ROUND:
            value = _ROUND[rounding](value)
        if source.startswith("f") and not to.startswith("f"):
            limits = np.iinfo(kind)
            inside = np.where(np.isnan(value), 0, value.astype(np.float64))
            exact = np.clip(inside, float(limits.min), np.nextafter(float(limits.max) + 1, 0)).astype(kind)
            return np.where(inside > limits.max, kind.type(limits.max), exact)
        return np.asarray(value.astype(kind))

    return elementwise(operands, function, source)


@operation(r"cvta(?:\.to)?\.(global|shared|param)\.(u64|u32)")
def _convert_address(match: re.Match[str], operands: Operands) -> Execute:
    """Global and parameter addresses are generic ones. Shared ones stay too: generic loads find them low."""
    return elementwise(operands, lambda value: value, match[2])
