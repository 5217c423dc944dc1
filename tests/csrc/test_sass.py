"""The machine code of the kernels: no spills, no local memory, and no more instructions than the committed values.

Nothing here is a time. Issue slots and cycles are counts of one tile of 128 x 128 at D = 512; what follows from them
for a whole loss is predicted by benchmarks/roofline.py. After a change that makes a kernel better:
`python -m tests.csrc.test_sass` writes the values anew.
"""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import pytest

from benchmarks.roofline import RESOURCES, TILE_KERNELS, Kernel, tile_cycles
from tests.csrc import sass
from tests.csrc.ptx.compile import compiler_version
from tests.csrc.ptx.device import Device

pytestmark = [pytest.mark.needs("nvcc"), pytest.mark.needs("nvdisasm")]
ARCHITECTURES = ("sm_80", "sm_90")
_SHARED_LIMIT = {"sm_80": 163 * 1024, "sm_90": 227 * 1024}
"""Bytes of shared memory that one block may have (CUDA C++ Programming Guide, compute capabilities 8.0 and 9.0)."""
_SHARED_OF_SM = {"sm_80": 164 * 1024, "sm_90": 228 * 1024}
_RESERVED = 1024
"""Bytes that the system takes of each block."""
_REGISTERS_OF_SM = 65536
_SLACK = 0.02


def measured(architecture: str) -> dict[str, Any]:
    """Every kernel's resources, and of the tile kernels the instructions along a tile's path."""
    found: dict[str, Any] = {}
    for name, taken in sorted(sass.resources(architecture).items()):
        found[name] = {"registers": taken.registers, "stack": taken.stack, "spilled": taken.spilled}
        if name in TILE_KERNELS:
            path = sass.path(architecture, name)
            for part in ("start", "turn", "end"):
                counts = getattr(path, part)
                kept = {each: counts[each] for each in ("HMMA", "MUFU", "LDSM", "LDGSTS", "LDS", "STS", "LDL", "STL")}
                found[name][part] = {"instructions": sum(counts.values()), **kept}
    return found


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_registers(architecture: str) -> None:
    """Two blocks of 256 threads on an SM, and nothing of a tile's path in local memory."""
    for name, kernel in measured(architecture).items():
        assert kernel["registers"] * 256 * 2 <= _REGISTERS_OF_SM, f"{name}: {kernel['registers']} registers"
        for part in ("start", "turn", "end"):
            assert kernel.get(part, {}).get("LDL", 0) + kernel.get(part, {}).get("STL", 0) == 0, name


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_nothing_is_spilled(architecture: str) -> None:
    spilled = {name: kernel.spilled for name, kernel in sass.resources(architecture).items() if kernel.spilled}
    assert not spilled, f"bytes of spilled registers: {spilled}"
    assert not [name for name, kernel in sass.resources(architecture).items() if kernel.stack]


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_shared_memory(architecture: str) -> None:
    """The widest labels fit into a block's share; the default targets, 14 real labels, let two blocks share an SM."""
    device = Device({})
    for steps, parts in ((8, 1), (4, 2)):
        assert device.shared_bytes({"label_steps": steps, "label_parts": parts}) <= _SHARED_LIMIT[architecture]
    usual = device.shared_bytes({"label_steps": 1, "label_parts": 2}) + _RESERVED
    assert 2 * usual <= _SHARED_OF_SM[architecture]


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("name", TILE_KERNELS)
def test_the_main_loop(architecture: str, name: str) -> None:
    """One turn: four pieces of 32 columns, nothing but the products, their loads and copies, and little beside them."""
    turn = measured(architecture)[name]["turn"]
    assert turn["HMMA"] == 4 * 2 * 16
    assert turn["LDSM"] == 4 * 2 * 6
    assert turn["LDGSTS"] == 4 * 4
    assert turn["instructions"] <= 2.5 * turn["HMMA"]
    assert turn["MUFU"] == 0


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_no_worse_than_committed(architecture: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Registers, products, exponentials, loads and issue slots, within 2 % of the committed values."""
    committed = json.loads(RESOURCES.read_text())
    if committed["nvcc"] != compiler_version():
        pytest.skip(f"committed with {committed['nvcc']}, here {compiler_version()}: counts of another compiler")
    now, before = measured(architecture), committed[architecture]
    assert now.keys() == before.keys()
    better = []
    for name in now:
        values = [_compared(architecture, name, kernels[name]) for kernels in (now, before)]
        if name in TILE_KERNELS:
            with capsys.disabled():
                print(f"\n{architecture} {name}: " + ", ".join(f"{key} {value}" for key, value in values[0].items()))
        for key, value in values[0].items():
            allowed = values[1][key] * (1 + _SLACK)
            assert value <= allowed, f"{name}: {key} {value}, committed {values[1][key]}"
            if value < values[1][key] * (1 - _SLACK):
                better.append(f"{name}: {key} {value}, committed {values[1][key]}")
    if better:
        warnings.warn(f"better than committed: {better}; python -m tests.csrc.test_sass writes them", stacklevel=1)


def _compared(architecture: str, name: str, values: dict[str, Any]) -> dict[str, int]:
    """What is held, smaller being better."""
    held = {"registers": values["registers"], "spilled": values["spilled"]}
    if name in TILE_KERNELS:
        cycles = tile_cycles(Kernel.read(values), architecture, depth=512)
        for key in ("HMMA", "MUFU", "LDSM"):
            held[key] = sum(values[part][key] for part in ("start", "turn", "end"))
        held |= {
            "issue slots": round(cycles.issue),
            "tensor cycles": round(cycles.tensor),
            "exponential cycles": round(cycles.exponential),
            "shared memory cycles": round(cycles.shared),
        }
    return held


if __name__ == "__main__":
    values = {"nvcc": compiler_version(), **{architecture: measured(architecture) for architecture in ARCHITECTURES}}
    Path(RESOURCES).write_text(json.dumps(values, indent=1) + "\n")
