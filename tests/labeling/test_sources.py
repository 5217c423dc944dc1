"""Labels that a data set brings: read by name with all four states, and chosen for each data set by itself."""

import gzip
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from mmclip.config.ingest import parse_source
from mmclip.config.labeling import DisambiguateSettings, LabelSettings
from mmclip.errors import UserError
from mmclip.ingest.stage import ingest
from mmclip.labeling.disambiguate import disambiguate
from mmclip.labeling.stage import label
from mmclip.observations import COLUMNS, OBSERVATIONS
from mmclip.tables.files import read_table
from mmclip.tables.labeling import LABELS, SENTENCE_LABELS, TARGETS
from mmclip.tables.user_files import read_labels

_CHEXPERT = (
    "Path,Sex,Age,Frontal/Lateral,AP/PA,No Finding,Enlarged Cardiomediastinum,Cardiomegaly,Lung Opacity,Lung Lesion,"
    "Edema,Consolidation,Pneumonia,Atelectasis,Pneumothorax,Pleural Effusion,Pleural Other,Fracture,Support Devices\n"
    "p1/view1.png,Female,68,Frontal,AP,1.0,,,,,,,,,0.0,,,,1.0\n"
    "p2/view1.png,Male,87,Frontal,AP,,,-1.0,1.0,,-1.0,-1.0,,-1.0,,-1.0,,1.0,\n"
)
_MIMIC = (
    "subject_id,study_id,Atelectasis,Cardiomegaly,Consolidation,Edema,Enlarged Cardiomediastinum,Fracture,Lung Lesion,"
    "Lung Opacity,No Finding,Pleural Effusion,Pleural Other,Pneumonia,Pneumothorax,Support Devices\n"
    "10000032,50414267,,,,,,,,,1.0,,,,,\n"
    "10000764,57375967,,,1.0,,,,,,,,,-1.0,0.0,\n"
)


def write(path: Path, content: str) -> Path:
    path.write_text(content, encoding="utf-8")
    return path


def states(row: dict[str, Any]) -> dict[str, int]:
    return {name: row[name] for name in COLUMNS if row.get(name) is not None}


def test_chexpert_s_file_as_it_is(tmp_path: Path) -> None:
    labels = read_labels(write(tmp_path / "train.csv", _CHEXPERT), "Path")
    assert labels.columns == ["id", *COLUMNS]
    first, second = labels.iter_rows(named=True)
    assert first["id"] == "p1/view1.png"
    assert states(first) == {"no_finding": 1, "pneumothorax": 0, "support_devices": 1}
    assert states(second) == {
        "cardiomegaly": -1, "lung_opacity": 1, "edema": -1, "consolidation": -1, "atelectasis": -1,
        "pleural_effusion": -1, "fracture": 1,
    }  # fmt: skip


def test_mimic_s_file_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "mimic-cxr-2.0.0-chexpert.csv.gz"
    path.write_bytes(gzip.compress(_MIMIC.encode()))
    first, second = read_labels(path, "study_id").iter_rows(named=True)
    assert (first["id"], states(first)) == ("50414267", {"no_finding": 1})
    assert states(second) == {"consolidation": 1, "pneumonia": -1, "pneumothorax": 0}


def test_an_empty_cell_is_not_absent(tmp_path: Path) -> None:
    """Of Parquet too, where other programs write an empty cell as NaN."""
    path = tmp_path / "labels.parquet"
    pl.DataFrame({"id": ["a", "b", "c"], "Edema": [1.0, float("nan"), 0.0]}).write_parquet(path)
    assert read_labels(path, "id")["edema"].to_list() == [1, None, 0]


