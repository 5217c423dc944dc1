"""The number formats of PTX in NumPy: types by name, and bfloat16 as the upper half of a float32."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

TYPES: dict[str, Any] = {
    name: np.dtype(kind)
    for name, kind in {
        "u8": np.uint8, "s8": np.int8, "b8": np.uint8,
        "u16": np.uint16, "s16": np.int16, "b16": np.uint16, "bf16": np.uint16,
        "u32": np.uint32, "s32": np.int32, "b32": np.uint32, "f32": np.float32, "bf16x2": np.uint32,
        "u64": np.uint64, "s64": np.int64, "b64": np.uint64, "f64": np.float64,
        "pred": np.bool_,
    }.items()
}  # fmt: skip
"""NumPy's type of each of PTX's; a bfloat16 is its bits."""

UNSIGNED: dict[int, Any] = {
    1: np.dtype(np.uint8),
    2: np.dtype(np.uint16),
    4: np.dtype(np.uint32),
    8: np.dtype(np.uint64),
}
"""The unsigned type of a size in bytes: how registers and memory hold everything."""

FLAG = np.dtype(np.bool_)


def bfloat16_to_float(bits: Array) -> Array:
    """bfloat16 bits to float32."""
    return (np.asarray(bits).astype(np.uint32) << np.uint32(16)).view(np.float32)


def float_to_bfloat16(values: Array) -> Array:
    """float32 to bfloat16 bits (uint16), to nearest, ties to even; a NaN becomes 0x7fff (PTX ISA, cvt)."""
    values = np.ascontiguousarray(values, dtype=np.float32)
    bits = values.view(np.uint32).astype(np.uint64)
    rounded = ((bits + np.uint64(0x7FFF) + ((bits >> np.uint64(16)) & np.uint64(1))) >> np.uint64(16)).astype(np.uint16)
    return np.where(np.isnan(values), np.uint16(0x7FFF), rounded)


def flush(values: Array) -> Array:
    """float32 with subnormal numbers replaced by zeros of their sign: the modifier `.ftz`."""
    tiny = np.abs(values) < np.finfo(np.float32).tiny
    return np.where(tiny, np.copysign(np.float32(0), values), values) if np.any(tiny) else values
