"""The simulated data set: its tables agree with the truth, the images and the reports, and its bytes repeat."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import simplejpeg

from mmclip.config.ingest import PhantomSource
from mmclip.errors import UserError
from mmclip.ingest import stage
from mmclip.ingest.adapters.phantom import truth_labels
from mmclip.ingest.stage import ingest
from mmclip.observations import FIVE, OBSERVATIONS, column
from mmclip.phantom.radiograph import render
from mmclip.phantom.reports import write
from mmclip.phantom.truth import Truth, draw
from mmclip.sentences import split
from mmclip.tables.card import read_card
from mmclip.tables.files import read_table
from mmclip.tables.ingest import BOXES, IMAGES, MASKS, STUDIES
from mmclip.tables.labeling import LABELS
from mmclip.tables.phantom import STATEMENTS, TRUTH
from mmclip.tables.runs import decode_runs
from mmclip.tables.schema import Table

SETTINGS = PhantomSource(n=60, seed=3, size=64, wrong_rate=0.2, uncertain_rate=0.3)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("ingest") / "phantom"
    ingest("phantom", SETTINGS, output)
    return output


def table(folder: Path, name: str, kind: Table) -> pl.DataFrame:
    return read_table(folder / f"{name}.parquet", kind)


def digest(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in sorted(folder.rglob("*")) if file.is_file()}


def test_numbers_of_statements_are_those_of_the_sentences(folder: Path) -> None:
    statements = table(folder, "statements", STATEMENTS)
    reports = {truth.study_id: write(truth, uncertain_rate=0.3, wrong_rate=0.2) for truth in draw(60, 3)}
    for study_id, text in table(folder, "studies", STUDIES).select("study_id", "text").iter_rows():
        report = reports[study_id]
        rows = statements.filter(study_id=study_id)
        assert rows["index"].to_list() == list(range(len(rows)))
        assert split(text) == split(report.text) == [statement.text for statement in report.statements]
        assert rows["frame"].to_list() == [statement.frame for statement in report.statements]
        assert rows["wrong"].to_list() == [statement.is_wrong for statement in report.statements]
        for row, statement in zip(rows.iter_rows(named=True), report.statements, strict=True):
            assert {name: row[column(name)] for name in OBSERVATIONS if row[column(name)] is not None} == dict(
                statement.states
            )
    assert statements["wrong"].any()


def test_findings_and_impression_are_those_of_the_report(folder: Path) -> None:
    studies = table(folder, "studies", STUDIES).rows_by_key("study_id", named=True, unique=True)
    for truth in draw(60, 3):
        report = write(truth, uncertain_rate=0.3, wrong_rate=0.2)
        row = studies[truth.study_id]
        assert (row["findings"], row["impression"]) == (report.findings, report.impression)


def test_labels_are_the_truth(folder: Path) -> None:
    labels = table(folder, "labels", LABELS)
    assert set(labels["label_source"]) == {"truth"}
    shown = table(folder, "truth", TRUTH).group_by("study_id").agg("observation")
    by_study = dict(shown.iter_rows())
    for row in labels.filter(kind="study").iter_rows(named=True):
        findings = set(by_study.get(row["id"], []))
        for name in OBSERVATIONS[1:]:
            assert row[column(name)] == (name in findings)
        assert row["no_finding"] == (not findings - {"Support Devices"})
    of_images = labels.filter(kind="image").with_columns(pl.col("id").str.strip_suffix("-i0"), kind=pl.lit("study"))
    assert of_images.equals(labels.filter(kind="study"))


def test_labels_of_known_truths() -> None:
    normal = truth_labels(Truth("s", "p", 0))
    assert normal.pop("no_finding") == 1 and set(normal.values()) == {0}
    assert any(truth_labels(truth)["no_finding"] == 0 for truth in draw(9, 0))


def test_images_masks_and_boxes_are_those_rendered(folder: Path) -> None:
    images = table(folder, "images", IMAGES)
    masks = table(folder, "masks", MASKS)
    boxes = table(folder, "boxes", BOXES)
    for truth, row in zip(draw(60, 3), images.iter_rows(named=True), strict=True):
        film = render(truth, 64)
        pixels = simplejpeg.decode_jpeg((folder / row["path"]).read_bytes(), "GRAY")[..., 0]
        assert np.abs(pixels.astype(int) - film.pixels).mean() < 2
        own = masks.filter(image_id=row["image_id"])
        decoded = {
            entry["observation"]: decode_runs(entry["runs"], entry["width"], entry["height"])
            for entry in own.iter_rows(named=True)
        }
        assert decoded.keys() == film.masks.keys() == truth.observations
        assert all(np.array_equal(decoded[name], film.masks[name]) for name in decoded)
        assert boxes.filter(image_id=row["image_id"]).drop("image_id").rows() == film.boxes


def test_patients_stay_together_and_more_studies_move_nobody(folder: Path, tmp_path: Path) -> None:
    ingest("phantom", SETTINGS.model_copy(update={"n": 70}), tmp_path / "more")
    few, many = (table(where, "studies", STUDIES) for where in (folder, tmp_path / "more"))
    assert many.head(60).equals(few)
    assert many.group_by("patient_id").agg(pl.col("split").n_unique())["split"].max() == 1
    images = table(folder, "images", IMAGES)
    assert images.select("study_id", "patient_id", "split").equals(few.select("study_id", "patient_id", "split"))


def test_bytes_repeat_for_any_number_of_workers(folder: Path, tmp_path: Path) -> None:
    ingest("phantom", SETTINGS.model_copy(update={"workers": 2}), tmp_path / "phantom")
    assert digest(tmp_path / "phantom") == digest(folder)


def test_card_and_counts(folder: Path) -> None:
    card = read_card(folder / "card.json")
    assert (card.kind, card.note, card.share) == ("phantom", "simulated, not clinical", "public")
    assert {"truth.parquet", "statements.parquet", "studies.parquet"} <= set(card.files)
    assert "workers" not in card.settings
    counts: dict[str, Any] = json.loads((folder / "counts.json").read_text())
    assert counts == card.counts
    assert counts["studies"] == counts["images"] == counts["rows"] == counts["with_text"] == 60
    assert counts["wrong_statements"] > 0 and counts["uncertain_statements"] > 0
    assert set(counts["findings"]) >= set(FIVE)


def test_a_failure_leaves_the_old_folder(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    output = tmp_path / "phantom"
    ingest("phantom", SETTINGS.model_copy(update={"n": 5}), output)
    before = digest(output)

    def full_disk(*arguments: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(stage, "write_dataset", full_disk)
    with pytest.raises(UserError, match="No space left on device"):
        ingest("phantom", SETTINGS.model_copy(update={"n": 6}), output)
    assert digest(output) == before
    assert [file.name for file in tmp_path.iterdir()] == ["phantom"]
