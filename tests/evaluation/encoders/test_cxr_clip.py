"""CXR-CLIP's folders, against its formulas."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from torch import Tensor, nn
from transformers import SwinModel

from mmclip.errors import UserError
from mmclip.evaluation.encoder import load_encoder
from mmclip.models.unpickle import convert_weights
from tests.evaluation.encoders.layouts import (
    PIXELS,
    SWIN,
    TEXTS,
    check,
    prefixed,
    resized,
    small_bert,
    small_resnet,
    spread,
    tokens,
)


class Mlp(nn.Module):
    """The deeper projection, by its parts."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.projection, self.fc, self.layer_norm = nn.Linear(width, 12), nn.Linear(12, 12), nn.LayerNorm(12)

    def forward(self, x: Tensor) -> Tensor:
        first = x @ self.projection.weight.T + self.projection.bias
        gelu = 0.5 * first * (1 + torch.erf(first / 2**0.5))
        summed = gelu @ self.fc.weight.T + self.fc.bias + first
        centred = summed - summed.mean(dim=1, keepdim=True)
        scaled = centred / (centred.square().mean(dim=1, keepdim=True) + 1e-5).sqrt()
        return scaled * self.layer_norm.weight + self.layer_norm.bias


class Linear(nn.Module):
    """The linear projection, with a bias."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.projection = nn.Linear(width, 12)

    def forward(self, x: Tensor) -> Tensor:
        return x @ self.projection.weight.T + self.projection.bias


def make(folder: Path, image: str, pooling: str, head: type[nn.Module]) -> dict[str, Any]:
    """A folder as published but small, and its parts."""
    torch.manual_seed(0)
    bert = small_bert(folder / "text")
    parts: dict[str, Any] = {"bert": bert, "text_head": spread(head(16))}
    state = prefixed("text_encoder.text_encoder.", bert) | prefixed("text_projection.", parts["text_head"])
    if image == "resnet":
        network = small_resnet()
        network.fc = nn.Identity()  # type: ignore[assignment]
        parts |= {"vision": network, "image_head": spread(head(512))}
        state |= prefixed("image_encoder.resnet.", network)
        encoder = {"source": "torchvision", "name": "resnet"}
    else:
        swin: Any = spread(SwinModel(SWIN)).eval()
        SWIN.save_pretrained(folder / "image")
        parts |= {"vision": lambda pixels: swin(pixels).last_hidden_state[:, 0], "image_head": spread(head(32))}
        state |= prefixed("image_encoder.image_encoder.", swin)
        encoder = {"source": "huggingface", "name": "microsoft/swin-tiny-patch4-window7-224", "model_type": "swin"}
    state |= prefixed("image_projection.", parts["image_head"])
    config = {
        "model": {"image_encoder": encoder, "text_encoder": {"pooling": pooling}},
        "base": {"text_max_length": 20},
    }
    checkpoint = {"model": state | {"logit_scale": torch.tensor(2.5)}, "config": config, "epoch": 15}
    torch.save(checkpoint, folder / "r50_m.tar")
    convert_weights(folder / "r50_m.tar")
    return parts


@pytest.mark.parametrize(
    ("image", "pooling", "head"),
    [("resnet", "eos", Linear), ("swin", "eos", Linear), ("swin", "mean", Mlp), ("resnet", "bos", Mlp)],
)
def test_embeddings(tmp_path: Path, image: str, pooling: str, head: type[nn.Module]) -> None:
    parts = make(tmp_path, image, pooling, head)
    encoder = load_encoder(f"cxr_clip:{tmp_path}")
    imagenet = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    half = torch.full((3,), 0.5), torch.full((3,), 0.5)
    mean, std = (part.view(3, 1, 1) for part in (imagenet if image == "resnet" else half))
    levels = torch.stack([resized(one, 224, Image.Resampling.BILINEAR, "RGB") for one in PIXELS])
    with torch.no_grad():
        check(encoder.images(PIXELS), parts["image_head"](parts["vision"]((levels - mean) / std)))
        rows = []
        for text in [*TEXTS, "edema " * 90]:
            states = parts["bert"](tokens(tmp_path / "text", text, 20)).last_hidden_state
            rows.append({"eos": states[:, -1], "bos": states[:, 0], "mean": states.mean(dim=1)}[pooling])
        check(encoder.texts([*TEXTS, "edema " * 90]), parts["text_head"](torch.cat(rows)))
    assert encoder.logit_scale == pytest.approx(torch.tensor(2.5).exp().item())


def test_the_configuration_must_lie_beside_the_weights(tmp_path: Path) -> None:
    make(tmp_path, "resnet", "last", Linear)
    with pytest.raises(UserError, match=r"r50_m\.json: model\.text_encoder\.pooling: 'last'; known: eos, bos, mean"):
        load_encoder(f"cxr_clip:{tmp_path}")
    (tmp_path / "r50_m.json").write_text('{"model": {}}')
    with pytest.raises(UserError, match=r"r50_m\.json: has no section 'model\.image_encoder'"):
        load_encoder(f"cxr_clip:{tmp_path}")
    (tmp_path / "r50_m.json").unlink()
    with pytest.raises(UserError, match=r"r50_m\.json: is missing"):
        load_encoder(f"cxr_clip:{tmp_path}")
