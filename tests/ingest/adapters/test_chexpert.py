"""CheXpert in Stanford's layout."""

from __future__ import annotations

import pytest

from mmclip.errors import UserError
from mmclip.tables.card import read_card
from tests.ingest.trees import Tree

HEADER = [
    "Path", "Sex", "Age", "Frontal/Lateral", "AP/PA", "No Finding", "Enlarged Cardiomediastinum", "Cardiomegaly",
    "Lung Opacity", "Lung Lesion", "Edema", "Consolidation", "Pneumonia", "Atelectasis", "Pneumothorax",
    "Pleural Effusion", "Pleural Other", "Fracture", "Support Devices",
]  # fmt: skip

TRAIN = [
    # path, Frontal/Lateral, AP/PA, labels from No Finding on
    ("train/patient00001/study1/view1_frontal.jpg", "Frontal", "AP", "1.0,,,,,,,,,0.0,,,,1.0"),
    ("train/patient00002/study2/view1_frontal.jpg", "Frontal", "PA", ",,-1.0,1.0,,-1.0,-1.0,,-1.0,,-1.0,,1.0,"),
    ("train/patient00002/study2/view2_lateral.jpg", "Lateral", "", ",,-1.0,1.0,,-1.0,-1.0,,-1.0,,-1.0,,1.0,"),
    ("train/patient00002/study1/view1_frontal.jpg", "Frontal", "LL", ",,,,0.0,1.0,,,,,,,,"),
]
VALID = [
    (
        "valid/patient64541/study1/view1_frontal.jpg",
        "Frontal",
        "AP",
        "0,1,1,1,0,0,0,0,0,0,0,0,0,0".replace(",", ".0,") + ".0",
    )
]


def chexpert(tree: Tree, name: str = "CheXpert-v1.0-small", end: str = "\n") -> Tree:
    for table, rows in (("train", TRAIN), ("valid", VALID)):
        cells = [[f"{name}/{path}", "Female", 68, kind, view, *labels.split(",")] for path, kind, view, labels in rows]
        tree.table(f"{table}.csv", HEADER, cells, end=end)
        for path, *_ in rows:
            tree.image(path)
    return tree


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_images_labels_and_splits(tree: Tree, end: str) -> None:
    counts = chexpert(tree, end=end).ingest("chexpert")
    assert dict(tree.read("images").select("image_id", "view").iter_rows()) == {
        TRAIN[0][0]: "AP",
        TRAIN[1][0]: "PA",
        TRAIN[2][0]: "LATERAL",
        TRAIN[3][0]: "FRONTAL",
        VALID[0][0]: "AP",
    }
    studies = tree.read("studies")
    assert studies.select("study_id", "patient_id", "split").rows() == [
        ("patient00001/study1", "patient00001", "train"),
        ("patient00002/study2", "patient00002", "train"),
        ("patient00002/study1", "patient00002", "train"),
        ("patient64541/study1", "patient64541", "val"),
    ]
    assert set(studies["text"]) == {""}
    assert (counts["image_only"], counts["rows"], counts["text_from"]) == (4, 5, {"nothing": 4})


def test_the_two_columns_that_stand_the_other_way_round(tree: Tree) -> None:
    chexpert(tree).ingest("chexpert")
    found = tree.labels("official:chexpert", "lung_opacity", "lung_lesion", "edema", "support_devices")
    assert found == {
        "patient00001/study1": (None, None, None, 1),
        "patient00002/study2": (1, None, -1, None),
        "patient00002/study1": (None, 0, 1, None),
        "patient64541/study1": (1, 0, 0, 0),
    }
    assert tree.labels("gold", "lung_opacity", "lung_lesion") == {"patient64541/study1": (1, 0)}


@pytest.mark.parametrize("name", ["CheXpert-v1.0", "CheXpert-v1.0-small"])
def test_the_version_is_that_of_the_paths(tree: Tree, name: str) -> None:
    chexpert(tree, name).ingest("chexpert")
    card = read_card(tree.output / "card.json")
    assert (card.version, card.share) == (name, "restricted")
    assert "commercial use" in card.forbids


def test_what_is_missing_or_wrong_is_named(tree: Tree) -> None:
    chexpert(tree)
    (tree.root / "valid").rename(tree.root / "elsewhere")
    with pytest.raises(UserError, match=r"valid: no such folder; it comes from https://stanford"):
        tree.ingest("chexpert")
    (tree.root / "elsewhere").rename(tree.root / "valid")
    tree.table("valid.csv", HEADER, [["view1_frontal.jpg", "Female", 1, "Frontal", "AP", *[""] * 14]])
    with pytest.raises(UserError, match=r"valid\.csv: row 2: Path 'view1_frontal\.jpg'; expected CheXpert-v1\.0/train"):
        tree.ingest("chexpert")
    (tree.root / "valid.csv").unlink()
    with pytest.raises(UserError, match=r"valid\.csv: no such file; it comes from"):
        tree.ingest("chexpert")
