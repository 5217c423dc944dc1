"""The images of one split as numbers: their studies, their soft labels, and which of a study's images is used when."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from mmclip.data.packed import PackedImages
from mmclip.data.ragged import Ints, Vectors
from mmclip.data.randomness import generator, id_hashes
from mmclip.data.sentence_targets import stack_vectors
from mmclip.data.views import OneView


class ImageSet:
    """Packed images, data set after data set; what is drawn of them are studies, one image at a time.

    Args:
        images: rows of images tables; what was not packed is left out.
        packs: the pixels.
        studies: ids of the studies of the corpus, which keep their numbers; others get numbers after them.
        targets: a TARGETS table.

    Attributes:
        ids: image ids.
        hashes: of the ids.
        dataset: [n] number of each image's data set in `packs`.
        study: [n] number of each image's study.
        targets: [n, L] soft labels, the image's own or else its study's; zeros where there are none.
        labelled: [n] whether there are soft labels.
        items: the studies with their images; see :class:`mmclip.data.views.OneView`.
    """

    items: OneView
    _described: Ints

    def __init__(
        self, images: pl.DataFrame, packs: PackedImages, studies: Sequence[str], targets: pl.DataFrame
    ) -> None:
        packed = packs.known(images)
        number = {name: place for place, name in enumerate(packs.datasets)}
        dataset = np.array([number[packs.dataset_of(name)] for name in packed["image_id"]], np.int64)
        order = np.argsort(dataset, kind="stable")
        frame = packed[order]
        self.dataset: Ints = dataset[order]
        self.ids: list[str] = frame["image_id"].to_list()
        self.hashes = id_hashes(self.ids)
        numbers = {study: place for place, study in enumerate(studies)}
        self._study_ids: list[str] = frame["study_id"].to_list()
        self.study: Ints = np.array([numbers.setdefault(study, len(numbers)) for study in self._study_ids], np.int64)
        self.targets, self.labelled = _targets(frame, targets)
        self._number_items()

    def __len__(self) -> int:
        return len(self.ids)

    def sizes(self, datasets: int) -> list[int]:
        """Items of each data set; they are numbered through, data set after data set."""
        return [int(count) for count in np.bincount(self.dataset[self.items.first()], minlength=datasets)]

    def keep(self, chosen: npt.NDArray[np.bool_]) -> None:
        """Leave out the images that are not chosen."""
        for name in ("ids", "_study_ids"):
            setattr(self, name, [text for text, kept in zip(getattr(self, name), chosen, strict=True) if kept])
        for name in ("hashes", "dataset", "study", "targets", "labelled"):
            setattr(self, name, getattr(self, name)[chosen])
        self._number_items()

    def shuffle(self, seed: int) -> None:
        """Describe every item by the study and the soft labels of another: then nothing can be learned (a control)."""
        self._described = generator(seed, "shuffle pairs").permutation(len(self.items))

    def draw(self, items: Ints, passes: Ints, seed: int) -> tuple[Ints, Ints]:
        """The images that are shown, and those whose study and soft labels go with them: the same, unless shuffled.

        Args:
            items: [N] item numbers.
            passes: [N] how often each item had been drawn before.
        """
        return self.items.draw(items, passes, seed), self.items.draw(self._described[items], passes, seed)

    def _number_items(self) -> None:
        self.items = OneView(self._study_ids, self.dataset)
        self._described = np.arange(len(self.items))


def _targets(frame: pl.DataFrame, targets: pl.DataFrame) -> tuple[Vectors, npt.NDArray[np.bool_]]:
    described = targets.filter(pl.col("kind") != "sentence")
    known = stack_vectors(described)
    vectors = np.concatenate([np.zeros((1, known.shape[1]), np.float32), known])
    rows = described.with_row_index("row", offset=1).select("id", "kind", pl.col("row").cast(pl.Int64))
    found: dict[str, Any] = {}
    for kind, key in (("image", "image_id"), ("study", "study_id")):
        table = rows.filter(pl.col("kind") == kind).select(pl.col("id").alias(key), "row")
        found[kind] = frame.select(key).join(table, on=key, how="left", maintain_order="left")["row"]
    chosen = found["image"].fill_null(found["study"]).fill_null(0).to_numpy()
    return vectors[chosen], chosen > 0
