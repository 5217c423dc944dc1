"""Open-I's Indiana reports in the layout of the National Library of Medicine, and on four real images."""

from __future__ import annotations

import csv
import os
import shutil
from pathlib import Path
from xml.sax.saxutils import escape

import pytest

from mmclip.errors import UserError
from tests.ingest.trees import Tree

REAL = os.environ.get("MMCLIP_REAL_DATA", "")


def report(number: int, sections: dict[str, str], images: list[str], codes: list[str]) -> str:
    texts = "".join(f'<AbstractText Label="{name}">{escape(text)}</AbstractText>' for name, text in sections.items())
    figures = "".join(
        f'<parentImage id="{name}"><figureId>F1</figureId><caption>Chest</caption></parentImage>' for name in images
    )
    return (
        f'<?xml version="1.0" encoding="utf-8"?><eCitation><meta type="rr"/><uId id="CXR{number}"/>'
        f"<MedlineCitation><Article><Abstract>{texts}</Abstract></Article></MedlineCitation>"
        f"<MeSH>{''.join(f'<major>{code}</major>' for code in codes)}</MeSH>{figures}</eCitation>"
    )


REPORTS = {
    1: ({"COMPARISON": "None.", "FINDINGS": "The lungs are < clear.", "IMPRESSION": "Normal chest x-XXXX."},
        ["CXR1_1_IM-0001-3001", "CXR1_1_IM-0001-4001"], ["normal"]),
    2: ({"FINDINGS": "", "IMPRESSION": "No acute pulmonary findings."},
        ["CXR2_IM-0652-1001"], ["Cardiomegaly/borderline", "Pulmonary Artery/enlarged", "Thickening/pleura/apex"]),
    10: ({"FINDINGS": "", "IMPRESSION": ""}, ["CXR10_IM-0002-1001"], ["No Indexing"]),
    11: ({"FINDINGS": "", "IMPRESSION": ""}, [], ["normal"]),
}  # fmt: skip


def indiana(tree: Tree) -> Tree:
    for number, parts in REPORTS.items():
        tree.write(f"ecgen-radiology/{number}.xml", report(number, *parts))
        for name in parts[1]:
            tree.image(f"NLMCXR_png/{name}.png")
    return tree


def test_reports_images_and_codes(tree: Tree) -> None:
    counts = indiana(tree).ingest("open_i", error_budget=0.5)
    assert tree.read("studies").select("study_id", "findings", "impression").rows() == [
        ("CXR1", "The lungs are < clear.", "Normal chest x-XXXX."),
        ("CXR2", None, "No acute pulmonary findings."),
        ("CXR10", None, None),
    ]
    assert tree.read("skipped").rows() == [("CXR11", "empty_report")]
    assert set(tree.read("images")["view"]) == {"UNKNOWN"}
    assert tree.labels("file", "no_finding", "cardiomegaly", "pleural_other") == {
        "CXR1": (1, None, None),
        "CXR2": (None, 1, 1),
    }
    assert tree.read("own_labels").rows() == [
        ("CXR2", "study", "Pulmonary Artery/enlarged", 1),
        ("CXR10", "study", "No Indexing", 1),
    ]
    assert (counts["reports"], counts["images"], counts["patients"]) == (4, 4, 3)


def test_views_of_the_other_copy(tree: Tree) -> None:
    rows = [
        ["1", "1_IM-0001-4001.dcm.png", "Frontal"],
        ["1", "1_IM-0001-3001.dcm.png", "Lateral"],
        ["2", "2_IM-0652-1001.dcm.png", "Frontal"],
    ]
    indiana(tree).table("indiana_projections.csv", ["uid", "filename", "projection"], rows)
    tree.ingest("open_i", error_budget=0.5)
    assert dict(tree.read("images").select("image_id", "view").iter_rows()) == {
        "CXR1_1_IM-0001-3001": "LATERAL",
        "CXR1_1_IM-0001-4001": "FRONTAL",
        "CXR2_IM-0652-1001": "FRONTAL",
        "CXR10_IM-0002-1001": "UNKNOWN",
    }


def test_dicom_in_folders(tree: Tree) -> None:
    indiana(tree)
    for number, (_, names, _) in REPORTS.items():
        for name in names:
            tree.image(f"NLMCXR_dcm/{number}/{name.removeprefix('CXR')}.dcm")
    counts = tree.ingest("open_i", images="dicom", error_budget=0.5)
    assert (counts["images"], counts["views"]) == (4, {"PA": 4})


@pytest.mark.parametrize(
    "text",
    [
        "<eCitation><uId",
        "<eCitation/>",
        '<!DOCTYPE x [<!ENTITY a "b">]><eCitation><uId id="&a;"/></eCitation>',
        '<?xml version="1.0" encoding="none-such"?><eCitation/>',
        "<a>" * 300_000,
        "",
        " " * 2_000_000,
    ],
)
def test_broken_reports_are_left_out(tree: Tree, text: str) -> None:
    indiana(tree).write("ecgen-radiology/12.xml", text)
    assert {"broken_report", "empty_id"} & tree.ingest("open_i", error_budget=0.5)["skipped"].keys()


def test_names_that_lead_out_of_the_folder(tree: Tree) -> None:
    tree.image("secret.png")
    indiana(tree).write("ecgen-radiology/12.xml", report(12, {"FINDINGS": "Clear."}, ["../secret"], []))
    assert tree.ingest("open_i", error_budget=0.5)["skipped"] == {"empty_report": 1, "outside_root": 1}


def test_what_is_missing_is_named(tree: Tree) -> None:
    with pytest.raises(
        UserError, match=r"ecgen-radiology: no such folder; it comes from https://openi.*NLMCXR_reports"
    ):
        tree.ingest("open_i")
    (tree.root / "ecgen-radiology").mkdir()
    with pytest.raises(UserError, match=r"holds no \.xml"):
        tree.ingest("open_i")


@pytest.mark.needs("real_data")
def test_real_images_with_their_reports(tree: Tree) -> None:
    """The reports as the XML that they come from has them; the images unmodified."""
    images = sorted(Path(REAL, "iu_images").glob("*.png"))
    with Path(REAL, "iu_reports/iu_reports_gold.csv").open(encoding="utf-8", newline="") as handle:
        rows = {row["id"]: row for row in csv.DictReader(handle)}
    for study in {file.stem.partition("_")[0] for file in images}:
        row = rows[study]
        names = [file.stem for file in images if file.stem.startswith(f"{study}_")]
        sections = {"INDICATION": row["indication"], "FINDINGS": row["findings"], "IMPRESSION": row["impression"]}
        codes = [escape(code) for code in row["mesh_manual"].split(";")]
        tree.write(f"ecgen-radiology/{study.removeprefix('CXR')}.xml", report(int(study[3:]), sections, names, codes))
    (tree.root / "NLMCXR_png").mkdir()
    for file in images:
        shutil.copy(file, tree.root / "NLMCXR_png")
    counts = tree.ingest("open_i")
    assert (counts["studies"], counts["images"], counts["with_text"], counts["skipped"]) == (3, 4, 3, {})
    assert tree.read("images")["width"].min() > 400
