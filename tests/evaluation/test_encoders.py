"""Models of other libraries: the adapters give what the library itself gives."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
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


@pytest.mark.parametrize("kind", ["hf", "open_clip"])
def test_models_in_half_precision_compute_in_float32(
    kind: str, hugging_face: dict[str, Path], model_folder: Path, tmp_path: Path
) -> None:
    """Transformers takes the type that weights were stored in, which rounds embeddings to three digits."""
    if kind == "hf":
        shutil.copytree(hugging_face["clip"], tmp_path / "half")
        CLIPModel.from_pretrained(tmp_path / "half").half().save_pretrained(tmp_path / "half")
    else:
        export_open_clip(model_folder, tmp_path / "half")
        change(tmp_path / "half/text/config.json", dtype="float16")
    encoder: Any = load_encoder(f"{kind}:{tmp_path / 'half'}")
    assert {parameter.dtype for parameter in encoder.model.parameters()} == {torch.float32}
    check_unit(encoder.texts(TEXTS), 3)


@pytest.mark.parametrize(("kind", "size"), [("hf", 32), ("open_clip", 32), ("", 32)])
def test_an_encoder_says_its_size(
    kind: str, size: int, hugging_face: dict[str, Path], open_clip_folder: Path, model_folder: Path
) -> None:
    name = {"hf": f"hf:{hugging_face['clip']}", "open_clip": f"open_clip:{open_clip_folder}", "": str(model_folder)}
    assert load_encoder(name[kind]).size == size


def change(file: Path, **values: Any) -> None:
    """Set keys of a JSON file."""
    file.write_text(json.dumps(json.loads(file.read_text()) | values))


CODE = """
from pathlib import Path

Path({!r}).touch()
from transformers import BertConfig as Config, BertModel as Model, BertTokenizer as Tokenizer
"""
CODE_IN = {
    "configuration": ("config.json", {"model_type": "new", "auto_map": {
        "AutoConfig": "code.Config", "AutoModel": "code.Model",
    }}),
    "processor": ("processor_config.json", {"processor_class": "New", "auto_map": {"AutoProcessor": "code.Tokenizer"}}),
    "tokenizer": ("tokenizer_config.json", {"tokenizer_class": "NewTokenizer", "auto_map": {
        "AutoTokenizer": ["code.Tokenizer", "code.Tokenizer"],
    }}),
}  # fmt: skip


def embed_text(name: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """The command line on a model with code of its own, for somebody who agrees to everything it might ask."""
    marker, texts = folder.parent / "ran", folder.parent / "texts.txt"
    for place in {folder, folder / "text", folder.parent / "elsewhere"}:
        if place.is_dir():
            (place / "code.py").write_text(CODE.format(str(marker)))
    texts.write_text("No effusion.\n")
    done = subprocess.run(
        [sys.executable, "-m", "mmclip", "embed", name, "--texts", str(texts), "-o", str(folder.parent / "out.npy")],
        input="y\n" * 9, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert not marker.exists(), "its code was run"
    return done


NEEDS_CODE = "eeds Python code of its own, and mmclip runs none"


@pytest.mark.parametrize("where", CODE_IN)
def test_python_files_in_a_folder_of_transformers_are_never_run(
    where: str, hugging_face: dict[str, Path], tmp_path: Path
) -> None:
    folder = tmp_path / "model"
    shutil.copytree(hugging_face["clip"], folder)
    file, values = CODE_IN[where]
    if not (folder / file).exists():
        (folder / file).write_text("{}")
    change(folder / file, **values)
    done = embed_text(f"hf:{folder}", folder)
    if where == "tokenizer":  # transformers has one of its own for this kind of model, and takes that
        assert done.returncode == 0, done.stderr
    else:
        assert done.returncode == 2, done.stdout + done.stderr
        message = done.stderr.splitlines()[-1]
        assert message.startswith(f"mmclip: hf:{folder}: ") and NEEDS_CODE in message


@pytest.mark.parametrize("where", ["text", "elsewhere", "tokenizer", "tokenizer_kwargs"])
def test_python_files_in_a_folder_of_open_clip_are_never_run(where: str, model_folder: Path, tmp_path: Path) -> None:
    folder, text = tmp_path / "model", tmp_path / "elsewhere"
    export_open_clip(model_folder, folder)
    if where == "elsewhere":
        shutil.move(folder / "text", text)
        config = json.loads((folder / "open_clip_config.json").read_text())
        config["model_cfg"]["text_cfg"]["hf_model_name"] = str(text)
        change(folder / "open_clip_config.json", **config)
    if where == "tokenizer_kwargs":
        config = json.loads((folder / "open_clip_config.json").read_text())
        config["model_cfg"]["text_cfg"]["tokenizer_kwargs"] = {"trust_remote_code": True}
        change(folder / "open_clip_config.json", **config)
    file, values = CODE_IN["tokenizer" if where.startswith("tokenizer") else "configuration"]
    at = {"text": folder / "text", "elsewhere": text}.get(where, folder)
    change(at / file, **values)
    done = embed_text(f"open_clip:{folder}", folder)
    assert done.returncode == 2, done.stdout + done.stderr
    message = done.stderr.splitlines()[-1]
    assert NEEDS_CODE in message and str(at) in message
