"""Towers of many architectures: they encode, are saved, load again, and freeze and checkpoint their layers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from transformers import (
    AutoModel,
    BertConfig,
    CamembertConfig,
    DebertaV2Config,
    DistilBertConfig,
    ElectraConfig,
    ModernBertConfig,
    MPNetConfig,
    PreTrainedTokenizerFast,
    RobertaConfig,
)

from mmclip.errors import UserError
from mmclip.models.dual_encoder import DualEncoder
from mmclip.models.image_encoder import ImageEncoder
from mmclip.models.layers import layer_groups
from mmclip.models.tokenizer import framed, plain_ids
from tests.models.towers import TEXTS, grey_images, small_settings, small_tokenizer

SIZE = {"hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 2, "num_attention_heads": 2}
TEXT_CONFIGS: dict[str, tuple[Any, dict[str, Any]]] = {
    "bert": (BertConfig, SIZE),
    "roberta": (RobertaConfig, SIZE),
    "camembert": (CamembertConfig, SIZE),
    "electra": (ElectraConfig, {**SIZE, "embedding_size": 16}),
    "mpnet": (MPNetConfig, SIZE),
    "deberta-v2": (DebertaV2Config, {**SIZE, "relative_attention": True, "pos_att_type": ["p2c", "c2p"]}),
    "distilbert": (DistilBertConfig, {"dim": 16, "hidden_dim": 24, "n_layers": 2, "n_heads": 2}),
    "modernbert": (ModernBertConfig, SIZE),
}


@pytest.fixture(scope="module")
def tokenizer() -> PreTrainedTokenizerFast:
    return small_tokenizer()


@pytest.mark.parametrize("name", TEXT_CONFIGS)
def test_text_encoders_of_hugging_face(tokenizer: PreTrainedTokenizerFast, name: str, tmp_path: Path) -> None:
    config_class, values = TEXT_CONFIGS[name]
    special = {"pad_token_id": tokenizer.pad_token_id, "bos_token_id": 0, "eos_token_id": 2, "cls_token_id": 0}
    special = {key: value for key, value in special.items() if name == "modernbert" or not key.startswith("cls")}
    config = config_class(vocab_size=len(tokenizer), max_position_embeddings=40, **special, **values)
    torch.manual_seed(0)
    AutoModel.from_config(config).save_pretrained(tmp_path / "published")
    text: dict[str, Any] = {"kind": "pretrained", "name": str(tmp_path / "published"), "frozen_layers": 1}
    if name == "mpnet":
        with pytest.raises(UserError, match=r"model\.text\.checkpointing: MPNetModel keeps all activations"):
            DualEncoder.create(small_settings({**text, "checkpointing": True}), tokenizer)
    else:
        text["checkpointing"] = True
    model = DualEncoder.create(small_settings(text), tokenizer)
    ids, mask = framed(tokenizer, plain_ids(tokenizer, TEXTS), 24)
    torch.autograd.backward(model.train().embed_ids(ids, mask)[0][:, 0].sum())
    groups = layer_groups(model.text.backbone)
    trained = {n for n, p in model.text.backbone.named_parameters() if p.grad is not None and p.grad.any()}
    assert len(groups) == 3 and not trained & {*groups[0], *groups[1]} and trained & set(groups[2])
    model.eval().save_pretrained(tmp_path / "model")
    loaded = DualEncoder.from_pretrained(tmp_path / "model")
    assert torch.equal(loaded.encode_text(TEXTS), model.encode_text(TEXTS))
    alone = torch.cat([model.encode_text([text]) for text in TEXTS])
    torch.testing.assert_close(model.encode_text(TEXTS), alone, rtol=0, atol=5e-6)


@pytest.mark.parametrize("name", timm.list_models("test_*"))
def test_image_encoders_of_timm(tokenizer: PreTrainedTokenizerFast, name: str, tmp_path: Path) -> None:
    size = 160 if "vit" in name else 64
    torch.manual_seed(0)
    settings = small_settings({"kind": "bag_of_words"}, name=name, size=size)
    model = DualEncoder.create(settings, tokenizer).eval()
    model.save_pretrained(tmp_path / "model")
    images = grey_images(2, size)
    out = DualEncoder.from_pretrained(tmp_path / "model").encode_image(images)
    assert out.shape == (2, 12) and torch.equal(out, model.encode_image(images))
    names = [n for group in layer_groups(model.image.backbone) for n in group]
    assert sorted(names) == sorted(n for n, _ in model.image.backbone.named_parameters())


def test_the_usual_towers_have_the_usual_shapes() -> None:
    """Swin-T, ViT and ResNet-50 at their own size, without storage."""
    for name, width, regions in (
        ("swin_tiny_patch4_window7_224", 768, 49),
        ("vit_base_patch16_224", 768, 196),
        ("resnet50", 2048, 49),
    ):
        with torch.device("meta"):
            encoder = ImageEncoder(small_settings(name=name, size=224).image).eval()
            pooled, tokens = encoder(torch.empty(1, 1, 224, 224), tokens=True)
        assert tokens is not None and pooled.shape == (1, width) and tokens.shape == (1, regions, width)
