"""VinDr-CXR in PhysioNet's layout."""

from __future__ import annotations

import pytest

from mmclip.errors import UserError
from tests.ingest.trees import Tree

LABELS = [
    "Aortic enlargement", "Atelectasis", "Calcification", "Cardiomegaly", "Clavicle fracture", "Consolidation", "Edema",
    "Emphysema", "Enlarged PA", "ILD", "Infiltration", "Lung Opacity", "Lung cavity", "Lung cyst", "Mediastinal shift",
    "Nodule/Mass", "Pleural effusion", "Pleural thickening", "Pneumothorax", "Pulmonary fibrosis", "Rib fracture",
    "Other lesion", "COPD", "Lung tumor", "Pneumonia", "Tuberculosis", "Other diseases", "No finding",
]  # fmt: skip
FIRST, SECOND, THIRD = (
    "000434271f63a053c4128a0ba6352c7f",
    "00053190460d56c53cc3e57321387478",
    "005e8e3701dfb1dd93d53e2ff537b6e2",
)

READINGS = [
    (FIRST, "R2", {"Cardiomegaly", "Infiltration"}),
    (FIRST, "R3", {"Cardiomegaly", "Lung Opacity", "COPD"}),
    (FIRST, "R6", {"Edema", "Lung Opacity", "COPD"}),
    *((SECOND, reader, {"No finding"}) for reader in ("R9", "R10", "R8")),
]


def vindr(tree: Tree) -> Tree:
    rows = [[image, reader, *(int(name in stated) for name in LABELS)] for image, reader, stated in READINGS]
    tree.table("annotations/image_labels_train.csv", ["image_id", "rad_id", *LABELS], rows)
    test = ["Other disease" if name == "Other diseases" else name for name in LABELS]
    stated = {"Pleural effusion", "Other disease"}
    tree.table(
        "annotations/image_labels_test.csv", ["image_id", *test], [[THIRD, *(int(name in stated) for name in test)]]
    )
    places = ["x_min", "y_min", "x_max", "y_max"]
    boxes = [
        [FIRST, "R2", "Cardiomegaly", 10, 20, 30.5, 25],
        [FIRST, "R3", "ILD", 1, 2, 3, 4],
        [SECOND, "R9", "No finding", *[""] * 4],
    ]
    tree.table("annotations/annotations_train.csv", ["image_id", "rad_id", "class_name", *places], boxes)
    tree.table(
        "annotations/annotations_test.csv",
        ["image_id", "class_name", *places],
        [[THIRD, "Pleural effusion", 0, 0, 5, 6]],
    )
    for folder, image in (("train", FIRST), ("train", SECOND), ("test", THIRD)):
        tree.image(f"{folder}/{image}.dicom")
    return tree


def test_three_readers_and_a_consensus(tree: Tree) -> None:
    vindr(tree).ingest("vindr_cxr")
    names = ("cardiomegaly", "edema", "lung_opacity", "no_finding", "pneumonia", "pleural_effusion", "support_devices")
    assert tree.labels("file", *names, kind="image") == {
        FIRST: (1, -1, 1, 0, 0, 0, None),
        SECOND: (0, 0, 0, 1, 0, 0, None),
        THIRD: (0, 0, 0, 0, 0, 1, None),
    }
    own = {row[:2]: row[2] for row in tree.read("own_labels").select("id", "name", "state").iter_rows()}
    assert (own[FIRST, "COPD"], own[FIRST, "Infiltration"], own[SECOND, "COPD"]) == (1, -1, 0)
    assert (own[FIRST, "Other disease"], own[THIRD, "Other disease"]) == (0, 1)


def test_boxes_of_every_reader_and_the_official_split(tree: Tree) -> None:
    vindr(tree).ingest("vindr_cxr")
    assert tree.read("boxes").rows() == [
        (FIRST, "Cardiomegaly", 10.0, 20.0, 20.5, 5.0),
        (FIRST, "ILD", 1.0, 2.0, 2.0, 2.0),
        (THIRD, "Pleural Effusion", 0.0, 0.0, 5.0, 6.0),
    ]
    splits = dict(tree.read("studies").select("study_id", "split").iter_rows())
    assert splits[THIRD] == "test" and {splits[FIRST], splits[SECOND]} <= {"train", "val"}


def test_what_is_missing_or_wrong_is_named(tree: Tree) -> None:
    vindr(tree)
    tree.table("annotations/image_labels_test.csv", ["image_id", "No finding"], [[THIRD, "?"]])
    with pytest.raises(UserError, match=r"image_labels_test\.csv: 005e.*a label is 0 or 1"):
        tree.ingest("vindr_cxr")
    (tree.root / "annotations/annotations_test.csv").unlink()
    with pytest.raises(UserError, match=r"annotations_test\.csv: no such file.*physionet\.org/content/vindr-cxr"):
        tree.ingest("vindr_cxr")
