"""Finished shards of a pack that is not finished: they outlive a killed run, and the next one goes on after them."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

import polars as pl

from mmclip.config.imaging import PackSettings
from mmclip.imaging.array_file import ArrayFile
from mmclip.imaging.block import Block, Entry
from mmclip.provenance import digest
from mmclip.tables.files import PRIVATE, atomic, read_table, write_table
from mmclip.tables.imaging import INDEX, array_name
from mmclip.tables.ingest import SKIPPED
from mmclip.tables.skips import Skips

_MENDABLE = ("missing_file", "unreadable_file", "file_too_large", "changed_since_ingest")


class Shard:
    """Consecutive images of a data set, and the files that hold them once they are packed.

    The files' names hold a digest of all that their content depends on: settings, the images' ids and checksums, and
    the code that packs. So a shard of another run is never taken for this one.

    Args:
        folder: beside the output; it is removed when the pack is finished.
    """

    def __init__(self, number: int, entries: Sequence[Entry], settings: PackSettings, folder: Path) -> None:
        self.number, self.entries, self._size = number, entries, settings.size
        key = hashlib.sha256(digest("pack").encode())
        key.update(settings.model_dump_json(exclude={"shard", "workers", "error_budget"}).encode())
        for entry in entries:
            key.update(f"\0{entry.image_id}\0{entry.sha256}".encode())
        name = f"{number:05d}-{key.hexdigest()[:16]}"
        self.array, self.index, self.skipped = (folder / f"{name}.{part}" for part in ("npy", "index", "skipped"))

    @property
    def finished(self) -> bool:
        """Whether all its files are there (the array is written last), and no image was left out for a reason that
        the disk or the user may have mended."""
        return self.array.exists() and not self.rows()[1]["reason"].is_in(_MENDABLE).any()

    def write(self, results: Iterator[Block]) -> None:
        """Write the shard; takes the blocks of all its images from `results`."""
        skips, rows, seen = Skips(), [], 0
        with atomic(self.array, PRIVATE) as temporary:
            with ArrayFile(temporary, self._size) as array:
                while seen < len(self.entries):
                    block = next(results)
                    seen += block.entries
                    rows += [
                        {"shard": self.number, "row": array.rows + place, **row}
                        for place, row in enumerate(block.index)
                    ]
                    array.append(block.pixels)
                    for image_id, reason in block.skipped:
                        skips.add(image_id, reason)
            write_table(INDEX.frame(rows), self.index, INDEX)
            write_table(skips.frame(), self.skipped, SKIPPED)

    def rows(self) -> tuple[pl.DataFrame, pl.DataFrame]:
        """Its part of the index, and of the skipped images."""
        return read_table(self.index, INDEX), read_table(self.skipped, SKIPPED)

    def link(self, folder: Path) -> None:
        """Put its array into the output's folder, without a copy where the file system has links."""
        target = folder / array_name(self.number)
        try:
            os.link(self.array, target)
        except OSError:
            shutil.copy2(self.array, target)


def remove_others(folder: Path, shards: Sequence[Shard]) -> None:
    """Remove the files of shards that are not these: of other settings, other images or older code."""
    kept = {path for shard in shards for path in (shard.array, shard.index, shard.skipped)}
    for path in folder.iterdir():
        if path not in kept and path.suffix in (".npy", ".index", ".skipped"):
            with suppress(FileNotFoundError):
                path.unlink()
