"""Image towers of Hugging Face: their features, saving, and the refusal of what is none."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import (
    AutoModel,
    BertConfig,
    BertModel,
    CLIPVisionConfig,
    CLIPVisionModel,
    ConvNextConfig,
    ConvNextModel,
    Dinov2Config,
    Dinov2Model,
    Dinov2WithRegistersConfig,
    Dinov2WithRegistersModel,
    SwinConfig,
    SwinModel,
    ViTConfig,
    ViTMAEConfig,
    ViTMAEModel,
    ViTModel,
)

from mmclip.config.models import ImageTower
from mmclip.errors import UserError
from mmclip.models.dual_encoder import DualEncoder
from mmclip.models.image_encoder import ImageEncoder, standardise
from tests.models.towers import grey_images, small_settings, small_tokenizer

SIZE = {"hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 2, "num_attention_heads": 2}
PATCHES = {**SIZE, "image_size": 32, "patch_size": 8}
MODELS: dict[str, Any] = {
    "dinov2": (Dinov2Model, Dinov2Config(**PATCHES)),
    "registers": (Dinov2WithRegistersModel, Dinov2WithRegistersConfig(**PATCHES, num_register_tokens=3)),
    "vit": (ViTModel, ViTConfig(**PATCHES)),
    "clip": (CLIPVisionModel, CLIPVisionConfig(**PATCHES)),
    "swin": (
        SwinModel,
        SwinConfig(image_size=32, patch_size=4, embed_dim=8, depths=[1, 1], num_heads=[1, 2], window_size=4),
    ),
    "convnext": (ConvNextModel, ConvNextConfig(hidden_sizes=[8, 16], depths=[1, 1], num_stages=2, image_size=32)),
}


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    torch.manual_seed(0)
    out = {}
    for name, (model, config) in MODELS.items():
        out[name] = tmp_path_factory.mktemp(name)
        model(config).save_pretrained(out[name])
    return out


def tower(folder: Path, **more: Any) -> ImageTower:
    return ImageTower(library="hugging_face", name=str(folder), size=32, pretrained=True, **more)


@pytest.mark.parametrize("name", MODELS)
def test_features_are_those_of_the_model(folders: dict[str, Path], name: str) -> None:
    encoder = ImageEncoder(tower(folders[name])).eval()
    reference: Any = AutoModel.from_pretrained(folders[name]).eval()
    pixels = torch.randn(2, 1, 32, 32)
    with torch.no_grad():
        pooled, regions = encoder(pixels, tokens=True)
        output = reference(pixels.repeat(1, 3, 1, 1))
    states = output.last_hidden_state
    expected = {
        "dinov2": lambda: (states[:, 0], states[:, 1:]),
        "registers": lambda: (states[:, 0], states[:, 4:]),
        "vit": lambda: (states[:, 0], states[:, 1:]),
        "clip": lambda: (output.pooler_output, states[:, 1:]),
        "swin": lambda: (states.mean(dim=1), states),
        "convnext": lambda: (output.pooler_output, states.flatten(2).transpose(1, 2)),
    }[name]()
    torch.testing.assert_close(pooled, expected[0], rtol=0, atol=1e-5)
    torch.testing.assert_close(regions, expected[1], rtol=0, atol=1e-5)
    assert pooled.shape == (2, encoder.width)


@pytest.mark.parametrize("name", ["dinov2", "vit"])
def test_another_size_stretches_the_positions(folders: dict[str, Path], name: str) -> None:
    settings = tower(folders[name]).model_copy(update={"size": 48})
    pooled, regions = ImageEncoder(settings).eval()(torch.randn(1, 1, 48, 48), tokens=True)
    assert pooled.shape == (1, 16) and regions is not None and regions.shape == (1, 36, 16)


@pytest.mark.parametrize("name", MODELS)
def test_a_saved_model_needs_the_original_no_more(folders: dict[str, Path], name: str, tmp_path: Path) -> None:
    settings = small_settings(library="hugging_face", name=str(folders[name]), pretrained=True, size=32)
    torch.manual_seed(0)
    model = DualEncoder.create(settings, small_tokenizer()).eval()
    moved = settings.model_copy(update={"image": settings.image.model_copy(update={"name": "gone/away"})})
    model.settings = moved
    model.save_pretrained(tmp_path / "m")
    loaded = DualEncoder.from_pretrained(tmp_path / "m")
    assert torch.equal(loaded.encode_image(grey_images()), model.encode_image(grey_images()))
    alone: Any = AutoModel.from_pretrained(tmp_path / "m" / "image").eval()
    pixels = standardise(torch.as_tensor(grey_images()), settings.image)
    with torch.no_grad():
        states = alone(pixels.repeat(1, 3, 1, 1)).last_hidden_state
        expected = model.image.backbone(pixels.repeat(1, 3, 1, 1)).last_hidden_state
    torch.testing.assert_close(states, expected)


def test_it_trains_with_frozen_and_checkpointed_layers(folders: dict[str, Path]) -> None:
    torch.manual_seed(0)
    settings = tower(folders["dinov2"], frozen_layers=1, checkpointing=True)
    encoder = ImageEncoder(settings)
    encoder.prepare_training()
    encoder.train()(torch.randn(2, 1, 32, 32))[0].sum().backward()
    trained = {name for name, p in encoder.backbone.named_parameters() if p.grad is not None}
    assert trained and all("layer.0." not in name and not name.startswith("embeddings") for name in trained)


def test_options_change_the_configuration(folders: dict[str, Path]) -> None:
    encoder = ImageEncoder(tower(folders["dinov2"], options={"drop_path_rate": 0.2}))
    assert encoder.backbone.config.drop_path_rate == 0.2
    with pytest.raises(UserError, match=r"model\.image\.options: .* has no no_such_option"):
        ImageEncoder(tower(folders["dinov2"], options={"no_such_option": 1}))


def test_what_is_no_image_encoder_is_refused(folders: dict[str, Path], tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"model\.image\.name: no configuration of 'microsoft/rad-dino'"):
        ImageEncoder(ImageTower(library="hugging_face", name="microsoft/rad-dino"))
    BertModel(BertConfig(vocab_size=9, **SIZE)).save_pretrained(tmp_path / "bert")
    with pytest.raises(UserError, match="is a model of type 'bert', and no encoder of images"):
        ImageEncoder(tower(tmp_path / "bert"))
    ViTConfig(**PATCHES).save_pretrained(tmp_path / "pickled")
    (tmp_path / "pickled" / "pytorch_model.bin").write_bytes(b"")
    with pytest.raises(UserError, match=r"model\.image\.pretrained: no safetensors weights"):
        ImageEncoder(tower(tmp_path / "pickled"))


def test_a_masked_autoencoder_is_refused(tmp_path: Path) -> None:
    """It leaves out three quarters of the regions, others each time, in evaluation too."""
    ViTMAEModel(ViTMAEConfig(**PATCHES)).save_pretrained(tmp_path / "mae")
    with pytest.raises(UserError, match=r"model\.image\.name: .* is a masked autoencoder \(vit_mae\)") as error:
        ImageEncoder(tower(tmp_path / "mae"))
    assert "\n" not in str(error.value)
    with pytest.raises(UserError, match="masked autoencoder"):  # without masks it shuffles them still
        ImageEncoder(tower(tmp_path / "mae", options={"mask_ratio": 0.0}))


def test_a_tower_stored_in_half_precision_is_built_in_float32(folders: dict[str, Path], tmp_path: Path) -> None:
    AutoModel.from_pretrained(folders["vit"]).half().save_pretrained(tmp_path / "half")
    for pretrained in (True, False):
        settings = tower(tmp_path / "half").model_copy(update={"pretrained": pretrained})
        encoder = ImageEncoder(settings)
        assert {parameter.dtype for parameter in encoder.parameters()} == {torch.float32}
