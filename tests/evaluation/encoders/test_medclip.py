"""MedCLIP's folders, against its formulas."""

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


@pytest.fixture(scope="module", params=["resnet", "swin"])
def made(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any, Any, nn.Linear]:
    """A folder as published but small; its image model with projection, its BERT, and the text projection."""
    folder = tmp_path_factory.mktemp(request.param)
    torch.manual_seed(0)
    bert = small_bert(folder / "text", positions=128)
    text_head = nn.Linear(16, 12, bias=False)
    state = prefixed("text_model.model.", bert) | prefixed("text_model.projection_head.", text_head)
    state["text_model.model.embeddings.position_ids"] = torch.arange(128).unsqueeze(0)  # in old checkpoints
    vision: Any
    if request.param == "resnet":
        vision = small_resnet()
        vision.fc = nn.Linear(512, 12, bias=False)
        state |= prefixed("vision_model.model.", vision)
    else:
        swin: Any = spread(SwinModel(SWIN)).eval()
        SWIN.save_pretrained(folder / "image")
        head = nn.Linear(32, 12, bias=False)
        state |= prefixed("vision_model.model.", swin) | prefixed("vision_model.projection_head.", head)

        def vision(pixels: Tensor) -> Tensor:
            pooled: Tensor = swin(pixels).pooler_output
            return pooled @ head.weight.T

    torch.save(state | {"logit_scale": torch.tensor(2.0)}, folder / "pytorch_model.bin")
    convert_weights(folder / "pytorch_model.bin")
    return folder, vision, bert, text_head


def test_images(made: tuple[Path, Any, Any, nn.Linear]) -> None:
    folder, vision, _, _ = made
    levels = torch.stack([resized(one, 224, Image.Resampling.BICUBIC, "L") for one in PIXELS])
    with torch.no_grad():
        expected = vision(((levels - 0.5862785803043838) / 0.27950088968644304).repeat(1, 3, 1, 1))
    check(load_encoder(f"medclip:{folder}").images(PIXELS), expected)


def test_texts_are_encoded_as_each_is_alone(made: tuple[Path, Any, Any, nn.Linear]) -> None:
    folder, _, bert, head = made
    rows = []
    for text in [*TEXTS, "edema " * 90]:
        with torch.no_grad():
            hidden = bert(tokens(folder / "text", text, 77), output_hidden_states=True).hidden_states
            stacked = torch.stack([hidden[1], hidden[2], hidden[-1]])  # 3, 1, W, 16
            rows.append(stacked.permute(1, 0, 2, 3).mean(2).mean(1) @ head.weight.T)
    encoder = load_encoder(f"medclip:{folder}")
    check(encoder.texts([*TEXTS, "edema " * 90]), torch.cat(rows))
    assert encoder.logit_scale == pytest.approx(torch.tensor(2.0).exp().item())


def test_what_is_missing_is_named(made: tuple[Path, Any, Any, nn.Linear], tmp_path: Path) -> None:
    folder = made[0]
    (tmp_path / "bare").mkdir()
    with pytest.raises(UserError, match=r"bare: holds no \*\.safetensors"):
        load_encoder(f"medclip:{tmp_path / 'bare'}")
    (tmp_path / "bare" / "pytorch_model.bin").write_bytes(b"")
    with pytest.raises(UserError, match=r"pytorch_model\.bin: pickled weights are not read; .*mmclip convert-weights"):
        load_encoder(f"medclip:{tmp_path / 'bare'}")
    (tmp_path / "bare" / "model.safetensors").symlink_to(folder / "model.safetensors")
    with pytest.raises(UserError, match=r"config\.json: is missing"):
        load_encoder(f"medclip:{tmp_path / 'bare'}")
    with pytest.raises(UserError, match="none: no such folder"):
        load_encoder(f"medclip:{tmp_path / 'none'}")
