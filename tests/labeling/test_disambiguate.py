"""The targets table."""

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from mmclip.config.base import parse
from mmclip.config.labeling import DisambiguateSettings
from mmclip.data.sentence_targets import stack_vectors
from mmclip.data.targets import combine_vectors
from mmclip.labeling.disambiguate import disambiguate
from mmclip.observations import (
    NO_FINDING,
    OBSERVATIONS,
    State,
)
from mmclip.tables.files import read_table, write_table
from mmclip.tables.ingest import IMAGES
from mmclip.tables.labeling import LABELS, PREDICTIONS, SENTENCE_LABELS, TARGETS

_AT = {name: number for number, name in enumerate(OBSERVATIONS)}


def image(image_id: str, study_id: str) -> dict[str, object]:
    return {
        "image_id": image_id, "study_id": study_id, "patient_id": "p", "path": "x.png", "view": "PA",
        "width": 1, "height": 1, "split": "train", "sha256": "0",
    }  # fmt: skip


def labels(identity: str, kind: str, source: str, **named: State) -> dict[str, object]:
    return {"id": identity, "kind": kind, "label_source": source, **named}


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / "ingest"
    images = [image("i1", "s1"), image("i2", "s1"), image("i3", "s2"), image("i4", "s3"), image("i5", "s4")]
    write_table(IMAGES.frame(images), folder / "images.parquet", IMAGES)
    given = [
        labels("i3", "image", "official:chexpert", edema=1),
        labels("i4", "image", "official:chexpert", edema=1),
        labels("s1", "study", "truth", fracture=1),
        labels("i1", "image", "truth", fracture=1),
    ]
    write_table(LABELS.frame(given), folder / "labels.parquet", LABELS)
    ruled = [
        labels("s1", "study", "rules", consolidation=-1, cardiomegaly=1, no_finding=None),
        labels("s2", "study", "rules", no_finding=1, pneumonia=0),
    ]
    write_table(LABELS.frame(ruled), tmp_path / "labels.parquet", LABELS)
    sentences: list[dict[str, object]] = [
        {"study_id": "s1", "index": 0, "source_hash": "0", "consolidation": -1},
        {"study_id": "s1", "index": 1, "source_hash": "1", "cardiomegaly": 1},
        {"study_id": "s2", "index": 0, "source_hash": "2", "no_finding": 1, "pneumonia": 0},
    ]
    write_table(SENTENCE_LABELS.frame(sentences), tmp_path / "sentences.parquet", SENTENCE_LABELS)
    for name, values in {"first": {"i1": 0.2}, "second": {"i1": 0.9, "i2": 0.6}}.items():
        rows: list[dict[str, object]] = [
            {"image_id": i, "study_id": "s1", "consolidation": value} for i, value in values.items()
        ]
        write_table(PREDICTIONS.frame(rows), tmp_path / f"{name}.parquet", PREDICTIONS)
    return tmp_path


def run(data: Path, predictions: list[Path], **values: Any) -> dict[tuple[str, str], dict[str, float]]:
    disambiguate(
        parse(DisambiguateSettings, values),
        ingest=[data / "ingest"],
        labels=[data / "labels.parquet"],
        sentence_labels=[data / "sentences.parquet"],
        predictions=predictions,
        output=data / "targets.parquet",
    )
    table = read_table(data / "targets.parquet", TARGETS)
    return {
        (row["kind"], row["id"]): {
            name: round(value, 6) for name, value in zip(OBSERVATIONS, row["vector"], strict=True) if value
        }
        for row in table.iter_rows(named=True)
    }


def test_targets_with_predictions(data: Path) -> None:
    assert run(data, [data / "first.parquet", data / "second.parquet"]) == {
        ("image", "i1"): {"Consolidation": 0.2, "Cardiomegaly": 1},
        ("image", "i2"): {"Consolidation": 0.6, "Cardiomegaly": 1},
        ("image", "i3"): {NO_FINDING: 1},
        ("image", "i4"): {"Edema": 1},
        ("study", "s1"): {"Consolidation": 0.4, "Cardiomegaly": 1},
        ("study", "s2"): {NO_FINDING: 1},
        ("sentence", "s1/0"): {"Consolidation": 0.4},
        ("sentence", "s1/1"): {"Cardiomegaly": 1},
        ("sentence", "s2/0"): {NO_FINDING: 1},
    }


def test_an_image_without_labels_has_no_vector(data: Path) -> None:
    """Zeros would say that it is like no text at all."""
    assert ("image", "i5") not in run(data, [])
    assert ("image", "i4") in run(data, [])
    assert ("image", "i4") not in run(data, [], label_sources=["rules"])  # labelled, by a source that does not count


def test_targets_without_predictions_take_the_fallback(data: Path) -> None:
    assert run(data, [])["study", "s1"] == {"Cardiomegaly": 1}
    assert run(data, [], fallback={"Consolidation": "U-Ones"})["study", "s1"] == {"Cardiomegaly": 1, "Consolidation": 1}


