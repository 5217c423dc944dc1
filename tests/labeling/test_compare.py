"""Two sets of labels compared: against scikit-learn, and in the forms in which labels come."""

import json
from pathlib import Path

import polars as pl
import pytest
from typer.testing import CliRunner

from mmclip.cli import app
from mmclip.config.labeling import LabelSettings
from mmclip.errors import UserError
from mmclip.labeling.compare import cohen_kappa, f1
from mmclip.labeling.stage import label_file
from mmclip.observations import OBSERVATIONS


def test_comparison_has_the_right_f1_and_kappa(tmp_path: Path) -> None:
    from sklearn.metrics import cohen_kappa_score, f1_score

    texts = ["Edema.", "No edema.", "Possible edema.", "Clear.", "Edema.", "No edema."]
    theirs = [1, 0, 1, None, -1, None]
    pl.DataFrame({"id": list("abcdef"), "text": texts}).write_csv(tmp_path / "in.csv")
    pl.DataFrame({"id": list("abcdef"), "Edema": [None if s is None else float(s) for s in theirs]}).write_csv(
        tmp_path / "other.csv"
    )
    result = label_file(
        LabelSettings(), tmp_path / "in.csv", tmp_path / "out.csv", "id", ["text"], compare=tmp_path / "other.csv"
    )
    ours, truth = [1, 0, -1, 2, 1, 0], [2 if state is None else state for state in theirs]
    assert {row["observation"] for row in result["comparison"]} == {"Edema"}
    for row in result["comparison"]:
        code = {"present": 1, "absent": 0, "uncertain": -1, "not mentioned": 2}[row["state"]]
        expected = f1_score([t == code for t in truth], [o == code for o in ours], zero_division=0)
        assert row["f1"] == pytest.approx(expected)
        assert row["kappa"] == pytest.approx(cohen_kappa_score(ours, truth))
        assert row["n"] == truth.count(code)


def reports(folder: Path) -> Path:
    path = folder / "in.csv"
    path.write_text("id,text\n1,Edema.\n2,No edema. Opacity.\n3,Nodule.\n", encoding="utf-8")
    return path


def test_an_official_file_is_read_by_its_columns_names(tmp_path: Path) -> None:
    other = tmp_path / "official.csv"
    other.write_text("Path,Sex,Lung Opacity,Lung Lesion,Edema\n1,F,,,1.0\n2,M,1.0,,0.0\n3,M,,-1.0,\n4,M,,,\n")
    result = label_file(
        LabelSettings(), reports(tmp_path), tmp_path / "o.csv", "id", ["text"], compare=other, compare_id="Path"
    )
    rows = {(row["observation"], row["state"]): row for row in result["comparison"]}
    assert {name for name, _ in rows} == {"Lung Opacity", "Lung Lesion", "Edema"}
    assert rows["Edema", "present"]["f1"] == rows["Edema", "absent"]["f1"] == 1
    assert (rows["Lung Lesion", "uncertain"]["n"], rows["Lung Lesion", "uncertain"]["f1"]) == (1, 0)
    assert rows["Lung Opacity", "not mentioned"] == {
        "observation": "Lung Opacity", "state": "not mentioned", "n": 2, "f1": 1, "kappa": 1,
    }  # fmt: skip


def test_the_radiologists_file_of_mimic_cxr_is_read_as_it_is(tmp_path: Path) -> None:
    """mimic-cxr-2.1.0-test-set-labeled.csv: Lung Opacity has another name there."""
    names = [
        "study_id", "Atelectasis", "Cardiomegaly", "Consolidation", "Edema", "Enlarged Cardiomediastinum", "Fracture",
        "Lung Lesion", "Airspace Opacity", "No Finding", "Pleural Effusion", "Pleural Other", "Pneumonia",
        "Pneumothorax", "Support Devices",
    ]  # fmt: skip
    gold = [{"study_id": "1", "Edema": "1.0"}, {"study_id": "2", "Edema": "0.0", "Airspace Opacity": "1.0"}]
    lines = [names, *([row.get(name, "") for name in names] for row in [*gold, {"study_id": "3"}])]
    other = tmp_path / "mimic-cxr-2.1.0-test-set-labeled.csv"
    other.write_text("\r\n".join(",".join(line) for line in lines) + "\r\n")
    result = label_file(
        LabelSettings(), reports(tmp_path), tmp_path / "o.csv", "id", ["text"], compare=other, compare_id="study_id"
    )
    rows = {(row["observation"], row["state"]): row for row in result["comparison"]}
    assert {name for name, _ in rows} == set(OBSERVATIONS)
    assert (rows["Lung Opacity", "present"]["n"], rows["Lung Opacity", "present"]["f1"]) == (1, 1)
    assert rows["Lung Opacity", "not mentioned"]["f1"] == 1


@pytest.mark.parametrize("ending", [".csv", ".parquet"])
def test_its_own_output_agrees_with_itself(tmp_path: Path, ending: str) -> None:
    output = tmp_path / f"first{ending}"
    label_file(LabelSettings(), reports(tmp_path), output, "id", ["text"])
    result = label_file(LabelSettings(), reports(tmp_path), tmp_path / "second.csv", "id", ["text"], compare=output)
    assert {row["observation"] for row in result["comparison"]} == set(OBSERVATIONS)
    assert all(row["f1"] in (1, None) and row["kappa"] in (1, None) for row in result["comparison"])
    assert json.loads((tmp_path / "second.comparison.json").read_text()) == result["comparison"]


def test_the_command_prints_a_table(tmp_path: Path) -> None:
    other = tmp_path / "other.csv"
    other.write_text("id,Edema\n1,1.0\n2,-1.0\n3,\n", encoding="utf-8")
    arguments = ["label", str(reports(tmp_path)), "--id-column", "id", "--text-column", "text"]
    done = CliRunner().invoke(app, [*arguments, "-o", str(tmp_path / "out.csv"), "--compare", str(other)])
    assert done.exit_code == 0, done.output
    *_, head, edema = done.output.splitlines()
    assert head.split() == ["observation", "kappa", "present", "absent", "uncertain", "not", "mentioned"]
    assert edema.split() == ["Edema", "0.571", "1.000", "(1)", "0.000", "(0)", "0.000", "(1)", "1.000", "(1)"]


def test_nothing_to_agree_on_has_no_score() -> None:
    same = pl.Series([2, 2]).to_numpy()
    assert cohen_kappa(same, same) is None
    assert f1(same == 1, same == 1) is None


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("id,Edema\n1,2\n", "row 1: Edema is '2'; a label is 1, 0, -1 or empty"),
        ("id,Edema\n9,1\n", "none of its 1 ids"),
        ("id,Oedema\n1,1\n", "none of its columns is an observation"),
        ("id,Edema\n1,1\n1,1\n", "row 1: id '1' occurs more than once"),
        ("id,Edema,edema\n1,1,1\n", "columns 'Edema' and 'edema' are both Edema"),
        ("study,Edema\n1,1\n", "column 'id' is missing; it has study, Edema"),
    ],
)
def test_mistakes_in_labels_are_named(tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "in.csv").write_text("id,text\n1,Edema.\n", encoding="utf-8")
    (tmp_path / "other.csv").write_text(content, encoding="utf-8")
    with pytest.raises(UserError, match=message):
        label_file(
            LabelSettings(), tmp_path / "in.csv", tmp_path / "out.csv", "id", ["text"], compare=tmp_path / "other.csv"
        )
    assert not (tmp_path / "out.csv").exists()
