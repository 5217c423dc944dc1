"""Decode and resize every image once: memory-mapped arrays that training reads at the speed of memory."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import polars as pl

from mmclip.config.imaging import PackSettings
from mmclip.errors import UserError
from mmclip.imaging.array_file import ArrayFile
from mmclip.imaging.block import Entry, pack_block
from mmclip.imaging.shards import Shard, remove_others
from mmclip.processes import ordered_map
from mmclip.tables.files import atomic, locked, make_folder, make_private_file, read_table, write_table
from mmclip.tables.imaging import INDEX, array_name
from mmclip.tables.ingest import IMAGES, SKIPPED
from mmclip.tables.skips import Skips

_log = logging.getLogger("mmclip.imaging")

_BLOCK = 32
_RESERVE = 64 * 2**20
"""Bytes that must stay free beside the pixels, for the index and whoever else writes."""


def pack(settings: PackSettings, images_table: Path, output: Path) -> dict[str, object]:
    """Pack the images of a data set into squares.

    A run that was killed goes on: shards that it finished, in a hidden folder beside `output`, are not decoded again.

    Args:
        images_table: the `images` table; its relative paths are below its own folder.
        output: the folder, which is replaced as a whole: pixels-<shard>.npy (uint8 [rows, size, size], in the order
            of the table without the images that were skipped), index.parquet, skipped.parquet.

    The result does not depend on the number of workers, nor on how often the run was stopped.

    Returns:
        Numbers of images, packed rows and shards, counts of the skipped by reason, bytes of the pixels, and how many
        shards an earlier run had finished.

    Raises:
        UserError: the table cannot be read, or the disk is too small.
        BudgetExceeded: too many images had to be skipped; their list lies beside `output`.
    """
    images = read_table(images_table, IMAGES).select("image_id", "path", "sha256")
    folder = images_table.resolve().parent
    entries = [Entry(image_id, folder / path, digest) for image_id, path, digest in images.iter_rows()]
    parts = output.with_name(f".{output.name}.shards")
    shards = [
        Shard(number, entries[start : start + settings.shard], settings, parts)
        for number, start in enumerate(range(0, len(entries), settings.shard))
    ]
    missing = [shard for shard in shards if not shard.finished]
    _check_space(output, sum(len(shard.entries) for shard in missing) * settings.size**2)
    parts.parent.mkdir(parents=True, exist_ok=True)
    with locked(parts):
        if not parts.exists():
            make_folder(parts, private=True)
        remove_others(parts, shards)
        found = len(shards) - len(missing)
        if found:
            _log.info("%s: goes on; %d of %d shards are finished", output, found, len(shards))
        _pack_shards(missing, settings, output)
        index, skips = _gather(shards)
        skips.enforce(len(entries), settings.error_budget, output, "images")
        with atomic(output) as temporary:
            temporary.mkdir()
            for shard in shards:
                shard.link(temporary)
            if not shards:
                _empty_array(temporary / array_name(0), settings.size)
            write_table(index, temporary / "index.parquet", INDEX)
            write_table(skips.frame(), temporary / "skipped.parquet", SKIPPED)
        shutil.rmtree(parts)
    _log.info("%s: packed %d of %d images", output, len(index), len(entries))
    return {
        "images": len(entries),
        "packed": len(index),
        "skipped": skips.counts(),
        "shards": len(shards),
        "bytes": len(index) * settings.size**2,
        "found": found,
    }


def _pack_shards(shards: Sequence[Shard], settings: PackSettings, output: Path) -> None:
    """Pack the shards one after the other; processes start on the next before the last of this one is done."""
    results = ordered_map(partial(pack_block, settings=settings), _blocks(shards), settings.workers)
    for done, shard in enumerate(shards, start=1):
        shard.write(results)
        _log.info("%s: shard %d written, %d of %d to do", output, shard.number, len(shards) - done, len(shards))


def _blocks(shards: Sequence[Shard]) -> Iterator[list[Entry]]:
    for shard in shards:
        for start in range(0, len(shard.entries), _BLOCK):
            yield list(shard.entries[start : start + _BLOCK])


def _gather(shards: Sequence[Shard]) -> tuple[pl.DataFrame, Skips]:
    """The index of all shards, and what they left out."""
    skips, parts = Skips(), [INDEX.empty()]
    for shard in shards:
        index, skipped = shard.rows()
        parts.append(index)
        for image_id, reason in skipped.iter_rows():
            skips.add(image_id, reason)
    return pl.concat(parts), skips


def _empty_array(path: Path, size: int) -> None:
    make_private_file(path)
    with ArrayFile(path, size):
        pass


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
