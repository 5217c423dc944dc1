"""How near a text encoder puts a sentence to its translations: what language modelling buys for alignment."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray
from torch import nn
from transformers import PreTrainedTokenizerFast

from mmclip.data.randomness import id_hashes
from mmclip.languages import ENGLISH
from mmclip.models.text_encoder import masked_mean, positions

Floats = NDArray[np.float32]

AT_ONCE = 128
"""Sentences that are encoded together."""


def score_retrieval(
    backbone: Any, tokenizer: PreTrainedTokenizerFast, texts: pl.DataFrame, most: int
) -> dict[str, dict[str, float]]:
    """Sentence retrieval from English into every other language of some texts.

    Args:
        backbone: a Hugging Face encoder.
        texts: study_id, language, sentences and indices, of the validation split.
        most: sentences a language.

    Returns:
        language -> sentence_recall (recall@1) and sentences (how many there are; by chance one in as many is right).
        Empty without English texts.
    """
    backbone.eval()
    out = {}
    for language in texts["language"].unique().sort():
        english, other = parallel_sentences(texts, language, most) if language != ENGLISH else ([], [])
        if len(english) > 1:
            sides = [sentence_features(backbone, tokenizer, side) for side in (english, other)]
            recall = float(nearest_is_translation(*sides).mean())
            out[str(language)] = {"sentence_recall": recall, "sentences": float(len(english))}
    return out


def parallel_sentences(texts: pl.DataFrame, language: str, most: int) -> tuple[list[str], list[str]]:
    """Distinct English sentences and their translations, each wording once; the order of the texts does not matter."""
    long = texts.select("study_id", "language", "sentences", "indices").explode("sentences", "indices")
    place = ["study_id", "indices"]
    sides = [long.filter(pl.col("language") == code).select(*place, "sentences") for code in (ENGLISH, language)]
    pairs = sides[0].join(sides[1], on=place, suffix="_other").select("sentences", "sentences_other").unique()
    pairs = pairs.with_columns(pl.Series("rank", id_hashes(pairs["sentences"].to_list())))
    pairs = pairs.sort("rank", "sentences", "sentences_other")
    for column in ("sentences", "sentences_other"):
        pairs = pairs.unique(column, keep="first", maintain_order=True)
    chosen = pairs.head(most)
    return chosen["sentences"].to_list(), chosen["sentences_other"].to_list()


def sentence_features(backbone: Any, tokenizer: PreTrainedTokenizerFast, sentences: Sequence[str]) -> Floats:
    """The mean of each sentence's last hidden states, [n, width], of length 1: what the text tower averages too.

    Args:
        backbone: a Hugging Face encoder, in the mode (training or evaluation) in which it is to be used.
    """
    device = next(backbone.parameters()).device
    limit = positions(backbone.config)
    parts = []
    with torch.inference_mode():
        for start in range(0, len(sentences), AT_ONCE):
            batch: Any = tokenizer(
                list(sentences[start : start + AT_ONCE]),
                padding=True,
                truncation=True,
                max_length=limit,
                return_tensors="pt",
            )
            mask = batch["attention_mask"].to(device)
            states = backbone(input_ids=batch["input_ids"].to(device), attention_mask=mask).last_hidden_state
            parts.append(nn.functional.normalize(masked_mean(states.float(), mask), dim=1).cpu())
    return np.asarray(torch.cat(parts).numpy())


def nearest_is_translation(english: Floats, other: Floats) -> NDArray[np.float64]:
    """1 where an English sentence's nearest sentence of the other language is its translation, else 0: [n].

    Args:
        english, other: [n, D] embeddings of the same n meanings in the same order; a tie counts as wrong.
    """
    similarity = english @ other.T
    as_near = (similarity >= similarity.diagonal()[:, None]).sum(axis=1)  # its translation among them
    return np.asarray(as_near == 1, dtype=np.float64)
