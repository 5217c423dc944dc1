"""The COVID-19 Radiography Database and COVIDx in the layouts of Kaggle."""

from __future__ import annotations

import pytest

from mmclip.errors import UserError
from mmclip.tables.card import read_card
from tests.ingest.trees import Tree

FOLDERS = ("COVID", "Lung_Opacity", "Normal", "Viral Pneumonia")


def radiography(tree: Tree, level: str = "images/", folders: tuple[str, ...] = FOLDERS) -> Tree:
    for folder in folders:
        for number in (1, 2, 10):
            tree.image(f"{folder}/{level}{folder}-{number}.png")
            if level:
                tree.image(f"{folder}/masks/{folder}-{number}.png")
        tree.write(f"{folder}.metadata.xlsx", b"")
    return tree


def test_radiography_classes(tree: Tree) -> None:
    counts = radiography(tree).ingest("covid_radiography")
    assert counts["images_by_class"] == dict.fromkeys(FOLDERS, 3)
    assert tree.read("images")["image_id"].to_list()[:3] == ["COVID-1", "COVID-2", "COVID-10"]
    states = tree.labels("file", "no_finding", "lung_opacity", "pneumonia", kind="image")
    assert states["Normal-1"] == (1, None, None)
    assert states["Viral Pneumonia-10"] == (None, None, 1)
    assert states["Lung_Opacity-2"] == (None, 1, None)
    assert "COVID-1" not in states
    assert tree.read("own_labels").filter(id="COVID-1").rows() == [("COVID-1", "image", "COVID", 1)]


def test_the_older_version(tree: Tree) -> None:
    radiography(tree, "", ("COVID", "Normal", "Viral Pneumonia")).ingest("covid_radiography")
    assert read_card(tree.output / "card.json").version == "3 classes"


def test_a_missing_class_is_named(tree: Tree) -> None:
    radiography(tree, folders=("COVID", "Viral Pneumonia"))
    with pytest.raises(UserError, match=r"Normal: no images/\*\.png in it; the folder comes from https://www\.kaggle"):
        tree.ingest("covid_radiography")


LINES = {
    "train": [
        "101 SARS-10.1148rg.242035193-g04mr34g0-Fig8a-day0.jpeg pneumonia cohen",
        "MIDRC-7 a b.png COVID-19 ricord",
        "7 n.jpg normal rsna",
    ],
    "test": ["101 other.jpg normal rsna", "7 late.png normal rsna"],
}


def covidx(tree: Tree, ending: str = "_COVIDx9A.txt") -> Tree:
    for name, lines in LINES.items():
        tree.write(f"{name}{ending}", "\r\n".join(lines) + "\r\n")
    for name in ("SARS-10.1148rg.242035193-g04mr34g0-Fig8a-day0.jpeg", "a b.png", "n.jpg"):
        tree.write(f"train/{name}", tree.image("spare.jpg").read_bytes())
    for name in ("other.jpg", "late.png"):
        tree.image(f"test/{name}")
    return tree


def test_covidx_lists(tree: Tree) -> None:
    counts = covidx(tree).ingest("covidx")
    assert counts["images_by_class"] == {"pneumonia": 1, "COVID-19": 1, "normal": 3}
    # patient 7 of rsna is on both lists: the test keeps it
    assert counts["skipped"] == {"patient_in_two_splits": 1}
    studies = tree.read("studies")
    assert studies["patient_id"].to_list() == ["cohen:101", "ricord:MIDRC-7", "rsna:101", "rsna:7"]
    assert studies["split"].to_list()[2:] == ["test", "test"]
    assert set(studies["split"][:2]) <= {"train", "val"}
    assert tree.read("own_labels").filter(name="COVID-19")["id"].to_list() == ["train/a b.png"]


def test_covidx_of_two_classes(tree: Tree) -> None:
    covidx(tree, ".txt")
    tree.write("train.txt", "1 n.jpg negative rsna\n2 a b.png positive ricord\n")
    tree.write("val.txt", "3 v.png negative rsna\n")
    tree.write("test.txt", "")
    tree.image("val/v.png")
    tree.ingest("covidx", lists="")
    assert dict(tree.read("studies").select("patient_id", "split").iter_rows()) == {
        "rsna:1": "train",
        "ricord:2": "train",
        "rsna:3": "val",
    }


def test_covidx_errors(tree: Tree) -> None:
    covidx(tree)
    with pytest.raises(UserError, match=r"train_COVIDx8B\.txt: no such file; it comes from https://www\.kaggle"):
        tree.ingest("covidx", lists="COVIDx8B")
    tree.write("test_COVIDx9A.txt", "1 a.png flu x\n")
    with pytest.raises(UserError, match=r"test_COVIDx9A\.txt: line 1: expected patient, file, class and source"):
        tree.ingest("covidx")
