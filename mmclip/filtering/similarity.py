"""How near the embeddings of a sentence and its translation lie; only where the settings name an encoder.

Embeddings tell another report's translation, and do not see a lost negation or a swapped side: they come beside the
other scores, never in their place.
"""

from __future__ import annotations

from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np

from mmclip.config.filtering import Similarity
from mmclip.errors import UserError
from mmclip.filtering.pairs import Pairs
from mmclip.filtering.scoring import Score

LONGEST = 256
"""Tokens that are read of a sentence."""


def optional_scores(settings: Similarity | None) -> tuple[Score, ...]:
    """The scores that the settings ask for beyond :data:`~mmclip.filtering.scoring.SCORES`."""
    return (Score("similarity", "low", partial(similarity, settings)),) if settings else ()


def similarity(settings: Similarity, pairs: Pairs) -> np.ndarray:
    """Cosine of the mean-pooled embeddings of source and translation, -1 to 1; low is bad.

    Raises:
        UserError: the folder holds no encoder.
    """
    distinct = sorted({*pairs.sources, *pairs.translations}, key=len)
    row = {text: number for number, text in enumerate(distinct)}
    vectors = _embed(settings, distinct)
    sources, translations = ([row[text] for text in texts] for texts in (pairs.sources, pairs.translations))
    return np.asarray((vectors[sources] * vectors[translations]).sum(axis=1), dtype=float)


def _embed(settings: Similarity, texts: list[str]) -> np.ndarray:
    """Unit vectors [texts, width], float32; texts come sorted by length, so that batches need little padding."""
    import torch

    tokenizer, model = _encoder(str(settings.model))
    out = []
    for start in range(0, len(texts), settings.batch):
        batch = [settings.prefix + text for text in texts[start : start + settings.batch]]
        inputs = tokenizer(batch, padding=True, truncation=True, max_length=LONGEST, return_tensors="pt")
        with torch.inference_mode():
            states = model(**inputs).last_hidden_state
        mask = inputs["attention_mask"].unsqueeze(-1).to(states.dtype)
        mean = (states * mask).sum(dim=1) / mask.sum(dim=1)
        out.append(torch.nn.functional.normalize(mean, dim=-1).numpy())
    return np.concatenate(out) if out else np.zeros((0, 1), dtype=np.float32)


@cache
def _encoder(folder: str) -> tuple[Any, Any]:
    from transformers import AutoModel, AutoTokenizer

    if not Path(folder, "config.json").is_file():
        raise UserError(f"filter.similarity.model: {folder}: no encoder there; name a Hugging Face folder")
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
        model = AutoModel.from_pretrained(folder, local_files_only=True, use_safetensors=True, trust_remote_code=False)
    except (OSError, ValueError) as error:
        raise UserError(f"filter.similarity.model: {folder}: cannot be read as a Hugging Face encoder") from error
    return tokenizer, model.eval()