def test_observations_may_have_other_names(tmp_path: Path) -> None:
    path = write(tmp_path / "labels.csv", "id,oedema,Fracture\na,-1,1\n")
    labels = read_labels(path, "id", {"Edema": "oedema"})
    assert labels.columns == ["id", "edema"] and labels["edema"].to_list() == [-1]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("id,Edema\na,1\nb,0.5\n", "labels.csv: row 2: Edema is '0.5'; a label is 1, 0, -1 or empty"),
        ("id,Edema\na,yes\n", "labels.csv: row 1: Edema is 'yes'"),
        ("id,Edema\na,1\na,0\n", "row 1: id 'a' occurs more than once"),
        ("study,Edema\na,1\n", "column 'id' is missing; it has study, Edema"),
        ("id,Oedema\na,1\n", "none of its columns is an observation; expected some of No Finding, Enlarged"),
    ],
)
def test_mistakes_are_named_in_one_line(tmp_path: Path, content: str, message: str) -> None:
    with pytest.raises(UserError, match=message) as caught:
        read_labels(write(tmp_path / "labels.csv", content), "id")
    assert "\n" not in str(caught.value)


class Sets:
    """Data sets of texts, each taken through ingest, label and disambiguate."""

    def __init__(self, root: Path) -> None:
        self.root = root
        write(root / "reports.csv", "id,text\n1,No edema.\n2,Edema. Fracture.\n3,Cardiomegaly.\n")
        write(root / "labels.csv", "id,Edema,Fracture\n1,1.0,\n2,-1.0,0.0\n9,1,1\n")

    def ingest(self, name: str, chosen: dict[str, Any], **columns: Any) -> dict[str, Any]:
        values = {
            "kind": "table",
            "file": str(self.root / "reports.csv"),
            "columns": {"id": "id", "text": "text", **columns},
            "labels": chosen,
        }
        return ingest(name, parse_source(values), self.root / name)

    def brought(self, **changes: Any) -> dict[str, Any]:
        return {"file": str(self.root / "labels.csv"), "id": "id", **changes}

    def targets(self, sources: dict[str, Any]) -> dict[str, dict[str, float]]:
        """id -> observation -> value above 0, of the studies and sentences of these data sets."""
        files: dict[str, list[Path]] = {"labels": [], "sentence_labels": []}
        for name, source in sources.items():
            labels, sentences = self.root / f"{name}.labels.parquet", self.root / f"{name}.sentences.parquet"
            label(LabelSettings(), self.root / name / "studies.parquet", 0, 1, sentences, labels, source)
            files["labels"].append(labels)
            files["sentence_labels"].append(sentences)
        output = self.root / "targets.parquet"
        disambiguate(
            DisambiguateSettings(), [self.root / name for name in sources], **files, predictions=[], output=output
        )
        table = read_table(output, TARGETS)
        return {
            row["id"]: {name: value for name, value in zip(OBSERVATIONS, row["vector"], strict=True) if value}
            for row in table.iter_rows(named=True)
        }


@pytest.fixture
def sets(tmp_path: Path) -> Sets:
    return Sets(tmp_path)


@pytest.mark.parametrize("source", ["official:chexpert", "official:negbio", "file"])
def test_a_data_set_brings_its_labels_in_a_file(sets: Sets, source: str) -> None:
    counts = sets.ingest("mine", sets.brought(source=source))
    assert counts["labels_without_row"] == 1
    table = read_table(sets.root / "mine" / "labels.parquet", LABELS)
    assert table.select("id", "kind", "label_source", "edema", "fracture", "cardiomegaly").rows() == [
        ("1", "study", source, 1, None, None),
        ("2", "study", source, -1, 0, None),
    ]


def test_the_source_is_chosen_for_each_data_set_by_itself(sets: Sets) -> None:
    """One set counts its own labels, the other those of the rules, though it brings some too."""
    sets.ingest("official", sets.brought(source="official:chexpert"))
    targets = sets.targets({"official": "official:chexpert"})
    assert targets["1"] == {"Edema": 1}  # where the rules read "no edema"
    assert targets["2"] == {"Edema": 1}  # uncertain, by U-Ones
    assert "3" not in targets  # it has no label
    sets.ingest("rules", sets.brought())
    targets = sets.targets({"rules": "rules"})
    assert targets["1"] == {"No Finding": 1}
    assert targets["2"] == {"Edema": 1, "Fracture": 1}
    assert targets["3"] == {"Cardiomegaly": 1}


