"""Batches of language modelling: texts, or sentences with their translations, with some tokens hidden."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from mmclip.config.training import DataSettings, LanguageModelling
from mmclip.data.corpus import Corpus
from mmclip.data.packing import fill_rows, one_each, put_together
from mmclip.data.ragged import Ints, pad_rows
from mmclip.data.randomness import generator
from mmclip.data.sampler import Mixture, choose_languages, choose_sentences, language_weights

NOT_MASKED = -100
"""The label of a token that is not to be predicted."""


@dataclass(frozen=True)
class MaskedBatch:
    """Texts with hidden tokens, one in a row or, packed, several of one language behind each other.

    Attributes:
        kind: ``mlm`` or ``tlm``.
        input_ids: [R, W] with some tokens replaced.
        attention_mask: [R, W].
        labels: [R, W] the token that was there, -100 where nothing is to be predicted.
        position_ids: [R, W], or None for the model's own.
        text_ids: of the texts in the rows; for a pair that of the first.
        languages: R codes; for pairs that of the language which is not the source.
    """

    kind: str
    input_ids: Tensor
    attention_mask: Tensor
    labels: Tensor
    position_ids: Tensor | None
    text_ids: list[str]
    languages: list[str]

    def to(self, device: torch.device | str) -> MaskedBatch:
        """The same batch on `device`."""
        return replace(
            self,
            input_ids=self.input_ids.to(device),
            attention_mask=self.attention_mask.to(device),
            labels=self.labels.to(device),
            position_ids=None if self.position_ids is None else self.position_ids.to(device),
        )


class MaskedBatches:
    """Batches by step number: MLM on even steps, TLM on odd ones (MLM only, where nothing is translated).

    With `settings.pack`, rows hold texts of one language up to the token limit, and a token sees its whole row, as in
    XLM's streams of text. Rows are dealt out to the ranks, whatever their number.

    Args:
        corpus: texts of one split.
        source: the source language of each study of the corpus, by number; TLM pairs a text with its source, and the
            source's text with any translation.
        ordinary: ids that may replace a token at random (none of the special ones).
        mask_id: of the mask token.
    """

    def __init__(
        self,
        data: DataSettings,
        settings: LanguageModelling,
        corpus: Corpus,
        source: Ints,
        *,
        ordinary: Ints,
        mask_id: int,
        batch_size: int,
        seed: int,
        rank: int = 0,
        ranks: int = 1,
    ) -> None:
        self.data, self.settings, self.corpus, self.source = data, settings, corpus, source
        self.ordinary, self.mask_id = ordinary, mask_id
        self.batch_size, self.seed = batch_size, seed
        self.rank, self.ranks = rank, ranks
        self.text_of = np.full((len(corpus.studies), len(corpus.languages)), -1, np.int64)
        self.text_of[corpus.study, corpus.language] = np.arange(len(corpus))
        counts = np.bincount(corpus.language, minlength=len(corpus.languages)).tolist()
        self.weights = language_weights(counts, data.alpha)
        self._stream = Mixture(counts, self.weights.tolist(), seed, "language modelling")
        self.translated = bool(((self.text_of >= 0).sum(axis=1) > 1).any())

    def __call__(self, step: int) -> MaskedBatch:
        """The batch of a step."""
        texts, _ = self._stream.take(step * self.batch_size, self.batch_size)
        if self.settings.translation and self.translated and step % 2:
            return self.pairs(texts, step, "train")
        return self.singles(texts, step, "train")

    def singles(self, texts: Ints, step: int, purpose: str) -> MaskedBatch:
        """An MLM batch of these texts."""
        shown, chosen = choose_sentences(self.corpus.counts(texts), self.data.text_mix, self.seed, "mlm", purpose, step)
        ids, mask = self.corpus.ids(self.corpus.places(texts, shown, chosen), shown)
        return self._masked("mlm", ids, mask, None, texts, texts, step, purpose)

    def pairs(self, texts: Ints, step: int, purpose: str) -> MaskedBatch:
        """A TLM batch: ``<s> a </s></s> b </s>``, half of them with the source first (XLM, section 3.3).

        Texts without a translation are left out; if that leaves none, an MLM batch.
        """
        partners = self._partners(texts, self.seed, "partner", purpose, step)
        firsts, seconds, counts = _shared(self.corpus, texts, partners)
        usable = counts > 0
        if not usable.any():
            return self.singles(texts, step, purpose)
        texts, partners, counts = texts[usable], partners[usable], counts[usable]
        shown, chosen = choose_sentences(counts, self.data.text_mix, self.seed, "tlm", purpose, step)
        picked = np.repeat(np.cumsum(counts) - counts, shown) + chosen
        swap = generator(self.seed, "order", purpose, step).random(len(texts)) < 0.5
        sides = np.repeat(swap, shown)
        left = np.where(sides, seconds[picked], firsts[picked])
        right = np.where(sides, firsts[picked], seconds[picked])
        ids, mask, positions = self._join(left, right, shown)
        named = np.where(self.corpus.language[texts] == self.source[self.corpus.study[texts]], partners, texts)
        return self._masked("tlm", ids, mask, positions, texts, named, step, purpose)

    def _partners(self, texts: Ints, *key: int | str) -> Ints:
        """A text of the same study in another language: the source where that is another, else any; -1 for none."""
        studies, own = self.corpus.study[texts], self.corpus.language[texts]
        options = self.text_of[studies].copy()
        options[np.arange(len(texts)), own] = -1
        chosen = choose_languages(options >= 0, self.weights, *key)
        source = self.source[studies]
        has_source = options[np.arange(len(texts)), source] >= 0
        return options[np.arange(len(texts)), np.where(has_source, source, chosen)]

    def _join(self, left: Ints, right: Ints, shown: Ints) -> tuple[Tensor, Tensor, Tensor | None]:
        """Token ids of pairs, each side cut to half of the positions."""
        corpus = self.corpus
        start, end, padding = corpus.frame_ids
        half = (corpus.max_tokens - 4) // 2
        rows, firsts = [], []
        bounds = np.cumsum(shown)
        for stop, count in zip(bounds, shown, strict=True):
            a, b = (corpus.tokens_of(places[stop - count : stop])[:half] for places in (left, right))
            rows.append(np.concatenate([a, [end, end], b]))
            firsts.append(len(a))
        lengths = np.array([len(row) for row in rows], np.int64)
        ids, mask = pad_rows(np.concatenate(rows), lengths, start, end, padding, corpus.max_tokens)
        if not self.settings.reset_positions:
            return ids, mask, None
        place = torch.arange(ids.shape[1])[None]
        second = torch.tensor(firsts)[:, None] + 2  # where the second sentence's own start token lies
        positions = torch.where(place >= second, place - second, place)
        return ids, mask, torch.where(mask.bool(), positions + padding + 1, padding)

    def _masked(
        self,
        kind: str,
        ids: Tensor,
        mask: Tensor,
        positions: Tensor | None,
        texts: Ints,
        named: Ints,
        step: int,
        purpose: str,
    ) -> MaskedBatch:
        corpus, (_, _, padding) = self.corpus, self.corpus.frame_ids
        random = generator(self.seed, "mask", purpose, step)
        hidden, labels = mask_tokens(
            ids.numpy(), corpus.frame_ids, self.settings.mask, self.mask_id, self.ordinary, random
        )
        of_row = corpus.language[named]
        packed = self.settings.pack and purpose == "train"
        rows = fill_rows(mask.sum(dim=1).numpy(), of_row, corpus.max_tokens) if packed else one_each(len(texts))
        if purpose == "train":
            rows = rows.of(range(self.rank, len(rows.counts), self.ranks))
        names = [f"{corpus.studies[corpus.study[text]]}/{corpus.languages[corpus.language[text]]}" for text in texts]
        firsts = rows.texts[np.cumsum(rows.counts) - rows.counts]
        return MaskedBatch(
            kind=kind,
            input_ids=put_together(torch.from_numpy(hidden), mask, rows, padding),
            attention_mask=put_together(mask, mask, rows, 0),
            labels=put_together(torch.from_numpy(labels), mask, rows, NOT_MASKED),
            position_ids=None if positions is None else put_together(positions, mask, rows, padding),
            text_ids=[names[text] for text in rows.texts],
            languages=[corpus.languages[of_row[text]] for text in firsts],
        )


def mask_tokens(
    ids: Ints,
    special: tuple[int, ...],
    share: float,
    mask_id: int,
    ordinary: Ints,
    random: np.random.Generator,
) -> tuple[Ints, Ints]:
    """Hide tokens: of those chosen, 80 % become the mask, 10 % another token, 10 % stay (Devlin et al. 2019).

    Special tokens and padding are never chosen.

    Args:
        ids: [M, W].
        special: ids that are never chosen.
        share: probability that a token is chosen.

    Returns:
        the ids with tokens hidden, and the labels: the old token where one was chosen, -100 elsewhere.
    """
    chosen = (random.random(ids.shape) < share) & ~np.isin(ids, special)
    kind = random.random(ids.shape)
    other = ordinary[random.integers(len(ordinary), size=ids.shape)]
    hidden = np.where(chosen & (kind < 0.8), mask_id, ids)
    hidden = np.where(chosen & (kind >= 0.9), other, hidden)
    return hidden, np.where(chosen, ids, NOT_MASKED)


def _shared(corpus: Corpus, texts: Ints, partners: Ints) -> tuple[Ints, Ints, Ints]:
    """Where the sentences lie that both texts of each pair still have: in the first, in the second, and how many."""
    firsts: list[npt.NDArray[np.int64]] = []
    seconds: list[npt.NDArray[np.int64]] = []
    for text, partner in zip(texts, partners, strict=True):
        if partner < 0:
            firsts.append(np.empty(0, np.int64))
            seconds.append(np.empty(0, np.int64))
            continue
        a, b = (np.arange(corpus.first[number], corpus.first[number + 1]) for number in (text, partner))
        _, in_a, in_b = np.intersect1d(corpus.index[a], corpus.index[b], assume_unique=True, return_indices=True)
        firsts.append(a[in_a])
        seconds.append(b[in_b])
    counts = np.array([len(places) for places in firsts], np.int64)
    return np.concatenate(firsts), np.concatenate(seconds), counts
