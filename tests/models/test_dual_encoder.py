"""The dual encoder: shapes, padding, saving, and what a folder may not hold."""

from __future__ import annotations

import json
import math
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import huggingface_hub
import numpy as np
import pytest
import timm
import torch
from safetensors.torch import load_file, save_file
from torch import nn
from transformers import AutoModel, PreTrainedTokenizerFast, T5Config

from mmclip.config.models import ImageTower, ModelSettings, TextTower
from mmclip.errors import UserError
from mmclip.models.dual_encoder import DualEncoder
from mmclip.models.image_encoder import ImageEncoder, standardise
from mmclip.models.text_encoder import attention, load_pretrained, masked_mean, scratch_config
from mmclip.models.tokenizer import framed, plain_ids
from tests.models.towers import TEXTS, small_tokenizer


@pytest.fixture(scope="module")
def tokenizer() -> PreTrainedTokenizerFast:
    return small_tokenizer()


def settings(kind: str = "scratch", image: str = "test_convnext") -> ModelSettings:
    text = TextTower(kind=kind, layers=2, width=32, heads=2, feedforward=64, max_tokens=24)  # type: ignore[arg-type]
    return ModelSettings(image=ImageTower(name=image, size=32), text=text, projection=12)


@pytest.fixture(scope="module")
def model(tokenizer: PreTrainedTokenizerFast) -> DualEncoder:
    torch.manual_seed(0)
    return DualEncoder.create(settings(), tokenizer)


def images(count: int = 3, size: int = 40) -> np.ndarray:
    return np.random.default_rng(1).integers(0, 256, (count, size, size), dtype=np.uint8)


def test_embeddings_are_unit_vectors_in_one_space(model: DualEncoder) -> None:
    image, text = model.encode_image(images()), model.encode_text(TEXTS)
    assert image.shape == (3, 12) and text.shape == (4, 12)
    torch.testing.assert_close(image.norm(dim=1), torch.ones(3))
    torch.testing.assert_close(text.norm(dim=1), torch.ones(4))


def test_zero_shot_follows_its_definition(model: DualEncoder) -> None:
    prompts = {"effusion": TEXTS[:1], "normal": TEXTS[1:3]}
    probability = model.zero_shot(images(), prompts)
    image = model.encode_image(images())
    cosines = torch.stack([image @ model.encode_text([text])[0] for text in TEXTS[:3]], dim=1)
    scores = torch.stack([cosines[:, 0], cosines[:, 1:3].mean(dim=1)], dim=1)
    torch.testing.assert_close(probability, torch.softmax(scores / 0.07, dim=1))
    with pytest.raises(ValueError, match="'normal' has no prompt"):
        model.zero_shot(images(), {"effusion": TEXTS, "normal": []})


def test_padding_and_neighbours_do_not_change_a_text(model: DualEncoder) -> None:
    together = model.encode_text(TEXTS)
    alone = torch.cat([model.encode_text([text]) for text in TEXTS])
    torch.testing.assert_close(together, alone, rtol=0, atol=2e-6)
    ids, mask = framed(model.tokenizer, plain_ids(model.tokenizer, TEXTS[:1]), 24)
    wider = torch.cat([ids, torch.full((1, 9), model.tokenizer.pad_token_id)], dim=1)
    with torch.no_grad():
        narrow = model.eval().embed_ids(ids, mask)[0]
        wide = model.embed_ids(wider, torch.cat([mask, torch.zeros(1, 9, dtype=torch.int64)], dim=1))[0]
    torch.testing.assert_close(narrow, wide, rtol=0, atol=2e-6)


def test_masked_mean_is_the_mean_of_what_is_not_masked() -> None:
    states = torch.randn(2, 3, 4)
    mask = torch.tensor([[1, 1, 0], [1, 0, 0]])
    torch.testing.assert_close(masked_mean(states, mask)[0], states[0, :2].mean(dim=0))
    torch.testing.assert_close(masked_mean(states, mask)[1], states[1, 0])
    assert not masked_mean(states, torch.zeros(2, 3)).any()


def test_order_and_repetition_of_texts(model: DualEncoder) -> None:
    out = model.encode_text([TEXTS[1], TEXTS[0], TEXTS[1]], batch_size=1)
    assert torch.equal(out[0], out[2])
    torch.testing.assert_close(out[1], model.encode_text(TEXTS)[0], rtol=0, atol=2e-6)
    assert model.encode_text([]).shape == (0, 12)
    with pytest.raises(ValueError, match="list of texts"):
        model.encode_text("one text")


