"""Published checkpoints as safetensors: the one place where a pickled file is opened.

Others publish weights as pickles, which can run code. mmclip reads none of them anywhere else. Here torch's restricted
reader is used (``weights_only=True``), which builds tensors and plain containers and refuses everything else; there is
no way around it.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from mmclip.errors import UserError
from mmclip.tables.files import atomic

STATES = ("state_dict", "model_state_dict", "model")
"""Where training scripts put the weights in what they save."""


def convert_weights(checkpoint: Path, output: Path | None = None) -> dict[str, Any]:
    """Write the tensors of a pickled checkpoint as safetensors, and its configuration as JSON.

    Args:
        checkpoint: what ``torch.save`` wrote: a state dict, or a dict with one under a usual name.
        output: the file to write; beside the checkpoint by default, ``pytorch_model`` shortened to ``model``.

    Returns:
        files, and the number of tensors.

    Raises:
        UserError: the file is missing, is no checkpoint, holds more than data, or holds no tensors.
    """
    if not checkpoint.is_file():
        raise UserError(f"{checkpoint}: no such file")
    target = output or checkpoint.with_name(checkpoint.stem.replace("pytorch_model", "model") + ".safetensors")
    if target.suffix != ".safetensors" or target == checkpoint:
        raise UserError(f"{target}: the output's name must end in .safetensors")
    content = _read(checkpoint)
    tensors = _weights(content, checkpoint)
    with atomic(target) as temporary:
        save_file(tensors, temporary, metadata={"format": "pt"})
    files = [target]
    config = content.get("config") if isinstance(content, dict) else None
    if isinstance(config, dict):
        files.append(target.with_suffix(".json"))
        with atomic(files[-1]) as temporary:
            temporary.write_text(json.dumps(config, indent=1, default=str) + "\n", encoding="utf-8")
    return {"files": [str(file) for file in files], "tensors": len(tensors)}


def _read(checkpoint: Path) -> Any:
    try:
        return torch.load(checkpoint, map_location="cpu", weights_only=True)
    except Exception as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0][:160]
        raise UserError(
            f"{checkpoint}: cannot be read as weights alone ({reason}); ask its authors for safetensors, or for a file "
            "with nothing but the state dict"
        ) from error


def _weights(content: Any, checkpoint: Path) -> dict[str, torch.Tensor]:
    if isinstance(content, dict):
        content = next((content[key] for key in STATES if isinstance(content.get(key), dict)), content)
        found = {str(name): value for name, value in content.items() if isinstance(value, torch.Tensor)}
        if found:
            # a copy each: tied weights share memory, which safetensors cannot say
            return {name.removeprefix("module."): value.detach().clone().contiguous() for name, value in found.items()}
    raise UserError(f"{checkpoint}: holds no named tensors; it is no state dict, nor a dict with one")
