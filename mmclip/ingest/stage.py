"""Read a data set into the tables that every later stage works on."""

from __future__ import annotations

import importlib
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mmclip.config.source import SourceSettings
from mmclip.ingest.assembler import assemble
from mmclip.ingest.dataset import write_dataset
from mmclip.ingest.records import Collection
from mmclip.tables.card import Card
from mmclip.tables.files import atomic, make_folder

if TYPE_CHECKING:
    from mmclip.config.ingest import PhantomSource

_log = logging.getLogger("mmclip.ingest")

_PLACES = ("root", "reports", "dicom_root", "file", "image_root", "report_root")
_NOT_CONTENT: dict[str, Any] = {
    **dict.fromkeys((*_PLACES, "workers", "version", "licence", "share"), True),
    "labels": {"file": True},
}
"""Settings that say where the data lie or how they are read, or that the card states itself."""


def ingest(name: str, settings: PhantomSource | SourceSettings, output: Path) -> dict[str, Any]:
    """Read one data set and write its folder, as a whole or not at all.

    The module of `mmclip.ingest.adapters` that is called as the settings' `kind` reads it; it is found by that name, so
    that the digest of one data set's code does not depend on the others. The settings' models are a closed list of
    kinds (:mod:`mmclip.config.ingest`).

    Args:
        name: of the data set; it goes into the tables' column `source` and the card.
        settings: of one of the kinds.
        output: the folder, which is replaced: studies, images, labels, boxes, masks and skipped (Parquet), own_labels
            and held_out where there are any, counts.json, card.json; of the phantom also truth, statements and images/.

    Returns:
        The counts, as in counts.json.

    Raises:
        UserError: the source cannot be read as the settings say.
        BudgetExceeded: too much had to be left out; the list lies beside `output`.
    """
    adapter = importlib.import_module(f"mmclip.ingest.adapters.{settings.kind}")
    if isinstance(settings, SourceSettings):
        collection: Collection = adapter.read(settings)
        dataset = assemble(name, collection, settings, output)
        with atomic(output) as folder:
            make_folder(folder, private=collection.terms.share == "restricted")
            counts = write_dataset(dataset, folder, _card(name, settings, collection))
    else:
        with atomic(output) as folder:
            folder.mkdir()
            counts = write_dataset(adapter.make_phantom(name, settings, folder), folder, adapter.card(name, settings))
    _log.info("%s: %d studies, %d images, %d with text", name, counts["studies"], counts["images"], counts["with_text"])
    return counts


def _card(name: str, settings: SourceSettings, collection: Collection) -> Card:
    terms = collection.terms
    return Card(
        name=name,
        kind=settings.kind,
        version=collection.version,
        note=collection.note,
        licence=terms.licence,
        forbids=terms.forbids,
        origin=terms.origin,
        share=terms.share,
        settings=settings.model_dump(mode="json", exclude=_NOT_CONTENT),
        sources={},
        files={},
        counts={},
    )
