"""Training a tokenizer where the text tower brings none."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

import numpy as np
import polars as pl
import sentencepiece
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

from mmclip.config.training import ExperimentSettings
from mmclip.config.training import Tokenizer as TokenizerSettings
from mmclip.data.randomness import id_hashes
from mmclip.data.texts import Texts
from mmclip.errors import UserError
from mmclip.models.tokenizer import load_tokenizer

SPECIAL = {"cls_token": "<s>", "pad_token": "<pad>", "sep_token": "</s>", "unk_token": "<unk>", "mask_token": "<mask>"}
"""XLM-R's special tokens, in the order of their ids."""

HASHED_AT_ONCE = 50_000


def own_tokenizer(settings: ExperimentSettings, texts: Texts) -> PreTrainedTokenizerFast:
    """The tokenizer that the settings' text tower brings, or one trained on the texts of the training split."""
    if settings.model.text.kind == "pretrained":
        return load_tokenizer(settings.model.text.name)
    return train_tokenizer(sample_sentences(texts, settings.tokenizer.sentences), settings.tokenizer)


def train_tokenizer(sentences: Sequence[str], settings: TokenizerSettings) -> PreTrainedTokenizerFast:
    """A Unigram tokenizer (Kudo 2018) with XLM-R's special tokens, of some sentences.

    Case and width are kept; the only normalisation is NFC. SentencePiece trains it (the trainer of `tokenizers` gives
    another result each time), and the result is a plain ``tokenizer.json``. A small corpus yields fewer pieces than
    asked for.

    Args:
        sentences: distinct ones, as :func:`sample_sentences` chooses them.

    Raises:
        UserError: the vocabulary is smaller than the number of different characters.
    """
    model = io.BytesIO()
    normal = normalizers.NFC()
    try:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter([normal.normalize_str(text) for text in sentences]),
            model_writer=model,
            model_type="unigram",
            vocab_size=settings.vocabulary,
            hard_vocab_limit=False,
            character_coverage=1.0,
            normalization_rule_name="identity",
            bos_id=-1,
            eos_id=-1,
            num_threads=1,
            minloglevel=2,
        )
    except RuntimeError as error:
        reason = str(error).strip().splitlines()[-1].split(") ")[-1]
        raise UserError(f"tokenizer.vocabulary: {settings.vocabulary} does not fit this corpus ({reason})") from error
    pieces = sentencepiece.SentencePieceProcessor(model_proto=model.getvalue())
    learned = [(pieces.id_to_piece(i), pieces.get_score(i)) for i in range(len(pieces)) if not pieces.is_unknown(i)]
    return _as_tokenizer(learned)


def _as_tokenizer(pieces: list[tuple[str, float]]) -> PreTrainedTokenizerFast:
    names = list(SPECIAL.values())
    vocabulary = [(name, 0.0) for name in names] + [piece for piece in pieces if piece[0] not in names]
    tokenizer = Tokenizer(models.Unigram(vocabulary, unk_id=names.index(SPECIAL["unk_token"])))
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    start, end = SPECIAL["cls_token"], SPECIAL["sep_token"]
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{start} $A {end}",
        pair=f"{start} $A {end} {end} $B {end}",
        special_tokens=[(start, names.index(start)), (end, names.index(end))],
    )
    wrap: Any = PreTrainedTokenizerFast
    return wrap(  # type: ignore[no-any-return]
        tokenizer_object=tokenizer, bos_token=start, eos_token=end, clean_up_tokenization_spaces=False, **SPECIAL
    )


def sample_sentences(texts: Texts, limit: int) -> list[str]:
    """At most `limit` distinct sentences, equally many of each language where it has them, so that no script is
    starved; the order of the texts does not matter.

    Those with the smallest hashes, so that it is always the same ones.
    """
    languages = sorted(language for language, count in texts.counts.items() if count)
    share = max(1, limit // max(1, len(languages)))
    chosen = []
    for language in languages:
        distinct = texts.of(language).select(pl.col("sentences").explode().unique())
        hashes = [id_hashes(part["sentences"].to_list()) for part in distinct.iter_slices(HASHED_AT_ONCE)]
        ranked = distinct.with_columns(pl.Series("rank", np.concatenate(hashes)))
        chosen += ranked.sort("rank", "sentences").head(share)["sentences"].to_list()
    return chosen
