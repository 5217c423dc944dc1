"""The weights of a module as safetensors: written with each tensor once, read with every name and shape compared."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import nn

from mmclip.errors import UserError

CONFIG, WEIGHTS = "config.json", "model.safetensors"
PICKLES = (".bin", ".pt", ".pth", ".pkl", ".ckpt", ".tar")


def save_weights(module: nn.Module, path: Path, aliases: frozenset[str] = frozenset()) -> None:
    """Write a module's parameters and buffers as safetensors; see :func:`own_tensors` for `aliases`."""
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in own_tensors(module, aliases).items()}
    save_file(tensors, path, metadata={"format": "pt"})  # Hugging Face asks for the format


def own_tensors(module: nn.Module, aliases: frozenset[str] = frozenset()) -> dict[str, torch.Tensor]:
    """The module's state, a tensor with several names (tied weights) once.

    Args:
        aliases: names that a tensor goes by only if it has no other.
    """
    distinct: dict[int, tuple[str, torch.Tensor]] = {}
    state = module.state_dict(keep_vars=True)
    for name in sorted(state, key=lambda name: name in aliases):
        distinct.setdefault(id(state[name]), (name, state[name]))
    return dict(distinct.values())


def read_tensors(path: Path) -> dict[str, torch.Tensor]:
    """All tensors of a safetensors file.

    Raises:
        UserError: it is missing, truncated, or another format (pickle is never tried).
    """
    try:
        with safe_open(path, framework="pt") as file:
            return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dict)
    except (SafetensorError, OSError) as error:
        raise UserError(f"{path}: is not a whole safetensors file ({str(error).splitlines()[0]})") from error


def load_weights(module: nn.Module, path: Path) -> None:
    """Load a module's weights from a file, after comparing names and shapes; see :func:`fill`."""
    fill(module, read_tensors(path), path)


def fill(module: nn.Module, tensors: Mapping[str, torch.Tensor], path: Path, prefix: str = "") -> None:
    """Give a module these weights, after comparing names and shapes.

    Args:
        tensors: by the module's names.
        path, prefix: where they are from, and how their names begin there, for the message.

    Raises:
        UserError: tensors are missing, extra or of another shape; the first few are named.
    """
    expected = own_tensors(module)
    problems = {
        "missing": [prefix + name for name in expected.keys() - tensors.keys()],
        "not of this model": [prefix + name for name in tensors.keys() - expected.keys()],
        "of another shape": [
            f"{prefix}{name} is {tuple(tensors[name].shape)}, expected {tuple(value.shape)}"
            for name, value in expected.items()
            if name in tensors and tensors[name].shape != value.shape
        ],
    }
    found = [f"{kind}: {_some(names)}" for kind, names in problems.items() if names]
    if found:
        raise UserError(f"{path}: tensors {'; '.join(found)}; the file does not belong to this {CONFIG}")
    with torch.no_grad():
        for name, tensor in expected.items():
            tensor.copy_(tensors[name])


def _some(names: Any, limit: int = 5) -> str:
    ordered = sorted(names)
    more = f" and {len(ordered) - limit} more" if len(ordered) > limit else ""
    return ", ".join(ordered[:limit]) + more
