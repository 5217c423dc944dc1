"""The text tower: a Hugging Face encoder or a bag of words, pooled over a text's tokens whatever the padding."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from transformers import AutoConfig, AutoModel, PreTrainedTokenizerFast, XLMRobertaConfig
from transformers.utils import logging as transformers_logging

from mmclip.config.models import TextTower
from mmclip.errors import UserError


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


def backbone_from_config(config: dict[str, Any]) -> Any:
    """A Hugging Face encoder of this configuration, with fresh weights."""
    values = dict(config)
    model_type = values.pop("model_type")
    create: Any = AutoModel.from_config
    settings = AutoConfig.for_model(model_type, **values)
    return create(settings, attn_implementation=attention(), **_no_pooler(model_type))


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
        for key in ("hidden_dropout_prob", "attention_probs_dropout_prob"):
            if hasattr(config, key):
                setattr(config, key, settings.dropout)
        pooler = _no_pooler(config.model_type) if auto is AutoModel else {}
        with _quiet():
            model = auto.from_pretrained(
                str(name),
                config=config,
                local_files_only=True,
                use_safetensors=True,
                trust_remote_code=False,
                dtype=torch.float32,
                attn_implementation=attention(),
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


@contextmanager
def _quiet() -> Iterator[None]:
    """Without Hugging Face's bars and its table of heads that a backbone does not take over."""
    hf_logging: Any = transformers_logging
    verbosity = hf_logging.get_verbosity()
    hf_logging.set_verbosity(hf_logging.ERROR)
    hf_logging.disable_progress_bar()
    try:
        yield
    finally:
        hf_logging.enable_progress_bar()
        hf_logging.set_verbosity(verbosity)


def attention() -> str | None:
    """How attention is computed: Hugging Face's choice on a GPU, written out on a CPU.

    On a CPU the backward pass of torch's fused attention in bfloat16 takes longer than all the rest of a small tower.
    """
    return None if torch.cuda.is_available() else "eager"


def positions(config: Any) -> int:
    """How many tokens a text may have: RoBERTa's family loses the padding id and those below it."""
    usable = int(getattr(config, "max_position_embeddings", 1 << 30))
    offset = config.pad_token_id + 1 if config.model_type in ("roberta", "xlm-roberta", "camembert") else 0
    return usable - offset


def _no_pooler(model_type: str) -> dict[str, bool]:
    """We average tokens, so the [CLS] pooler would only be dead weights that no gradient reaches."""
    return {"add_pooling_layer": False} if model_type in ("roberta", "xlm-roberta", "camembert", "bert") else {}
