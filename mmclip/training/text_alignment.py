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
from mmclip.data.texts import Texts, with_places
from mmclip.languages import ENGLISH
from mmclip.models.text_encoder import masked_mean, positions

Floats = NDArray[np.float32]

AT_ONCE = 128
"""Sentences that are encoded together."""


def score_retrieval(
    backbone: Any, tokenizer: PreTrainedTokenizerFast, pairs: dict[str, tuple[list[str], list[str]]]
) -> dict[str, dict[str, float]]:
    """Sentence retrieval from English into every other language of some texts.

    Args:
        backbone: a Hugging Face encoder.
        pairs: as :func:`translated_sentences` gives, of the validation split.

    Returns:
        language -> sentence_recall (recall@1) and sentences (how many there are; by chance one in as many is right).
    """
    backbone.eval()
    out = {}
    for language, texts in pairs.items():
        recall = float(nearest_is_translation(*(sentence_features(backbone, tokenizer, side) for side in texts)).mean())
        out[language] = {"sentence_recall": recall, "sentences": float(len(texts[0]))}
    return out


def translated_sentences(texts: Texts, most: int) -> dict[str, tuple[list[str], list[str]]]:
    """Language -> English sentences and their translations, for every other language that has more than one.

    Args:
        most: sentences a language.
    """
    if not texts.counts.get(ENGLISH):
        return {}
    english = with_places(texts.of(ENGLISH))
    pairs = {
        language: parallel_sentences(english, with_places(texts.of(language)), most)
        for language in sorted(texts.counts)
        if language != ENGLISH
    }
    return {language: sides for language, sides in pairs.items() if len(sides[0]) > 1}


def parallel_sentences(english: pl.DataFrame, other: pl.DataFrame, most: int) -> tuple[list[str], list[str]]:
    """Distinct English sentences and their translations, each wording once; the order of the texts does not matter.

    Args:
        english, other: place and sentences, as :func:`with_places` gives.
    """
    sides = [side.select("place", "sentences") for side in (english, other)]
    pairs = sides[0].join(sides[1], on="place", suffix="_other").select("sentences", "sentences_other").unique()
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
