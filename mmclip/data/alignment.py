"""The batches of image-text pretraining: decoupled (images and texts drawn apart) or paired."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
import numpy.typing as npt
import polars as pl
import torch

from mmclip.config.models import ImageTower
from mmclip.config.training import DataSettings
from mmclip.data.augment import augment
from mmclip.data.batch import Batch
from mmclip.data.corpus import Corpus
from mmclip.data.images import ImageSet
from mmclip.data.length_buckets import ShownTexts, deal_by_length
from mmclip.data.packed import PackedImages
from mmclip.data.ragged import Ints, ranges
from mmclip.data.sampler import choose_languages, choose_sentences
from mmclip.data.streams import TextStream, drawn_data_sets, image_stream
from mmclip.errors import NothingToSample, UserError

log = logging.getLogger("mmclip.training")


@dataclass(frozen=True)
class Drawn:
    """What a step sees, over all ranks, before pixels and tokens are read.

    Attributes:
        images: [N] image numbers.
        described: [N] images whose study and soft labels go with them.
        rounds: [N] passes over the data set before this one.
        texts: M texts.
    """

    images: Ints
    described: Ints
    rounds: Ints
    texts: ShownTexts

    def take(self, rows: Ints, text_rows: Ints) -> Drawn:
        """Some of the images and some of the texts."""
        texts = self.texts.take(text_rows)
        return Drawn(self.images[rows], self.described[rows], self.rounds[rows], texts)

    @classmethod
    def joined(cls, parts: Sequence[Drawn]) -> Drawn:
        """One part after the other."""
        images, described, rounds = (
            np.concatenate([getattr(part, name) for part in parts]) for name in ("images", "described", "rounds")
        )
        return cls(images, described, rounds, ShownTexts.joined([part.texts for part in parts]))


class AlignmentBatches:
    """Batches by step number; any rank, thread or resumed run makes the same ones.

    With `data.length_buckets` K > 1, K batches are drawn together, and their texts (or pairs) are dealt out among them
    by length: over K steps the same is seen as without, but short texts meet short ones.

    Args:
        data: what to sample.
        tower: the image tower, for its size.
        packs: the pixels.
        images: rows of images tables, of one split.
        corpus: the texts of the same split.
        targets: a TARGETS table, for the images' soft labels.
        studies: study_id and source (data set) of every study.
        batch_size: images of a step over all ranks; texts are `data.texts_per_image` times as many.
        decoupled: draw images and texts apart; otherwise each image comes with texts of its study.
        seed: of the run.
        rank, ranks: this process takes an equal, consecutive part of each batch.

    Raises:
        UserError: the settings name an unknown data set, or fit only the other way of drawing.
        NothingToSample: no image or text is left to sample from.
    """

    def __init__(
        self,
        data: DataSettings,
        tower: ImageTower,
        packs: PackedImages,
        images: pl.DataFrame,
        corpus: Corpus,
        targets: pl.DataFrame,
        studies: pl.DataFrame,
        *,
        batch_size: int,
        decoupled: bool,
        seed: int,
        rank: int = 0,
        ranks: int = 1,
    ) -> None:
        self.data, self.tower, self.packs, self.corpus = data, tower, packs, corpus
        self.batch_size, self.decoupled, self.seed = batch_size, decoupled, seed
        self.part = slice(batch_size * rank // ranks, batch_size * (rank + 1) // ranks)
        if data.text_weights and not decoupled:
            raise UserError("data.text_weights: pairs have the texts of their images; give data.image_weights instead")
        self.images = ImageSet(images, packs, corpus.studies, targets)
        self.text_of = _texts_by_study(corpus, max(self.images.study.max(initial=-1) + 1, len(corpus.studies)))
        self.images.keep(drawn_data_sets(data, packs.datasets)[self.images.dataset])
        self._studies = len(self.images.items)
        self._leave_out(self.images.labelled if decoupled else self._has_text())
        if data.shuffle_pairs:
            self.images.shuffle(seed)
        self._image_stream = image_stream(data, self.images, packs.datasets, seed)
        self._text_stream = TextStream(data, corpus, studies, seed)
        self._dealt = lru_cache(maxsize=2)(self._deal)

    @property
    def steps_per_epoch(self) -> float:
        """Steps in which as many images are drawn as there are studies with images.

        Those that cannot be used here (for pairs, all without a text) count too, so that every objective takes as many
        steps of the same data.
        """
        return self._studies / self.batch_size

    def __call__(self, step: int) -> Batch:
        """The batch of a step."""
        window, place = divmod(step, self.data.length_buckets)
        drawn = self._dealt(window)[place]
        many = self.data.texts_per_image
        rows = np.arange(self.part.start, self.part.stop)
        return self._assemble(drawn.take(rows, np.arange(self.part.start * many, self.part.stop * many)))

    def _draw(self, step: int) -> Drawn:
        """The samples of a step."""
        start, many = step * self.batch_size, self.data.texts_per_image
        items, rounds = self._image_stream.take(start, self.batch_size)
        images, described = self.images.draw(items, rounds, self.seed)
        if self.decoupled:
            texts = self._text_stream.take(start * many, self.batch_size * many)
        else:
            options = np.repeat(self.text_of[self.images.study[described]], many, axis=0)
            weights = self._text_stream.language_weights
            languages = choose_languages(options >= 0, weights, self.seed, "language", step)
            texts = options[np.arange(len(options)), languages]
        shown, chosen = choose_sentences(self.corpus.counts(texts), self.data.text_mix, self.seed, "sentences", step)
        return Drawn(images, described, rounds, ShownTexts(texts, *self.corpus.fitting(texts, shown, chosen)))

    def _deal(self, window: int) -> list[Drawn]:
        """The samples of `data.length_buckets` consecutive steps."""
        steps, many = self.data.length_buckets, self.data.texts_per_image
        drawn = [self._draw(window * steps + place) for place in range(steps)]
        if steps == 1:
            return drawn
        whole = Drawn.joined(drawn)
        lengths = self.corpus.lengths(self._places(whole.texts), whole.texts.shown)
        if self.decoupled:
            dealt = deal_by_length(lengths, steps, self.seed, "length buckets", window)
            return [replace(one, texts=whole.texts.take(rows)) for one, rows in zip(drawn, dealt, strict=True)]
        longest = lengths.reshape(-1, many).max(axis=1)
        dealt = deal_by_length(longest, steps, self.seed, "length buckets", window)
        return [whole.take(rows, ranges(rows * many, np.full(len(rows), many))) for rows in dealt]

    def _places(self, texts: ShownTexts) -> Ints:
        return self.corpus.places(texts.texts, texts.shown, texts.chosen)

    def _assemble(self, drawn: Drawn) -> Batch:
        ids = [self.images.ids[image] for image in drawn.images]
        hashes, order = self.images.hashes[drawn.images], self.packs.order(ids)
        pixels = augment(
            self.packs.read(ids), self.data.augmentation, self.tower.size, self.seed, hashes, drawn.rounds, order
        )
        texts, shown, places = drawn.texts.texts, drawn.texts.shown, self._places(drawn.texts)
        input_ids, mask = self.corpus.ids(places, shown)
        languages = [self.corpus.languages[number] for number in self.corpus.language[texts]]
        studies = [self.corpus.studies[number] for number in self.corpus.study[texts]]
        return Batch(
            pixels=torch.from_numpy(pixels),
            image_ids=ids,
            image_targets=torch.from_numpy(self.images.targets[drawn.described]),
            input_ids=input_ids,
            attention_mask=mask,
            text_ids=[f"{study}/{language}" for study, language in zip(studies, languages, strict=True)],
            text_targets=self.corpus.targets(places, shown),
            languages=languages,
            image_study=torch.from_numpy(self.images.study[drawn.described]),
            text_study=torch.from_numpy(self.corpus.study[texts]),
        )

    def _has_text(self) -> npt.NDArray[np.bool_]:
        found: npt.NDArray[np.bool_] = np.any(self.text_of[self.images.study] >= 0, axis=1)
        return found

    def _leave_out(self, usable: npt.NDArray[np.bool_]) -> None:
        lack = "soft labels" if self.decoupled else "a text of their study"
        if not usable.any():
            raise NothingToSample(
                f"images: none of {len(usable)} images has {lack}; check the targets, the corpus and the splits"
            )
        if not usable.all():
            log.warning("%d of %d images lack %s and are left out", (~usable).sum(), len(usable), lack)
            self.images.keep(usable)


def _texts_by_study(corpus: Corpus, studies: int) -> Ints:
    """Number of the text of each study in each language, -1 where there is none: [studies, languages]."""
    table = np.full((studies, len(corpus.languages)), -1, np.int64)
    table[corpus.study, corpus.language] = np.arange(len(corpus))
    return table
