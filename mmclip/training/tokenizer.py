"""Training a tokenizer where the text tower brings none."""

from __future__ import annotations

import io
from typing import Any

import polars as pl
import sentencepiece
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

from mmclip.config.training import Tokenizer as TokenizerSettings
from mmclip.data.randomness import id_hashes
from mmclip.errors import UserError

SPECIAL = {"cls_token": "<s>", "pad_token": "<pad>", "sep_token": "</s>", "unk_token": "<unk>", "mask_token": "<mask>"}
"""XLM-R's special tokens, in the order of their ids."""


def train_tokenizer(texts: pl.DataFrame, settings: TokenizerSettings) -> PreTrainedTokenizerFast:
    """A Unigram tokenizer (Kudo 2018) with XLM-R's special tokens, of the distinct sentences of the texts.

    Each language gives equally many sentences where it has them, so that no script is starved. Case and width are
    kept; the only normalisation is NFC. SentencePiece trains it (the trainer of `tokenizers` gives another result
    each time), and the result is a plain ``tokenizer.json``. A small corpus yields fewer pieces than asked for.

    Args:
        texts: language and sentences.

    Raises:
        UserError: the vocabulary is smaller than the number of different characters.
    """
    model = io.BytesIO()
    normal = normalizers.NFC()
    try:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter([normal.normalize_str(text) for text in _sentences(texts, settings.sentences)]),
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


def _sentences(texts: pl.DataFrame, limit: int) -> list[str]:
    """At most `limit` distinct sentences, evenly over the languages; the order of the input does not matter."""
    distinct = texts.select("language", "sentences").explode("sentences").unique()
    ranked = distinct.with_columns(pl.Series("rank", id_hashes(distinct["sentences"].to_list())))
    share = max(1, limit // max(1, distinct["language"].n_unique()))
    chosen = ranked.sort("language", "rank", "sentences").group_by("language", maintain_order=True).head(share)
    return chosen["sentences"].to_list()
