"""Data sets from a user's table: what is kept, what is skipped and why."""

import csv
import json
import os
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import polars as pl
import pytest
import simplejpeg

from mmclip.config.ingest import parse_source
from mmclip.errors import BudgetExceeded, UserError
from mmclip.ingest.stage import ingest
from mmclip.tables.card import read_card
from mmclip.tables.files import read_table
from mmclip.tables.ingest import IMAGES, SKIPPED, STUDIES
from mmclip.tables.labeling import LABELS

REPORT = "FINDINGS: The lungs are clear.\nIMPRESSION: No acute disease."


def jpeg(seed: int = 0) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 255, (40, 60, 1), dtype=np.uint8)
    return bytes(simplejpeg.encode_jpeg(pixels, colorspace="GRAY", colorsubsampling="Gray"))


class Folder:
    """A folder with a table of studies and their images."""

    def __init__(self, root: Path) -> None:
        self.root = root / "data"
        self.output = root / "out" / "mine"
        (self.root / "images").mkdir(parents=True)

    def image(self, name: str, data: bytes | None = None) -> str:
        path = self.root / "images" / name
        path.write_bytes(jpeg(len(list(path.parent.iterdir()))) if data is None else data)
        return f"images/{name}"

    def ingest(self, header: list[str], rows: list[list[str]], **settings: Any) -> dict[str, Any]:
        with (self.root / "studies.csv").open("w", newline="", encoding="utf-8") as handle:
            csv.writer(handle).writerows([header, *rows])
        names = {key: key for key in header}
        columns = {**names, **settings.pop("columns", {})}
        values = {"kind": "table", "file": str(self.root / "studies.csv"), "columns": columns, **settings}
        return ingest("mine", parse_source(values), self.output)

    def table(self, name: str) -> pl.DataFrame:
        tables = {"studies": STUDIES, "images": IMAGES, "labels": LABELS, "skipped": SKIPPED}
        return read_table(self.output / f"{name}.parquet", tables[name])


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path)


def test_studies_images_and_splits(folder: Folder) -> None:
    header = ["id", "patient", "image", "text", "view", "split"]
    rows = [
        ["s1", "p1", folder.image("a.jpg"), REPORT, "PA", "train"],
        ["s1", "p1", folder.image("b.jpg"), REPORT, "LL", "train"],
        ["s2", "p1", folder.image("c.jpg"), "", "AP Supine", ""],
        ["s3", "p2", folder.image("d.png", bytes(cv2.imencode(".png", np.eye(9, 7))[1])), "NA", "", "validate"],
        ["s4", "p3", "", REPORT, "", "test"],
    ]
    counts = folder.ingest(header, rows)
    studies = folder.table("studies").rows_by_key("study_id", named=True, unique=True)
    assert list(studies) == ["s1", "s2", "s3", "s4"]
    assert studies["s1"]["text"] == "The lungs are clear.\n\nNo acute disease."
    assert studies["s1"]["findings"] == "The lungs are clear."
    assert (studies["s2"]["text"], studies["s2"]["findings"], studies["s2"]["split"]) == ("", None, "train")
    assert (studies["s3"]["text"], studies["s3"]["split"], studies["s3"]["source"]) == ("NA", "val", "mine")
    images = folder.table("images")
    assert images["image_id"].to_list() == ["images/a.jpg", "images/b.jpg", "images/c.jpg", "images/d.png"]
    assert images["view"].to_list() == ["PA", "LATERAL", "AP", "UNKNOWN"]
    assert images.select("width", "height").rows() == [(60, 40), (60, 40), (60, 40), (7, 9)]
    assert all(Path(path).is_file() for path in images["path"])
    assert (counts["rows"], counts["studies"], counts["images"], counts["patients"]) == (5, 4, 4, 3)
    assert (counts["image_only"], counts["text_only"], counts["with_text"], counts["skipped"]) == (1, 1, 3, {})
    assert counts["splits"]["train"] == {"studies": 2, "images": 3, "patients": 1, "with_text": 1}
    assert counts == json.loads((folder.output / "counts.json").read_text())


