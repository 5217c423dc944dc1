"""``mmclip doctor``: what is installed here, what serves each purpose, and what is missing for which stage."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import platform
import shutil
from dataclasses import dataclass
from pathlib import Path

from mmclip.config.translation import NLLB_SIZES
from mmclip.errors import UserError

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

NLLB_LICENCE = "CC-BY-NC-4.0: no commercial use, not meant for medical text"
WEIGHTS = {
    **dict.fromkeys(NLLB_SIZES, f"translation engine `nllb` ({NLLB_LICENCE})"),
    "FacebookAI/xlm-roberta-base": "text encoder at paper scale (MIT)",
    "timm/swin_tiny_patch4_window7_224.ms_in1k": "image encoder at paper scale (MIT)",
    "timm/densenet121.ra_in1k": "classifiers of uncertain labels at paper scale (Apache-2.0)",
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
    return [*_packages(), *_hardware(), *_extension(), *_programs(), *_weights()]


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


def _extension() -> list[Finding]:
    """Which form of the loss serves tensors of each kind of device, and why not the others."""
    if importlib.util.find_spec("torch") is None:
        return [Finding("fused loss", "missing", "needs torch")]
    from mmclip.ops import build

    try:
        found = build.find()
    except (UserError, build.ExtensionError) as error:
        return [Finding("fused loss", "missing", str(error))]
    if found is None and build.compiler() is None:
        why = "no C++ compiler: plain PyTorch serves, slower from a batch of about 1,000"
    elif found is None:
        why = "not compiled yet: `mmclip build` does it; plain PyTorch serves until then"
    else:
        return [Finding("fused loss, CPU", "ok", f"C++, compiled: {found.folder}"), _kernels(found.record["cuda"])]
    return [Finding("fused loss", "note", why)]


def _kernels(compiled: dict[str, str] | bool | None) -> Finding:
    import torch

    from mmclip.ops import build, toolkit

    topic, eager = "fused loss, CUDA", "plain PyTorch serves CUDA tensors"
    if not isinstance(compiled, dict):
        return Finding(topic, "note", f"{eager}: {toolkit.why_not(build.sources())}")
    text = f"kernels for {compiled['architectures']}, by nvcc {compiled['nvcc']}"
    if not torch.cuda.is_available():
        return Finding(topic, "ok", f"{text}; no GPU here to run them")
    too_old = [
        torch.cuda.get_device_name(i)
        for i in range(torch.cuda.device_count())
        if torch.cuda.get_device_capability(i)[0] < toolkit.OLDEST
    ]
    return Finding(topic, "note", f"{text}; {eager} on {', '.join(too_old)}") if too_old else Finding(topic, "ok", text)


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
    home = Path(os.environ.get("HF_HOME", Path.home() / ".cache/huggingface"))
    cache = Path(os.environ.get("HF_HUB_CACHE", home / "hub"))
    out = []
    for name, purpose in WEIGHTS.items():
        folder = cache / f"models--{name.replace('/', '--')}"
        if list(folder.glob("snapshots/*/*.safetensors")):
            out.append(Finding(name, "ok", purpose))
            continue
        missing = f"no .safetensors file in {folder}" if folder.is_dir() else f"not in {cache}"
        out.append(Finding(name, "note", f"{missing}; {purpose}; `mmclip fetch {name}` where there is a network"))
    return out
