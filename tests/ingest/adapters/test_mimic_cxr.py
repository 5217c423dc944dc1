"""MIMIC-CXR and MIMIC-CXR-JPG in PhysioNet's layout."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import pytest

from mmclip.errors import BudgetExceeded, UserError
from mmclip.tables.card import read_card
from tests.ingest.trees import Tree

METADATA = [
    "dicom_id", "subject_id", "study_id", "PerformedProcedureStepDescription", "ViewPosition", "Rows", "Columns",
    "StudyDate", "StudyTime", "ProcedureCodeSequence_CodeMeaning", "ViewCodeSequence_CodeMeaning",
    "PatientOrientationCodeSequence_CodeMeaning",
]  # fmt: skip
OBSERVATIONS = [
    "Atelectasis", "Cardiomegaly", "Consolidation", "Edema", "Enlarged Cardiomediastinum", "Fracture", "Lung Lesion",
    "Lung Opacity", "No Finding", "Pleural Effusion", "Pleural Other", "Pneumonia", "Pneumothorax", "Support Devices",
]  # fmt: skip

IMAGES = [
    # dicom_id, subject, study, ViewPosition, ViewCode, split
    ("02aa804e-bde0afdd", "10000032", "50414267", "PA", "postero-anterior", "train"),
    ("174413ec-4ec4c1f7", "10000032", "50414267", "LATERAL", "lateral", "train"),
    ("2a2277a9-b0ded155", "10000032", "53189527", "", "antero-posterior", "train"),
    ("68b5c4b1-227d0485", "10000764", "57375967", "AP", "antero-posterior", "validate"),
    ("fffabebf-74fd3a1f", "10000898", "50771383", "LL", "left lateral", "test"),
    ("ea030e7a-2e3b1346", "10000898", "50771383", "AP LLD", "", "test"),
    ("11111111-22222222", "10000935", "50578979", "", "", "test"),
]

REPORT = "                                 FINAL REPORT\r\n INDICATION:  Cough.\r\n \r\n FINDINGS:\r\n \r\n {}\r\n \r\n"
REPORT += " IMPRESSION:\r\n \r\n {}\r\n"
REPORTS = {
    "50414267": REPORT.format("The lungs are clear.", "Normal chest."),
    "53189527": " FINAL REPORT\n EXAMINATION: CHEST (PORTABLE AP)\n\n Mild edema is seen again.\n",
    "57375967": " FINAL REPORT\n IMPRESSION: Possible pneumonia.\n",
    "50771383": REPORT.format("Left effusion.", "Effusion."),
    "50578979": " WET READ: none\n",
}


def row(study: str, subject: str, **states: str) -> list[str]:
    return [subject, study, *(states.get(name.replace(" ", "_"), "") for name in OBSERVATIONS)]


def mimic(tree: Tree, ending: str = "jpg", gold: bool = True) -> Tree:
    rows = [
        [i, p, s, "CHEST (PA AND LAT)", v, 2500, 3056, 21800506, 213014.531, "", c, ""] for i, p, s, v, c, _ in IMAGES
    ]
    tree.table("mimic-cxr-2.0.0-metadata.csv.gz", METADATA, rows)
    splits = [[i, s, p, name] for i, p, s, _, _, name in IMAGES]
    tree.table("mimic-cxr-2.0.0-split.csv.gz", ["dicom_id", "study_id", "subject_id", "split"], splits)
    chexpert = [
        row("50414267", "10000032", No_Finding="1.0"),
        row("53189527", "10000032", Edema="1.0", Lung_Lesion="-1.0", Lung_Opacity="0.0"),
        row("57375967", "10000764", Pneumonia="-1.0"),
        row("59999999", "19999999", Edema="1.0"),
    ]
    tree.table("mimic-cxr-2.0.0-chexpert.csv.gz", ["subject_id", "study_id", *OBSERVATIONS], chexpert)
    negbio = [row("53189527", "10000032", Edema="-1.0")]
    tree.table("mimic-cxr-2.0.0-negbio.csv.gz", ["subject_id", "study_id", *OBSERVATIONS], negbio, end="\r\n")
    if gold:
        names = ["study_id", *sorted(set(OBSERVATIONS) - {"Lung Opacity"}), "Airspace Opacity"]
        cells = {"study_id": "50771383", "Airspace Opacity": "1.0", "Pleural Effusion": "1.0", "Edema": "-1.0"}
        tree.table("mimic-cxr-2.1.0-test-set-labeled.csv", names, [[cells.get(name, "") for name in names]])
    for identity, subject, study, *_ in IMAGES:
        tree.image(f"files/p{subject[:2]}/p{subject}/s{study}/{identity}.{ending}")
    for identity, subject in {study: subject for _, subject, study, *_ in IMAGES}.items():
        tree.write(f"files/p{subject[:2]}/p{subject}/s{identity}.txt", REPORTS[identity])
    return tree


def test_studies_reports_and_official_split(tree: Tree) -> None:
    counts = mimic(tree).ingest("mimic_cxr")
    studies = tree.read("studies").rows_by_key("study_id", named=True, unique=True)
    assert list(studies) == ["50414267", "53189527", "57375967", "50771383", "50578979"]
    assert studies["50414267"]["text"] == "The lungs are clear.\n\nNormal chest."
    assert studies["53189527"]["text"] == "Mild edema is seen again."
    assert studies["50578979"]["text"] == ""
    assert [studies[one]["split"] for one in studies] == ["train", "train", "val", "test", "test"]
    assert {study["patient_id"] for study in studies.values()} == {"10000032", "10000764", "10000898", "10000935"}
    images = tree.read("images")
    assert dict(images.select("image_id", "view").iter_rows()) == {
        "02aa804e-bde0afdd": "PA",
        "174413ec-4ec4c1f7": "LATERAL",
        "2a2277a9-b0ded155": "AP",  # by its view code
        "68b5c4b1-227d0485": "AP",
        "fffabebf-74fd3a1f": "LATERAL",
        "ea030e7a-2e3b1346": "OTHER",  # lying on the left side
        "11111111-22222222": "UNKNOWN",
    }
    assert images.filter(study_id="50414267")["split"].to_list() == ["train", "train"]
    assert (counts["rows"], counts["studies_in_metadata"], counts["images_in_metadata"]) == (7, 5, 7)
    assert counts["text_from"] == {
        "findings+impression": 2,
        "impression": 1,
        "last_paragraph": 1,
        "nothing": 1,
    }
    assert (counts["image_only"], counts["skipped"]) == (1, {})


def test_labels_keep_four_states_and_their_source(tree: Tree) -> None:
    counts = mimic(tree).ingest("mimic_cxr")
    names = ("edema", "lung_lesion", "lung_opacity", "no_finding")
    assert tree.labels("official:chexpert", *names) == {
        "50414267": (None, None, None, 1),
        "53189527": (1, -1, 0, None),
        "57375967": (None, None, None, None),
    }
    assert tree.labels("official:negbio", *names) == {"53189527": (-1, None, None, None)}
    assert tree.labels("gold", *names) == {"50771383": (-1, None, 1, None)}
    assert counts["labels_without_study"] == {"official:chexpert": 1, "official:negbio": 0, "gold": 0}


def test_a_chosen_source_is_the_only_one_beside_the_gold(tree: Tree) -> None:
    """Training takes the first of a list of sources that a study has, which need not be the chosen one."""
    mimic(tree).ingest("mimic_cxr", labels={"source": "official:negbio"})
    assert set(tree.read("labels")["label_source"]) == {"official:negbio", "gold"}


@pytest.mark.parametrize(
    ("policy", "text"),
    [("both", "Left effusion.\n\nEffusion."), ("impression", "Effusion."), ("longest", "Left effusion.")],
)
def test_the_section_policy_is_a_setting(tree: Tree, policy: str, text: str) -> None:
    mimic(tree).ingest("mimic_cxr", sections=policy)
    assert tree.read("studies").filter(study_id="50771383")["text"].to_list() == [text]


def test_the_card(tree: Tree) -> None:
    mimic(tree).ingest("mimic_cxr")
    card = read_card(tree.output / "card.json")
    assert (card.kind, card.version, card.share) == ("mimic_cxr", "2.1.0", "restricted")
    assert "PhysioNet" in card.licence and any("network" in line for line in card.forbids)
    assert set(card.sources) == {
        "mimic-cxr-2.0.0-metadata.csv.gz", "mimic-cxr-2.0.0-split.csv.gz", "mimic-cxr-2.0.0-chexpert.csv.gz",
        "mimic-cxr-2.0.0-negbio.csv.gz", "mimic-cxr-2.1.0-test-set-labeled.csv",
    }  # fmt: skip
    assert str(tree.root) not in (tree.output / "card.json").read_text()


def test_dicom_and_reports_in_folders_of_their_own(tree: Tree, tmp_path: Path) -> None:
    mimic(tree, "dcm", gold=False)
    reports = tmp_path / "reports"
    (tree.root / "files").rename(tmp_path / "files")
    (tmp_path / "dicom").mkdir()
    (tmp_path / "files").rename(tmp_path / "dicom/files")
    for file in list((tmp_path / "dicom").rglob("*.txt")):
        target = reports / file.relative_to(tmp_path / "dicom")
        target.parent.mkdir(parents=True, exist_ok=True)
        file.rename(target)
    settings: dict[str, Any] = {"dicom_root": str(tmp_path / "dicom"), "reports": str(reports), "images": "dicom"}
    counts = tree.ingest("mimic_cxr", **settings)
    assert (counts["images"], counts["with_text"]) == (7, 4)
    assert read_card(tree.output / "card.json").version == "2.0.0"
    # the view of an image that the metadata leave open is its file's
    assert tree.read("images").filter(image_id="11111111-22222222")["view"].to_list() == ["PA"]


def test_reports_alone(tree: Tree) -> None:
    counts = mimic(tree).ingest("mimic_cxr", images="none", error_budget=0.5)
    assert (counts["images"], counts["studies"], counts["skipped"]) == (0, 4, {"empty_report": 1})


def test_what_is_missing_is_named_with_where_it_comes_from(tree: Tree) -> None:
    mimic(tree)
    split = tree.root / "mimic-cxr-2.0.0-split.csv.gz"
    data = split.read_bytes()
    split.rename(tree.root / "mimic-cxr-1.0.0-split.csv.gz")
    with pytest.raises(
        UserError, match=r"2\.0\.0-split\.csv\.gz: no such file \(found mimic-cxr-1\.0\.0-split.*physionet"
    ):
        tree.ingest("mimic_cxr")
    split.write_bytes(data[: len(data) // 2])
    with pytest.raises(UserError, match=r"2\.0\.0-split\.csv\.gz: cannot be read to its end .*get it again from https"):
        tree.ingest("mimic_cxr")
    split.write_bytes(gzip.compress(b"dicom_id,split\nx,train,1\n"))
    with pytest.raises(UserError, match=r"line 2 has 3 fields, the first line 2"):
        tree.ingest("mimic_cxr")
    split.write_bytes(gzip.compress(b"dicom_id,part\nx,train\n"))
    with pytest.raises(UserError, match=r"column 'split' is missing; it has dicom_id, part"):
        tree.ingest("mimic_cxr")
    split.write_bytes(data)
    for report in tree.root.rglob("*.txt"):
        report.unlink()
    with pytest.raises(UserError, match=r"s50414267\.txt: no such file.*mimic-cxr-reports\.zip"):
        tree.ingest("mimic_cxr")
    assert not tree.output.exists()


def test_an_unpacked_table_will_do(tree: Tree) -> None:
    file = mimic(tree).root / "mimic-cxr-2.0.0-negbio.csv.gz"
    file.with_suffix("").write_bytes(gzip.decompress(file.read_bytes()))
    file.unlink()
    assert tree.ingest("mimic_cxr")["studies"] == 5


def test_half_of_the_images(tree: Tree) -> None:
    mimic(tree)
    for file in (tree.root / "files/p10/p10000898").rglob("*.jpg"):
        file.unlink()
    with pytest.raises(
        BudgetExceeded, match=r"2 of 7 rows .*missing_file 2.*complete the download from https://physionet"
    ):
        tree.ingest("mimic_cxr")
    counts = tree.ingest("mimic_cxr", error_budget=0.5)
    assert (counts["images"], counts["studies"], counts["skipped"]) == (5, 4, {"missing_file": 2})


def test_duplicate_ids_and_wrong_labels(tree: Tree) -> None:
    mimic(tree)
    file = tree.root / "mimic-cxr-2.0.0-metadata.csv.gz"
    text = gzip.decompress(file.read_bytes()).decode()
    file.write_bytes(gzip.compress((text + text.splitlines()[-1] + "\n").encode()))
    assert tree.ingest("mimic_cxr", error_budget=0.5)["skipped"] == {"duplicate_image": 1}
    tree.table("mimic-cxr-2.0.0-negbio.csv.gz", ["study_id", "Cardiomegaly"], [["50414267", "2"]])
    with pytest.raises(UserError, match=r"negbio.*Cardiomegaly: found '2'; a label is 1, 0, -1 or empty"):
        tree.ingest("mimic_cxr")
