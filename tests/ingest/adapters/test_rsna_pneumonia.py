"""The RSNA challenge in Kaggle's layout."""

from __future__ import annotations

import json

import numpy as np
import pytest

from mmclip.errors import UserError
from mmclip.tables.card import read_card
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


def test_rsnas_mapping_tells_the_patients(tree: Tree) -> None:
    rsna(tree).ingest("rsna_pneumonia")
    assert tree.read("studies")["patient_id"].to_list() == NAMES
    assert "images count as patients" in read_card(tree.output / "card.json").note
    mapping = [
        {"subset_img_id": name, "img_id": f"{patient:08}_00{place}.png", "orig_labels": ["No Finding"]}
        for place, (name, patient) in enumerate(zip(NAMES, (1, 12, 1), strict=True))
    ]
    tree.write("pneumonia-challenge-dataset-mappings_2018.json", json.dumps(mapping))
    tree.ingest("rsna_pneumonia")
    assert tree.read("studies")["patient_id"].to_list() == ["1", "12", "1"]
    card = read_card(tree.output / "card.json")
    assert "count as" not in card.note and "pneumonia-challenge-dataset-mappings_2018.json" in card.sources


@pytest.mark.parametrize(
    "content",
    ["", "null", "[1]", '{"a": 1}', '[{"id": 1}]', '[{"subset_img_id": [1], "img_id": "1_0.png"}]',
     '[{"subset_img_id": "a", "img_id": "x_0.png"}]', '[{"subset_img_id": "a", "img_id": 7}]', b"\xff\xfe[]"],
)  # fmt: skip
def test_a_mapping_that_is_none(tree: Tree, content: str | bytes) -> None:
    rsna(tree).write("pneumonia-challenge-dataset-mappings_2018.json", content)
    with pytest.raises(UserError, match=r"mappings_2018\.json: not RSNA's list of subset_img_id and img_id"):
        tree.ingest("rsna_pneumonia")


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
