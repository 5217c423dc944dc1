"""BioViL-T's and BioViL's folders, against their formulas."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn
from transformers import BertConfig, BertForMaskedLM

from mmclip.evaluation.encoder import load_encoder
from mmclip.models.unpickle import convert_weights
from tests.evaluation.encoders.layouts import (
    PIXELS,
    SIZES,
    TEXTS,
    check,
    prefixed,
    small_resnet,
    spread,
    tokens,
    write_vocabulary,
)


class TextHead(nn.Module):
    """CXR-BERT's projection of the first token, by its parts."""

    def __init__(self) -> None:
        super().__init__()
        self.dense_to_hidden, self.dense_to_output = nn.Linear(16, 12), nn.Linear(12, 12)
        self.LayerNorm = nn.LayerNorm(12, eps=1e-12)

    def forward(self, x: Tensor) -> Tensor:
        hidden = x @ self.dense_to_hidden.weight.T + self.dense_to_hidden.bias
        hidden = 0.5 * hidden * (1 + torch.erf(hidden / 2**0.5))
        centred = hidden - hidden.mean(dim=1, keepdim=True)
        normed = centred / centred.square().mean(dim=1, keepdim=True).sqrt()
        normed = normed * self.LayerNorm.weight + self.LayerNorm.bias
        return normed @ self.dense_to_output.weight.T + self.dense_to_output.bias


@pytest.fixture(
    scope="module", params=["biovil_t_image_model_proj_size_128.pt", "biovil_image_resnet50_proj_size_128.pt"]
)
def made(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """A folder as published but small, and its parts; with code in it, as there is in theirs."""
    folder = tmp_path_factory.mktemp("biovil")
    torch.manual_seed(0)
    config = BertConfig(vocab_size=write_vocabulary(folder), max_position_embeddings=24, **SIZES)
    text: Any = spread(BertForMaskedLM(config)).eval()
    text_head = spread(TextHead())
    code = {"auto_map": {"AutoModel": "modeling_cxrbert.CXRBertModel"}, "architectures": ["CXRBertModel"]}
    theirs = {**config.to_dict(), **code, "model_type": "cxr-bert", "projection_size": 12}
    (folder / "config.json").write_text(json.dumps(theirs))
    tokenizer = {"tokenizer_class": "CXRBertTokenizer", "auto_map": {"AutoTokenizer": ["x.CXRBertTokenizer", None]}}
    (folder / "tokenizer_config.json").write_text(json.dumps(tokenizer))
    (folder / "modeling_cxrbert.py").write_text("raise SystemExit('this code must not run')\n")
    torch.save(text.state_dict() | prefixed("cls_projection_head.", text_head), folder / "pytorch_model.bin")
    temporal = "biovil_t" in request.param
    network = small_resnet()
    join = nn.Conv2d(512, 8, 1, bias=False)
    absent = torch.randn(1, 8, 1, 1)
    width = 16 if temporal else 512
    head = spread(
        nn.Sequential(nn.Conv2d(width, 12, 1, bias=False), nn.BatchNorm2d(12), nn.ReLU(), nn.Conv2d(12, 12, 1))
    )
    head[1].running_mean.normal_()
    head.eval()
    state = prefixed("encoder.encoder.", network) | prefixed("projector.model.", head)
    if temporal:
        state |= prefixed("encoder.backbone_to_vit.", join) | {"encoder.missing_previous_emb": absent}
        state["encoder.vit_pooler.type_embed"] = torch.zeros(2, 1, 8)  # of comparisons with an earlier image
    torch.save(state, folder / request.param)
    for name in ("pytorch_model.bin", request.param):
        convert_weights(folder / name)
    parts = {
        "bert": text.bert,
        "text_head": text_head,
        "network": network,
        "join": join,
        "absent": absent,
        "head": head,
    }
    return folder, {**parts, "temporal": temporal}


def test_images(made: tuple[Path, dict[str, Any]]) -> None:
    folder, parts = made
    crop = 448 if parts["temporal"] else 480
    dim = (PIXELS // 2 + 20).astype(np.uint8)  # the loader spreads grey levels over 0..255
    rows = []
    for one in dim:
        spread_out = ((one - one.min()) / (int(one.max()) - int(one.min())) * 255).astype(np.uint8)
        picture = Image.fromarray(spread_out).resize((512, 512), Image.Resampling.BILINEAR)
        edge = (512 - crop) // 2
        levels = torch.from_numpy(np.array(picture.crop((edge, edge, edge + crop, edge + crop)))).float() / 255
        pixels = levels.expand(1, 3, -1, -1)
        network = parts["network"]
        with torch.no_grad():
            grid = network.layer1(network.maxpool(network.relu(network.bn1(network.conv1(pixels)))))
            grid = network.layer4(network.layer3(network.layer2(grid)))
            if parts["temporal"]:
                seen = parts["join"](grid)
                grid = torch.cat([seen, parts["absent"].repeat(1, 1, *seen.shape[2:])], dim=1)
            rows.append(parts["head"](grid).flatten(2).mean(dim=2))
    check(load_encoder(f"biovil_t:{folder}").images(dim), torch.cat(rows))


def test_texts(made: tuple[Path, dict[str, Any]]) -> None:
    folder, parts = made
    rows = []
    for text in [*TEXTS, "edema " * 90]:
        with torch.no_grad():
            states = parts["bert"](tokens(folder, text.rstrip("!?."), 24)).last_hidden_state
            rows.append(parts["text_head"](states[:, 0]))
    encoder = load_encoder(f"biovil_t:{folder}")
    check(encoder.texts([*TEXTS, "edema " * 90]), torch.cat(rows))
    np.testing.assert_allclose(encoder.texts(["edema"]), encoder.texts(["edema..."]), atol=1e-6)


def test_a_flat_image_is_an_image(made: tuple[Path, dict[str, Any]]) -> None:
    flat = np.full((1, 64, 64), 90, np.uint8)
    assert np.isfinite(load_encoder(f"biovil_t:{made[0]}").images(flat)).all()