def test_long_texts_are_cut_with_their_end(model: DualEncoder) -> None:
    ids, mask = framed(model.tokenizer, plain_ids(model.tokenizer, [" ".join(TEXTS * 9)]), 24)
    assert ids.shape == (1, 24) and mask.all() and ids[0, -1] == model.tokenizer.sep_token_id


def test_encoding_leaves_the_training_mode_as_it_was(model: DualEncoder) -> None:
    model.train()
    model.encode_text(TEXTS)
    assert model.training


@pytest.mark.parametrize("kind", ["scratch", "bag_of_words"])
def test_saved_and_loaded_embeddings_are_equal(kind: str, tokenizer: PreTrainedTokenizerFast, tmp_path: Path) -> None:
    torch.manual_seed(1)
    model = DualEncoder.create(settings(kind), tokenizer)
    model.save_pretrained(tmp_path / "m", "trained on nothing")
    loaded = DualEncoder.from_pretrained(tmp_path / "m")
    assert torch.equal(loaded.encode_text(TEXTS), model.encode_text(TEXTS))
    assert torch.equal(loaded.encode_image(images()), model.encode_image(images()))
    assert loaded.settings == model.settings and not loaded.training
    assert "trained on nothing" in (tmp_path / "m" / "README.md").read_text()
    assert sorted(file.name for file in (tmp_path / "m").iterdir() if file.suffix != ".json") == sorted(
        ["README.md", "image", "model.safetensors", *(["text"] if kind == "scratch" else [])]
    )


def test_text_tower_loads_with_automodel(model: DualEncoder, tmp_path: Path) -> None:
    model.save_pretrained(tmp_path / "m")
    tower = AutoModel.from_pretrained(tmp_path / "m" / "text", add_pooling_layer=False).eval()
    ids, mask = framed(model.tokenizer, plain_ids(model.tokenizer, TEXTS), 24)
    with torch.no_grad():
        states = tower(input_ids=ids, attention_mask=mask).last_hidden_state
        torch.testing.assert_close(masked_mean(states, mask), model.eval().text(ids, mask)[0])


@pytest.mark.parametrize("name", ["test_convnext", "test_vit", "test_resnet"])
def test_image_tower_loads_with_timm(tokenizer: PreTrainedTokenizerFast, tmp_path: Path, name: str) -> None:
    model = DualEncoder.create(settings(image=name), tokenizer).eval()
    model.save_pretrained(tmp_path / "m")
    tower: Any = timm.create_model(f"local-dir:{tmp_path / 'm' / 'image'}", pretrained=True).eval()
    pixels = standardise(torch.as_tensor(images()), model.settings.image)
    with torch.no_grad():
        torch.testing.assert_close(tower(pixels), model.image(pixels)[0], rtol=0, atol=1e-6)
    assert tower.pretrained_cfg["mean"] == [model.settings.image.mean]


def test_a_saved_text_tower_is_a_start_for_training(model: DualEncoder, tmp_path: Path) -> None:
    model.save_pretrained(tmp_path / "m")
    other = DualEncoder.create(settings("pretrained"), model.tokenizer, tmp_path / "m" / "text")
    weights = other.text.state_dict()
    assert all(torch.equal(weights[name], value) for name, value in model.text.state_dict().items())
    with pytest.raises(UserError, match="max_tokens: 99"):
        text = TextTower(max_tokens=99)
        DualEncoder.create(ModelSettings(image=settings().image, text=text), model.tokenizer, tmp_path / "m" / "text")


def change_tensors(path: Path, change: Callable[[dict[str, torch.Tensor]], object]) -> None:
    tensors = load_file(path / "model.safetensors")
    change(tensors)
    save_file(tensors, path / "model.safetensors")


def test_tensors_that_do_not_fit_are_named(model: DualEncoder, tmp_path: Path) -> None:
    model.save_pretrained(tmp_path / "m")
    change_tensors(tmp_path / "m", lambda tensors: tensors.pop("text_projection.linear.weight"))
    with pytest.raises(UserError, match=r"missing: text_projection\.linear\.weight"):
        DualEncoder.from_pretrained(tmp_path / "m")
    change_tensors(
        tmp_path / "m", lambda tensors: tensors.update({"text_projection.linear.weight": torch.ones(12, 31)})
    )
    with pytest.raises(
        UserError, match=r"another shape: text_projection\.linear\.weight is \(12, 31\), expected \(12, 32\)"
    ):
        DualEncoder.from_pretrained(tmp_path / "m")
    change_tensors(tmp_path / "m", lambda tensors: tensors.update({"stray": torch.ones(1)}))
    with pytest.raises(UserError, match="not of this model: stray"):
        DualEncoder.from_pretrained(tmp_path / "m")


