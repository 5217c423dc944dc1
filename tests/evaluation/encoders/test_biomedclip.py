"""BiomedCLIP's folder, against open_clip's own computation and its formulas."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import open_clip
import pytest
import torch
from PIL import Image
from transformers import BertTokenizer

from mmclip.errors import UserError
from mmclip.evaluation.encoder import load_encoder
from mmclip.models.unpickle import convert_weights
from tests.evaluation.encoders.layouts import PIXELS, TEXTS, check, resized, small_bert, spread, write_vocabulary

MEAN, STD = [0.48145466, 0.4578275, 0.40821073], [0.26862954, 0.26130258, 0.27577711]


def model_config(text: Path) -> dict[str, Any]:
    return {
        "embed_dim": 12,
        "vision_cfg": {
            "timm_model_name": "test_vit",
            "timm_model_pretrained": False,
            "timm_pool": "",
            "timm_proj": "linear",
            "image_size": 160,
        },
        "text_cfg": {
            "hf_model_name": str(text),
            "hf_tokenizer_name": str(text),
            "hf_model_pretrained": False,
            "hf_proj_type": "mlp",
            "hf_pooler_type": "cls_last_hidden_state_pooler",
            "context_length": 20,
        },
    }


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any]:
    """A folder as published but small, filled by open_clip's own model; the text model's name is the hub's."""
    folder = tmp_path_factory.mktemp("biomedclip")
    torch.manual_seed(0)
    small_bert(folder / "text")  # its config.json; open_clip makes the model
    write_vocabulary(folder)
    model: Any = spread(open_clip.CustomTextCLIP(**model_config(folder / "text"))).eval()
    state = model.state_dict() | {"text.transformer.embeddings.position_ids": torch.arange(64).unsqueeze(0)}
    torch.save(state, folder / "open_clip_pytorch_model.bin")
    convert_weights(folder / "open_clip_pytorch_model.bin")
    published = model_config(Path("microsoft/BiomedNLP-BiomedBERT-base-uncased-abstract"))
    config = {"model_cfg": published, "preprocess_cfg": {"mean": MEAN, "std": STD}}
    (folder / "open_clip_config.json").write_text(json.dumps(config))
    (folder / "text" / "vocab.txt").unlink()  # the tokenizer lies beside the weights
    return folder, model


def test_images_are_open_clips(made: tuple[Path, Any]) -> None:
    folder, model = made
    mean, std = (torch.tensor(part).view(3, 1, 1) for part in (MEAN, STD))
    levels = torch.stack([resized(one, 160, Image.Resampling.BICUBIC, "RGB") for one in PIXELS])
    with torch.no_grad():
        check(load_encoder(f"biomedclip:{folder}").images(PIXELS), model.encode_image((levels - mean) / std))


def test_texts_are_open_clips(made: tuple[Path, Any], tmp_path: Path) -> None:
    folder, model = made
    load: Any = BertTokenizer.from_pretrained
    load(folder).save_pretrained(tmp_path)  # open_clip's class asks for more files than a vocabulary
    texts = [*TEXTS, "edema " * 90, "  edema &amp;  effusion "]
    tokenizer = open_clip.tokenizer.HFTokenizer(str(tmp_path), context_length=20)
    with torch.no_grad():
        expected = model.encode_text(tokenizer(texts))
    encoder = load_encoder(f"biomedclip:{folder}")
    check(encoder.texts(texts), expected)
    assert encoder.logit_scale == pytest.approx(float(model.logit_scale.detach().exp()), rel=1e-5)


def test_the_text_projection_is_two_layers(made: tuple[Path, Any]) -> None:
    folder, model = made
    ids = load_encoder(f"biomedclip:{folder}").text.ids(TEXTS[:2])  # type: ignore[attr-defined]
    first, last = model.text.proj[0].weight, model.text.proj[2].weight
    rows = []
    for row in ids:
        with torch.no_grad():
            hidden = model.text.transformer(torch.tensor([row])).last_hidden_state[:, 0] @ first.T
            rows.append((0.5 * hidden * (1 + torch.erf(hidden / 2**0.5))) @ last.T)
    check(load_encoder(f"biomedclip:{folder}").texts(TEXTS[:2]), torch.cat(rows))


def test_another_architecture_is_sent_to_open_clip(made: tuple[Path, Any], tmp_path: Path) -> None:
    config = json.loads((made[0] / "open_clip_config.json").read_text())
    config["model_cfg"]["text_cfg"]["hf_pooler_type"] = "mean_pooler"
    (tmp_path / "open_clip_config.json").write_text(json.dumps(config))
    with pytest.raises(UserError, match=r"hf_pooler_type: 'mean_pooler', and BiomedCLIP has .*open_clip:FOLDER"):
        load_encoder(f"biomedclip:{tmp_path}")
