"""Labeling a shard and a user's file."""

import csv
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmclip.config.labeling import LabelSettings
from mmclip.errors import UserError
from mmclip.labeling.aggregation import aggregate_table, disagreements
from mmclip.labeling.stage import label, label_file
from mmclip.observations import COLUMNS, NO_FINDING, OBSERVATIONS, aggregate, column
from mmclip.tables.files import read_table, write_table
from mmclip.tables.ingest import STUDIES
from mmclip.tables.labeling import LABELS, SENTENCE_LABELS
from mmclip.tables.schema import LABEL_COLUMNS

_TEXTS = {
    "a": "FINDINGS: Small left effusion. No pneumothorax. IMPRESSION: No effusion on the right.",
    "b": "The lungs are clear. Heart size is normal.",
    "c": "",
    "d": "No pneumothorax. Possible pneumonia.",
}


def studies(folder: Path, texts: dict[str, str] = _TEXTS, language: str = "eng_Latn") -> Path:
    rows: list[dict[str, object]] = [
        {"study_id": name, "patient_id": name, "language": language, "text": text, "split": "train", "source": "x"}
        for name, text in texts.items()
    ]
    path = folder / "studies.parquet"
    write_table(STUDIES.frame(rows), path, STUDIES)
    return path


def test_a_shard_is_labelled_by_sentence_and_by_study(tmp_path: Path) -> None:
    sentence_file, label_path = tmp_path / "s.parquet", tmp_path / "l.parquet"
    counts = label(LabelSettings(), studies(tmp_path), 0, 1, sentence_file, label_path)
    assert counts == {"studies": 4, "sentences": 7, "distinct": 6}
    sentences = read_table(sentence_file, SENTENCE_LABELS)
    assert sentences.select("study_id", "index").rows() == [
        ("a", 0), ("a", 1), ("a", 2), ("b", 0), ("b", 1), ("d", 0), ("d", 1),
    ]  # fmt: skip
    labels = {row["id"]: row for row in read_table(label_path, LABELS).iter_rows(named=True)}
    assert set(labels) == {"a", "b", "d"}
    assert labels["a"]["pleural_effusion"] == 1
    assert labels["a"]["pneumothorax"] == 0
    assert labels["a"]["no_finding"] is None
    assert labels["b"]["no_finding"] == 1
    assert labels["b"]["cardiomegaly"] == 0
    assert labels["d"]["pneumonia"] == -1
    assert {(row["kind"], row["label_source"]) for row in labels.values()} == {("study", "rules")}


def test_shards_part_the_studies(tmp_path: Path) -> None:
    texts = {f"s{number}": "Cardiomegaly." for number in range(40)}
    source = studies(tmp_path, texts)
    found: list[str] = []
    for shard in range(3):
        label(LabelSettings(), source, shard, 3, tmp_path / "s.parquet", tmp_path / "l.parquet")
        found += read_table(tmp_path / "l.parquet", LABELS)["id"].to_list()
    assert sorted(found) == sorted(texts)


def test_no_study_at_all(tmp_path: Path) -> None:
    counts = label(LabelSettings(), studies(tmp_path, {}), 0, 1, tmp_path / "s.parquet", tmp_path / "l.parquet")
    assert counts["sentences"] == 0
    assert read_table(tmp_path / "l.parquet", LABELS).is_empty()


def test_studies_in_spanish_are_read_by_their_rules(tmp_path: Path) -> None:
    source = studies(tmp_path, {"a": "Derrame pleural. Sin neumotórax."}, "spa_Latn")
    label(LabelSettings(), source, 0, 1, tmp_path / "s.parquet", tmp_path / "l.parquet")
    (row,) = read_table(tmp_path / "l.parquet", LABELS).iter_rows(named=True)
    assert (row["pleural_effusion"], row["pneumothorax"], row["edema"]) == (1, 0, None)


def test_studies_in_a_language_without_rules_are_refused(tmp_path: Path) -> None:
    source = studies(tmp_path, {"a": "Pleuraerguss."}, "deu_Latn")
    with pytest.raises(UserError, match="no rules for reports in 'deu_Latn'"):
        label(LabelSettings(), source, 0, 1, tmp_path / "s.parquet", tmp_path / "l.parquet")
    assert not (tmp_path / "l.parquet").exists()


def test_labels_that_a_data_set_brings_leave_only_the_sentences_to_the_rules(tmp_path: Path) -> None:
    sentence_file, label_path = tmp_path / "s.parquet", tmp_path / "l.parquet"
    counts = label(LabelSettings(), studies(tmp_path), 0, 1, sentence_file, label_path, source="official:chexpert")
    assert counts["sentences"] == read_table(sentence_file, SENTENCE_LABELS).height == 7
    assert read_table(label_path, LABELS).is_empty()


def test_blocks_of_reports_change_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    label(LabelSettings(), studies(tmp_path), 0, 1, tmp_path / "s.parquet", tmp_path / "l.parquet")
    label_file(LabelSettings(), reports(tmp_path), tmp_path / "one.csv", "id", ["findings", "impression"])
    monkeypatch.setattr("mmclip.labeling.stage._BLOCK", 2)
    label(LabelSettings(), studies(tmp_path), 0, 1, tmp_path / "s2.parquet", tmp_path / "l2.parquet")
    label_file(LabelSettings(), reports(tmp_path), tmp_path / "two.csv", "id", ["findings", "impression"])
    for first, second in (("s", "s2"), ("l", "l2")):
        assert pl.read_parquet(tmp_path / f"{first}.parquet").equals(pl.read_parquet(tmp_path / f"{second}.parquet"))
    assert (tmp_path / "one.csv").read_bytes() == (tmp_path / "two.csv").read_bytes()


