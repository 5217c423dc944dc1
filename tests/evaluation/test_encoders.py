"""Models of other libraries: the adapters give what the library itself gives."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from transformers import (
    AltCLIPConfig,
    AltCLIPModel,
    ChineseCLIPConfig,
    ChineseCLIPModel,
    CLIPConfig,
    CLIPImageProcessor,
    CLIPModel,
    CLIPProcessor,
    SiglipConfig,
    SiglipModel,
)

from mmclip.config.evaluation import EvaluateSettings
from mmclip.errors import UserError
from mmclip.evaluation.encoder import Encoder, load_encoder
from mmclip.evaluation.stage import embed, evaluate
from mmclip.models.digest import weights_digest
from mmclip.models.dual_encoder import DualEncoder
from mmclip.models.export import export_open_clip
from tests.evaluation.small_phantom import Phantom

TEXTS = ["No pleural effusion.", "There is edema.", "Kein Pleuraerguss. " * 60]
PIXELS = np.random.default_rng(0).integers(0, 256, (130, 32, 32), dtype=np.uint8)  # more than one batch
TOWER = {"hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 1, "num_attention_heads": 2}


@pytest.fixture(scope="module")
def open_clip_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny CLIP of open_clip's own kind, with its own tokenizer."""
    folder = tmp_path_factory.mktemp("open_clip")
    config = {
        "embed_dim": 12,
        "vision_cfg": {"image_size": 32, "layers": 1, "width": 32, "head_width": 16, "patch_size": 16},
        "text_cfg": {"context_length": 20, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 1},
    }
    torch.manual_seed(0)
    model = open_clip.CLIP(**config)
    weights = {name: tensor.contiguous() for name, tensor in model.state_dict().items()}
    save_file(weights, folder / "open_clip_model.safetensors")
    (folder / "open_clip_config.json").write_text(json.dumps({"model_cfg": config, "preprocess_cfg": {}}))
    return folder


@pytest.fixture(scope="module")
def hugging_face(tmp_path_factory: pytest.TempPathFactory, model_folder: Path) -> dict[str, Path]:
    """Tiny CLIP and SigLIP folders with their processors."""
    tokenizer = DualEncoder.from_pretrained(model_folder).tokenizer
    special = {"bos_token_id": tokenizer.cls_token_id, "eos_token_id": tokenizer.sep_token_id}
    text = {**TOWER, **special, "vocab_size": len(tokenizer), "max_position_embeddings": 24}
    vision = {**TOWER, "image_size": 32, "patch_size": 16}
    pad = tokenizer.pad_token_id
    images = CLIPImageProcessor(size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32})
    torch.manual_seed(0)
    models = {
        "clip": CLIPModel(CLIPConfig(text_config=text, vision_config=vision, projection_dim=12)),
        "siglip": SiglipModel(SiglipConfig(text_config=text, vision_config=vision)),
        "chinese_clip": ChineseCLIPModel(
            ChineseCLIPConfig(text_config={**text, "pad_token_id": pad}, vision_config=vision, projection_dim=12)
        ),
        "altclip": AltCLIPModel(
            AltCLIPConfig(
                text_config={**text, "pad_token_id": pad, "max_position_embeddings": 24 + pad + 1, "project_dim": 12},
                vision_config=vision,
                projection_dim=12,
            )
        ),
    }
    folders = {}
    for name, model in models.items():
        folders[name] = tmp_path_factory.mktemp(name)
        model.save_pretrained(folders[name])
        CLIPProcessor(images, tokenizer).save_pretrained(folders[name])
    return folders


def check_unit(vectors: np.ndarray, count: int) -> None:
    assert vectors.dtype == np.float32 and len(vectors) == count
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)


def test_open_clip_gives_its_own_embeddings(open_clip_folder: Path) -> None:
    encoder = load_encoder(f"open_clip:{open_clip_folder}")
    model, _, transform = open_clip.create_model_and_transforms(f"local-dir:{open_clip_folder}")
    model.eval()
    with torch.inference_mode():
        inputs = torch.stack([transform(Image.fromarray(one).convert("RGB")) for one in PIXELS])
        images = model.encode_image(inputs, normalize=True).numpy()
        texts = model.encode_text(open_clip.tokenize(TEXTS, context_length=20), normalize=True).numpy()
    np.testing.assert_allclose(encoder.images(PIXELS), images, atol=1e-5)
    np.testing.assert_allclose(encoder.texts(TEXTS), texts, atol=1e-5)
    check_unit(encoder.images(PIXELS), 130)


def test_an_exported_model_is_the_model(model_folder: Path, tmp_path: Path) -> None:
    export_open_clip(model_folder, tmp_path / "exported")
    exported, own = load_encoder(f"open_clip:{tmp_path / 'exported'}"), load_encoder(str(model_folder))
    np.testing.assert_allclose(exported.images(PIXELS), own.images(PIXELS), atol=1e-5)
    np.testing.assert_allclose(exported.texts(TEXTS), own.texts(TEXTS), atol=1e-5)
    assert exported.digest != own.digest


def test_clip_of_transformers_gives_its_own_embeddings(hugging_face: dict[str, Path]) -> None:
    encoder = load_encoder(f"hf:{hugging_face['clip']}")
    model: Any = CLIPModel.from_pretrained(hugging_face["clip"])
    processor: Any = CLIPProcessor.from_pretrained(hugging_face["clip"])
    colour = [Image.fromarray(one).convert("RGB") for one in PIXELS[:3]]
    inputs = processor(text=TEXTS, images=colour, return_tensors="pt", padding=True, truncation=True, max_length=24)
    with torch.inference_mode():
        out = model.eval()(**inputs)
    np.testing.assert_allclose(encoder.images(PIXELS)[:3], out.image_embeds.numpy(), atol=1e-5)
    np.testing.assert_allclose(encoder.texts(TEXTS), out.text_embeds.numpy(), atol=1e-5)
    check_unit(encoder.texts(TEXTS * 50), 150)


