"""NIH ChestX-ray14 in the layout of the NIH Clinical Center."""

from __future__ import annotations

import pytest

from mmclip.errors import UserError
from mmclip.tables.card import read_card
from tests.ingest.trees import Tree

HEADER = (
    "Image Index,Finding Labels,Follow-up #,Patient ID,Patient Age,Patient Gender,View Position,"
    "OriginalImage[Width,Height],OriginalImagePixelSpacing[x,y]"
)
ROWS = [
    ("00000001_000.png", "Cardiomegaly|Emphysema", "1", "PA"),
    ("00000001_001.png", "No Finding", "1", "AP"),
    ("00000002_000.png", "Infiltration|Mass|Nodule", "2", "PA"),
    ("00000003_000.png", "Hernia", "3", "PA"),
]


def nih(tree: Tree, table: str = "Data_Entry_2017_v2020.csv", end: str = "\n") -> Tree:
    lines = [
        HEADER,
        *(f"{name},{labels},0,{patient},57,M,{view},2682,2749,0.143,0.143" for name, labels, patient, view in ROWS),
    ]
    tree.write(table, end.join(lines) + end)
    tree.write("train_val_list.txt", end.join(["00000001_000.png", "00000001_001.png", "00000002_000.png"]))
    tree.write("test_list.txt", "00000003_000.png\n")
    boxes = ["Image Index,Finding Label,Bbox [x,y,w,h],,,"]
    boxes += ["00000002_000.png,Infiltrate,1.5,2,3,4,,,", "00000002_000.png,Mass,1,2,3,4,,,"]
    tree.write("BBox_List_2017.csv", end.join(boxes))
    for number, (name, *_) in enumerate(ROWS):
        tree.image(f"images_{1 + number % 2:03d}/images/{name}")
    return tree


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_labels_splits_and_boxes(tree: Tree, end: str) -> None:
    counts = nih(tree, end=end).ingest("nih_cxr14")
    assert tree.labels("file", "cardiomegaly", "no_finding", "lung_opacity", "lung_lesion", "edema", kind="image") == {
        "00000001_000.png": (1, None, None, None, None),
        "00000001_001.png": (None, 1, None, None, None),
        "00000002_000.png": (None, None, 1, 1, None),
    }
    assert tree.read("own_labels").select("id", "name", "state").rows() == [
        ("00000001_000.png", "Emphysema", 1),
        ("00000003_000.png", "Hernia", 1),
    ]
    studies = tree.read("studies")
    assert studies["study_id"].to_list() == ["00000001_000", "00000001_001", "00000002_000", "00000003_000"]
    assert studies["split"][3] == "test" and set(studies["split"][:3]) <= {"train", "val"}
    assert studies["split"][0] == studies["split"][1]
    assert tree.read("boxes").rows() == [
        ("00000002_000.png", "Lung Opacity", 1.5, 2.0, 3.0, 4.0),
        ("00000002_000.png", "Lung Lesion", 1.0, 2.0, 3.0, 4.0),
    ]
    assert (counts["rows"], counts["image_only"], counts["views"]) == (4, 4, {"AP": 1, "PA": 3})


def test_the_first_version_of_the_table(tree: Tree) -> None:
    nih(tree, "Data_Entry_2017.csv").ingest("nih_cxr14")
    card = read_card(tree.output / "card.json")
    assert (card.version, card.share) == ("2017", "public")


def test_what_is_missing_is_named(tree: Tree) -> None:
    nih(tree)
    (tree.root / "test_list.txt").unlink()
    with pytest.raises(UserError, match=r"test_list\.txt: no such file.*nihcc\.app\.box\.com"):
        tree.ingest("nih_cxr14")
    tree.write("test_list.txt", "")
    for file in tree.root.rglob("*.png"):
        file.unlink()
    with pytest.raises(UserError, match=r"no images_001/images/\*\.png nor images/\*\.png"):
        tree.ingest("nih_cxr14")
