"""Reading packed images: one memory-mapped array a data set, addressed by image id across data sets."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import polars as pl

from mmclip.errors import UserError
from mmclip.tables.files import read_table
from mmclip.tables.imaging import INDEX


class PackedImages:
    """The images of several ``pack/<dataset>/`` folders.

    Args:
        folders: each with pixels.npy (uint8 [rows, size, size]) and index.parquet.

    Attributes:
        datasets: the folders' names.

    Raises:
        UserError: a folder is incomplete, its array does not fit its index, or two folders hold the same image id.
    """

    def __init__(self, folders: Sequence[Path]) -> None:
        self.datasets = tuple(folder.name for folder in folders)
        self._arrays: list[np.ndarray] = []
        self._place: dict[str, tuple[int, int]] = {}
        for number, folder in enumerate(folders):
            index = read_table(folder / "index.parquet", INDEX)
            array = _open(folder / "pixels.npy")
            rows = index["row"].to_numpy()
            if len(rows) and not 0 <= rows.min() <= rows.max() < len(array):
                raise UserError(
                    f"{folder}: index.parquet names row {rows.max()}, pixels.npy has {len(array)}; pack again"
                )
            self._arrays.append(array)
            before = len(self._place)
            self._place.update((name, (number, int(row))) for name, row in zip(index["image_id"], rows, strict=True))
            if len(self._place) != before + len(index):
                raise UserError(f"{folder}: holds image ids that another data set has too; ids must be unique")

    def __contains__(self, image_id: str) -> bool:
        return image_id in self._place

    def __len__(self) -> int:
        return len(self._place)

    def ids(self) -> list[str]:
        """The image ids, data set by data set, in the order of their indexes."""
        return list(self._place)

    def read(self, image_ids: Sequence[str]) -> list[np.ndarray]:
        """The images, uint8 [size, size] each, as views of the mapped files.

        Raises:
            UserError: an id was not packed.
        """
        try:
            places = [self._place[name] for name in image_ids]
        except KeyError as error:
            raise UserError(f"image {error.args[0]!r} is in no pack; see skipped.parquet of its data set") from error
        return [self._arrays[number][row] for number, row in places]

    def dataset_of(self, image_id: str) -> str:
        """The name of the data set that holds an image."""
        return self.datasets[self._place[image_id][0]]

    def known(self, images: pl.DataFrame) -> pl.DataFrame:
        """The rows of an images table that were packed."""
        return images.filter(pl.Series([name in self._place for name in images["image_id"]], dtype=pl.Boolean))


def _open(path: Path) -> np.ndarray:
    try:
        array: np.ndarray = np.load(path, mmap_mode="r", allow_pickle=False)
    except FileNotFoundError as error:
        raise UserError(f"{path}: no such file; pack the data set first") from error
    except (ValueError, EOFError, OSError) as error:
        raise UserError(f"{path}: is not a whole .npy array ({str(error).splitlines()[0]}); pack again") from error
    if array.dtype != np.uint8 or array.ndim != 3 or array.shape[1] != array.shape[2]:
        raise UserError(f"{path}: is {array.dtype} {array.shape}, expected uint8 [rows, size, size]; pack again")
    return array
