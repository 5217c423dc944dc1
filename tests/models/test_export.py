"""An exported model is the same model to open_clip."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from transformers import BertConfig, DistilBertConfig, PreTrainedTokenizerFast, ViTConfig

from mmclip.config.models import ImageTower, ModelSettings, TextTower
from mmclip.config.training import Tokenizer
from mmclip.errors import UserError
from mmclip.models.dual_encoder import DualEncoder
from mmclip.models.export import CONFIG, WEIGHTS, export_open_clip
from mmclip.models.image_encoder import ImageEncoder
from mmclip.models.text_encoder import TextEncoder, backbone_from_config
from mmclip.training.tokenizer import train_tokenizer

TEXTS = ["No pleural effusion.", "Heart size is normal.", "Kein Pleuraerguss.", "胸水はありません。", "long " * 40, ""]
CLEANED_OTHERWISE = ["无胸腔积液，心影不大。", "the patient’s heart", "A &amp; B", "two  blanks"]


@pytest.fixture(scope="module")
def tokenizer() -> PreTrainedTokenizerFast:
    return train_tokenizer([*TEXTS, *CLEANED_OTHERWISE], Tokenizer(vocabulary=400))


def settings(**image: Any) -> ModelSettings:
    text = TextTower(kind="scratch", layers=2, width=32, heads=2, feedforward=64, max_tokens=24)
    return ModelSettings(image=ImageTower(**({"name": "test_convnext", "size": 32} | image)), text=text, projection=12)


def saved(chosen: ModelSettings, tokenizer: PreTrainedTokenizerFast, folder: Path) -> DualEncoder:
    torch.manual_seed(0)
    model = DualEncoder.create(chosen, tokenizer).eval()
    with torch.no_grad():
        model.log_logit_scale.fill_(3.0)
        for module in model.image.modules():  # batch statistics as after training
            if isinstance(module, torch.nn.BatchNorm2d):
                module.running_mean.normal_()  # type: ignore[union-attr]
                module.running_var.uniform_(0.5, 2)  # type: ignore[union-attr]
    model.save_pretrained(folder)
    return model


def loaded(folder: Path, clean: bool = True) -> tuple[Any, Any, Any]:
    model, _, transform = open_clip.create_model_and_transforms(f"local-dir:{folder}")
    tokenizer = open_clip.get_tokenizer(f"local-dir:{folder}")
    if not clean:
        tokenizer.clean_fn = str
    return model.eval(), transform, tokenizer


def pixels(size: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (4, size, size), dtype=np.uint8)


def image_difference(model: DualEncoder, folder: Path, images: np.ndarray) -> float:
    other, transform, _ = loaded(folder)
    with torch.inference_mode():
        inputs = torch.stack([transform(Image.fromarray(one)) for one in images])
        return float((other.encode_image(inputs, normalize=True) - model.encode_image(images)).abs().max())


@pytest.mark.parametrize(
    "image",
    [
        {},
        {"options": {"dims": (8, 16, 24, 32)}, "size": 40},
        {"name": "test_vit", "size": 48, "mean": 0.4, "std": 0.3},
        {"name": "test_resnet"},
        {"name": "swin_tiny_patch4_window7_224", "size": 64}
        | {"options": {"embed_dim": 24, "num_heads": (1, 2, 2, 4), "depths": (1, 1, 1, 1)}},
    ],
    ids=lambda image: image.get("name", "test_convnext"),
)
def test_images_have_the_same_embeddings(
    tokenizer: PreTrainedTokenizerFast, tmp_path: Path, image: dict[str, Any]
) -> None:
    chosen = settings(**image)
    model = saved(chosen, tokenizer, tmp_path / "model")
    export_open_clip(tmp_path / "model", tmp_path / "exported")
    assert image_difference(model, tmp_path / "exported", pixels(chosen.image.size)) < 1e-5


def test_resized_images_differ_by_rounding_only(tokenizer: PreTrainedTokenizerFast, tmp_path: Path) -> None:
    model = saved(settings(), tokenizer, tmp_path / "model")
    export_open_clip(tmp_path / "model", tmp_path / "exported")
    smooth = np.tile(np.linspace(0, 255, 80).astype(np.uint8), (4, 80, 1))
    assert image_difference(model, tmp_path / "exported", smooth) < 0.02


def test_texts_have_the_same_embeddings_and_the_scale_is_kept(
    tokenizer: PreTrainedTokenizerFast, tmp_path: Path
) -> None:
    model = saved(settings(), tokenizer, tmp_path / "model")
    export_open_clip(tmp_path / "model", tmp_path / "exported")
    other, _, tokens = loaded(tmp_path / "exported")
    assert tokens(TEXTS).shape == (len(TEXTS), 24)
    with torch.inference_mode():
        torch.testing.assert_close(
            other.encode_text(tokens(TEXTS), normalize=True), model.encode_text(TEXTS), rtol=0, atol=1e-5
        )
        torch.testing.assert_close(other.logit_scale.exp(), model.logit_scale.detach())


def test_without_open_clips_cleaning_every_text_is_the_same(tokenizer: PreTrainedTokenizerFast, tmp_path: Path) -> None:
    model = saved(settings(), tokenizer, tmp_path / "model")
    export_open_clip(tmp_path / "model", tmp_path / "exported")
    other, _, tokens = loaded(tmp_path / "exported", clean=False)
    with torch.inference_mode():
        embedded = other.encode_text(tokens(CLEANED_OTHERWISE), normalize=True)
    torch.testing.assert_close(embedded, model.encode_text(CLEANED_OTHERWISE), rtol=0, atol=1e-5)
    assert not torch.equal(loaded(tmp_path / "exported")[2](CLEANED_OTHERWISE), tokens(CLEANED_OTHERWISE))


def test_bert_and_a_tokenizer_that_frames_nothing(tokenizer: PreTrainedTokenizerFast, tmp_path: Path) -> None:
    config = BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=12,  # as wide as the shared space, where open_clip could leave the projection out
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
        max_position_embeddings=24,
        pad_token_id=tokenizer.pad_token_id,
    )
    bare = PreTrainedTokenizerFast.from_pretrained(_saved_tokenizer(tokenizer, tmp_path / "tokenizer"))
    bare.backend_tokenizer.post_processor = None
    bare.padding_side = bare.truncation_side = "left"
    torch.manual_seed(0)
    text = TextEncoder(backbone_from_config(config.to_dict()))
    model = DualEncoder(settings(), ImageEncoder(settings().image), text, bare).eval()
    model.save_pretrained(tmp_path / "model")
    export_open_clip(tmp_path / "model", tmp_path / "exported")
    other, _, tokens = loaded(tmp_path / "exported")
    with torch.inference_mode():
        embedded = other.encode_text(tokens(TEXTS), normalize=True)
    torch.testing.assert_close(embedded, model.encode_text(TEXTS), rtol=0, atol=1e-5)


def _saved_tokenizer(tokenizer: PreTrainedTokenizerFast, folder: Path) -> Path:
    tokenizer.save_pretrained(folder)
    return folder


def test_what_the_folder_holds(tokenizer: PreTrainedTokenizerFast, tmp_path: Path) -> None:
    saved(settings(), tokenizer, tmp_path / "model")
    export_open_clip(tmp_path / "model", tmp_path / "exported")
    folder = tmp_path / "exported"
    config = json.loads((folder / CONFIG).read_text())
    assert config["preprocess_cfg"]["mean"] == [settings().image.mean] * 3
    assert Path(config["model_cfg"]["text_cfg"]["hf_model_name"]) == folder / "text"
    names = {str(file.relative_to(folder)) for file in folder.rglob("*") if file.is_file()}
    assert {CONFIG, WEIGHTS, "README.md", "tokenizer.json", "image/config.json", "text/config.json"} <= names
    assert not [name for name in names if Path(name).suffix in (".bin", ".pt", ".pth", ".pkl")]
    stem = next(tensor for name, tensor in load_file(folder / WEIGHTS).items() if "stem" in name and tensor.ndim == 4)
    assert stem.shape[1] == 3
    assert torch.equal(stem[:, 0], stem[:, 2])


def test_a_second_export_replaces_the_first(tokenizer: PreTrainedTokenizerFast, tmp_path: Path) -> None:
    saved(settings(), tokenizer, tmp_path / "model")
    export_open_clip(tmp_path / "model", tmp_path / "exported")
    (tmp_path / "exported" / "stale.safetensors").write_bytes(b"")
    export_open_clip(tmp_path / "model", tmp_path / "exported")
    assert not (tmp_path / "exported" / "stale.safetensors").exists()


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("mobilenetv3_small_050", "widens its features after pooling"),
        ("test_nfnet", "cannot be given three channels"),
    ],
)
def test_image_towers_that_open_clip_builds_otherwise_are_refused(
    tokenizer: PreTrainedTokenizerFast, tmp_path: Path, name: str, message: str
) -> None:
    saved(settings(name=name), tokenizer, tmp_path / "model")
    with pytest.raises(UserError, match=message):
        export_open_clip(tmp_path / "model", tmp_path / "exported")
    assert not (tmp_path / "exported").exists()


def test_an_image_tower_that_is_not_timms_is_refused(tokenizer: PreTrainedTokenizerFast, tmp_path: Path) -> None:
    size = {"hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 1, "num_attention_heads": 2}
    ViTConfig(**size, image_size=32, patch_size=8).save_pretrained(tmp_path / "vit")
    saved(settings(library="hugging_face", name=str(tmp_path / "vit")), tokenizer, tmp_path / "model")
    with pytest.raises(UserError, match="is not timm's, as open_clip's are"):
        export_open_clip(tmp_path / "model", tmp_path / "exported")


def test_text_towers_that_open_clip_does_not_have_are_refused(
    tokenizer: PreTrainedTokenizerFast, tmp_path: Path
) -> None:
    words = settings().model_copy(update={"text": TextTower(kind="bag_of_words", width=16)})
    saved(words, tokenizer, tmp_path / "words")
    with pytest.raises(UserError, match="bag_of_words has no counterpart"):
        export_open_clip(tmp_path / "words", tmp_path / "exported")
    size = {"dim": 16, "n_layers": 1, "n_heads": 2, "hidden_dim": 16}
    for name, config, message in (
        ("distilbert", DistilBertConfig(vocab_size=len(tokenizer), **size), "'distilbert' is not built alike"),
        ("bert", BertConfig(vocab_size=len(tokenizer), hidden_size=12, num_hidden_layers=1), "padding id 0 is not"),
    ):
        text = TextEncoder(backbone_from_config(config.to_dict()))
        DualEncoder(settings(), ImageEncoder(settings().image), text, tokenizer).save_pretrained(tmp_path / name)
        with pytest.raises(UserError, match=message):
            export_open_clip(tmp_path / name, tmp_path / "exported")


def test_the_model_itself_is_never_replaced(tokenizer: PreTrainedTokenizerFast, tmp_path: Path) -> None:
    saved(settings(), tokenizer, tmp_path / "model")
    for output in (tmp_path / "model", tmp_path):
        with pytest.raises(UserError, match="would replace the model"):
            export_open_clip(tmp_path / "model", output)
    with pytest.raises(UserError, match="no such model folder"):
        export_open_clip(tmp_path / "none", tmp_path / "exported")
    DualEncoder.from_pretrained(tmp_path / "model")