def test_what_cannot_be_used_is_skipped_with_its_reason(folder: Folder) -> None:
    (folder.root.parent / "secret.jpg").write_bytes(jpeg())
    (folder.root / "images" / "link.jpg").symlink_to(folder.root.parent / "secret.jpg")
    os.mkfifo(folder.root / "images" / "pipe.jpg")
    good = folder.image("good.jpg")
    data = jpeg(1)
    at = data.index(b"\xff\xc0") + 5
    rows = [
        ["s0", "p", good, REPORT, "eng_Latn"],
        ["missing", "p", "images/none.jpg", REPORT, ""],
        ["text", "p", folder.image("text.jpg", b"FINDINGS: clear"), REPORT, ""],
        ["empty", "p", folder.image("empty.jpg", b""), REPORT, ""],
        ["huge", "p", folder.image("huge.jpg", data[:at] + b"\xff\xff\xff\xff" + data[at + 4 :]), REPORT, ""],
        ["cut", "p", folder.image("cut.jpg", data[:30]), REPORT, ""],
        ["up", "p", "../secret.jpg", REPORT, ""],
        ["absolute", "p", str(folder.root.parent / "secret.jpg"), REPORT, ""],
        ["link", "p", "images/link.jpg", REPORT, ""],
        ["pipe", "p", "images/pipe.jpg", REPORT, ""],
        ["folder", "p", "images", REPORT, ""],
        ["neither", "p", "", " ", ""],
        ["s0", "p", good, REPORT, ""],
        ["s0", "p", "", REPORT, ""],
        ["s0", "p2", folder.image("other.jpg"), REPORT, ""],
        ["s0", "p", folder.image("third.jpg"), "Another report.", ""],
        ["nobody", "", folder.image("fourth.jpg"), REPORT, ""],
        ["", "p", folder.image("fifth.jpg"), REPORT, ""],
        ["tongue", "p", folder.image("sixth.jpg"), REPORT, "en"],
    ]
    counts = folder.ingest(["id", "patient", "image", "text", "language"], rows, error_budget=1.0)
    assert counts["studies"] == counts["images"] == 1
    assert folder.table("skipped").rows() == [
        ("neither", "empty_report"),
        ("nobody", "empty_patient"),
        ("line 34", "empty_id"),  # 17 rows and 15 line ends within reports stand before it
        ("tongue", "unknown_language"),
        ("images/none.jpg", "missing_file"),
        ("images/text.jpg", "not_an_image"),
        ("images/empty.jpg", "empty_file"),
        ("images/huge.jpg", "too_many_pixels"),
        ("images/cut.jpg", "broken_header"),
        ("../secret.jpg", "outside_root"),
        (str(folder.root.parent / "secret.jpg"), "outside_root"),
        ("images/link.jpg", "outside_root"),
        ("images/pipe.jpg", "missing_file"),
        ("images", "missing_file"),
        ("s0", "duplicate_image"),
        ("s0", "duplicate_id"),
        ("s0", "contradicts_study"),
        ("s0", "contradicts_study"),
    ]


def test_rows_of_another_encoding_are_skipped(folder: Folder) -> None:
    file = folder.root / "studies.csv"
    file.write_bytes(b"id,text\n1,clear\n2,caf\xe9\n")
    values = {"kind": "table", "file": str(file), "columns": {"id": "id", "text": "text"}}
    with pytest.raises(BudgetExceeded, match="wrong_encoding 1"):
        ingest("mine", parse_source(values), folder.output)
    assert ingest("mine", parse_source({**values, "encoding": "latin-1"}), folder.output)["studies"] == 2


def test_the_budget(folder: Folder) -> None:
    rows = [[f"s{number}", REPORT] for number in range(1999)]
    counts = folder.ingest(["id", "text"], [*rows, ["bad", ""]])
    assert counts["skipped"] == {"empty_report": 1}
    before = (folder.output / "studies.parquet").read_bytes()
    with pytest.raises(
        BudgetExceeded, match=r"3 of 2002 rows .*empty_report 3; first: 'bad1'.* allows; the list"
    ) as told:
        folder.ingest(["id", "text"], [*rows, ["bad1", ""], ["bad2", " "], ["bad3", "\t"]])
    listing = folder.output.with_name("mine.skipped.parquet")
    assert str(listing) in str(told.value)
    assert read_table(listing, SKIPPED)["id"].to_list() == ["bad1", "bad2", "bad3"]
    assert (folder.output / "studies.parquet").read_bytes() == before
    folder.ingest(["id", "text"], rows)
    assert not listing.exists()