@pytest.mark.parametrize("name", ["chinese_clip", "altclip"])
def test_its_relatives_give_their_own_embeddings(hugging_face: dict[str, Path], name: str) -> None:
    """Each image and text alone, as the model itself computes its logits from them."""
    encoder = load_encoder(f"hf:{hugging_face[name]}")
    model: Any = {"chinese_clip": ChineseCLIPModel, "altclip": AltCLIPModel}[name].from_pretrained(hugging_face[name])
    processor: Any = CLIPProcessor.from_pretrained(hugging_face[name])
    found = encoder.images(PIXELS[:2]), encoder.texts(TEXTS)
    for number, text in enumerate(TEXTS):
        picture = Image.fromarray(PIXELS[number % 2]).convert("RGB")
        inputs = processor(text=[text], images=[picture], return_tensors="pt", truncation=True, max_length=24)
        with torch.inference_mode():
            out = model.eval()(**inputs)
        np.testing.assert_allclose(found[0][number % 2], out.image_embeds[0].numpy(), atol=1e-5)
        np.testing.assert_allclose(found[1][number], out.text_embeds[0].numpy(), atol=1e-5)
    check_unit(found[1], 3)


def test_siglips_texts_do_not_depend_on_their_neighbours(hugging_face: dict[str, Path]) -> None:
    encoder = load_encoder(f"hf:{hugging_face['siglip']}")
    alone = np.concatenate([encoder.texts([text]) for text in TEXTS])
    np.testing.assert_allclose(encoder.texts(TEXTS), alone, atol=1e-5)
    check_unit(encoder.images(PIXELS[:2]), 2)


@pytest.mark.parametrize("kind", ["hf", "open_clip"])
def test_other_libraries_models_are_measured_like_ours(
    kind: str,
    phantom: Phantom,
    settings: EvaluateSettings,
    hugging_face: dict[str, Path],
    open_clip_folder: Path,
    tmp_path: Path,
) -> None:
    folder = hugging_face["clip"] if kind == "hf" else open_clip_folder
    rows = evaluate(
        settings, f"{kind}:{folder}", "zero_shot", phantom.benchmarks, [phantom.pack], tmp_path / "m.json", None, "x", 0
    )
    assert {row.model_digest for row in rows} == {weights_digest(folder)}
    assert embed(f"{kind}:{folder}", tmp_path / "out.npy", images=phantom.pack) == 60
    with pytest.raises(UserError, match="fine_tune works on models of mmclip"):
        evaluate(
            settings, f"{kind}:{folder}", "fine_tune", phantom.benchmarks, [phantom.pack], tmp_path / "m", None, "x", 0
        )


def test_a_digest_is_that_of_weights_and_configuration(open_clip_folder: Path, tmp_path: Path) -> None:
    for file in open_clip_folder.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    (tmp_path / "README.md").write_text("a note")
    assert weights_digest(tmp_path) == weights_digest(open_clip_folder)
    (tmp_path / "open_clip_config.json").write_text("{}")
    assert weights_digest(tmp_path) != weights_digest(open_clip_folder)


def broken_open_clip(folder: Path) -> str:
    (folder / "open_clip_model.safetensors").write_bytes(b"no safetensors")
    (folder / "open_clip_config.json").write_text("{}")
    return f"open_clip:{folder}"


def pickled_open_clip(folder: Path) -> str:
    (folder / "open_clip_pytorch_model.bin").write_bytes(b"")
    (folder / "model.safetensors").write_bytes(b"")
    return f"open_clip:{folder}"


def pickled_hugging_face(folder: Path) -> str:
    CLIPConfig().save_pretrained(folder)
    (folder / "pytorch_model.bin").write_bytes(b"")
    return f"hf:{folder}"


def text_only_hugging_face(folder: Path) -> str:
    from transformers import BertConfig, BertModel

    BertModel(BertConfig(vocab_size=9, **TOWER)).save_pretrained(folder)
    return f"hf:{folder}"


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda folder: f"open_clip:{folder / 'none'}", "none: no open_clip_model.safetensors there"),
        (lambda folder: f"hf:{folder / 'none'}", "none: no such folder"),
        (lambda folder: str(folder / "none"), "none: no such model folder"),
        (broken_open_clip, "open_clip cannot load it"),
        (pickled_open_clip, "no open_clip_model.safetensors there"),
        (pickled_hugging_face, "transformers cannot load it"),
        (text_only_hugging_face, r"hf:.*(cannot load it|is no model of images)"),
    ],
)
def test_folders_that_hold_no_such_model_are_refused(tmp_path: Path, make: Any, message: str) -> None:
    with pytest.raises(UserError, match=message) as error:
        load_encoder(make(tmp_path))
    assert "\n" not in str(error.value)


def test_every_adapter_is_an_encoder(open_clip_folder: Path, hugging_face: dict[str, Path], model_folder: Path) -> None:
    for name in (str(model_folder), f"hf:{hugging_face['clip']}", f"open_clip:{open_clip_folder}"):
        encoder: Encoder = load_encoder(name)
        check_unit(encoder.texts(TEXTS[:1]), 1)
        assert len(encoder.digest) == 16
