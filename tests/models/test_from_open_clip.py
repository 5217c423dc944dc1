"""The way back from open_clip: what comes back is the same model, what cannot is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from transformers import PreTrainedTokenizerFast, XLMRobertaConfig

from mmclip.errors import UserError
from mmclip.models.card import ModelCard, read_card
from mmclip.models.dual_encoder import DualEncoder
from mmclip.models.export import CONFIG, WEIGHTS, export_open_clip
from mmclip.models.from_open_clip import import_open_clip
from mmclip.models.text_encoder import scratch_config
from tests.models.towers import TEXTS, grey_images, small_settings, small_tokenizer

CLIP_MEAN, CLIP_STD = [0.481, 0.458, 0.408], [0.269, 0.261, 0.276]


@pytest.fixture(scope="module")
def tokenizer() -> PreTrainedTokenizerFast:
    return small_tokenizer()


def changed(folder: Path, change: Callable[[dict[str, Any]], object]) -> Path:
    config = json.loads((folder / CONFIG).read_text())
    change(config)
    (folder / CONFIG).write_text(json.dumps(config))
    return folder


def made_by_open_clip(
    folder: Path, tokenizer: PreTrainedTokenizerFast, trunk: str = "test_vit", size: int = 160, **preprocess: Any
) -> Path:
    """A folder that open_clip's own classes filled: no trace of mmclip's export."""
    tokenizer.save_pretrained(folder)
    scratch_config(small_settings().text, tokenizer).save_pretrained(folder / "text")
    model_cfg = {
        "embed_dim": 12,
        "vision_cfg": {
            "timm_model_name": trunk,
            "timm_model_pretrained": False,
            "timm_pool": "",
            "timm_proj": "linear",
            "image_size": size,
        },
        "text_cfg": {
            "context_length": 24,
            "vocab_size": len(tokenizer),
            "hf_model_name": str(folder / "text"),
            "hf_tokenizer_name": str(folder),
            "hf_model_pretrained": False,
            "hf_proj_type": "linear",
            "hf_pooler_type": "mean_pooler",
        },
    }
    torch.manual_seed(0)
    model = open_clip.CustomTextCLIP(**model_cfg)
    save_file({name: tensor.contiguous() for name, tensor in model.state_dict().items()}, folder / WEIGHTS)
    preprocess_cfg = {"resize_mode": "squash", "interpolation": "bilinear", **preprocess}
    (folder / CONFIG).write_text(json.dumps({"model_cfg": model_cfg, "preprocess_cfg": preprocess_cfg}))
    return folder


def check_same(folder: Path, model: DualEncoder) -> None:
    """open_clip's embeddings of images of the model's size, and of texts, are the imported model's."""
    other, _, transform = open_clip.create_model_and_transforms(f"local-dir:{folder}")
    tokens = open_clip.get_tokenizer(f"local-dir:{folder}")
    tokens.clean_fn = str
    images = grey_images(size=model.settings.image.size)
    with torch.inference_mode():
        inputs = torch.stack([transform(Image.fromarray(one)) for one in images])
        expected = other.eval().encode_image(inputs, normalize=True)
        torch.testing.assert_close(model.encode_image(images), expected, rtol=0, atol=1e-5)
        expected = other.encode_text(tokens(TEXTS), normalize=True)
        torch.testing.assert_close(model.encode_text(TEXTS), expected, rtol=0, atol=1e-5)
        torch.testing.assert_close(other.logit_scale.exp(), model.logit_scale.detach())


@pytest.mark.parametrize(
    "image",
    [
        {},
        {"name": "test_vit", "size": 48, "mean": 0.4, "std": 0.3},
        {"name": "test_resnet"},
        {"options": {"dims": (8, 16, 24, 32)}, "size": 40},
    ],
    ids=["convnext", "vit", "resnet", "options"],
)
def test_there_and_back(tokenizer: PreTrainedTokenizerFast, tmp_path: Path, image: dict[str, Any]) -> None:
    torch.manual_seed(0)
    model = DualEncoder.create(small_settings(**image), tokenizer).eval()
    with torch.no_grad():
        model.log_logit_scale.fill_(3.0)
    card = ModelCard(experiment="e", translated_by=("nllb",))
    model.save_pretrained(tmp_path / "model", card)
    export_open_clip(tmp_path / "model", tmp_path / "exported")
    import_open_clip(tmp_path / "exported", tmp_path / "back")
    back = DualEncoder.from_pretrained(tmp_path / "back")
    images = grey_images(size=50)  # resized alike, since both are mmclip's
    torch.testing.assert_close(back.encode_image(images), model.encode_image(images), rtol=0, atol=1e-5)
    assert torch.equal(back.encode_text(TEXTS), model.encode_text(TEXTS))
    assert float(back.logit_scale.detach()) == pytest.approx(float(model.logit_scale.detach()))
    assert back.settings.image.options == model.settings.image.options
    assert read_card(tmp_path / "back") == read_card(tmp_path / "model")
    check_same(tmp_path / "exported", back)