def test_pickled_weights_are_refused_and_never_run(model: DualEncoder, tmp_path: Path) -> None:
    folder = tmp_path / "m"
    model.save_pretrained(folder)
    (folder / "model.safetensors").unlink()
    touched = tmp_path / "touched"
    harmful = b"cos\nsystem\n(S'touch " + str(touched).encode() + b"'\ntR."  # what a pickle may ask for
    (folder / "pytorch_model.bin").write_bytes(harmful)
    with pytest.raises(UserError, match=r"pytorch_model\.bin: pickled weights"):
        DualEncoder.from_pretrained(folder)
    (folder / "model.safetensors").write_bytes(harmful)
    with pytest.raises(UserError, match="not a whole safetensors file"):
        DualEncoder.from_pretrained(folder)
    assert not touched.exists()


def test_broken_folders_say_what_is_wrong(model: DualEncoder, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such model folder"):
        DualEncoder.from_pretrained(tmp_path / "absent")
    folder = tmp_path / "m"
    model.save_pretrained(folder)
    whole = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(UserError, match="not a whole safetensors file"):
        DualEncoder.from_pretrained(folder)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"version": 9}))
    with pytest.raises(UserError, match="version 9"):
        DualEncoder.from_pretrained(folder)
    (folder / "config.json").write_text("{}")
    with pytest.raises(UserError, match="not a model of mmclip"):
        DualEncoder.from_pretrained(folder)


