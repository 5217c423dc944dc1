"""The text tower: a Hugging Face encoder or a bag of words, pooled over a text's tokens whatever the padding."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from transformers import AutoConfig, AutoModel, PreTrainedTokenizerFast, XLMRobertaConfig

from mmclip.config.models import TextTower
from mmclip.errors import UserError
from mmclip.models.hugging_face import build, model_class, no_pooler, quiet, stored_config
from mmclip.models.layers import checkpoint_activations, freeze


class TextEncoder(nn.Module):
    """A transformer (any Hugging Face encoder) whose last hidden states are averaged over the tokens of a text.

    MedCLIP's released code averages over padding too, so that an embedding depends on the batch; here padding has
    weight 0.

    Attributes:
        backbone: the Hugging Face model.
        width: of the features.
    """

    def __init__(self, backbone: Any) -> None:
        super().__init__()
        self.backbone = backbone
        self.width = int(backbone.config.hidden_size)

    def prepare_training(self, settings: TextTower) -> None:
        """See :func:`prepare_backbone`."""
        prepare_backbone(self.backbone, settings)

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> tuple[Tensor, Tensor]:
        """Encode token ids.

        Args:
            input_ids: [M, W].
            attention_mask: [M, W], 1 at tokens and 0 at padding.

        Returns:
            features [M, width] and the tokens' [M, W, width].
        """
        states = self.backbone(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
        return masked_mean(states, attention_mask), states


class BagOfWords(nn.Module):
    """The mean of the tokens' vectors: a control that knows words but not their order, so no negation."""

    def __init__(self, vocabulary: int, width: int, padding: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(vocabulary, width, padding_idx=padding)
        self.width = width

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> tuple[Tensor, Tensor]:
        """Encode token ids [M, W]: features [M, width] and the tokens' [M, W, width]."""
        states = self.embedding(input_ids)
        return masked_mean(states, attention_mask), states


def masked_mean(states: Tensor, mask: Tensor) -> Tensor:
    """Mean of `states` [M, W, D] where `mask` [M, W] is 1; zeros for a row without tokens."""
    weight = mask.to(states.dtype).unsqueeze(-1)
    return (states * weight).sum(dim=1) / weight.sum(dim=1).clamp(min=1)


def backbone_from_config(config: dict[str, Any], settings: TextTower | None = None) -> Any:
    """A Hugging Face encoder of this configuration, with fresh weights.

    Args:
        settings: how its attention is computed; automatic without them.
    """
    return build(stored_config(config), attn_implementation=attention(settings))


def scratch_config(settings: TextTower, tokenizer: PreTrainedTokenizerFast) -> XLMRobertaConfig:
    """The configuration of a small XLM-R for this tokenizer."""
    return XLMRobertaConfig(
        vocab_size=len(tokenizer),
        hidden_size=settings.width,
        num_hidden_layers=settings.layers,
        num_attention_heads=settings.heads,
        intermediate_size=settings.feedforward,
        hidden_dropout_prob=settings.dropout,
        attention_probs_dropout_prob=settings.dropout,
        max_position_embeddings=settings.max_tokens + tokenizer.pad_token_id + 1,  # XLM-R counts from the pad id on
        type_vocab_size=1,
        pad_token_id=tokenizer.pad_token_id,
        bos_token_id=tokenizer.cls_token_id,
        eos_token_id=tokenizer.sep_token_id,
    )


def load_pretrained(auto: Any, name: str | Path, settings: TextTower) -> Any:
    """A Hugging Face model with its weights, from a folder or the local hub cache.

    Args:
        auto: AutoModel, or another of its kind.
        name: hub name or folder.
        settings: its dropout is put into the model; its `max_tokens` must fit.

    Raises:
        UserError: it is not there, has no safetensors weights, or has fewer positions than `max_tokens`.
    """
    try:
        config = AutoConfig.from_pretrained(str(name), local_files_only=True, trust_remote_code=False)
        if config.is_encoder_decoder:
            raise UserError(f"model.text.name: {str(name)!r} is a {config.model_type} with a decoder; give an encoder")
        for key in ("hidden_dropout_prob", "attention_probs_dropout_prob"):
            if hasattr(config, key):
                setattr(config, key, settings.dropout)
        pooler = no_pooler(model_class(config)) if auto is AutoModel else {}
        with quiet():
            model = auto.from_pretrained(
                str(name),
                config=config,
                local_files_only=True,
                use_safetensors=True,
                trust_remote_code=False,
                dtype=torch.float32,
                attn_implementation=attention(settings),
                **pooler,
            )
    except (OSError, ValueError) as error:
        raise UserError(
            f"model.text.name: cannot load {str(name)!r} from a folder or the local hub cache as safetensors "
            "(nothing is downloaded); fetch it with network access or give a folder"
        ) from error
    usable = positions(config)
    if settings.max_tokens > usable:
        raise UserError(f"model.text.max_tokens: {settings.max_tokens}, but {name} has {usable} positions")
    return model


def prepare_backbone(backbone: nn.Module, settings: TextTower) -> None:
    """Freeze layers and compute activations again, as the settings say.

    Raises:
        UserError: the tower has fewer layers, or cannot.
    """
    freeze(backbone, settings.frozen_layers, "model.text.frozen_layers")
    if settings.checkpointing:
        checkpoint_activations(backbone, "model.text.checkpointing")


def attention(settings: TextTower | None = None) -> str | None:
    """How attention is computed: as the settings say; else Hugging Face's choice on a GPU, written out on a CPU.

    Its choice is torch's fused attention (SDPA) wherever the architecture has it. On a CPU the backward pass of that
    in bfloat16 takes longer than all the rest of a small tower.
    """
    if settings is not None and settings.attention != "auto":
        return settings.attention
    return None if torch.cuda.is_available() else "eager"


def positions(config: Any) -> int:
    """How many tokens a text may have: RoBERTa's family loses the padding id and those below it."""
    usable = int(getattr(config, "max_position_embeddings", 1 << 30))
    counts_from_pad = config.model_type in ("roberta", "xlm-roberta", "camembert", "altclip_text_model")
    offset = config.pad_token_id + 1 if counts_from_pad else 0
    return usable - offset