def test_a_folder_that_moved_finds_its_own_configurations(tokenizer: PreTrainedTokenizerFast, tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = DualEncoder.create(small_settings(), tokenizer).eval()
    model.save_pretrained(tmp_path / "model")
    export_open_clip(tmp_path / "model", tmp_path / "exported")
    (tmp_path / "exported").rename(tmp_path / "moved")
    import_open_clip(tmp_path / "moved", tmp_path / "back")
    torch.testing.assert_close(
        DualEncoder.from_pretrained(tmp_path / "back").encode_image(grey_images()),
        model.encode_image(grey_images()),
        rtol=0,
        atol=1e-5,
    )


def test_open_clips_own_model_comes_in(tokenizer: PreTrainedTokenizerFast, tmp_path: Path) -> None:
    """Three channels with means and deviations of their own, folded into a patch embedding without padding."""
    folder = made_by_open_clip(tmp_path / "theirs", tokenizer, mean=CLIP_MEAN, std=CLIP_STD)
    import_open_clip(folder, tmp_path / "ours")
    model = DualEncoder.from_pretrained(tmp_path / "ours")
    check_same(folder, model)
    assert "Terms not known: theirs" in (tmp_path / "ours" / "README.md").read_text()
    assert model.settings.image.mean == pytest.approx(np.mean(CLIP_MEAN))


def test_different_deviations_fold_into_any_convolution(tokenizer: PreTrainedTokenizerFast, tmp_path: Path) -> None:
    folder = made_by_open_clip(tmp_path / "theirs", tokenizer, "test_resnet", 64, mean=[0.5] * 3, std=CLIP_STD)
    import_open_clip(folder, tmp_path / "ours")
    check_same(folder, DualEncoder.from_pretrained(tmp_path / "ours"))


def test_different_means_before_a_padded_convolution_are_refused(
    tokenizer: PreTrainedTokenizerFast, tmp_path: Path
) -> None:
    folder = made_by_open_clip(tmp_path / "theirs", tokenizer, "test_resnet", 64, mean=CLIP_MEAN, std=CLIP_STD)
    with pytest.raises(UserError, match="one grey channel cannot stand for them"):
        import_open_clip(folder, tmp_path / "ours")
    assert not (tmp_path / "ours").exists()


def set_text(key: str, value: Any) -> Callable[[dict[str, Any]], object]:
    return lambda config: config["model_cfg"]["text_cfg"].update({key: value})


def set_vision(key: str, value: Any) -> Callable[[dict[str, Any]], object]:
    return lambda config: config["model_cfg"]["vision_cfg"].update({key: value})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (set_text("hf_pooler_type", "cls_pooler"), r"hf_pooler_type: 'cls_pooler', and .* only for 'mean_pooler'"),
        (set_text("hf_proj_type", "mlp"), r"hf_proj_type: 'mlp'"),
        (set_vision("timm_proj", "mlp"), r"timm_proj: 'mlp'"),
        (set_vision("timm_pool", "rot_attn"), r"timm_pool: 'rot_attn'"),
        (set_vision("timm_model_name", "no_such_tower"), "timm has no model 'no_such_tower'"),
        (lambda config: config["model_cfg"].pop("vision_cfg"), r"timm_proj: None"),
    ],
)
def test_architectures_without_a_counterpart_are_refused(
    tokenizer: PreTrainedTokenizerFast, tmp_path: Path, change: Any, message: str
) -> None:
    folder = changed(made_by_open_clip(tmp_path / "theirs", tokenizer), change)
    with pytest.raises(UserError, match=message) as error:
        import_open_clip(folder, tmp_path / "ours")
    assert "\n" not in str(error.value) and not (tmp_path / "ours").exists()


def test_clip_of_open_clips_own_kind_is_refused(tmp_path: Path) -> None:
    config = {"embed_dim": 12, "vision_cfg": {"layers": 1}, "text_cfg": {"layers": 1}}
    (tmp_path / CONFIG).write_text(json.dumps({"model_cfg": config, "preprocess_cfg": {}}))
    with pytest.raises(UserError, match=r"vision_cfg\.timm_proj: None"):
        import_open_clip(tmp_path, tmp_path / "ours")


def test_a_scale_out_of_bounds_and_missing_parts_are_named(tokenizer: PreTrainedTokenizerFast, tmp_path: Path) -> None:
    folder = made_by_open_clip(tmp_path / "theirs", tokenizer)
    from safetensors.torch import load_file

    tensors = load_file(folder / WEIGHTS)
    save_file(tensors | {"logit_scale": torch.tensor(6.0)}, folder / WEIGHTS)
    with pytest.raises(UserError, match="logit scale 403"):
        import_open_clip(folder, tmp_path / "ours")
    save_file({name: tensor for name, tensor in tensors.items() if name != "text.proj.weight"}, folder / WEIGHTS)
    with pytest.raises(UserError, match=r"missing: text\.proj\.weight"):
        import_open_clip(folder, tmp_path / "ours")
    changed(folder, set_text("hf_model_name", "nobody/nothing"))
    (folder / "text" / "config.json").unlink()
    with pytest.raises(UserError, match="'nobody/nothing' is neither a folder nor in the local hub cache"):
        import_open_clip(folder, tmp_path / "ours")
    with pytest.raises(UserError, match=r"open_clip_config\.json: is missing or not JSON"):
        import_open_clip(tmp_path / "none", tmp_path / "ours")