def test_a_folder_is_read_without_a_network(
    model: DualEncoder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing asks the hub, whatever the environment allows."""
    model.save_pretrained(tmp_path / "m")

    def refused(*_: object, **__: object) -> None:
        raise AssertionError("a connection was opened")

    monkeypatch.setattr(socket.socket, "connect", refused)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    assert torch.equal(DualEncoder.from_pretrained(tmp_path / "m").encode_text(TEXTS), model.encode_text(TEXTS))


@pytest.mark.parametrize("dimensions", [512, 514])
def test_the_space_has_the_dimensions_of_the_code_or_of_the_paper(
    tokenizer: PreTrainedTokenizerFast, dimensions: int
) -> None:
    chosen = settings().model_copy(update={"projection": dimensions})
    assert DualEncoder.create(chosen, tokenizer).encode_text(TEXTS[:1]).shape == (1, dimensions)


def test_tokens_are_projected_into_the_same_space(model: DualEncoder) -> None:
    model.eval()
    ids, mask = framed(model.tokenizer, plain_ids(model.tokenizer, TEXTS), 24)
    with torch.no_grad():
        text, tokens = model.embed_ids(ids, mask, tokens=True)
        image, regions = model.embed_pixels(torch.randn(2, 1, 32, 32), tokens=True)
        states = model.text.backbone(input_ids=ids, attention_mask=mask).last_hidden_state
        expected = states @ model.text_projection.linear.weight.T
    assert tokens is not None and regions is not None
    assert tokens.shape == (*ids.shape, 12) and text.shape == (4, 12)
    assert regions.shape[::2] == (2, 12) and image.shape == (2, 12)
    torch.testing.assert_close(tokens, expected / expected.norm(dim=-1, keepdim=True), rtol=0, atol=1e-6)
    torch.testing.assert_close(regions.norm(dim=-1), torch.ones(regions.shape[:2]))


def test_fused_attention_is_attention(tokenizer: PreTrainedTokenizerFast) -> None:
    """SDPA and the written-out form agree, padding included, forwards and backwards."""
    models = []
    for kind in ("eager", "sdpa"):
        chosen = settings()
        text = chosen.text.model_copy(update={"attention": kind, "dropout": 0.0})
        torch.manual_seed(0)
        models.append(DualEncoder.create(chosen.model_copy(update={"text": text}), tokenizer).train())
        assert models[-1].text.backbone.config._attn_implementation == kind
    ids, mask = framed(tokenizer, plain_ids(tokenizer, TEXTS), 24)
    out = [one.embed_ids(ids, mask)[0] for one in models]
    torch.testing.assert_close(out[0], out[1], rtol=0, atol=2e-6)
    for vectors in out:
        torch.autograd.backward(vectors[:, 0].sum())
    for (name, first), second in zip(models[0].text.named_parameters(), models[1].text.parameters(), strict=True):
        torch.testing.assert_close(first.grad, second.grad, rtol=1e-4, atol=2e-6, msg=name)


def test_attention_is_fused_on_a_gpu_and_written_out_on_a_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert attention() == "eager" and attention(TextTower(attention="sdpa")) == "sdpa"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert attention() is None and attention(TextTower(attention="eager")) == "eager"
    config = scratch_config(settings().text, small_tokenizer())
    assert AutoModel.from_config(config).config._attn_implementation == "sdpa"  # what None means


def test_under_autocast_the_towers_are_bf16_and_the_embeddings_fp32(model: DualEncoder) -> None:
    ids, mask = framed(model.tokenizer, plain_ids(model.tokenizer, TEXTS), 24)
    model.eval()
    types: set[torch.dtype] = set()
    hooks = [
        module.register_forward_hook(lambda module, inputs, output: types.add(output.dtype))
        for module in model.modules()
        if isinstance(module, nn.Linear | nn.Conv2d)
    ]
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        image = model.embed_pixels(torch.randn(2, 1, 32, 32))[0]
        text = model.embed_ids(ids, mask)[0]
    for hook in hooks:
        hook.remove()
    assert types == {torch.bfloat16}
    assert image.dtype == text.dtype == torch.float32
    torch.testing.assert_close(image.norm(dim=1), torch.ones(2))  # normalised after the rounding, not before
    exact = model.encode_text(TEXTS)
    assert (text * exact).sum(dim=1).min() > 0.999


def test_a_text_tower_with_a_decoder_is_refused(tokenizer: PreTrainedTokenizerFast, tmp_path: Path) -> None:
    T5Config(vocab_size=20, d_model=8, num_layers=1, num_heads=1).save_pretrained(tmp_path)
    with pytest.raises(UserError, match="is a t5 with a decoder; give an encoder"):
        load_pretrained(AutoModel, tmp_path, TextTower(max_tokens=16))


@pytest.mark.parametrize("name", ["test_convnext", "test_vit", "test_resnet"])
def test_image_tokens_are_regions(name: str) -> None:
    size = 160 if name == "test_vit" else 64
    encoder = ImageEncoder(ImageTower(name=name, size=size)).eval()
    with torch.no_grad():
        pooled, tokens = encoder(torch.randn(2, 1, size, size), tokens=True)
        assert encoder(torch.randn(2, 1, size, size))[1] is None
    assert tokens is not None
    assert pooled.shape == (2, encoder.width) and tokens.shape[::2] == (2, encoder.width)
    assert math.isqrt(tokens.shape[1]) ** 2 == tokens.shape[1]


def test_standardise_takes_grey_levels_and_refuses_the_rest() -> None:
    tower = ImageTower(size=32, mean=0.5, std=0.25)
    flat = torch.full((2, 50, 50), 255, dtype=torch.uint8)
    torch.testing.assert_close(standardise(flat, tower), torch.full((2, 1, 32, 32), 2.0))
    ready = torch.randn(2, 1, 32, 32)
    assert torch.equal(standardise(ready, tower), ready)
    with pytest.raises(ValueError, match="not standardised"):
        standardise(torch.full((1, 1, 32, 32), 255.0), tower)
    for wrong in (torch.zeros(2, 3, 32, 32), torch.zeros(32, 32), torch.zeros(1, 1, 30, 30)):
        with pytest.raises(ValueError, match="expected"):
            standardise(wrong, tower)


def test_unknown_towers_are_named() -> None:
    with pytest.raises(UserError, match=r"model\.image\.name: timm has no model 'swin_tinny'"):
        ImageEncoder(ImageTower(name="swin_tinny"))
    with pytest.raises(UserError, match=r"model\.image\.options"):
        ImageEncoder(ImageTower(name="resnet10t", options={"no_such_option": 1}))
    with pytest.raises(UserError, match=r"model\.image\.pretrained"):
        ImageEncoder(ImageTower(name="resnet10t", pretrained=True))


def test_logit_scale_starts_at_clips_and_stays_in_bounds(model: DualEncoder) -> None:
    assert float(model.logit_scale.detach()) == pytest.approx(1 / 0.07)
    for value, bound in ((9.0, 100.0), (-3.0, 1.0)):
        with torch.no_grad():
            model.log_logit_scale.fill_(value)
        model.constrain()
        assert float(model.logit_scale.detach()) == pytest.approx(bound)