def test_messages_name_the_column_and_the_key(folder: Folder) -> None:
    with pytest.raises(UserError, match=r"column 'study_id' is missing; columns: id, text; set columns\.id") as told:
        folder.ingest(["id", "text"], [["a", REPORT]], columns={"id": "study_id"})
    assert "\n" not in str(told.value) and "lungs" not in str(told.value)
    with pytest.raises(UserError, match=r"no such folder; set image_root"):
        folder.ingest(["id", "text"], [["a", REPORT]], image_root="/nowhere")
    with pytest.raises(UserError, match=r"holds no rows"):
        folder.ingest(["id", "text"], [])
    with pytest.raises(UserError, match=r"line 4: patient 'p' is in the splits train and test"):
        folder.ingest(["id", "patient", "split", "text"], [["a", "p", "train", REPORT], ["b", "p", "test", "x y z."]])
    assert not folder.output.exists()


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"kind": "mimic"}, r"kind: found 'mimic'; it must be one of phantom, table"),
        ({"kind": "table", "file": "a.csv", "columns": {"id": "id"}}, r"at least image, text"),
        ({"kind": "table", "file": "a.csv", "columns": {"text": "t", "findings": "f"}}, r"one of text, report"),
        ({"kind": "table", "file": "a.csv", "columns": {"text": "t", "labels": {"Oedema": "o"}}}, r"'Oedema' is not"),
        ({"kind": "table", "file": "a.csv", "columns": {"text": "t"}, "language": "en"}, r"not one of the 21"),
        ({"kind": "phantom", "size": 8}, r"size: .*64"),
    ],
)
def test_settings_that_cannot_be_right(values: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        parse_source(values)


def test_labels(folder: Folder) -> None:
    columns = {"labels": {"Edema": "oe", "Lung Lesion": "ll"}}
    header = ["id", "text"]
    rows = [["a", REPORT, "1.0", ""], ["b", REPORT, "-1", "0"], ["c", REPORT, "yes", ""]]
    with (folder.root / "studies.csv").open("w", newline="") as handle:
        csv.writer(handle).writerows([[*header, "oe", "ll"], *rows])
    values = {
        "kind": "table",
        "file": str(folder.root / "studies.csv"),
        "columns": {"id": "id", "text": "text", **columns},
        "error_budget": 0.5,
    }
    counts = ingest("mine", parse_source(values), folder.output)
    assert counts["skipped"] == {"bad_label": 1}
    labels = folder.table("labels")
    assert labels.select("id", "kind", "label_source", "edema", "lung_lesion", "fracture").rows() == [
        ("a", "study", "file", 1, None, None),
        ("b", "study", "file", -1, 0, None),
    ]


def test_reports_in_files_and_sections_in_columns(folder: Folder) -> None:
    (folder.root / "reports").mkdir()
    (folder.root / "reports" / "1.txt").write_bytes(
        "FINDINGS:\r\nÉpanchement.\r\nIMPRESSION:\r\nNormal.".encode("latin-1")
    )
    (folder.root / "reports" / "2.txt").write_bytes("x".encode("utf-16"))
    rows = [["a", "1.txt"], ["b", "2.txt"], ["c", "3.txt"], ["d", "../studies.csv"]]
    counts = folder.ingest(
        ["id", "report"], rows, report_root=str(folder.root / "reports"), error_budget=1.0, language="fra_Latn"
    )
    assert counts["skipped"] == {"missing_report": 1, "outside_root": 1, "unreadable_report": 1}
    assert folder.table("studies")["text"].to_list() == ["Épanchement.\n\nNormal."]
    folder.ingest(["id", "findings", "impression"], [["a", "Clear.", ""]], sections="impression")
    assert folder.table("studies").select("findings", "impression", "text").rows() == [("Clear.", None, "Clear.")]


def test_the_card_and_who_may_read(folder: Folder) -> None:
    folder.ingest(["id", "text"], [["a", REPORT]], licence="CC0", version="7")
    card = read_card(folder.output / "card.json")
    assert (card.name, card.kind, card.licence, card.version, card.share) == ("mine", "table", "CC0", "7", "restricted")
    assert set(card.sources) == {"studies.csv"}
    assert set(card.files) == {
        f"{name}.parquet" for name in ("studies", "images", "labels", "boxes", "masks", "skipped")
    }
    assert str(folder.root) not in (folder.output / "card.json").read_text()
    assert (folder.output.stat().st_mode & 0o777, (folder.output / "studies.parquet").stat().st_mode & 0o777) == (
        0o700,
        0o600,
    )
    assert "restricted" in (folder.output / "NOTICE.txt").read_text()
    folder.ingest(["id", "text"], [["a", REPORT]], share="public")
    assert not (folder.output / "NOTICE.txt").exists()


def test_workers_do_not_matter(folder: Folder) -> None:
    rows = [[f"s{n}", folder.image(f"{n}.jpg"), REPORT] for n in range(30)]
    folder.ingest(["id", "image", "text"], rows, workers=1)
    one = {file.name: file.read_bytes() for file in folder.output.iterdir()}
    folder.ingest(["id", "image", "text"], rows, workers=4)
    assert {file.name: file.read_bytes() for file in folder.output.iterdir()} == one


REAL = os.environ.get("MMCLIP_REAL_DATA")


@pytest.mark.needs("real_data")
def test_real_radiographs_with_notes(tmp_path: Path) -> None:
    columns = {"id": "id", "image": "image", "text": "text", "patient": "patient", "view": "view", "split": "split"}
    source = parse_source({"kind": "table", "file": f"{REAL}/cxr_pairs/metadata.csv", "columns": columns})
    counts = ingest("cxr_pairs", source, tmp_path / "cxr_pairs")
    assert (counts["rows"], counts["studies"], counts["images"], counts["skipped"]) == (830, 830, 830, {})
    assert (counts["with_text"], counts["image_only"], counts["patients"]) == (258, 572, 609)
    assert {name: (part["images"], part["with_text"]) for name, part in counts["splits"].items()} == {
        "train": (598, 193),
        "val": (87, 23),
        "test": (145, 42),
    }
    assert counts["views"] == {"AP": 597, "LATERAL": 43, "PA": 190}


@pytest.mark.needs("real_data")
def test_real_reports_in_two_columns(tmp_path: Path) -> None:
    columns = {"id": "id", "findings": "findings", "impression": "impression"}
    file = f"{REAL}/iu_reports/iu_reports_gold.csv"
    source = parse_source({"kind": "table", "file": file, "columns": columns, "error_budget": 0.01})
    counts = ingest("iu", source, tmp_path / "iu")
    assert counts["rows"] == counts["studies"] + sum(counts["skipped"].values()) == 3184
    assert counts["with_text"] == counts["studies"] == counts["text_only"]
