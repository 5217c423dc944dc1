"""Benchmarks drawn from the training images, and their patients out of training."""

from __future__ import annotations

from typing import Any

import polars as pl
import pytest

from mmclip.config.ingest import parse_source
from mmclip.config.source import HoldOut
from mmclip.errors import UserError
from mmclip.ingest.hold_out import checksum, hold_out
from mmclip.ingest.stage import ingest
from mmclip.observations import COLUMNS, FIVE, column
from mmclip.tables.card import read_card
from mmclip.tables.ingest import IMAGES
from mmclip.tables.labeling import LABELS
from tests.ingest.trees import Tree


def tables(rows: list[tuple[str, str, str, dict[str, int]]], split: str = "train") -> dict[str, pl.DataFrame]:
    """Images and the labels of their studies from (image, patient, view, states)."""
    images = [
        {"image_id": i, "study_id": f"s{i}", "patient_id": p, "path": i, "view": v, "width": 1, "height": 1,
         "split": split, "sha256": i}
        for i, p, v, _ in rows
    ]  # fmt: skip
    labels = [
        {"id": f"s{i}", "kind": "study", "label_source": "official:chexpert", **dict.fromkeys(COLUMNS),
         **{column(name): state for name, state in states.items()}}
        for i, _, _, states in rows
    ]  # fmt: skip
    return {"images": IMAGES.frame(images), "labels": LABELS.frame(labels)}


def many(count: int = 40) -> list[tuple[str, str, str, dict[str, int]]]:
    return [(f"{name[:4]}{k}", f"p{k}", "AP", {name: 1}) for name in FIVE for k in range(count)]


def draw(rows: list[tuple[str, str, str, dict[str, int]]], **settings: Any) -> pl.DataFrame:
    chosen = HoldOut.model_validate({"name": "five", "per_class": 3, **settings})
    return hold_out([chosen], tables(rows), "here")[0]


def test_so_many_of_each_class_whatever_the_order() -> None:
    held = draw(many())
    assert dict(held["observation"].value_counts().iter_rows()) == dict.fromkeys(FIVE, 3)
    assert draw(many()[::-1]).equals(held)
    assert not draw(many(), seed=1).equals(held)


def test_a_new_row_takes_at_most_one_place() -> None:
    held = set(draw(many())["image_id"])
    for k in range(20):
        assert len(held - set(draw([*many(), (f"new{k}", "p", "PA", {"Edema": 1})])["image_id"])) <= 1


@pytest.mark.parametrize(
    ("view", "states", "gloria", "medclip"),
    [
        ("AP", {"Edema": 1}, True, True),
        ("PA", {"Edema": 1, "No Finding": 1, "Fracture": 0}, True, True),
        ("LATERAL", {"Edema": 1}, False, True),
        ("UNKNOWN", {"Edema": 1}, False, True),
        ("AP", {"Edema": 1, "Atelectasis": -1}, False, True),
        ("AP", {"Edema": 1, "Fracture": 1}, False, True),
        ("AP", {"Edema": 1, "Fracture": -1}, False, True),
        ("AP", {"Edema": 1, "Cardiomegaly": 1}, False, False),
        ("AP", {"Edema": -1}, False, False),
        ("AP", {"Edema": 0}, False, False),
        ("AP", {}, False, False),
    ],
)
def test_who_is_a_candidate(view: str, states: dict[str, int], gloria: bool, medclip: bool) -> None:
    rows = [("x", "p", view, states), ("y", "q", "AP", {"Cardiomegaly": 1})]
    for protocol, expected in (("gloria", gloria), ("medclip", medclip)):
        settings = {"classes": ("Edema", "Cardiomegaly"), "per_class": 1, "protocol": protocol}
        if expected:
            assert draw(rows, **settings)["image_id"].to_list() == ["x", "y"]
        else:
            with pytest.raises(UserError, match="0 training images show Edema alone, per_class is 1; lower it"):
                draw(rows, **settings)


def test_only_training_images_and_the_named_source() -> None:
    chosen = HoldOut(name="five", per_class=1)
    with pytest.raises(UserError, match="0 training images show Atelectasis alone"):
        hold_out([chosen], tables(many(), "test"), "here")
    with pytest.raises(UserError, match="no labels of 'gold'; there are official:chexpert"):
        draw(many(), label_source="gold")


