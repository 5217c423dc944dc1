"""Read a source into the tables that every later stage works on."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from mmclip.config.ingest import PhantomSource, Source, TableSource
from mmclip.ingest.dataset import Dataset, write_dataset
from mmclip.ingest.phantom import NOTE, VERSION, make_phantom
from mmclip.ingest.table import read_table_source
from mmclip.tables.card import Card
from mmclip.tables.files import atomic, make_folder

_log = logging.getLogger("mmclip.ingest")

_NOT_CONTENT: dict[str, Any] = {
    **dict.fromkeys(("workers", "file", "image_root", "report_root", "version", "licence", "share"), True),
    "labels": {"file": True},
}
"""Settings that say where the data lie or how they are read, or that the card states itself."""


def ingest(name: str, settings: Source, output: Path) -> dict[str, Any]:
    """Read one data set and write its folder, as a whole or not at all.

    Args:
        name: of the data set; it goes into the tables' column `source` and the card.
        settings: which kind of source, and how to read it.
        output: the folder, which is replaced: studies, images, labels, boxes, masks and skipped (Parquet),
            counts.json, card.json; of the phantom also truth, statements and images/.

    Returns:
        The counts, as in counts.json.

    Raises:
        UserError: the source cannot be read as the settings say.
        BudgetExceeded: too many rows had to be skipped; their list lies beside `output`.
    """
    if isinstance(settings, PhantomSource):
        with atomic(output) as folder:
            folder.mkdir()
            counts = write_dataset(make_phantom(name, settings, folder), folder, _phantom_card(name, settings))
    else:
        dataset: Dataset = read_table_source(name, settings, output)
        with atomic(output) as folder:
            make_folder(folder, private=settings.share == "restricted")
            counts = write_dataset(dataset, folder, _table_card(name, settings))
    _log.info("%s: %d studies, %d images, %d with text", name, counts["studies"], counts["images"], counts["with_text"])
    return counts


def _phantom_card(name: str, settings: PhantomSource) -> Card:
    return Card(
        name=name,
        kind=settings.kind,
        version=VERSION,
        note=NOTE,
        licence="Apache-2.0",
        share="public",
        settings=settings.model_dump(mode="json", exclude=_NOT_CONTENT),
        sources={},
        files={},
        counts={},
    )


def _table_card(name: str, settings: TableSource) -> Card:
    return Card(
        name=name,
        kind=settings.kind,
        version=settings.version,
        note="",
        licence=settings.licence,
        share=settings.share,
        settings=settings.model_dump(mode="json", exclude=_NOT_CONTENT),
        sources={},
        files={},
        counts={},
    )
