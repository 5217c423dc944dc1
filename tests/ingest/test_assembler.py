"""From records to tables: what holds for every data set."""

from __future__ import annotations

import tempfile
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmclip.config.source import FolderSource
from mmclip.errors import UserError
from mmclip.ingest.assembler import assemble
from mmclip.ingest.dataset import Dataset
from mmclip.ingest.records import Collection, Image, Labels, Record, Skip, Terms
from tests.ingest.trees import Tree

TERMS = Terms("CC0", "https://example.org", "public")


def build(records: Sequence[Record | Skip], root: Path, conflict: Any = "skip", **options: Any) -> Dataset:
    values = {"kind": "some", "root": root, "error_budget": 1.0, "workers": 1, **options}
    collection = Collection(records, TERMS, root, root, (), "", split_conflict=conflict)
    return assemble("set", collection, FolderSource.model_validate(values), root / "out")


def splits(data: Dataset) -> dict[str, set[str]]:
    """patient -> the splits of the patient's studies."""
    found: dict[str, set[str]] = defaultdict(set)
    for patient, split in data.tables["studies"].select("patient_id", "split").iter_rows():
        found[patient].add(split)
    return found


PATIENTS = st.sampled_from([f"p{number}" for number in range(12)])
OFFICIAL = st.sampled_from([None, None, "train", "val", "test"])


def records(rows: list[tuple[str, str | None]], start: int = 0) -> list[Record]:
    return [Record(f"s{start + k}", patient, text="Clear.", split=split) for k, (patient, split) in enumerate(rows)]


@settings(deadline=None, max_examples=60)
@given(st.lists(st.tuples(PATIENTS, OFFICIAL), min_size=1, max_size=30), st.lists(PATIENTS, max_size=20))
def test_no_patient_is_in_two_splits_and_more_rows_move_nobody(
    rows: list[tuple[str, str | None]], more: list[str]
) -> None:
    """Official splits that contradict each other included; the rows that come later have none."""
    with tempfile.TemporaryDirectory() as folder:
        few = splits(build(records(rows), Path(folder)))
        added = records([(patient, None) for patient in more], start=len(rows))
        many = splits(build([*added[::2], *records(rows), *added[1::2]], Path(folder)))
    assert all(len(of_patient) == 1 for of_patient in (*few.values(), *many.values()))
    for patient, split in few.items():
        assert many[patient] == split


@settings(deadline=None, max_examples=30)
@given(st.lists(st.tuples(PATIENTS, OFFICIAL), min_size=1, max_size=20), st.randoms())
def test_the_order_of_rows_moves_nobody(rows: list[tuple[str, str | None]], random: Any) -> None:
    shuffled = records(rows)
    random.shuffle(shuffled)
    with tempfile.TemporaryDirectory() as folder:
        assert splits(build(records(rows), Path(folder))) == splits(build(shuffled, Path(folder)))


def test_the_test_keeps_a_patient_that_a_publisher_has_twice(tmp_path: Path) -> None:
    rows = records([("p", "train"), ("p", "test"), ("p", None), ("q", "train")])
    data = build(rows, tmp_path)
    assert data.tables["studies"].select("study_id", "split").rows() == [
        ("s1", "test"),
        ("s2", "test"),
        ("s3", "train"),
    ]
    assert data.counts["skipped"] == {"patient_in_two_splits": 1}
    with pytest.raises(UserError, match="patient 'p' is in the splits train and test"):
        build(rows, tmp_path, conflict="error")


def test_several_records_are_one_study(tree: Tree) -> None:
    for name in ("a.png", "b.png", "c.png"):
        tree.image(name)
    study = Record("s", "p", (Image("a.png", labels=(Labels("file", {"Edema": 1}),)),), text="")
    late = Record("s", "p", (Image("b.png", view="LATERAL"), Image("none.png")), text="FINDINGS: Clear.")
    other = Record("s", "p", (Image("c.png"),), text="FINDINGS: Effusion.")
    data = build([study, late, other, Skip("x", "empty_id")], tree.root)
    assert data.tables["studies"]["text"].to_list() == ["Clear."]
    assert data.tables["images"].select("image_id", "view").rows() == [("a.png", "UNKNOWN"), ("b.png", "LATERAL")]
    assert data.counts["skipped"] == {"contradicts_study": 1, "empty_id": 1, "missing_file": 1}
    assert data.counts["rows"] == 5
    assert data.tables["labels"].select("id", "kind", "edema").rows() == [("a.png", "image", 1)]


def test_sections_of_their_own_and_a_whole_report(tmp_path: Path) -> None:
    rows = [
        Record("a", "a", findings="One.", impression=""),
        Record("b", "b", findings="", impression="", text="HISTORY: Cough.\n\nIMPRESSION: Two."),
        Record("c", "c", findings=" ", impression=None),
        Record("d", "d"),
    ]
    data = build(rows, tmp_path)
    assert data.tables["studies"]["text"].to_list() == ["One.", "Two."]
    assert dict(data.tables["skipped"].iter_rows()) == {"c": "empty_report", "d": "no_image"}


def test_an_empty_data_set_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="holds no rows"):
        build([], tmp_path)
