"""What the model sees: some training images as packed, as evaluated, and as changed in the first epochs of training."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from mmclip.config.augmentation import Augmentation
from mmclip.config.base import parse
from mmclip.data.contact_sheet import choose, contact_sheet
from mmclip.data.packed import PackedImages
from mmclip.data.thumbnail import data_uri
from mmclip.tables.files import read_table
from mmclip.tables.ingest import IMAGES

ROWS, EPOCHS, EDGE = 4, 4, 880
"""Images and epochs of the sheet, and its largest width or height in pixels: about 100 kB of the page."""


@dataclass(frozen=True)
class Sheet:
    """A contact sheet, and what it shows."""

    picture: str
    dataset: str
    experiment: str
    size: int
    epochs: int
    changes: tuple[str, ...]
    """Changes that are switched on, in words."""


def seen(results: Path, experiments: Sequence[str], datasets: Sequence[str]) -> Sheet | None:
    """The sheet of the first experiment that was trained, of the first of these data sets that it was trained on.

    Args:
        datasets: those whose pictures may be shown; the caller has made sure.

    Returns:
        None where there is no such experiment or image.
    """
    trained = next((name for name in experiments if _pixels(results, name)), None)
    if trained is None:
        return None
    pixels = _pixels(results, trained)
    settings = parse(Augmentation, pixels["augmentation"], str(results / "pretrain" / trained / "summary.json"))
    for name in [one for one in datasets if one in pixels["datasets"]]:
        pack, table = results / "pack" / name, results / "ingest" / name / "images.parquet"
        if not (pack / "index.parquet").is_file() or not table.is_file():
            continue
        packed = PackedImages([pack])
        trained_on = (pl.col("split") == "train") & pl.col("view").is_in(pixels["views"])
        training = packed.known(read_table(table, IMAGES).filter(trained_on))["image_id"].to_list()
        if not training:
            continue
        ids = choose(training, ROWS, pixels["seed"])
        sheet = contact_sheet(packed, ids, settings, pixels["size"], pixels["seed"], EPOCHS)
        return Sheet(data_uri(sheet, EDGE), name, trained, pixels["size"], EPOCHS, _changes(settings))
    return None


def _pixels(results: Path, experiment: str) -> dict[str, Any]:
    """What the experiment's summary says of its pixels: datasets, size, seed, views, augmentation; empty if nothing."""
    path = results / "pretrain" / experiment / "summary.json"
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")).get("pixels", {}) if path.is_file() else {}
    return found


def _changes(settings: Augmentation) -> tuple[str, ...]:
    low, high = settings.scale
    words = {
        f"turned by up to {settings.rotate:g} degrees": settings.rotate,
        f"zoomed by {low:g} to {high:g}": (low, high) != (1, 1),
        f"shifted by up to {settings.translate:.0%}": settings.translate,
        f"slanted by up to {settings.shear:g} degrees": settings.shear,
        f"cut to {settings.crop:.0%} of the edge": settings.crop < 1,
        f"brightness changed by up to {settings.brightness:.0%}": settings.brightness,
        f"contrast by up to {settings.contrast:.0%}": settings.contrast,
        f"gamma by up to {settings.gamma:.0%}": settings.gamma,
        "noise added": settings.noise,
        "half of them mirrored": settings.flip,
    }
    return tuple(text for text, chosen in words.items() if chosen)
