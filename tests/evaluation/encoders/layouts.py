"""What the tests of published models share: a BERT with a word-piece vocabulary, small networks, and comparison."""

from __future__ import annotations

import string
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from safetensors.torch import save_file
from torch import Tensor, nn
from torchvision.models.resnet import BasicBlock, ResNet
from transformers import BertConfig, BertModel, BertTokenizer, SwinConfig

TEXTS = ["No pleural effusion.", "There is edema", "the heart is large and there is no edema at all.", "effusion"]
PIXELS = np.random.default_rng(0).integers(0, 256, (3, 260, 260), dtype=np.uint8)
WORDS = ["no", "pleural", "effusion", "there", "is", "edema", "the", "heart", "large", "and", "at", "all", ".", "!"]
SWIN = SwinConfig(image_size=224, patch_size=4, embed_dim=8, depths=[1, 1, 1], num_heads=[1, 2, 2], window_size=7)
SIZES = {"hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 3, "num_attention_heads": 2}


def write_vocabulary(folder: Path) -> int:
    """vocab.txt of whole words and letters; returns its size."""
    letters = [*string.ascii_lowercase, *(f"##{letter}" for letter in string.ascii_lowercase)]
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS, *letters]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "vocab.txt").write_text("\n".join(pieces) + "\n", encoding="utf-8")
    return len(pieces)


def small_bert(folder: Path, positions: int = 64) -> Any:
    """A BERT with a pooler, as they are published; its config.json and vocabulary are written to `folder`."""
    config = BertConfig(vocab_size=write_vocabulary(folder), max_position_embeddings=positions, **SIZES)
    config.save_pretrained(folder)
    model: Any = BertModel(config)
    return spread(model).eval()


def small_resnet() -> ResNet:
    """A ResNet of one block a stage, with batch statistics as after training."""
    network = spread(ResNet(BasicBlock, [1, 1, 1, 1]))
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_(std=0.1)  # type: ignore[union-attr]
            module.running_var.uniform_(0.5, 2)  # type: ignore[union-attr]
    return network.eval()


def spread(module: Any) -> Any:
    """Move weights away from initialisation, so that no bias is zero and no norm does nothing."""
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    return module


def tokens(folder: Path, text: str, limit: int) -> Tensor:
    """Ids [1, W] of one text, with start and end."""
    load: Any = BertTokenizer.from_pretrained
    ids: Tensor = load(folder)(text, truncation=True, max_length=limit, return_tensors="pt").input_ids
    return ids


def prefixed(prefix: str, module: nn.Module) -> dict[str, Tensor]:
    """A module's tensors under a prefix."""
    return {prefix + name: tensor for name, tensor in module.state_dict().items()}


def save(tensors: dict[str, Tensor], path: Path) -> None:
    """As safetensors."""
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file({name: tensor.detach().clone().contiguous() for name, tensor in tensors.items()}, path)


def resized(image: np.ndarray, edge: int, method: Image.Resampling, mode: str) -> Tensor:
    """[channels, edge, edge] grey levels in 0..1 of a square image, by PIL."""
    picture = Image.fromarray(image).convert(mode).resize((edge, edge), method)
    levels = torch.from_numpy(np.array(picture)).float() / 255
    return levels.unsqueeze(0) if mode == "L" else levels.permute(2, 0, 1)


def check(found: np.ndarray, expected: Tensor) -> None:
    """The embeddings are the expected ones, brought to length 1, and differ from one another."""
    unit = expected / expected.norm(dim=1, keepdim=True)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, unit.detach().numpy(), rtol=0, atol=1e-5)
    assert np.abs(found[0] - found[1]).max() > 1e-4
