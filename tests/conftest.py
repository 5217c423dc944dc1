"""What some tests need of the machine. Where it is missing they are skipped; under $MMCLIP_CI they fail instead."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

# Without a GPU the tests use builds without kernels, which are compiled in a third of the time; the kernels have tests
# of their own (tests/csrc) and one build of theirs (tests/ops/test_ops_build.py).
if not Path("/dev/nvidiactl").exists():
    os.environ.setdefault("MMCLIP_CUDA", "0")


def _folder(variable: str) -> str | None:
    """What is wrong with the folder that an environment variable names, or None."""
    value = os.environ.get(variable)
    if not value:
        return f"{variable} is not set"
    return None if Path(value).is_dir() else f"{variable}={value} is no folder"


def _disassembler() -> str | None:
    from tests.csrc.sass import disassembler

    return None if disassembler() else "nvdisasm is not installed"


NEEDS: dict[str, Callable[[], str | None]] = {
    "root": lambda: None if os.geteuid() == 0 else "not root",
    "apertium": lambda: None if shutil.which("apertium") else "Apertium is not installed",
    "chromium": lambda: None if shutil.which("chromium") else "Chromium is not installed",
    "compiler": lambda: None if shutil.which(os.environ.get("CXX", "c++")) else "no C++ compiler",
    "nvcc": lambda: None if shutil.which("nvcc") else "nvcc is not installed",
    "nvdisasm": _disassembler,
    "real_data": lambda: _folder("MMCLIP_REAL_DATA"),
    "real_models": lambda: _folder("MMCLIP_REAL_MODELS"),
}
"""What ``@pytest.mark.needs(...)`` may name; each says what is missing, or None."""


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Ask for what the test's marker names."""
    for marker in item.iter_markers("needs"):
        for name in marker.args:
            require(name)


def require(name: str) -> None:
    """Skip the test where a need is not met; in continuous integration a skip would hide a hole, so it fails there."""
    missing = NEEDS[name]()
    if missing and os.environ.get("MMCLIP_CI"):
        pytest.fail(f"{missing}, and nothing may be skipped under MMCLIP_CI", pytrace=False)
    if missing:
        pytest.skip(missing)
