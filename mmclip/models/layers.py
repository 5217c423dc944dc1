"""The layers of a tower, in the order of its input: which of them are trained, and which compute twice."""

from __future__ import annotations

import re
from typing import Any

from timm.models import group_parameters
from torch import nn
from transformers import PreTrainedModel
from transformers.modeling_layers import GradientCheckpointingLayer

from mmclip.errors import UserError


def layer_groups(backbone: nn.Module) -> list[list[str]]:
    """Names of the parameters of each layer: first what comes before all layers (stem, word vectors), then each.

    What follows the last layer (a final norm) goes with it. timm says itself what its layers are; in a model of
    Hugging Face they are the outermost blocks that can be checkpointed.
    """
    if isinstance(backbone, PreTrainedModel):
        return _by_block(backbone)
    timm_model: Any = backbone
    if not hasattr(timm_model, "group_matcher"):
        return [[name for name, _ in backbone.named_parameters()]]
    numbered = group_parameters(timm_model, timm_model.group_matcher(coarse=False))
    groups = [list(numbered[number]) for number in sorted(numbered)]
    if len(groups) > 1 and not any(re.search(r"\.\d+\.", name) for name in groups[-1]):
        head = groups.pop()  # a norm, which timm counts apart
        groups[-1] += head
    return groups


def _by_block(backbone: PreTrainedModel) -> list[list[str]]:
    blocks = _blocks(backbone)
    groups: list[list[str]] = [[] for _ in range(len(blocks) + 1)]
    reached = 0
    for name, _ in backbone.named_parameters():
        inside = next((number for number, block in enumerate(blocks, 1) if name.startswith(f"{block}.")), None)
        reached = reached if inside is None else inside
        groups[reached].append(name)
    return groups


def _blocks(backbone: PreTrainedModel) -> list[str]:
    """Names of the layers; in a model whose layers cannot be checkpointed, the members of its longest list."""
    blocks: list[str] = []
    for name, module in backbone.named_modules():
        if isinstance(module, GradientCheckpointingLayer) and not any(name.startswith(f"{one}.") for one in blocks):
            blocks.append(name)
    lists = [(name, len(module)) for name, module in backbone.named_modules() if isinstance(module, nn.ModuleList)]
    if blocks or not lists:
        return blocks
    longest, count = max(lists, key=lambda one: one[1])
    return [f"{longest}.{number}" for number in range(count)]


def freeze(backbone: nn.Module, count: int, key: str) -> None:
    """Give no gradient to what comes before the layers and to the first `count` of them; 0 leaves all as it is.

    Args:
        key: of the setting, for the message.

    Raises:
        UserError: the tower has fewer layers.
    """
    if not count:
        return
    groups = layer_groups(backbone)
    if count >= len(groups):
        raise UserError(f"{key}: {count}, but {type(backbone).__name__} has {len(groups) - 1} layers; give no more")
    parameters = dict(backbone.named_parameters())
    for name in (name for group in groups[: count + 1] for name in group):
        parameters[name].requires_grad_(False)


def keep_statistics(backbone: nn.Module) -> None:
    """Batch norms whose weights are frozen keep their running statistics too; called after ``train()``."""
    for module in backbone.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm) and module.affine and not module.weight.requires_grad:
            module.eval()


def checkpoint_activations(backbone: nn.Module, key: str) -> None:
    """Compute each layer's activations again in the backward pass instead of keeping them.

    Args:
        key: of the setting, for the message.

    Raises:
        UserError: the tower cannot.
    """
    model: Any = backbone
    try:
        if isinstance(backbone, PreTrainedModel):
            # the newer name where transformers has it; the old one warns there
            enable = getattr(model, "activation_checkpointing_enable", None) or model.gradient_checkpointing_enable
            enable()
        else:
            model.set_grad_checkpointing(True)
    except (AttributeError, AssertionError, ValueError) as error:
        raise UserError(f"{key}: {type(backbone).__name__} keeps all activations; set it to false") from error