def test_defaults_of_the_architecture_need_not_be_written_out(
    tokenizer: PreTrainedTokenizerFast, tmp_path: Path
) -> None:
    """transformers itself writes only what differs from them; and a size may be a pair."""
    folder = made_by_open_clip(tmp_path / "theirs", tokenizer, mean=CLIP_MEAN, std=CLIP_STD)
    changed(folder, set_vision("image_size", [160, 160]))
    file = folder / "text" / "config.json"
    config = json.loads(file.read_text())
    assert config.pop("pad_token_id") == XLMRobertaConfig().pad_token_id
    file.write_text(json.dumps(config))
    import_open_clip(folder, tmp_path / "ours")
    check_same(folder, DualEncoder.from_pretrained(tmp_path / "ours"))


def edit_text(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    file = folder / "text" / "config.json"
    config = json.loads(file.read_text())
    change(config)
    file.write_text(json.dumps(config))


def local_tower(folder: Path, arguments: Any) -> None:
    (folder / "image").mkdir()
    local = {"architecture": "test_vit", "model_args": arguments}
    (folder / "image" / "config.json").write_text(json.dumps(local))
    changed(folder, set_vision("timm_model_name", f"local-dir:{folder / 'image'}"))


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda folder: edit_text(folder, lambda c: c.pop("model_type")), r"text/config\.json: has no model_type"),
        (
            lambda folder: edit_text(folder, lambda c: c.update(model_type="new", auto_map={"AutoConfig": "a.B"})),
            r"text/config\.json: is no configuration of transformers",
        ),
        (lambda folder: edit_text(folder, lambda c: c.update(pad_token_id=None)), "padding id is None and"),
        (lambda folder: changed(folder, set_vision("image_size", [160, 224])), r"image\.size: .*found \[160, 224\]"),
        (lambda folder: changed(folder, set_vision("image_size", None)), r"image\.size: .*found None"),
        (lambda folder: changed(folder, set_text("context_length", "long")), r"text\.max_tokens: .*found 'long'"),
        (lambda folder: changed(folder, set_text("hf_model_name", None)), r"text\.name: .*found None"),
        (lambda folder: changed(folder, lambda c: c["model_cfg"].pop("embed_dim")), r"projection: .*found None"),
        (lambda folder: local_tower(folder, {"drop_rate": None}), r"image\.options\.drop_rate.*found None"),
        (lambda folder: local_tower(folder, {"depths": [[1], [2]]}), r"image\.options\.depths"),
        (lambda folder: changed(folder, lambda c: c["preprocess_cfg"].update(mean=[0])), r"preprocess_cfg\.mean: \[0"),
        (lambda folder: changed(folder, lambda c: c.update(model_cfg=[])), r"timm_proj: None"),
        (lambda folder: changed(folder, lambda c: c["model_cfg"].update(text_cfg=None)), r"hf_proj_type: None"),
    ],
)  # fmt: skip
def test_what_a_configuration_may_not_hold_is_named(
    tokenizer: PreTrainedTokenizerFast, tmp_path: Path, edit: Callable[[Path], object], message: str
) -> None:
    """The folder's path holds a name of an architecture: transformers would guess by it."""
    folder = made_by_open_clip(tmp_path / "bert", tokenizer)
    edit(folder)
    with pytest.raises(UserError, match=message) as error:
        import_open_clip(folder, tmp_path / "ours")
    assert "\n" not in str(error.value) and str(folder) in str(error.value) and not (tmp_path / "ours").exists()


def test_a_folder_called_like_a_published_model_gets_no_licence(
    tokenizer: PreTrainedTokenizerFast, tmp_path: Path
) -> None:
    import_open_clip(made_by_open_clip(tmp_path / "xlm-roberta-base", tokenizer), tmp_path / "ours")
    assert "Terms not known: xlm-roberta-base" in (tmp_path / "ours" / "README.md").read_text()


def test_text_towers_in_half_precision_come_in_as_float32(tokenizer: PreTrainedTokenizerFast, tmp_path: Path) -> None:
    folder = made_by_open_clip(tmp_path / "theirs", tokenizer)
    edit_text(folder, lambda config: config.update(dtype="float16"))
    import_open_clip(folder, tmp_path / "ours")
    model = DualEncoder.from_pretrained(tmp_path / "ours")
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}