def test_sides_may_differ(data: Path) -> None:
    chosen = {"image": {"policies": {"Consolidation": "U-Ones"}}, "text": {"policies": {"Consolidation": "U-Zeros"}}}
    found = run(data, [data / "second.parquet"], **chosen)
    assert found["image", "i1"] == {"Consolidation": 1, "Cardiomegaly": 1}
    assert found["study", "s1"] == {"Cardiomegaly": 1} and found["sentence", "s1/0"] == {}


def test_a_study_its_sentences_and_its_images_draw_one_smoothed_value(data: Path) -> None:
    chosen = {"policies": {"Consolidation": "U-Ones"}, "smoothing": {"Consolidation": [0.55, 0.85]}}
    found = run(data, [], **chosen)
    values = {
        found[key]["Consolidation"] for key in (("image", "i1"), ("image", "i2"), ("study", "s1"), ("sentence", "s1/0"))
    }
    assert len(values) == 1 and 0.55 <= values.pop() <= 0.85
    assert run(data, [], **chosen) == found


def test_smoothed_values_are_spread_over_the_range(tmp_path: Path) -> None:
    rows = [labels(f"s{number}", "study", "rules", edema=-1, fracture=-1) for number in range(2000)]
    write_table(IMAGES.empty(), tmp_path / "ingest/images.parquet", IMAGES)
    write_table(LABELS.frame(rows), tmp_path / "labels.parquet", LABELS)
    write_table(SENTENCE_LABELS.empty(), tmp_path / "sentences.parquet", SENTENCE_LABELS)
    found = run(tmp_path, [], smoothing={"Edema": [0.5, 0.9], "Fracture": [0.5, 0.9]})
    drawn = np.array([[row["Edema"], row["Fracture"]] for row in found.values()])
    assert np.allclose(np.quantile(drawn, [0.1, 0.5, 0.9], axis=0), [[0.54], [0.7], [0.86]], atol=0.02)
    assert abs(np.corrcoef(drawn.T)[0, 1]) < 0.06


def test_targets_in_one_hot_slots(data: Path) -> None:
    chosen = parse(DisambiguateSettings, {"one_hot": True})
    files = {"labels": [data / "labels.parquet"], "sentence_labels": [data / "sentences.parquet"]}
    counts = disambiguate(chosen, ingest=[data / "ingest"], predictions=[], output=data / "targets.parquet", **files)
    assert {key: counts[key] for key in ("uncertain", "predicted", "fallback")} == {
        "uncertain": 4, "predicted": 0, "fallback": 4
    }  # fmt: skip
    table = read_table(data / "targets.parquet", TARGETS)
    assert set(table["vector"].list.len()) == {42}
    found = {(row["kind"], row["id"]): np.flatnonzero(row["vector"]).tolist() for row in table.iter_rows(named=True)}
    consolidation, cardiomegaly = _AT["Consolidation"], _AT["Cardiomegaly"]
    assert found["study", "s1"] == [cardiomegaly, 14 + consolidation]
    assert found["study", "s2"] == [_AT[NO_FINDING], 14 + _AT["Pneumonia"]]
    assert stack_vectors(table).shape == (len(table), 42)


def test_a_text_without_an_image_takes_the_fallback(data: Path) -> None:
    """Also where others have a prediction."""
    more = [labels("s9", "study", "rules", consolidation=-1), labels("s1", "study", "rules", consolidation=-1)]
    write_table(LABELS.frame(more), data / "labels.parquet", LABELS)
    for fallback, expected in (({}, {}), ({"Consolidation": "U-Ones"}, {"Consolidation": 1})):
        found = run(data, [data / "second.parquet"], text={"fallback": fallback})
        assert found["study", "s9"] == expected and found["study", "s1"] == {"Consolidation": 0.75}
    policies = read_table(data / "targets.parquet", TARGETS).filter(kind="study", id="s9")["policy"]
    assert policies.to_list() == ["Consolidation: U-SelfTrained, U-Ones"]


def test_the_order_of_the_sources_decides(data: Path) -> None:
    assert run(data, [], label_sources=["official:chexpert", "rules"])["image", "i3"] == {"Edema": 1}
    assert run(data, [], label_sources=["truth"])["image", "i1"] == {"Fracture": 1}


def test_targets_of_one_text_agree_with_its_sentences(data: Path) -> None:
    run(data, [data / "second.parquet"])
    table = read_table(data / "targets.parquet", TARGETS)
    study = table.filter((pl.col("kind") == "study") & (pl.col("id") == "s1"))["vector"][0].to_numpy()
    parts = table.filter((pl.col("kind") == "sentence") & pl.col("id").str.starts_with("s1/"))["vector"].to_list()
    assert np.array_equal(combine_vectors(np.array(parts, np.float32)), study)
