"""The texts of training: each distinct sentence of a language is tokenised once, and a text is a list of their numbers.

Flat arrays instead of objects: 4.5 million texts with 36 million sentences fit, and a batch is put together by indexing
alone. What there is once a sentence or a token has 32 bits.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain

import numpy as np
import polars as pl
import torch
from torch import Tensor
from transformers import PreTrainedTokenizerFast

from mmclip.data.ragged import (
    GrowingInts,
    Ints,
    SmallInts,
    Vectors,
    combine_segments,
    pad_rows,
    ranges,
    segment_sums,
    starts_of,
)
from mmclip.data.sentence_targets import SentenceTargets
from mmclip.data.texts import Texts
from mmclip.models.tokenizer import plain_ids
from mmclip.observations import OBSERVATIONS

TOKENISED_AT_ONCE = 8_192
FRAME = 2
"""Tokens around a text: start and end."""


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
    sentence: SmallInts
    index: SmallInts
    row: SmallInts
    vectors: Vectors
    token_first: Ints
    tokens: SmallInts
    frame_ids: tuple[int, int, int]
    max_tokens: int

    @classmethod
    def build(
        cls,
        texts: Texts,
        tokenizer: PreTrainedTokenizerFast,
        max_tokens: int,
        targets: pl.DataFrame | None = None,
    ) -> Corpus:
        """Number and tokenise texts, a language at a time; the strings of one are dropped before the next is read.

        A sentence that two languages share is tokenised in both.

        Args:
            targets: a TARGETS table with every sentence of the texts; none gives vectors of zeros.

        Raises:
            UserError: a sentence has no target.
        """
        labels = None if targets is None else SentenceTargets.find(targets, texts.studies)
        made = _Numbered(tokenizer, labels)
        for language in texts.counts:
            made.add(texts.of(language))
        return cls(
            studies=texts.studies.to_list(),
            languages=tuple(texts.counts),
            study=np.concatenate(made.study),
            language=np.repeat(np.arange(len(made.study)), [len(part) for part in made.study]),
            first=starts_of(np.concatenate(made.lengths)),
            sentence=made.sentence.array(),
            index=made.index.array(),
            row=made.row.array(),
            vectors=np.zeros((1, len(OBSERVATIONS)), np.float32) if labels is None else labels.vectors,
            token_first=starts_of(made.token_lengths.array()),
            tokens=made.tokens.array(),
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
        start, end, padding = self.frame_ids
        return pad_rows(self.tokens_of(places), segment_sums(lengths, shown), start, end, padding, self.max_tokens)

    def tokens_of(self, places: Ints) -> Ints:
        """Token ids of these sentences, one after the other."""
        lengths = self._sentence_tokens(places)
        ids: Ints = self.tokens[ranges(self.token_first[self.sentence[places]], lengths)].astype(np.int64)
        return ids

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


class _Numbered:
    """The arrays of a :class:`Corpus` while they are made, named as there; `study` and `lengths` by language."""

    def __init__(self, tokenizer: PreTrainedTokenizerFast, labels: SentenceTargets | None) -> None:
        self._tokenizer, self._labels = tokenizer, labels
        self.study: list[Ints] = []
        self.lengths: list[Ints] = []
        self.sentence, self.index, self.row, self.tokens, self.token_lengths = (GrowingInts() for _ in range(5))

    def add(self, texts: pl.DataFrame) -> None:
        """The texts of a language, as :class:`Texts` gives them."""
        self.study.append(texts["study"].to_numpy())
        self.lengths.append(texts["sentences"].list.len().to_numpy())
        long = texts.explode("sentences", "indices")
        study, index = long["study"].to_numpy(), long["indices"].to_numpy()
        self.index.append(index)
        self.row.append(np.zeros(len(index), np.int32) if self._labels is None else self._labels.rows(study, index))
        distinct = long["sentences"].unique(maintain_order=True)
        self.sentence.append(_numbers(long["sentences"], distinct) + len(self.token_lengths))
        for part in distinct.to_frame().iter_slices(TOKENISED_AT_ONCE):
            ids = plain_ids(self._tokenizer, part["sentences"].to_list())
            self.tokens.append(np.fromiter(chain.from_iterable(ids), dtype=np.int32))
            self.token_lengths.append(np.fromiter(map(len, ids), dtype=np.int32))


def _numbers(values: pl.Series, distinct: pl.Series) -> Ints:
    """The place of each value in `distinct`."""
    table = pl.DataFrame({"value": distinct, "number": np.arange(len(distinct), dtype=np.int64)})
    joined = values.alias("value").to_frame().join(table, on="value", how="left", maintain_order="left")
    return joined["number"].to_numpy()
