"""The texts of training: each distinct sentence is tokenised once, and a text is a list of sentence numbers.

Flat arrays instead of objects: 4.3 million texts fit, and a batch is put together by indexing alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import numpy as np
import polars as pl
import torch
from torch import Tensor
from transformers import PreTrainedTokenizerFast

from mmclip.data.ragged import Ints, Vectors, combine_segments, pad_rows, ranges, segment_sums, starts_of
from mmclip.data.targets import WIDTHS
from mmclip.errors import UserError
from mmclip.models.tokenizer import plain_ids
from mmclip.observations import OBSERVATIONS
from mmclip.tables.files import read_table
from mmclip.tables.filtering import CORPUS

TOKENISED_AT_ONCE = 50_000
FRAME = 2
"""Tokens around a text: start and end."""


def read_texts(files: Sequence[Path], studies: pl.DataFrame, split: str, languages: Sequence[str]) -> pl.DataFrame:
    """The texts of one split, in the languages asked for.

    Args:
        files: corpus shards.
        studies: study_id and split of every study.
        split: train or val.
        languages: FLORES-200 codes, in the order their texts shall have.

    Returns:
        study_id, language, sentences, indices; sorted by language (in the order given), then study.

    Raises:
        UserError: a shard names a study that is in no studies table, or no text is left.
    """
    wanted = studies.filter(pl.col("split") == split).select("study_id")
    known = studies.select("study_id")
    parts = []
    for file in files:
        frame = read_table(file, CORPUS).select("study_id", "language", "sentences", "indices")
        stray = frame.join(known, on="study_id", how="anti")
        if len(stray):
            raise UserError(f"{file}: study {stray['study_id'][0]!r} is in no studies table, so its split is unknown")
        here = frame.filter(pl.col("language").is_in(list(languages)) & (pl.col("sentences").list.len() > 0))
        parts.append(here.join(wanted, on="study_id", how="semi"))
    texts = pl.concat(parts) if parts else CORPUS.empty().select("study_id", "language", "sentences", "indices")
    if not len(texts):
        raise UserError(
            f"corpus: no text of split {split!r} in {', '.join(languages)}; check the languages and the filter"
        )
    rank = {code: number for number, code in enumerate(languages)}
    order = pl.col("language").replace_strict(rank, return_dtype=pl.Int32)
    return texts.with_columns(order.alias("order")).sort("order", "study_id").drop("order")


def distinct_sentences(texts: pl.DataFrame) -> pl.DataFrame:
    """The texts of :func:`read_texts` with each distinct sentence in one study only; studies left empty are dropped.

    A sentence is known by its wording in the study's first language here, so that its translations stay together.
    """
    long = texts.with_row_index("text").explode("sentences", "indices")
    place = ["study_id", "indices"]
    first = long.unique(place, keep="first", maintain_order=True).unique("sentences", keep="first", maintain_order=True)
    kept = long.join(first.select(place), on=place, how="semi", maintain_order="left")
    return kept.group_by("text", "study_id", "language", maintain_order=True).agg("sentences", "indices").drop("text")


def sentence_vectors(targets: pl.DataFrame) -> tuple[pl.DataFrame, Vectors]:
    """The soft label vectors of sentences, from a targets table.

    Returns:
        id and row of each sentence, and the vectors [rows, L].
    """
    chosen = targets.filter(pl.col("kind") == "sentence")
    return chosen.select("id", pl.int_range(pl.len(), dtype=pl.Int64).alias("row")), stack_vectors(chosen)


def stack_vectors(targets: pl.DataFrame) -> Vectors:
    """The vectors of a targets table, float32 [rows, L]; L is 14, or 42 where the first has one-hot slots.

    Raises:
        UserError: a vector has another length.
    """
    lengths = targets["vector"].list.len()
    width = WIDTHS[-1] if len(targets) and lengths[0] == WIDTHS[-1] else WIDTHS[0]
    wrong = targets.filter(lengths != width)
    if len(wrong):
        raise UserError(f"targets: the vector of {wrong['id'][0]!r} does not have {width} entries; run disambiguate")
    flat = targets["vector"].explode(empty_as_null=False).to_numpy().astype(np.float32)
    return flat.reshape(-1, width)


@dataclass(frozen=True)
class Corpus:
    """Texts as numbers.

    Attributes:
        studies: id of each study number.
        languages: code of each language number.
        study: [T] study number of each text; texts lie language after language.
        language: [T] language number.
        first: [T + 1] where a text's sentences start in `sentence` and `row`.
        sentence: [S] number of the distinct sentence.
        index: [S] the sentence's number in its study's text.
        row: [S] row of its soft labels in `vectors`.
        vectors: [V, L], L = 14 or with one-hot slots 42.
        token_first: [K + 1] where a distinct sentence's tokens start in `tokens`.
        tokens: token ids of the distinct sentences, one after the other.
        frame_ids: ids of the start, end and padding tokens.
        max_tokens: longer texts lose their last sentences, a longer sentence is cut.
    """

    studies: list[str]
    languages: tuple[str, ...]
    study: Ints
    language: Ints
    first: Ints
    sentence: Ints
    index: Ints
    row: Ints
    vectors: Vectors
    token_first: Ints
    tokens: Ints
    frame_ids: tuple[int, int, int]
    max_tokens: int

    @classmethod
    def build(
        cls,
        texts: pl.DataFrame,
        languages: Sequence[str],
        tokenizer: PreTrainedTokenizerFast,
        max_tokens: int,
        targets: pl.DataFrame | None = None,
    ) -> Corpus:
        """Number and tokenise the texts of :func:`read_texts`.

        Args:
            targets: a TARGETS table with every sentence of the texts; none gives vectors of zeros.

        Raises:
            UserError: a sentence has no target.
        """
        studies = texts["study_id"].unique().sort()
        long = texts.select("study_id", "sentences", "indices").explode("sentences", "indices")
        distinct = long["sentences"].unique().sort()
        tokens, lengths = _tokenised(tokenizer, distinct)
        row, vectors = _target_rows(long, targets)
        return cls(
            studies=studies.to_list(),
            languages=tuple(languages),
            study=_numbers(texts["study_id"], studies),
            language=_numbers(texts["language"], pl.Series(list(languages))),
            first=starts_of(texts["sentences"].list.len().to_numpy()),
            sentence=_numbers(long["sentences"], distinct),
            index=long["indices"].to_numpy().astype(np.int64),
            row=row,
            vectors=vectors,
            token_first=starts_of(lengths),
            tokens=tokens,
            frame_ids=(tokenizer.cls_token_id, tokenizer.sep_token_id, tokenizer.pad_token_id),
            max_tokens=max_tokens,
        )

    def __len__(self) -> int:
        return len(self.study)

    def counts(self, texts: Ints) -> Ints:
        """How many sentences each text has, [M]."""
        return self.first[texts + 1] - self.first[texts]

    def places(self, texts: Ints, shown: Ints, chosen: Ints) -> Ints:
        """Positions in `sentence`, `index` and `row` of chosen sentences.

        Args:
            texts: [M] text numbers.
            shown: [M] sentences chosen of each.
            chosen: [sum of shown] their places within their texts.
        """
        return np.repeat(self.first[texts], shown) + chosen

    def fitting(self, texts: Ints, shown: Ints, chosen: Ints) -> tuple[Ints, Ints]:
        """The same choice without the sentences that would not fit into the token limit, so that a text has no label
        of a sentence that the model does not see. A first sentence stays, and is cut where it is too long by itself.

        Args:
            texts, shown, chosen: as for :meth:`places`.

        Returns:
            `shown` and `chosen` of what is left.
        """
        lengths = self._sentence_tokens(self.places(texts, shown, chosen))
        first = np.cumsum(shown) - shown
        upto = np.cumsum(lengths)
        before = upto[first] - lengths[first]
        fits = upto - np.repeat(before, shown) + FRAME <= self.max_tokens
        fits[first] = True
        return segment_sums(fits.astype(np.int64), shown), chosen[fits]

    def ids(self, places: Ints, shown: Ints) -> tuple[Tensor, Tensor]:
        """Token ids of texts made of these sentences, framed, cut and padded: int64 [M, W] and their mask."""
        lengths = self._sentence_tokens(places)
        flat = self.tokens[ranges(self.token_first[self.sentence[places]], lengths)]
        start, end, padding = self.frame_ids
        return pad_rows(flat, segment_sums(lengths, shown), start, end, padding, self.max_tokens)

    def lengths(self, places: Ints, shown: Ints) -> Ints:
        """How many tokens the rows of :meth:`ids` have, [M]."""
        return np.minimum(self._tokens(places, shown) + FRAME, self.max_tokens)

    def cut(self, texts: Ints, shown: Ints, chosen: Ints) -> dict[str, float]:
        """The share of texts that are longer than the token limit, so that something is left out, by language; 0 for
        one without texts.

        Args:
            texts, shown, chosen: texts and the sentences chosen of them, as for :meth:`places`.
        """
        long = self._tokens(self.places(texts, shown, chosen), shown) + FRAME > self.max_tokens
        every = np.bincount(self.language[texts], minlength=len(self.languages))
        found = np.bincount(self.language[texts[long]], minlength=len(self.languages)) / np.maximum(every, 1)
        return dict(zip(self.languages, found.tolist(), strict=True))

    def _tokens(self, places: Ints, shown: Ints) -> Ints:
        return segment_sums(self._sentence_tokens(places), shown)

    def _sentence_tokens(self, places: Ints) -> Ints:
        numbers = self.sentence[places]
        return self.token_first[numbers + 1] - self.token_first[numbers]

    def targets(self, places: Ints, shown: Ints) -> Tensor:
        """Soft labels of texts made of these sentences, float32 [M, L]; see :func:`combine_segments`."""
        return torch.from_numpy(combine_segments(self.vectors[self.row[places]], shown))


def _numbers(values: pl.Series, distinct: pl.Series) -> Ints:
    """The place of each value in `distinct`."""
    table = pl.DataFrame({"value": distinct, "number": np.arange(len(distinct), dtype=np.int64)})
    joined = values.alias("value").to_frame().join(table, on="value", how="left", maintain_order="left")
    return joined["number"].to_numpy()


def _tokenised(tokenizer: PreTrainedTokenizerFast, texts: pl.Series) -> tuple[Ints, Ints]:
    """Token ids of the texts, one after the other, and how many each has; in parts, so that lists of ids stay short."""
    tokens, lengths = [np.empty(0, np.int64)], [np.empty(0, np.int64)]
    for part in texts.to_frame().iter_slices(TOKENISED_AT_ONCE):
        ids = plain_ids(tokenizer, part.to_series().to_list())
        tokens.append(np.fromiter(chain.from_iterable(ids), dtype=np.int64))
        lengths.append(np.fromiter(map(len, ids), dtype=np.int64))
    return np.concatenate(tokens), np.concatenate(lengths)


def _target_rows(long: pl.DataFrame, targets: pl.DataFrame | None) -> tuple[Ints, Vectors]:
    if targets is None:
        return np.zeros(len(long), np.int64), np.zeros((1, len(OBSERVATIONS)), np.float32)
    rows, vectors = sentence_vectors(targets)
    keys = long.select(pl.concat_str("study_id", pl.lit("/"), "indices").alias("id"))
    joined = keys.join(rows, on="id", how="left", maintain_order="left")
    missing = joined.filter(pl.col("row").is_null())
    if len(missing):
        raise UserError(f"targets: no vector for sentence {missing['id'][0]!r} of the corpus; run disambiguate again")
    return joined["row"].to_numpy(), vectors