def test_sentences_are_labelled_by_the_rules_in_any_case(sets: Sets) -> None:
    sets.ingest("official", sets.brought(source="file"))
    targets = sets.targets({"official": "file"})
    assert targets["1/0"] == {"No Finding": 1}
    assert targets["2/1"] == {"Fracture": 1}
    assert read_table(sets.root / "official.sentences.parquet", SENTENCE_LABELS).height == 4


def test_columns_of_the_table_itself(sets: Sets) -> None:
    write(sets.root / "reports.csv", "id,text,oe\n1,No edema.,-1.0\n2,Clear.,\n")
    sets.ingest("mine", {"source": "official:negbio"}, labels={"Edema": "oe"})
    table = read_table(sets.root / "mine" / "labels.parquet", LABELS)
    assert table.select("id", "label_source", "edema").rows() == [("1", "official:negbio", -1)]


def test_a_file_of_labels_that_fits_no_row_is_an_error(sets: Sets) -> None:
    write(sets.root / "labels.csv", "id,Edema\ns1,1\ns2,0\n")
    with pytest.raises(
        UserError, match=r"labels\.csv: none of its 2 ids in column 'id' is in column 'id' of .*reports"
    ):
        sets.ingest("mine", sets.brought(source="file"))
    assert not (sets.root / "mine").exists()


def test_images_bring_labels_of_their_own(sets: Sets) -> None:
    from PIL import Image

    for name in ("p1", "p2"):
        (sets.root / name).mkdir()
        Image.new("L", (64, 64), 40 if name == "p1" else 90).save(sets.root / name / "view1.png")
    write(sets.root / "train.csv", _CHEXPERT)
    values = {
        "kind": "table",
        "file": str(sets.root / "train.csv"),
        "columns": {"id": "Path", "image": "Path"},
        "labels": {
            "source": "official:chexpert",
            "kind": "image",
            "file": str(sets.root / "train.csv"),
            "id": "Path",
        },
    }
    ingest("chexpert", parse_source(values), sets.root / "chexpert")
    table = read_table(sets.root / "chexpert" / "labels.parquet", LABELS)
    assert table.select("id", "kind", "label_source", "no_finding", "fracture", "pneumothorax").rows() == [
        ("p1/view1.png", "image", "official:chexpert", 1, None, 0),
        ("p2/view1.png", "image", "official:chexpert", None, 1, None),
    ]
    targets = sets.targets({"chexpert": "official:chexpert"})
    assert targets["p1/view1.png"] == {"No Finding": 1, "Support Devices": 1}


@pytest.mark.parametrize(
    ("labels", "columns", "message"),
    [
        ({"source": "file"}, {}, "labels.source: file needs labels; give labels.file or columns.labels"),
        ({"source": "chexpert"}, {}, "labels.source: .*'rules', 'official:chexpert'"),
        ({"file": "a.csv"}, {}, "file, and id, the column of its ids, belong together"),
        ({"file": "a.csv", "id": "i"}, {"labels": {"Edema": "e"}}, "labels.file and columns.labels: give one of them"),
        ({"kind": "image", "file": "a.csv", "id": "i"}, {}, "labels.kind: image needs columns.image"),
        ({"file": "a.csv", "id": "i", "columns": {"Oedema": "e"}}, {}, "'Oedema' is not one of the 14 observations"),
    ],
)
def test_settings_that_cannot_be_right(labels: dict[str, Any], columns: dict[str, Any], message: str) -> None:
    values = {"kind": "table", "file": "a.csv", "columns": {"id": "id", "text": "t", **columns}, "labels": labels}
    with pytest.raises(UserError, match=message):
        parse_source(values)
