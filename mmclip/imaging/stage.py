"""Decode and resize every image once: one memory-mapped array that training reads at the speed of memory."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from mmclip.config.imaging import PackSettings
from mmclip.errors import UserError
from mmclip.imaging.array_file import ArrayFile
from mmclip.imaging.block import Entry, pack_block
from mmclip.processes import ordered_map
from mmclip.tables.files import atomic, make_private_file, read_table, write_table
from mmclip.tables.imaging import INDEX
from mmclip.tables.ingest import IMAGES, SKIPPED
from mmclip.tables.skips import Skips

_log = logging.getLogger("mmclip.imaging")

_BLOCK = 32
_RESERVE = 64 * 2**20
"""Bytes that must stay free beside the pixels, for the index and whoever else writes."""


def pack(settings: PackSettings, images_table: Path, output: Path) -> dict[str, object]:
    """Pack the images of a data set into squares.

    Args:
        images_table: the `images` table; its relative paths are below its own folder.
        output: the folder, which is replaced as a whole: pixels.npy (uint8 [rows, size, size], in the order of the
            table without the images that were skipped), index.parquet, skipped.parquet.

    The result does not depend on the number of workers.

    Returns:
        Numbers of images and packed rows, counts of the skipped by reason, and bytes of the pixels.

    Raises:
        UserError: the table cannot be read, or the disk is too small.
        BudgetExceeded: too many images had to be skipped; their list lies beside `output`.
    """
    images = read_table(images_table, IMAGES).select("image_id", "path", "sha256")
    folder = images_table.resolve().parent
    entries = [Entry(image_id, folder / path, digest) for image_id, path, digest in images.iter_rows()]
    _check_space(output, len(entries) * settings.size**2)
    skips, index = Skips(), []
    work = partial(pack_block, size=settings.size, pixel_limit=settings.pixel_limit)
    with atomic(output) as temporary:
        temporary.mkdir()
        make_private_file(temporary / "pixels.npy")
        with ArrayFile(temporary / "pixels.npy", settings.size) as array:
            for block in ordered_map(work, _blocks(entries), settings.workers):
                index += [{**row, "row": array.rows + number} for number, row in enumerate(block.index)]
                array.append(block.pixels)
                for image_id, reason in block.skipped:
                    skips.add(image_id, reason)
        skips.enforce(len(entries), settings.error_budget, output, "images")
        write_table(INDEX.frame(index), temporary / "index.parquet", INDEX)
        write_table(skips.frame(), temporary / "skipped.parquet", SKIPPED)
    _log.info("%s: packed %d of %d images", output, len(index), len(entries))
    return {
        "images": len(entries),
        "packed": len(index),
        "skipped": skips.counts(),
        "bytes": len(index) * settings.size**2,
    }


def _blocks(entries: list[Entry]) -> Iterator[list[Entry]]:
    for start in range(0, len(entries), _BLOCK):
        yield entries[start : start + _BLOCK]


def _check_space(output: Path, needed: int) -> None:
    """Say how much will be written, and refuse if the disk cannot hold it beside the old result."""
    parent = next(folder for folder in output.resolve().parents if folder.exists())
    free = shutil.disk_usage(parent).free
    _log.info("%s: writes %.2f GB; %.2f GB are free", output, needed / 1e9, free / 1e9)
    if free < needed + _RESERVE:
        raise UserError(
            f"{output}: the packed images need {(needed + _RESERVE) / 1e9:.2f} GB, {free / 1e9:.2f} GB are free on "
            f"that disk; free space, choose another folder or a smaller size"
        )
