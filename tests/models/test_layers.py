"""Freezing by layer, and activations that are computed again."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from transformers import PreTrainedTokenizerFast, SwinConfig, SwinModel

from mmclip.errors import UserError
from mmclip.models.dual_encoder import DualEncoder
from mmclip.models.label_classifier import LabelClassifier
from mmclip.models.layers import freeze, layer_groups
from mmclip.models.tokenizer import framed, plain_ids
from tests.models.towers import TEXTS, small_settings, small_tokenizer


@pytest.fixture(scope="module")
def tokenizer() -> PreTrainedTokenizerFast:
    return small_tokenizer()


def create(tokenizer: PreTrainedTokenizerFast, text: dict[str, Any] | None = None, **image: Any) -> DualEncoder:
    torch.manual_seed(0)
    return DualEncoder.create(small_settings(text, **image), tokenizer)


def step(model: DualEncoder) -> Tensor:
    """A training step's backward pass over both towers."""
    ids, mask = framed(model.tokenizer, plain_ids(model.tokenizer, TEXTS[:3]), 24)
    size = model.settings.image.size
    torch.manual_seed(1)
    image = model.train().embed_pixels(torch.randn(3, 1, size, size))[0]
    loss = (image @ model.embed_ids(ids, mask)[0].T).square().sum()
    torch.autograd.backward(loss)
    return loss.detach()


def gradients(model: DualEncoder) -> dict[str, Tensor]:
    return {name: p.grad for name, p in model.named_parameters() if p.grad is not None}


@pytest.mark.parametrize("name", ["test_convnext", "test_vit", "test_resnet", "swin_tiny_patch4_window7_224"])
def test_the_layers_of_a_tower_are_all_its_parameters_in_order(tokenizer: PreTrainedTokenizerFast, name: str) -> None:
    size = 64 if name.startswith("swin") else 160
    backbone = create(tokenizer, name=name, size=size).image.backbone
    groups = layer_groups(backbone)
    assert sorted(n for group in groups for n in group) == sorted(n for n, _ in backbone.named_parameters())
    assert all(groups) and len(groups) > 3
    assert not any("head" in name or "blocks" in name or "stages" in name for name in groups[0])


def test_a_text_towers_layers_come_after_its_word_vectors(tokenizer: PreTrainedTokenizerFast) -> None:
    first, *layers = layer_groups(create(tokenizer).text.backbone)
    assert {name.partition(".")[0] for name in first} == {"embeddings"}
    assert [{name.split(".")[2] for name in layer} for layer in layers] == [{"0"}, {"1"}]


def test_a_swins_stages_are_its_layers() -> None:
    config = SwinConfig(image_size=32, patch_size=4, embed_dim=8, depths=[1, 2], num_heads=[1, 2], window_size=4)
    groups = layer_groups(SwinModel(config, add_pooling_layer=False))
    assert len(groups) == 3
    assert any(name.startswith("layernorm") for name in groups[-1])


def test_frozen_layers_get_no_gradient_and_the_rest_does(tokenizer: PreTrainedTokenizerFast) -> None:
    model = create(tokenizer, {"frozen_layers": 1}, frozen_layers=2)
    step(model)
    trained = set(gradients(model))
    for tower, count in ((model.image, 2), (model.text, 1)):
        groups = layer_groups(tower.backbone)
        prefix = "image.backbone." if tower is model.image else "text.backbone."
        assert not trained & {prefix + name for group in groups[: count + 1] for name in group}
        assert {prefix + name for group in groups[count + 1 :] for name in group} <= trained
    assert {"image_projection.linear.weight", "text_projection.linear.weight"} <= trained


def test_ten_layers_and_one_are_not_confused(tokenizer: PreTrainedTokenizerFast) -> None:
    backbone = create(tokenizer, {"layers": 12}).text.backbone
    freeze(backbone, 1, "model.text.frozen_layers")
    left = {int(name.split(".")[2]) for name, p in backbone.named_parameters() if p.requires_grad}
    assert left == set(range(1, 12))


def test_frozen_batch_norms_keep_their_statistics(tokenizer: PreTrainedTokenizerFast) -> None:
    groups = len(layer_groups(create(tokenizer, name="test_resnet").image.backbone)) - 1
    model = create(tokenizer, name="test_resnet", frozen_layers=groups)
    before = {name: value.clone() for name, value in model.image.state_dict().items()}
    step(model)
    step(model)
    assert all(torch.equal(before[name], value) for name, value in model.image.state_dict().items())
    part = create(tokenizer, name="test_resnet", frozen_layers=1)
    part.train()
    norms = [module for module in part.image.modules() if isinstance(module, nn.BatchNorm2d)]
    assert {module.training for module in norms} == {True, False}


def test_more_layers_than_there_are_is_an_error(tokenizer: PreTrainedTokenizerFast) -> None:
    with pytest.raises(UserError, match=r"model\.text\.frozen_layers: 3, but XLMRobertaModel has 2 layers"):
        create(tokenizer, {"frozen_layers": 3})
    with pytest.raises(UserError, match=r"model\.image\.frozen_layers: 99, but .* has \d+ layers"):
        create(tokenizer, frozen_layers=99)


@pytest.mark.parametrize("name", ["test_convnext", "test_vit"])
def test_activations_computed_again_give_the_same_gradients(tokenizer: PreTrainedTokenizerFast, name: str) -> None:
    """Dropout included: the second computation draws the same numbers."""
    size = 160 if name == "test_vit" else 32
    kept = create(tokenizer, name=name, size=size, options={"drop_path_rate": 0.3})
    again = create(
        tokenizer, {"checkpointing": True}, name=name, size=size, options={"drop_path_rate": 0.3}, checkpointing=True
    )
    torch.testing.assert_close(step(again), step(kept), rtol=0, atol=1e-6)
    expected = gradients(kept)
    for parameter, value in gradients(again).items():
        torch.testing.assert_close(value, expected[parameter], rtol=1e-4, atol=1e-6, msg=parameter)


def test_activations_are_not_kept(tokenizer: PreTrainedTokenizerFast) -> None:
    """The bytes that the backward pass holds shrink."""

    def held(checkpointing: bool) -> int:
        total = 0

        def count(tensor: Tensor) -> Tensor:
            nonlocal total
            total += tensor.numel() * tensor.element_size()
            return tensor

        model = create(tokenizer, {"checkpointing": checkpointing, "layers": 6})
        ids, mask = framed(tokenizer, plain_ids(tokenizer, TEXTS * 4), 24)
        with torch.autograd.graph.saved_tensors_hooks(count, lambda tensor: tensor):
            model.train().embed_ids(ids, mask)
        return total

    assert held(True) < 0.35 * held(False)


def test_a_bag_of_words_has_no_layers() -> None:
    with pytest.raises(ValueError, match="a bag of words has no layers"):
        small_settings({"kind": "bag_of_words", "frozen_layers": 1})


def test_a_classifier_to_be_trained_has_frozen_layers_too() -> None:
    settings = small_settings(frozen_layers=1).image
    frozen = {name for name, p in LabelClassifier(settings).named_parameters() if not p.requires_grad}
    assert frozen and all(name.startswith("image.backbone.st") for name in frozen)
    assert all(p.requires_grad for p in LabelClassifier(settings, initialise=False).parameters())
