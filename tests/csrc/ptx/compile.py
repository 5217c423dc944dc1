"""nvcc: sources to PTX and to machine code, kept in `.build/ptx` under a digest of all that decides the result."""

from __future__ import annotations

import functools
import hashlib
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from tests.csrc.ptx.program import Kernel, parse

CHECKOUT = Path(__file__).parents[3]
SOURCES = CHECKOUT / "csrc"
_KEPT = CHECKOUT / ".build" / "ptx"
_FLAGS = ("-std=c++17", "-O3")


@dataclass(frozen=True)
class Compiled:
    """What nvcc wrote: the file, and what it said (with `-v` of ptxas)."""

    path: Path
    said: str


def compile_file(source: Path, architecture: str, kind: str, *flags: str) -> Compiled:
    """Compile `source` to `kind` (ptx or cubin) for `architecture`, such as sm_80. The result is kept.

    Raises:
        RuntimeError: nvcc refuses; with its words.
    """
    nvcc = shutil.which("nvcc")
    if nvcc is None:
        raise RuntimeError("there is no nvcc")
    command = [nvcc, f"-{kind}", f"-arch={architecture}", *_FLAGS, *flags]
    digest = hashlib.sha256("\0".join([*command[1:], _version(nvcc)]).encode())
    root = source.parent.parent
    for path in sorted([*root.glob("*.h"), *root.glob("cuda/*.cu*"), *root.glob("cuda/*.h"), source]):
        digest.update(path.name.encode() + b"\0" + path.read_bytes())
    target = _KEPT / f"{digest.hexdigest()[:24]}.{kind}"
    said = target.with_suffix(f".{kind}.txt")
    if not (target.is_file() and said.is_file()):
        _KEPT.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=_KEPT) as folder:
            made = Path(folder) / target.name
            words = _run([*command, str(source), "-o", str(made)])
            (Path(folder) / said.name).write_text(words)
            (Path(folder) / said.name).replace(said)
            made.replace(target)
    return Compiled(target, said.read_text())


@functools.cache
def kernels(architecture: str, source: Path = SOURCES / "cuda" / "kernels.cu") -> dict[str, Kernel]:
    """The kernels of a source file as PTX for `architecture`."""
    return parse(compile_file(source, architecture, "ptx").path.read_text())


def compiler_version() -> str:
    """The release of nvcc, such as V13.0.88.

    Raises:
        RuntimeError: there is no nvcc.
    """
    nvcc = shutil.which("nvcc")
    if nvcc is None:
        raise RuntimeError("there is no nvcc")
    return _version(nvcc).split("release ")[1].split(",")[1].split()[0]


@functools.cache
def _version(nvcc: str) -> str:
    return _run([nvcc, "--version"])


def _run(command: list[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}: {done.stdout}{done.stderr}")
    return done.stdout + done.stderr
