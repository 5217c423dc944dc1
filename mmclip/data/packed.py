"""Reading packed images: memory-mapped arrays, addressed by image id across data sets."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import cast

import numpy as np
import numpy.typing as npt
import polars as pl

from mmclip.errors import UserError
from mmclip.tables.files import read_table
from mmclip.tables.imaging import INDEX, array_name

Square = npt.NDArray[np.uint8]


class PackedImages:
    """The images of several ``pack/<dataset>/`` folders.

    Args:
        folders: each with index.parquet and the arrays that it names, pixels-<shard>.npy (uint8 [rows, size, size]).

    Attributes:
        datasets: the folders' names.

    Raises:
        UserError: a folder is incomplete, an array does not fit the index, or two folders hold the same image id.
    """

    def __init__(self, folders: Sequence[Path]) -> None:
        self.datasets = tuple(folder.name for folder in folders)
        self._arrays: list[Square] = []
        self._dataset: list[int] = []
        self._place: dict[str, tuple[int, int]] = {}
        for number, folder in enumerate(folders):
            index = read_table(folder / "index.parquet", INDEX)
            before = len(self._place)
            for (shard,), part in index.group_by("shard", maintain_order=True):
                self._add(folder, number, cast(int, shard), part)
            if len(self._place) != before + len(index):
                raise UserError(f"{folder}: holds image ids that another data set has too; ids must be unique")

    def _add(self, folder: Path, dataset: int, shard: int, index: pl.DataFrame) -> None:
        array = _open(folder / array_name(shard))
        rows = index["row"].to_numpy()
        if not 0 <= rows.min() <= rows.max() < len(array):
            raise UserError(
                f"{folder}: index.parquet names row {rows.max()}, {array_name(shard)} has {len(array)}; pack again"
            )
        place = len(self._arrays)
        self._arrays.append(array)
        self._dataset.append(dataset)
        self._place.update((name, (place, row)) for name, row in zip(index["image_id"], rows.tolist(), strict=True))

    def __contains__(self, image_id: str) -> bool:
        return image_id in self._place

    def __len__(self) -> int:
        return len(self._place)

    def ids(self) -> list[str]:
        """The image ids, data set by data set, in the order of their indexes."""
        return list(self._place)

    def read(self, image_ids: Sequence[str]) -> list[Square]:
        """The images, uint8 [size, size] each, as views of the mapped files.

        Raises:
            UserError: an id was not packed.
        """
        return [self._arrays[array][row] for array, row in self._places(image_ids)]

    def order(self, image_ids: Sequence[str]) -> list[int]:
        """In which order to use these images, so that the files are read forwards.

        Raises:
            UserError: an id was not packed.
        """
        places = self._places(image_ids)
        return sorted(range(len(places)), key=places.__getitem__)

    def _places(self, image_ids: Sequence[str]) -> list[tuple[int, int]]:
        try:
            return [self._place[name] for name in image_ids]
        except KeyError as error:
            raise UserError(f"image {error.args[0]!r} is in no pack; see skipped.parquet of its data set") from error

    def dataset_of(self, image_id: str) -> str:
        """The name of the data set that holds an image."""
        return self.datasets[self._dataset[self._place[image_id][0]]]

    def known(self, images: pl.DataFrame) -> pl.DataFrame:
        """The rows of an images table that were packed."""
        return images.filter(pl.Series([name in self._place for name in images["image_id"]], dtype=pl.Boolean))


def _open(path: Path) -> Square:
    try:
        # A plain view: slices of a np.memmap take ten times as long to make.
        array = np.asarray(np.load(path, mmap_mode="r", allow_pickle=False))
    except FileNotFoundError as error:
        raise UserError(f"{path}: no such file; pack the data set first") from error
    except (ValueError, EOFError, OSError) as error:
        raise UserError(f"{path}: is not a whole .npy array ({str(error).splitlines()[0]}); pack again") from error
    if array.dtype != np.uint8 or array.ndim != 3 or array.shape[1] != array.shape[2]:
        raise UserError(f"{path}: is {array.dtype} {array.shape}, expected uint8 [rows, size, size]; pack again")
    return array
