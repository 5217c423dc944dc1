"""The argument structs of the kernels, read from the header that declares them, as ctypes structures."""

from __future__ import annotations

import ctypes
import re
from typing import Any

_STRUCT = re.compile(
    r"^(?:template <typename scalar>\n)?struct (\w+)(?: : (\w+)(?:<scalar>)?)? \{\n(.*?)^\};", re.DOTALL | re.MULTILINE
)
_FIELD = re.compile(r"^\s*((?:const )?\w+(?:\s*\*)?)\s*(\w+(?:\s*,\s*\w+)*);", re.MULTILINE)

_TYPES: dict[str, Any] = {
    "float": ctypes.c_float, "double": ctypes.c_double, "int": ctypes.c_int32,
    "int32_t": ctypes.c_int32, "uint32_t": ctypes.c_uint32, "int64_t": ctypes.c_int64,
}  # fmt: skip


def structures(header: str, scalar: str = "float") -> dict[str, type[ctypes.Structure]]:
    """Every struct of `header` by name; a template is instantiated for `scalar`. A pointer is a 64-bit address.

    Raises:
        KeyError: a field has a type that kernels are not given.
    """
    known = {**_TYPES, "scalar": _TYPES[scalar]}
    header = re.sub(r"//[^\n]*", "", header)
    found: dict[str, type[ctypes.Structure]] = {}
    for name, base, body in _STRUCT.findall(header):
        fields = []
        for kind, names in _FIELD.findall(body):
            ctype = ctypes.c_uint64 if "*" in kind else known[kind.split()[-1]]
            fields += [(each.strip(), ctype) for each in names.split(",")]
        parent = found[base] if base else ctypes.Structure
        found[name] = type(name, (parent,), {"_fields_": fields})
    return found


def constants(header: str) -> dict[str, float]:
    """The `constexpr` numbers of a header that are written as literals."""
    pattern = re.compile(r"constexpr (?:int|float|int64_t) (\w+) = (-?[\d.e+-]+)f?;")
    return {name: float(value) for name, value in pattern.findall(re.sub(r"//[^\n]*", "", header))}
