"""The batches of image-text pretraining: decoupled (images and texts drawn apart) or paired."""

from __future__ import annotations

import logging

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
from mmclip.data.packed import PackedImages
from mmclip.data.ragged import Ints
from mmclip.data.sampler import Mixture, choose_languages, choose_sentences, language_weights
from mmclip.errors import UserError

log = logging.getLogger("mmclip.training")


class AlignmentBatches:
    """Batches by step number; any rank, thread or resumed run makes the same ones.

    Args:
        data: what to sample.
        tower: the image tower, for its size.
        packs: the pixels.
        images: rows of images tables, of one split.
        corpus: the texts of the same split.
        targets: a TARGETS table, for the images' soft labels.
        batch_size: images of a step over all ranks; texts are `data.texts_per_image` times as many.
        decoupled: draw images and texts apart; otherwise each image comes with texts of its study.
        seed: of the run.
        rank, ranks: this process takes an equal, consecutive part of each batch.

    Raises:
        UserError: no image is left to sample from.
    """

    def __init__(
        self,
        data: DataSettings,
        tower: ImageTower,
        packs: PackedImages,
        images: pl.DataFrame,
        corpus: Corpus,
        targets: pl.DataFrame,
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
        self.images = ImageSet(images, packs, corpus.studies, targets)
        self.text_of = _texts_by_study(corpus, max(self.images.study.max(initial=-1) + 1, len(corpus.studies)))
        self._leave_out(self.images.labelled if decoupled else self._has_text())
        if data.shuffle_pairs:
            self.images.shuffle(seed)
        sizes = self.images.sizes(len(packs.datasets))
        self._image_stream = Mixture(sizes, _dataset_weights(data, packs, sizes), seed, "images")
        texts_of_language = np.bincount(corpus.language, minlength=len(corpus.languages))
        self.language_weights = language_weights(texts_of_language.tolist(), data.alpha)
        self._text_stream = Mixture(texts_of_language.tolist(), self.language_weights.tolist(), seed, "texts")

    @property
    def steps_per_epoch(self) -> float:
        """Steps in which every image is seen once (on average, where data sets are weighted)."""
        return len(self.images) / self.batch_size

    def __call__(self, step: int) -> Batch:
        """The batch of a step."""
        start, many = step * self.batch_size, self.data.texts_per_image
        items, rounds = self._image_stream.take(start, self.batch_size)
        if self.decoupled:
            texts = self._text_stream.take(start * many, self.batch_size * many)[0]
        else:
            options = np.repeat(self.text_of[self.images.study[items]], many, axis=0)
            languages = choose_languages(options >= 0, self.language_weights, self.seed, "language", step)
            texts = options[np.arange(len(options)), languages]
        counts = self.corpus.counts(texts)
        shown, chosen = choose_sentences(counts, self.data.text_mix, self.seed, "sentences", step)
        firsts = np.cumsum(shown) - shown
        part, of_texts = self.part, slice(self.part.start * many, self.part.stop * many)
        own = chosen[firsts[of_texts.start] : firsts[of_texts.stop - 1] + shown[of_texts.stop - 1]]
        return self._assemble(items[part], rounds[part], texts[of_texts], shown[of_texts], own)

    def _assemble(self, items: Ints, rounds: Ints, texts: Ints, shown: Ints, chosen: Ints) -> Batch:
        ids = [self.images.ids[item] for item in items]
        hashes, order = self.images.hashes[items], self.packs.order(ids)
        pixels = augment(
            self.packs.read(ids), self.data.augmentation, self.tower.size, self.seed, hashes, rounds, order
        )
        places = self.corpus.places(texts, shown, chosen)
        input_ids, mask = self.corpus.ids(places, shown)
        languages = [self.corpus.languages[number] for number in self.corpus.language[texts]]
        studies = [self.corpus.studies[number] for number in self.corpus.study[texts]]
        return Batch(
            pixels=torch.from_numpy(pixels),
            image_ids=ids,
            image_targets=torch.from_numpy(self.images.targets[items]),
            input_ids=input_ids,
            attention_mask=mask,
            text_ids=[f"{study}/{language}" for study, language in zip(studies, languages, strict=True)],
            text_targets=self.corpus.targets(places, shown),
            languages=languages,
            image_study=torch.from_numpy(self.images.study[items]),
            text_study=torch.from_numpy(self.corpus.study[texts]),
        )

    def _has_text(self) -> npt.NDArray[np.bool_]:
        found: npt.NDArray[np.bool_] = np.any(self.text_of[self.images.study] >= 0, axis=1)
        return found

    def _leave_out(self, usable: npt.NDArray[np.bool_]) -> None:
        lack = "soft labels" if self.decoupled else "a text of their study"
        if not usable.any():
            raise UserError(
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


def _dataset_weights(data: DataSettings, packs: PackedImages, sizes: list[int]) -> list[float]:
    unknown = [name for name in data.image_weights if name not in packs.datasets]
    if unknown:
        raise UserError(f"data.image_weights: no data set {unknown[0]!r}; there are {', '.join(packs.datasets)}")
    if not data.image_weights:
        return [float(size) for size in sizes]
    return [data.image_weights.get(name, 0.0) for name in packs.datasets]
