"""The stage `build`: make sure that the extension is compiled, and write down what training will use."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import torch

from mmclip.ops import build as extension
from mmclip.ops import toolkit
from mmclip.tables.files import write_json


def build(output: Path) -> dict[str, Any]:
    """Compile the extension, or reuse a build, and write `output` (ext.json) atomically.

    Returns what is written: `backend` is "fused", with the key, the folder, what the key is made of, whether the build
    was compiled or reused, and either the `architectures` of its CUDA kernels or `why_no_cuda`; or `backend` is "eager"
    with `why`: without a compiler everything still runs, only slower.

    Raises:
        UserError: `MMCLIP_CUDA` asks for what is not there, or a folder cannot be written.
    """
    try:
        made = extension.build()
    except extension.ExtensionError as error:
        return _write(_eager(str(error)), output)
    if not extension.load():
        return _write(_eager(f"{made.library}: compiled, but this process cannot load it"), output)
    record = {
        "backend": "fused",
        "backends": ["eager", "cpu", *(["cuda"] if made.record["cuda"] else [])],
        **_cuda(made.record["cuda"]),
        "path": str(made.library),
        "compiled": made.fresh,
        **made.record,
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
    }
    return _write(record, output)


def _cuda(compiled: dict[str, str] | bool | None) -> dict[str, Any]:
    if isinstance(compiled, dict):
        return {"architectures": compiled["architectures"].split(";")}
    return {"why_no_cuda": toolkit.why_not(extension.sources())}


def _eager(why: str) -> dict[str, Any]:
    warnings.warn(f"the loss runs in its eager form: {why}", stacklevel=3)
    return {"backend": "eager", "backends": ["eager"], "why": why, "torch": str(torch.__version__)}


def _write(record: dict[str, Any], output: Path) -> dict[str, Any]:
    write_json(record, output)
    return record