def test_the_checksum_holds_a_draw_fast() -> None:
    held = draw(many())
    assert draw(many(), sha256=checksum(held)).equals(held)
    with pytest.raises(UserError, match=f"ids drawn have sha256 {checksum(held)}, the settings expect {'0' * 64}"):
        draw(many(), sha256="0" * 64)


def test_covid_and_normal_by_the_data_sets_own_words(tree: Tree) -> None:
    for folder in ("COVID", "Lung_Opacity", "Normal", "Viral Pneumonia"):
        for number in range(12):
            tree.image(f"{folder}/images/{folder}-{number}.png", 8, 8)
    chosen = {"name": "covid", "protocol": "medclip_covid", "per_class": 5}
    counts = tree.ingest("covid_radiography", hold_out=[chosen], splits={"train": 0.9, "val": 0.1, "test": 0})
    held = tree.read("held_out")
    assert dict(held["observation"].value_counts().iter_rows()) == {"COVID": 5, "Normal": 5}
    assert all(image.startswith(f"{name}-") for image, name in held.select("image_id", "observation").iter_rows())
    splits = dict(tree.read("images").select("image_id", "split").iter_rows())
    assert {name for name, split in splits.items() if split == "test"} == set(held["image_id"])
    assert counts["held_out"]["covid"]["sha256"] == checksum(held)
    with pytest.raises(UserError, match=r"covid: \d+ training images show COVID alone, per_class is 1500; lower"):
        tree.ingest("covid_radiography", hold_out=[{"name": "covid", "protocol": "medclip_covid"}])


RSNA = {
    "n": {"No Finding": 1, "Lung Opacity": 0, "Pneumonia": 0},
    "s": {"Lung Opacity": 0, "Pneumonia": 0},
    "o": {"Lung Opacity": 1, "Pneumonia": 1},
}


def test_rsna_with_and_without_pneumonia() -> None:
    rows = [(f"{kind}{k}", f"p{k % 4}", "", states) for kind, states in RSNA.items() for k in range(6)]
    given = tables(rows)
    given["labels"] = given["labels"].with_columns(
        kind=pl.lit("image"), label_source=pl.lit("file"), id=pl.col("id").str.slice(1)
    )
    chosen = HoldOut.model_validate({"name": "rsna", "protocol": "medclip_rsna", "per_class": 6})
    held = hold_out([chosen], given, "here")[0]
    assert {image[0] for image in held.filter(observation="Pneumonia")["image_id"]} == {"o"}
    normal = held.filter(observation="Normal")["image_id"]
    assert len(normal) == 6 and {image[0] for image in normal} == {"n", "s"}  # sick lungs without opacity count


@pytest.mark.parametrize("key", [{"classes": ("Edema", "Fracture")}, {"label_source": "gold"}])
def test_medclips_sets_of_two_have_classes_of_their_own(key: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=f"{next(iter(key))}: medclip_covid has its own; leave it out"):
        HoldOut.model_validate({"name": "covid", "protocol": "medclip_covid", **key})


def test_all_studies_of_a_drawn_patient_leave_training(tree: Tree) -> None:
    header = ["id", "patient", "image", *FIVE]
    rows = []
    for k in range(30):
        for study, name in enumerate(FIVE):
            states = ["1" if name == other else "" for other in FIVE]
            tree.image(f"{k}-{study}.png", 8, 8)
            rows.append([f"s{k}-{study}", f"p{k % 10}", f"{k}-{study}.png", *states])
    file = tree.table("studies.csv", header, rows)
    values: dict[str, Any] = {
        "file": str(file),
        "columns": {"id": "id", "patient": "patient", "image": "image", "labels": {name: name for name in FIVE}},
        "hold_out": [{"name": "five", "label_source": "file", "per_class": 2, "protocol": "medclip"}],
    }
    counts = ingest("set", parse_source({"kind": "table", **values}), tree.output)
    held = tree.read("held_out")
    assert len(held) == 10 and set(held["benchmark"]) == {"five"}
    for table in ("studies", "images"):
        splits = tree.read(table).group_by("patient_id").agg(pl.col("split").unique())
        assert all(len(split) == 1 for split in splits["split"])
        of_held = splits.filter(pl.col("patient_id").is_in(held["patient_id"].implode()))
        assert {one for split in of_held["split"] for one in split} == {"test"}
    assert counts["splits"]["train"]["patients"] > 0
    assert counts["held_out"]["five"]["sha256"] == checksum(held)
    assert "held_out.parquet" in read_card(tree.output / "card.json").files
