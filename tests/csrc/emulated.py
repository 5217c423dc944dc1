"""Builds what runs the CUDA kernels on the processor: compiled once for each state of the sources."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from pathlib import Path

import torch
from torch.utils.cpp_extension import include_paths

ROOT = Path(__file__).parents[2]
CUDA, SIMT = ROOT / "csrc" / "cuda", Path(__file__).with_name("simt")

_FLAGS = ["-std=c++20", "-fPIC", "-fopenmp", "-U_FORTIFY_SOURCE", "-DMMCLIP_EMULATE", f"-I{CUDA}", f"-I{SIMT}"]
_WARNINGS = ["-Wall", "-Wno-unknown-pragmas", "-Werror"]


def library() -> Path:
    """The library of the operators `mmclip_emulated`: the kernels under the emulator, and their host side."""
    target = _folder() / "emulated.so"
    if not target.exists():
        torch_flags = [flag for path in include_paths() for flag in ("-isystem", path)]
        objects = _compile(
            target.parent,
            {
                SIMT / "launches.cpp": ["-O2", *_WARNINGS],
                CUDA / "host.cpp": ["-O1", *_WARNINGS, *torch_flags],
                SIMT / "host.cpp": ["-O1", *_WARNINGS, *torch_flags],
            },
        )
        torch_libraries = Path(torch.__file__).with_name("lib")
        _link(target, [*objects, "-shared", f"-L{torch_libraries}", "-lc10", "-ltorch_cpu", "-ltorch"])
    return target


def selftest() -> Path:
    """The program that runs faulty kernels."""
    target = _folder() / "selftest"
    if not target.exists():
        _link(target, _compile(target.parent, {SIMT / "selftest.cpp": ["-O1", *_WARNINGS]}))
    return target


def _folder() -> Path:
    """A folder of this state of the sources, compiler and torch; those of other states are removed."""
    digest = hashlib.sha256(f"{torch.__version__} {_compiler()}".encode())
    sources = (ROOT / "csrc" / "soft_contrastive.h", *sorted(CUDA.iterdir()), *sorted(SIMT.iterdir()), Path(__file__))
    for path in sources:
        digest.update(path.read_bytes())
    folder = ROOT / ".build" / "emulated" / digest.hexdigest()[:16]
    for other in folder.parent.glob("*"):
        if other != folder:
            shutil.rmtree(other, ignore_errors=True)
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _compiler() -> str:
    return os.environ.get("CXX", "c++")


def _compile(folder: Path, sources: dict[Path, list[str]]) -> list[str]:
    objects, running = [], []
    for source, flags in sources.items():
        objects.append(str(folder / f"{source.parent.name}-{source.stem}.{os.getpid()}.o"))
        command = [_compiler(), *_FLAGS, *flags, "-c", str(source), "-o", objects[-1]]
        running.append(subprocess.Popen(command, stderr=subprocess.PIPE, text=True))
    failed = [error for process in running for _, error in [process.communicate()] if process.returncode != 0]
    assert not failed, failed[0]
    return objects


def _link(target: Path, what: list[str]) -> None:
    temporary = target.with_suffix(f".{os.getpid()}.tmp")
    subprocess.run([_compiler(), "-fopenmp", *what, "-o", str(temporary)], check=True)
    temporary.rename(target)
