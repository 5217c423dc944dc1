"""A tower of transformers alone, as a folder that the library reads."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from transformers import PreTrainedTokenizerFast

from mmclip.models.weights import WEIGHTS, save_weights


def write_text_tower(backbone: Any, tokenizer: PreTrainedTokenizerFast, path: Path) -> None:
    """Write a Hugging Face encoder as a folder that ``AutoModel`` and ``AutoTokenizer`` read."""
    write_hugging_face(backbone, path)
    tokenizer.save_pretrained(path)


def write_hugging_face(backbone: Any, path: Path) -> None:
    """Write an encoder of transformers, of texts or of images, as a folder that ``AutoModel`` reads."""
    path.mkdir()
    backbone.config.architectures = [type(backbone).__name__]
    backbone.config.save_pretrained(path)
    save_weights(backbone, path / WEIGHTS, aliases=frozenset(backbone._tied_weights_keys or ()))
