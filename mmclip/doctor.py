"""``mmclip doctor``: what is installed here, what serves each purpose, and what is missing for which stage."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import platform
import shutil
from dataclasses import dataclass
from pathlib import Path

PACKAGES = (
    "torch",
    "torchvision",
    "transformers",
    "timm",
    "ctranslate2",
    "polars",
    "snakemake",
    "lingua-language-detector",
)
"""Distributions whose versions decide results."""

WEIGHTS = {
    "facebook/nllb-200-distilled-600M": "translation engine `nllb` (CC-BY-NC-4.0: no commercial use, not meant for "
    "medical text)",
    "FacebookAI/xlm-roberta-base": "text encoder at paper scale (MIT)",
    "timm/swin_tiny_patch4_window7_224.ms_in1k": "image encoder at paper scale (MIT)",
}
"""Pretrained weights of a full-size run, and what for."""


@dataclass(frozen=True)
class Finding:
    """One line of the doctor's list: `state` is ok, missing or note."""

    topic: str
    state: str
    text: str


def examine() -> list[Finding]:
    """Look at this machine; nothing is installed, compiled or fetched."""
    return [*_packages(), *_hardware(), _extension(), *_programs(), *_weights()]


def _packages() -> list[Finding]:
    out = [Finding("Python", "ok", f"{platform.python_version()} on {platform.platform()}")]
    for name in PACKAGES:
        try:
            out.append(Finding(name, "ok", importlib.metadata.version(name)))
        except importlib.metadata.PackageNotFoundError:
            out.append(
                Finding(name, "missing", "not installed: make install, or pip install -c envs/constraints.txt .")
            )
    return out


def _hardware() -> list[Finding]:
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    free = shutil.disk_usage(".").free / 2**30
    out = [Finding("machine", "ok", f"{os.cpu_count()} cores, {memory:.0f} GiB memory, {free:.0f} GiB free disk here")]
    if importlib.util.find_spec("torch") is None:
        return out
    import torch

    if torch.cuda.is_available():
        names = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
        return [*out, Finding("GPU", "ok", ", ".join(names))]
    return [*out, Finding("GPU", "note", "none found: everything runs on the CPU, at demo size")]


def _extension() -> Finding:
    if importlib.util.find_spec("torch") is None:
        return Finding("fused loss", "missing", "needs torch")
    from mmclip.ops import build

    found = build.find()
    if found is not None:
        return Finding("fused loss", "ok", f"compiled: {found.folder}")
    if shutil.which("c++") is None and shutil.which("g++") is None:
        return Finding(
            "fused loss", "note", "no C++ compiler: plain PyTorch serves, slower from a batch of about 1,000"
        )
    return Finding("fused loss", "note", "not compiled yet: `mmclip build` does it; plain PyTorch serves until then")


def _programs() -> list[Finding]:
    wanted = {
        "nvcc": "CUDA kernels",
        "sbatch": "submission to SLURM",
        "conda": "--use-conda",
        "apptainer": "--sdm apptainer",
    }
    return [
        Finding(name, "ok" if path else "note", path or f"not found: only needed for {purpose}")
        for name, purpose in wanted.items()
        for path in [shutil.which(name)]
    ]


def _weights() -> list[Finding]:
    cache = Path(os.environ.get("HF_HUB_CACHE", Path.home() / ".cache/huggingface/hub"))
    out = []
    for name, purpose in WEIGHTS.items():
        there = (cache / f"models--{name.replace('/', '--')}").is_dir()
        text = purpose if there else f"not in {cache}; {purpose}; `mmclip fetch {name}` where there is a network"
        out.append(Finding(name, "ok" if there else "note", text))
    return out
