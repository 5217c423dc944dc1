"""Tokenizers: reading one from a folder, and turning texts into padded ids."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from mmclip.errors import UserError
from mmclip.models.hugging_face import quiet


def load_tokenizer(name: str | Path) -> PreTrainedTokenizerFast:
    """A fast tokenizer from a folder or the local hub cache.

    Raises:
        UserError: there is none, or it lacks the start, end or padding token.
    """
    try:
        with (
            quiet()
        ):  # of any folder with 100,000 tokens that names no model of theirs, they warn as of a broken Mistral
            if (Path(name) / "tokenizer.json").exists():
                tokenizer: Any = PreTrainedTokenizerFast.from_pretrained(
                    str(name), local_files_only=True, trust_remote_code=False
                )
            else:
                tokenizer = AutoTokenizer.from_pretrained(str(name), local_files_only=True, trust_remote_code=False)
    except (OSError, ValueError) as error:
        raise UserError(
            f"{name}: holds no tokenizer (tokenizer.json); give a folder that save_pretrained wrote"
        ) from error
    for role in ("cls_token", "sep_token", "pad_token"):
        if getattr(tokenizer, role) is None:
            raise UserError(f"{name}: the tokenizer has no {role}, so texts cannot be framed; use another one")
    return cast(PreTrainedTokenizerFast, tokenizer)


def plain_ids(tokenizer: PreTrainedTokenizerFast, texts: Sequence[str]) -> list[list[int]]:
    """Token ids of each text, without start and end."""
    backend = tokenizer.backend_tokenizer
    backend.no_truncation()
    backend.no_padding()
    return [encoding.ids for encoding in backend.encode_batch_fast(list(texts), add_special_tokens=False)]


def framed(tokenizer: PreTrainedTokenizerFast, ids: Sequence[Sequence[int]], max_tokens: int) -> tuple[Tensor, Tensor]:
    """Start and end tokens around each row of ids, cut to `max_tokens`, padded on the right.

    Returns:
        input_ids and attention_mask, int64 [M, W], W as short as the longest row allows.
    """
    rows = [[tokenizer.cls_token_id, *row[: max_tokens - 2], tokenizer.sep_token_id] for row in ids]
    width = max((len(row) for row in rows), default=0)
    input_ids = torch.full((len(rows), width), tokenizer.pad_token_id, dtype=torch.int64)
    mask = torch.zeros((len(rows), width), dtype=torch.int64)
    for number, row in enumerate(rows):
        input_ids[number, : len(row)] = torch.tensor(row)
        mask[number, : len(row)] = 1
    return input_ids, mask
