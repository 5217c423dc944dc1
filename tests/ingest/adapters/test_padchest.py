"""PadChest in BIMCV's layout."""

from __future__ import annotations

import pytest

from mmclip.errors import UserError
from mmclip.tables.card import read_card
from tests.ingest.trees import Tree

TABLE = "PADCHEST_chest_x_ray_images_labels_160K_01.02.19.csv"
HEADER = [
    "", "ImageID", "ImageDir", "StudyDate_DICOM", "StudyID", "PatientID", "PatientBirth", "PatientSex_DICOM",
    "ViewPosition_DICOM", "Projection", "MethodProjection", "Pediatric", "Rows_DICOM", "Columns_DICOM", "ReportID",
    "Report", "MethodLabel", "Labels", "Localizations", "LabelsLocalizationsBySentence", "labelCUIS",
    "LocalizationsCUIS",
]  # fmt: skip

ROWS = [
    # ImageID, ImageDir, StudyID, PatientID, Projection, Report, MethodLabel, Labels
    ("2168_02-094-102.png", "0", "20536686640136348236148679891455886468", "839860", "PA",
     "sin hallazg patolog edad pacient .", "Physician", "['normal']"),
    ("2168_02-094-103.png", "0", "20536686640136348236148679891455886468", "839860", "L",
     "sin hallazg patolog edad pacient .", "Physician", "['normal']"),
    ("1338_00-100-001.png", "14.0", "113855343774216031107737439268243531979", "313572", "AP_horizontal",
     "derram pleural izquierd . cardiomegali .", "RNN_model", "['pleural effusion', 'cardiomegaly ', 'hiatal hernia']"),
    ("1338_00-100-002.png", "14", "3137", "313573", "COSTAL", "nan", "Physician", "['exclude', \"unchanged\"]"),
]  # fmt: skip


def padchest(tree: Tree, name: str = TABLE, flat: str | None = None) -> Tree:
    names = ["ImageID", "ImageDir", "StudyID", "PatientID", "Projection", "Report", "MethodLabel", "Labels"]
    cells = [dict(zip(names, row, strict=True)) for row in ROWS]
    tree.table(name, HEADER, [[row.get(column, "") for column in HEADER] for row in cells])
    for row in cells:
        tree.image(f"{row['ImageDir'].removesuffix('.0') if flat is None else flat}/{row['ImageID']}")
    return tree


def test_spanish_studies(tree: Tree) -> None:
    counts = padchest(tree).ingest("padchest")
    studies = tree.read("studies")
    assert set(studies["language"]) == {"spa_Latn"}
    assert studies["text"].to_list() == [
        "sin hallazg patolog edad pacient .",
        "derram pleural izquierd . cardiomegali .",
        "",
    ]
    assert tree.read("images")["view"].to_list() == ["PA", "LATERAL", "AP", "OTHER"]
    assert counts["labels_by"] == {"Physician": 3, "RNN_model": 1}
    card = read_card(tree.output / "card.json")
    assert "stems" in card.note and card.share == "restricted"


def test_labels_in_both_words(tree: Tree) -> None:
    padchest(tree).ingest("padchest")
    first, second = ROWS[0][2], ROWS[2][2]
    assert tree.labels("file", "no_finding", "pleural_effusion", "cardiomegaly", "edema") == {
        first: (1, None, None, None),
        second: (None, 1, 1, None),
    }
    assert tree.read("own_labels").select("id", "name").rows() == [
        (first, "normal"),
        (second, "cardiomegaly"),
        (second, "hiatal hernia"),
        (second, "pleural effusion"),
    ]


@pytest.mark.parametrize(("name", "flat"), [(f"{TABLE}.gz", "images"), (TABLE, "."), (TABLE, "images")])
def test_images_in_one_folder_and_a_packed_table(tree: Tree, name: str, flat: str) -> None:
    assert padchest(tree, name, flat).ingest("padchest")["images"] == 4


def test_rows_without_ids(tree: Tree) -> None:
    padchest(tree)
    text = (tree.root / TABLE).read_text().replace("839860", "", 1)
    (tree.root / TABLE).write_text(text)
    assert tree.ingest("padchest", error_budget=0.5)["skipped"] == {"empty_patient": 1}


def test_what_is_missing_is_named(tree: Tree) -> None:
    with pytest.raises(UserError, match=r"160K_01\.02\.19\.csv\.gz: no such file; it comes from https://bimcv"):
        tree.ingest("padchest")
