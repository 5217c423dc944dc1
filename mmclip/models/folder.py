"""A model's folder: config.json, model.safetensors, the tokenizer and a card. JSON and safetensors only, no pickle."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import nn
from transformers import PreTrainedTokenizerFast

from mmclip.config.base import parse
from mmclip.config.models import ModelSettings
from mmclip.errors import UserError
from mmclip.models.text_encoder import TextEncoder
from mmclip.models.tokenizer import load_tokenizer
from mmclip.tables.files import atomic

if TYPE_CHECKING:
    from mmclip.models.dual_encoder import DualEncoder

FORMAT, VERSION = "mmclip-dual-encoder", 1
CONFIG, WEIGHTS, CARD = "config.json", "model.safetensors", "README.md"
PICKLES = (".bin", ".pt", ".pth", ".pkl", ".ckpt")


@dataclass(frozen=True)
class Saved:
    """What a folder says before its weights are read; `text_config` is Hugging Face's, None for a bag of words."""

    settings: ModelSettings
    text_config: dict[str, Any] | None
    tokenizer: PreTrainedTokenizerFast


def write(model: DualEncoder, path: Path, card: str) -> None:
    """Write the folder atomically."""
    text_config = model.text.backbone.config.to_dict() if isinstance(model.text, TextEncoder) else None
    config = {
        "format": FORMAT,
        "version": VERSION,
        "settings": model.settings.model_dump(mode="json"),
        "preprocessing": {
            "channels": 1,
            "range": "uint8 grey levels divided by 255",
            "size": model.settings.image.size,
            "mean": model.settings.image.mean,
            "std": model.settings.image.std,
        },
        "text_config": text_config,
    }
    with atomic(path) as temporary:
        temporary.mkdir()
        (temporary / CONFIG).write_text(json.dumps(config, indent=1) + "\n", encoding="utf-8")
        save_weights(model, temporary / WEIGHTS)
        model.tokenizer.save_pretrained(temporary)
        (temporary / CARD).write_text(_card(model, card), encoding="utf-8")
        if isinstance(model.text, TextEncoder):
            write_text_tower(model.text.backbone, model.tokenizer, temporary / "text")


def write_text_tower(backbone: Any, tokenizer: PreTrainedTokenizerFast, path: Path) -> None:
    """Write a Hugging Face encoder as a folder that ``AutoModel`` and ``AutoTokenizer`` read."""
    path.mkdir()
    backbone.config.architectures = [type(backbone).__name__]
    backbone.config.save_pretrained(path)
    save_weights(backbone, path / WEIGHTS, aliases=frozenset(backbone._tied_weights_keys or ()))
    tokenizer.save_pretrained(path)


def read(path: Path) -> Saved:
    """The settings, text configuration and tokenizer of a folder.

    Raises:
        UserError: it is no folder of a dual encoder, or its weights are pickled.
    """
    if not path.is_dir():
        raise UserError(f"{path}: no such model folder")
    if not (path / WEIGHTS).exists():
        pickled = sorted(file.name for file in path.iterdir() if file.suffix in PICKLES)
        if pickled:
            raise UserError(f"{path / pickled[0]}: pickled weights can run code and are not read; save as {WEIGHTS}")
        raise UserError(f"{path}: holds no {WEIGHTS}, so it is not a saved model")
    try:
        config = json.loads((path / CONFIG).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"{path / CONFIG}: is missing or not JSON; a saved model has one") from error
    if not isinstance(config, dict) or config.get("format") != FORMAT:
        raise UserError(f"{path / CONFIG}: does not say format {FORMAT!r}, so this is not a model of mmclip")
    if config.get("version") != VERSION:
        raise UserError(f"{path / CONFIG}: version {config.get('version')!r}, this mmclip reads version {VERSION}")
    settings = parse(ModelSettings, config.get("settings"), str(path / CONFIG))
    return Saved(settings, config.get("text_config"), load_tokenizer(path))


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
    """Load a module's weights, after comparing names and shapes.

    Raises:
        UserError: tensors are missing, extra or of another shape; the first few are named.
    """
    tensors = read_tensors(path)
    expected = own_tensors(module)
    shapes = {
        f"{name} is {tuple(tensors[name].shape)}, expected {tuple(value.shape)}"
        for name, value in expected.items()
        if name in tensors and tensors[name].shape != value.shape
    }
    problems = {
        "missing": expected.keys() - tensors.keys(),
        "not of this model": tensors.keys() - expected.keys(),
        "of another shape": shapes,
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


def _card(model: DualEncoder, card: str) -> str:
    settings = model.settings
    text = settings.text.name if settings.text.kind == "pretrained" else settings.text.kind.replace("_", " ")
    return f"""---
library_name: mmclip
tags: [chest-radiograph, multilingual, image-text]
---
# A dual encoder of chest radiographs and reports

Image tower {settings.image.name} at {settings.image.size} px, text tower {text}, projection {settings.projection}.
Not a medical device; not for clinical use.

```python
from mmclip import DualEncoder
model = DualEncoder.from_pretrained("this folder")
model.zero_shot(pixels, {{"Edema": ["Pulmonary edema."], "No Finding": ["Normal chest."]}})  # uint8 [N, H, W]
```

{card}
"""
