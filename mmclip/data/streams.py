"""In which shares things are drawn: images by data set; texts by language, and within a language by data set.

A data set has images with reports, images alone or reports alone; drawn apart, each kind has a weight of its own:
``data.image_weights`` counts for whatever has images, ``data.text_weights`` for whatever has texts.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import polars as pl

from mmclip.config.training import DataSettings
from mmclip.data.corpus import Corpus
from mmclip.data.images import ImageSet
from mmclip.data.ragged import Ints
from mmclip.data.sampler import Mixture, language_weights
from mmclip.errors import NothingToSample, UserError


def drawn_data_sets(data: DataSettings, datasets: Sequence[str]) -> npt.NDArray[np.bool_]:
    """Whether images of each data set are drawn, by `data.image_weights`.

    Raises:
        UserError: a weight is of no data set.
    """
    weights = _weights("image_weights", data.image_weights, datasets)
    return np.array(weights) > 0 if weights else np.ones(len(datasets), np.bool_)


def image_stream(data: DataSettings, images: ImageSet, datasets: Sequence[str], seed: int) -> Mixture:
    """Samples from the items of an image set, by `data.image_weights`, or each item alike.

    Args:
        datasets: names, in the order of `images.dataset`.

    Raises:
        UserError: a weight is of no data set.
        NothingToSample: no image is left.
    """
    sizes = images.sizes(len(datasets))
    weights = np.array(_weights("image_weights", data.image_weights, datasets) or sizes, float)
    _check("image_weights", "image", np.array(sizes), weights)
    return Mixture(sizes, weights.tolist(), seed, "images")


class TextStream:
    """Samples from the texts of a corpus.

    A language with n texts has a share in proportion to n^alpha; texts of data sets without a weight do not count.
    Within a language the data sets have the shares that `data.text_weights` gives, among those that have texts in it;
    without weights all texts of a language are alike.

    Args:
        studies: study_id and source (data set) of every study.

    Attributes:
        language_weights: [languages] the shares.

    Raises:
        UserError: a weight is of no data set.
        NothingToSample: no text is left.
    """

    def __init__(self, data: DataSettings, corpus: Corpus, studies: pl.DataFrame, seed: int) -> None:
        names, source = _sources(corpus, studies)
        given = _weights("text_weights", data.text_weights, names)
        if not given:  # all texts of a language are alike
            names, source, given = names[:1], np.zeros_like(source), [1.0]
        weights = np.array(given)
        cells = corpus.language * len(weights) + source[corpus.study]
        sizes = np.bincount(cells, minlength=len(corpus.languages) * len(weights)).reshape(-1, len(weights))
        _check("text_weights", "text", sizes, weights)
        within = np.where(sizes > 0, weights, 0.0)
        self.language_weights = language_weights(np.where(within > 0, sizes, 0).sum(axis=1).tolist(), data.alpha)
        total = within.sum(axis=1, keepdims=True)
        shares = self.language_weights[:, None] * within / np.where(total > 0, total, 1.0)
        self._order: Ints = np.argsort(cells, kind="stable")
        self._mixture = Mixture(sizes.ravel().tolist(), shares.ravel().tolist(), seed, "texts")

    def take(self, start: int, count: int) -> Ints:
        """Text numbers of the samples `start` to `start + count` of the run."""
        return self._order[self._mixture.take(start, count)[0]]


def _weights(key: str, given: dict[str, float], datasets: Sequence[str]) -> list[float]:
    """The weight of each data set, 0 where none is given; nothing where none is given at all."""
    unknown = [name for name in given if name not in datasets]
    if unknown:
        raise UserError(f"data.{key}: no data set {unknown[0]!r}; there are {', '.join(datasets)}")
    return [given.get(name, 0.0) for name in datasets] if given else []


def _check(key: str, kind: str, sizes: Ints, weights: npt.NDArray[np.float64]) -> None:
    if not (sizes * (weights > 0)).any():
        raise NothingToSample(
            f"data.{key}: no data set with a weight has {kind}s in this split (train, or val for validation); "
            f"give one that has"
        )


def _sources(corpus: Corpus, studies: pl.DataFrame) -> tuple[list[str], Ints]:
    """Names of the data sets, and the number of each study's of the corpus."""
    names = studies["source"].unique(maintain_order=True)
    numbers = pl.DataFrame({"source": names, "number": np.arange(len(names), dtype=np.int64)})
    wanted = pl.DataFrame({"study_id": corpus.studies}, schema={"study_id": pl.String})
    known = studies.select("study_id", "source").join(numbers, on="source", how="left")
    found = wanted.join(known, on="study_id", how="left", maintain_order="left")["number"]
    return names.to_list(), found.to_numpy()
