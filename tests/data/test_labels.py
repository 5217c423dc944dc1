"""Whose labels count."""

from __future__ import annotations

import polars as pl

from mmclip.data.labels import first_source, image_labels
from mmclip.tables.labeling import LABELS

IMAGES = pl.DataFrame(
    {"image_id": ["i1", "i2", "i3", "i4"], "study_id": ["s1", "s1", "s2", "s3"], "split": ["train"] * 4}
)


def row(name: str, kind: str, source: str, edema: int | None) -> dict[str, object]:
    return {"id": name, "kind": kind, "label_source": source, "edema": edema}


ROWS = [
    row("s1", "study", "rules", 1),
    row("i1", "image", "rules", 0),
    row("s2", "study", "file", -1),
    row("i3", "image", "official:chexpert", None),
    row("s2", "study", "official:chexpert", 1),
    row("s3", "study", "truth", 1),
]


def found(*sources: str) -> dict[str, int | None]:
    chosen = first_source(LABELS.frame(ROWS), sources)
    return dict(image_labels(IMAGES, chosen).select("image_id", "edema").iter_rows())


def test_an_image_s_own_labels_go_before_its_study_s() -> None:
    assert found("rules") == {"i1": 0, "i2": 1}


def test_the_first_source_goes_before_an_image_s_own_labels() -> None:
    assert found("file", "official:chexpert") == {"i3": -1}
    assert found("official:chexpert", "file") == {"i3": None}


def test_other_columns_and_the_order_stay() -> None:
    chosen = first_source(LABELS.frame(ROWS), ["truth", "rules"])
    got = image_labels(IMAGES, chosen)
    assert got["image_id"].to_list() == ["i1", "i2", "i4"] and set(got["split"]) == {"train"}
