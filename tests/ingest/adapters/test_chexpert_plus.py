"""CheXpert Plus in Stanford's layout."""

from __future__ import annotations

import json

import pytest

from mmclip.errors import UserError
from tests.ingest.trees import Tree

HEADER = [
    "path_to_image", "path_to_dcm", "frontal_lateral", "ap_pa", "deid_patient_id", "patient_report_date_order",
    "report", "section_narrative", "section_clinical_history", "section_history", "section_comparison",
    "section_technique", "section_procedure_comments", "section_findings", "section_impression",
    "section_end_of_impression", "section_summary", "section_accession_number", "age", "sex", "race", "ethnicity",
    "interpreter_needed", "insurance_type", "recent_bmi", "deceased", "split",
]  # fmt: skip

WHOLE = "NARRATIVE:\nRADIOGRAPHIC EXAMINATION OF THE CHEST: 1-2-2003\n\nIMPRESSION: \n\n1. Edema."
ROWS = [
    {"path_to_image": "train/patient42142/study5/view1_frontal.jpg", "frontal_lateral": "Frontal", "ap_pa": "AP",
     "deid_patient_id": "patient42142", "section_findings": "The lungs are clear.", "section_impression": "Normal."},
    {"path_to_image": "train/patient42142/study5/view2_lateral.jpg", "frontal_lateral": "Lateral",
     "deid_patient_id": "patient42142", "section_findings": "The lungs are clear.", "section_impression": "Normal."},
    {"path_to_image": "train/patient42143/study1/view1_frontal.jpg", "frontal_lateral": "Frontal", "ap_pa": "PA",
     "deid_patient_id": "patient42143", "report": WHOLE},
    {"path_to_image": "valid/patient64543/study1/view1_frontal.jpg", "frontal_lateral": "Frontal", "ap_pa": "PA",
     "deid_patient_id": "patient64543", "split": "valid", "section_findings": "\\n", "section_impression": "\\nClear."},
]  # fmt: skip


def plus(tree: Tree, folder: str = "PNG/PNG", ending: str = "png") -> Tree:
    rows = [{"split": "train", **row} for row in ROWS]
    tree.table("df_chexpert_plus_240401.csv", HEADER, [[row.get(name, "") for name in HEADER] for row in rows])
    for row in rows:
        tree.image(f"{folder}/{row['path_to_image'].removesuffix('jpg')}{ending}")
    return tree


def test_sections_images_and_splits(tree: Tree) -> None:
    counts = plus(tree).ingest("chexpert_plus")
    studies = tree.read("studies").select("study_id", "findings", "impression", "text", "split").rows()
    assert studies == [
        ("patient42142/study5", "The lungs are clear.", "Normal.", "The lungs are clear.\n\nNormal.", "train"),
        ("patient42143/study1", None, "1. Edema.", "1. Edema.", "train"),
        ("patient64543/study1", None, "Clear.", "Clear.", "val"),
    ]
    images = tree.read("images")
    assert images["image_id"][0] == "train/patient42142/study5/view1_frontal.png"
    assert images["view"].to_list() == ["AP", "LATERAL", "PA", "PA"]
    assert counts["with_text"] == 3


def test_labels_where_they_are(tree: Tree) -> None:
    plus(tree)
    lines = [
        {"path_to_image": ROWS[0]["path_to_image"], "Edema": None, "No Finding": 1.0, "Lung Lesion": 0.0},
        {"path_to_image": ROWS[2]["path_to_image"], "Edema": -1.0},
        {"path_to_image": "train/none.jpg", "Edema": 1.0},
    ]
    tree.write("chexbert_labels/impression_fixed.json", "\n".join(map(json.dumps, lines)) + "\n")
    counts = tree.ingest("chexpert_plus")
    assert tree.labels("official:chexpert", "edema", "no_finding", "lung_lesion") == {
        "patient42142/study5": (None, 1, 0),
        "patient42143/study1": (-1, None, None),
    }
    assert counts["labels_without_row"] == 1
    tree.write("chexbert_labels/impression_fixed.json", "[1]\n")
    with pytest.raises(UserError, match=r"impression_fixed\.json: line 1: not a JSON object with path_to_image"):
        tree.ingest("chexpert_plus")


@pytest.mark.parametrize(("folder", "images", "ending"), [("PNG", "png", "png"), ("DICOM", "dicom", "dcm")])
def test_other_folders(tree: Tree, folder: str, images: str, ending: str) -> None:
    assert plus(tree, folder, ending).ingest("chexpert_plus", images=images)["images"] == 4


def test_without_images(tree: Tree) -> None:
    plus(tree)
    with pytest.raises(UserError, match=r"no folder DICOM/DICOM/train or DICOM/train or train; images come from https"):
        tree.ingest("chexpert_plus", images="dicom")
