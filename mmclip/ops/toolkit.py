"""The CUDA toolkit: whether the extension's kernels are compiled, by which nvcc and for which architectures.

That follows from what is installed and from two variables, never from whether a GPU is there: compute nodes run what a
login node without one has compiled. `MMCLIP_CUDA` is 0 (never), 1 (an error where it cannot be) or auto (the default).
`MMCLIP_CUDA_ARCHITECTURES`, else `TORCH_CUDA_ARCH_LIST`, names the architectures, e.g. `8.0;9.0+PTX`.
"""

from __future__ import annotations

import functools
import os
import re
import shutil
import subprocess
from pathlib import Path

import torch

from mmclip.errors import UserError

DEFAULT_ARCHITECTURES = "8.0;9.0+PTX"
"""A100, H100, and portable code that later devices compile for themselves."""

OLDEST = 8.0
"""The first compute capability with asynchronous copies and bfloat16 on tensor cores, which the kernels are made of."""


def wanted(sources: Path) -> dict[str, str] | bool | None:
    """What the kernels in `sources` are compiled with; False where `MMCLIP_CUDA` is 0, None where they cannot be.

    Returns:
        `nvcc` (its release) and `architectures`, both part of a build's key.

    Raises:
        UserError: a variable has another value, or `MMCLIP_CUDA=1` demands what is not there.
    """
    choice = os.environ.get("MMCLIP_CUDA", "auto")
    if choice not in ("0", "1", "auto"):
        raise UserError(f"MMCLIP_CUDA={choice}: unknown value; use 0, 1 or auto")
    if choice == "0":
        return False
    if missing := obstacles(sources):
        if choice == "1":
            raise UserError(f"MMCLIP_CUDA=1: {' and '.join(missing)}; use MMCLIP_CUDA=0 or auto")
        return None
    return {"nvcc": release() or "", "architectures": ";".join(architectures())}


def obstacles(sources: Path) -> list[str]:
    """Why the kernels in `sources` cannot be compiled here, e.g. "no nvcc on the PATH"; empty if they can."""
    found, torch_cuda = release(), torch.version.cuda
    out = [] if any(sources.rglob("*.cu")) else ["no CUDA sources"]
    if found is None:
        out.append("no nvcc on the PATH")
    if torch_cuda is None:
        out.append("no CUDA in this torch")
    elif found is not None and found.split(".")[0] != torch_cuda.split(".")[0]:
        out.append(f"no nvcc of CUDA {torch_cuda.split('.')[0]} (found {found})")
    return out


def why_not(sources: Path) -> str:
    """Why a build here has no kernels, in one line."""
    if os.environ.get("MMCLIP_CUDA") == "0":
        return "MMCLIP_CUDA=0"
    return " and ".join(obstacles(sources)) or "compiled before nvcc was there; `mmclip build` adds them"


def architectures() -> list[str]:
    """The compute capabilities to compile for, such as 8.0 or 9.0+PTX.

    Raises:
        UserError: a name that is none, or nothing that the kernels run on.
    """
    variable = next(
        (name for name in ("MMCLIP_CUDA_ARCHITECTURES", "TORCH_CUDA_ARCH_LIST") if os.environ.get(name)), ""
    )
    text = os.environ.get(variable, DEFAULT_ARCHITECTURES)
    names = re.split(r"[;,\s]+", text.strip())
    for name in names:
        if not re.fullmatch(r"\d+\.\d[af]?(\+PTX)?", name):
            raise UserError(f"{variable}={text}: {name} is no compute capability; write e.g. {DEFAULT_ARCHITECTURES}")
    usable = [name for name in names if float(re.sub(r"[af]?(\+PTX)?$", "", name)) >= OLDEST]
    if not usable:
        raise UserError(f"{variable}={text}: the kernels need {OLDEST} or newer; use MMCLIP_CUDA=0 to do without them")
    return usable


def release() -> str | None:
    """The release of the nvcc on the PATH, e.g. 13.0, or None where there is none."""
    path = shutil.which("nvcc")
    return None if path is None else _release(path)


def home() -> Path:
    """The folder of the toolkit that the nvcc on the PATH belongs to, which may be a wrapper of one elsewhere."""
    done = subprocess.run(["nvcc", "--dryrun", "-x", "cu", os.devnull], capture_output=True, text=True, check=False)
    top = re.search(r"^#\$ TOP=(.*)$", done.stderr, re.MULTILINE)
    if top is not None:
        return Path(top[1]).resolve()
    return Path(shutil.which("nvcc") or "/usr/local/cuda/bin/nvcc").resolve().parents[1]


@functools.cache
def _release(path: str) -> str | None:
    out = subprocess.run([path, "--version"], capture_output=True, text=True, check=False).stdout
    found = re.search(r"release (\d+\.\d+)", out)
    return found[1] if found else None
