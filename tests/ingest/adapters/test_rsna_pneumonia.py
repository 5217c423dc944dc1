"""The RSNA challenge in Kaggle's layout."""

from __future__ import annotations

import numpy as np
import pytest

from mmclip.errors import UserError
from tests.ingest.trees import Tree, dicom

NAMES = ["0004cfab-14fd-4e49", "00436515-870c-4b36", "00322d4d-1c29-4943"]
LABELS = [
    [NAMES[0], "", "", "", "", "0"],
    [NAMES[1], "264.0", "152.0", "213.0", "379.0", "1"],
    [NAMES[1], "562.0", "152.0", "256.0", "453.0", "1"],
    [NAMES[2], "", "", "", "", "0"],
]
CLASSES = [
    [NAMES[0], "Normal"],
    [NAMES[1], "Lung Opacity"],
    [NAMES[1], "Lung Opacity"],
    [NAMES[2], "No Lung Opacity / Not Normal"],
]


def rsna(tree: Tree) -> Tree:
    tree.table("stage_2_train_labels.csv", ["patientId", "x", "y", "width", "height", "Target"], LABELS)
    tree.table("stage_2_detailed_class_info.csv", ["patientId", "class"], CLASSES)
    for name, view in zip(NAMES, ("AP", "PA", ""), strict=True):
        tree.write(f"stage_2_train_images/{name}.dcm", dicom(np.eye(16, 24, dtype=np.uint8), view))
    return tree


def test_labels_boxes_and_views(tree: Tree) -> None:
    rsna(tree).ingest("rsna_pneumonia")
    assert tree.labels("file", "pneumonia", "lung_opacity", "no_finding", "edema", kind="image") == {
        NAMES[0]: (0, 0, 1, None),
        NAMES[1]: (1, 1, None, None),
        NAMES[2]: (0, 0, None, None),
    }
    assert tree.read("boxes").rows() == [
        (NAMES[1], "Pneumonia", 264.0, 152.0, 213.0, 379.0),
        (NAMES[1], "Pneumonia", 562.0, 152.0, 256.0, 453.0),
    ]
    images = tree.read("images")
    assert images.select("image_id", "view", "width", "height").rows() == [
        (NAMES[0], "AP", 24, 16),
        (NAMES[1], "PA", 24, 16),
        (NAMES[2], "UNKNOWN", 24, 16),
    ]


def test_text_in_the_pixels_and_hostile_headers(tree: Tree) -> None:
    rsna(tree)
    good = np.eye(16, 24, dtype=np.uint8)
    tree.write(f"stage_2_train_images/{NAMES[0]}.dcm", dicom(good, burned_in="YES"))
    data = dicom(good)
    at = data.index(b"\x28\x00\x10\x00US") + 8
    tree.write(
        f"stage_2_train_images/{NAMES[1]}.dcm",
        data[:at] + b"\xff\xff" + data[at + 2 : at + 10] + b"\xff\xff" + data[at + 12 :],
    )
    tree.write(f"stage_2_train_images/{NAMES[2]}.dcm", data[: at - 4])
    settings = {"error_budget": 1.0}
    counts = tree.ingest("rsna_pneumonia", **settings)
    assert counts["skipped"] == {"broken_header": 1, "burned_in_annotation": 1, "too_many_pixels": 1}
    assert tree.ingest("rsna_pneumonia", burned_in="keep", **settings)["images"] == 1


@pytest.mark.parametrize(
    ("labels", "classes", "message"),
    [
        (LABELS, [[NAMES[0], "normal"]], r"class_info\.csv: 0004.*class 'normal'; known: Normal, No Lung"),
        (LABELS, [[NAMES[0], "Lung Opacity"]], r"class 'Lung Opacity', but Target 0"),
        ([[NAMES[1], "", "", "", "", "1"]], CLASSES, r"Target is 1 without four numbers"),
    ],
)
def test_what_contradicts_itself(tree: Tree, labels: list[list[str]], classes: list[list[str]], message: str) -> None:
    rsna(tree).table("stage_2_train_labels.csv", ["patientId", "x", "y", "width", "height", "Target"], labels)
    tree.table("stage_2_detailed_class_info.csv", ["patientId", "class"], classes)
    with pytest.raises(UserError, match=message):
        tree.ingest("rsna_pneumonia")


def test_what_is_missing_is_named(tree: Tree) -> None:
    with pytest.raises(UserError, match=r"stage_2_train_labels\.csv: no such file; it comes from https://www\.kaggle"):
        tree.ingest("rsna_pneumonia")