_states = st.lists(
    st.fixed_dictionaries({name: st.sampled_from([1, 0, -1, None]) for name in OBSERVATIONS}), max_size=5
)


@given(st.lists(_states.filter(bool), max_size=4))
def test_the_table_is_aggregated_as_single_texts_are(texts: list[list[dict[str, int | None]]]) -> None:
    rows = [
        {"id": str(number), **{column(name): state for name, state in sentence.items()}}
        for number, sentences in enumerate(texts)
        for sentence in sentences
    ]
    table = aggregate_table(pl.DataFrame(rows, schema={"id": pl.String, **LABEL_COLUMNS}, orient="row"), "id")
    assert [dict(zip(OBSERVATIONS, row[1:], strict=True)) for row in table.rows()] == [aggregate(s) for s in texts]


@pytest.mark.parametrize(
    ("states", "paper", "release"),
    [((0, -1, 1), 1, -1), ((0, -1), -1, -1), ((0, 1), 1, 1), ((-1, 1), 1, 1), ((0, None), 0, 0), ((None,), None, None)],
)
def test_both_aggregations(states: tuple[int | None, ...], paper: int | None, release: int | None) -> None:
    frame = pl.DataFrame({"id": ["a"] * len(states), **{name: pl.Series(states, dtype=pl.Int8) for name in COLUMNS}})
    assert aggregate_table(frame, "id")["edema"].to_list() == [paper]
    assert aggregate_table(frame, "id", "chexpert_release")["edema"].to_list() == [release]


def reports(folder: Path) -> Path:
    path = folder / "reports.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "findings", "impression"])
        writer.writerow(["1", "There is a <b>small</b> effusion, without pneumothorax.", ""])
        writer.writerow(["2", "Normal heart size.", "No acute process."])
        writer.writerow(["3", "", ""])
    return path


def test_a_file_of_reports(tmp_path: Path) -> None:
    output = tmp_path / "labels.csv"
    result = label_file(LabelSettings(), reports(tmp_path), output, "id", ["findings", "impression"])
    assert result["reports"] == 3
    assert result["labels"]["Pleural Effusion"] == {"present": 1, "uncertain": 0, "absent": 0}
    table = pl.read_csv(output)
    assert table.columns == ["id", *OBSERVATIONS]
    assert table["Pleural Effusion"].to_list() == [1, None, None]
    assert table["Pneumothorax"].to_list() == [0, None, None]
    assert table[NO_FINDING].to_list() == [None, 1, None]
    parquet = tmp_path / "labels.parquet"
    label_file(LabelSettings(), reports(tmp_path), parquet, "id", ["findings", "impression"])
    assert pl.read_parquet(parquet).columns == table.columns


@pytest.mark.parametrize("name", ["in.csv", "in.xlsx"])
def test_files_that_cannot_be_read(tmp_path: Path, name: str) -> None:
    with pytest.raises(UserError, match=r"no such file|not supported"):
        label_file(LabelSettings(), tmp_path / name, tmp_path / "out.csv", "id", ["text"])


@pytest.mark.parametrize(
    ("content", "id_column", "text_columns", "message"),
    [
        ("id,text\n1,Edema.\n", "study", ["text"], "column 'study' is missing"),
        ("id,text\n1,Edema.\n", "id", ["report"], "column 'report' is missing"),
        ("id,text\n1,Edema.\n1,Edema.\n", "id", ["text"], "row 1: id '1' occurs more than once"),
        ("id,text\n1,a\n,b\n", "id", ["text"], "row 2: id is empty"),
        ("id,text\n1,a,b,c\n2\n", "id", ["text"], "cannot be read"),
        ("id,text\n1,a\n", "id", [], "no text column"),
        ("id,text\n1,a\n", "id", ["id"], "must be different"),
    ],
)
def test_mistakes_in_a_file_are_named(
    tmp_path: Path, content: str, id_column: str, text_columns: list[str], message: str
) -> None:
    path = tmp_path / "in.csv"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(UserError, match=message) as caught:
        label_file(LabelSettings(), path, tmp_path / "out.csv", id_column, text_columns)
    assert "\n" not in str(caught.value) and "Edema" not in str(caught.value)
    assert not (tmp_path / "out.csv").exists()


def test_the_output_s_ending_is_checked_before_any_work(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"ending '\.xlsx' is not supported"):
        label_file(LabelSettings(), tmp_path / "missing.csv", tmp_path / "out.xlsx", "id", ["text"])


def test_reports_in_spanish(tmp_path: Path) -> None:
    (tmp_path / "in.csv").write_text("id,text\n1,Cardiomegalia. Sin derrame pleural.\n", encoding="utf-8")
    label_file(LabelSettings(), tmp_path / "in.csv", tmp_path / "out.csv", "id", ["text"], language="spa_Latn")
    (row,) = pl.read_csv(tmp_path / "out.csv").iter_rows(named=True)
    assert (row["Cardiomegaly"], row["Pleural Effusion"], row["Edema"]) == (1, 0, None)
    with pytest.raises(UserError, match="no rules for reports in 'deu_Latn'"):
        label_file(LabelSettings(), tmp_path / "in.csv", tmp_path / "out.csv", "id", ["text"], language="deu_Latn")


def test_where_the_aggregations_disagree() -> None:
    frame = pl.DataFrame(
        {"id": ["a", "a", "a", "b", "b", "c"], **{name: pl.Series([None] * 6, dtype=pl.Int8) for name in COLUMNS}}
    )
    frame = frame.with_columns(edema=pl.Series([0, -1, 1, -1, 1, 0], dtype=pl.Int8))
    assert {name: n for name, n in disagreements(frame, "id").items() if n} == {"Edema": 1}
