"""Policies for uncertain labels, and the targets table."""

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmclip.config.base import parse
from mmclip.config.labeling import DEFAULT_POLICIES, DisambiguateSettings
from mmclip.data.targets import combine_vectors
from mmclip.errors import UserError
from mmclip.labeling.disambiguate import disambiguate
from mmclip.labeling.extractor import label_sentence
from mmclip.labeling.policies import describe, settle
from mmclip.observations import (
    COLUMNS,
    NO_FINDING,
    OBSERVATIONS,
    State,
    aggregate,
    sentence_no_finding,
)
from mmclip.tables.files import read_table, write_table
from mmclip.tables.ingest import IMAGES
from mmclip.tables.labeling import LABELS, PREDICTIONS, SENTENCE_LABELS, TARGETS

_NONE = np.full((1, 14), np.nan, np.float32)
_AT = {name: number for number, name in enumerate(OBSERVATIONS)}


def states(**named: State) -> np.ndarray[Any, np.dtype[np.int8]]:
    return np.array([[named.get(name) or 0 for name in COLUMNS]], np.int8)


def vector(policy: str, prediction: float = np.nan, **settings_: dict[str, str]) -> float:
    predictions = np.full((1, 14), prediction, np.float32)
    chosen = parse(DisambiguateSettings, {"policies": {"Edema": policy}, **settings_})
    return float(settle(states(edema=-1), predictions, chosen)[0, _AT["Edema"]])


@pytest.mark.parametrize(
    ("policy", "prediction", "expected"),
    [
        ("U-Ignore", 0.7, 0),
        ("U-Zeros", 0.7, 0),
        ("U-Ones", 0.7, 1),
        ("U-SelfTrained", 0.75, 0.75),
        ("U-MultiClass", 0.25, 0.25),
        ("U-SelfTrained", np.nan, 0),
        ("U-MultiClass", np.nan, 0),
    ],
)
def test_known_answers(policy: str, prediction: float, expected: float) -> None:
    assert vector(policy, prediction) == expected


def test_the_fallback_can_be_chosen() -> None:
    assert vector("U-SelfTrained", fallback={"Edema": "U-Ones"}) == 1


def test_only_uncertain_entries_are_replaced() -> None:
    given = states(edema=1, consolidation=0, cardiomegaly=-1)
    predictions = np.full((1, 14), 0.5, np.float32)
    expected = np.zeros((1, 14), np.float32)
    expected[0, _AT["Edema"]] = 1
    expected[0, _AT["Cardiomegaly"]] = 0.5
    assert np.array_equal(settle(given, predictions, DisambiguateSettings()), expected)


def test_how_it_was_settled_is_written_down() -> None:
    given = np.concatenate([states(edema=-1, consolidation=-1), states(cardiomegaly=-1), states(edema=1)])
    predictions = np.concatenate([_NONE, np.full((2, 14), 0.5, np.float32)])
    assert describe(given, predictions, DisambiguateSettings()) == [
        "Edema: U-Ones; Consolidation: U-SelfTrained, U-Zeros",
        "Cardiomegaly: U-MultiClass",
        "",
    ]


def test_every_observation_but_no_finding_has_a_policy() -> None:
    assert set(DEFAULT_POLICIES) == set(OBSERVATIONS) - {NO_FINDING}


@pytest.mark.parametrize("values", [{"policies": {"Oedema": "U-Ones"}}, {"policies": {"Edema": "U-Twos"}}])
def test_mistakes_in_policies_are_named(values: dict[str, Any]) -> None:
    with pytest.raises(UserError, match=r"policies.*(Oedema|U-Twos)"):
        parse(DisambiguateSettings, values)


_NORMAL = "No pleural effusion, pneumothorax, consolidation, edema or pneumonia. Heart size is normal."
_CONSOLIDATION = "Right consolidation. No pleural effusion, pneumothorax, edema or pneumonia. Heart size is normal."


@pytest.mark.parametrize("policy", sorted(set(DEFAULT_POLICIES.values()) | {"U-Ignore", "U-Zeros"}))
@pytest.mark.parametrize("certain", ["Consolidation.", "Possible consolidation."])
def test_no_finding_and_consolidation_have_nothing_in_common(policy: str, certain: str) -> None:
    chosen = parse(DisambiguateSettings, {"policies": dict.fromkeys(DEFAULT_POLICIES, policy)})
    for settings_ in (chosen, DisambiguateSettings()):
        vectors = [
            combine_vectors(_vectors([label_sentence(part) for part in text.split(". ")], settings_, 0.9))
            for text in (_NORMAL, _CONSOLIDATION.replace("Right consolidation.", certain))
        ]
        assert vectors[0][_AT[NO_FINDING]] == 1
        assert float(vectors[0] @ vectors[1]) == 0


def _vectors(
    sentences: list[dict[str, State]], chosen: DisambiguateSettings, probability: float
) -> np.ndarray[Any, np.dtype[np.float32]]:
    given = np.array([[row[name] or 0 for name in OBSERVATIONS] for row in sentences], np.int8).reshape(-1, 14)
    return settle(given, np.full(given.shape, probability, np.float32), chosen)


_states = st.fixed_dictionaries({name: st.sampled_from([1, 0, -1, None]) for name in OBSERVATIONS[1:]})
_sentences = st.lists(st.tuples(_states, st.booleans()), min_size=1, max_size=6)


@given(
    _sentences,
    st.sampled_from([np.nan, 0.0, 0.3, 1.0]),
    st.dictionaries(
        st.sampled_from(OBSERVATIONS[1:]),
        st.sampled_from(["U-Ignore", "U-Zeros", "U-Ones", "U-SelfTrained", "U-MultiClass"]),
    ),
)
@settings(max_examples=200)
def test_a_text_s_vector_is_that_of_its_aggregated_sentences(
    sentences: list[tuple[dict[str, State], bool]], probability: float, policies: dict[str, str]
) -> None:
    rows: list[dict[str, State]] = [{**row, NO_FINDING: sentence_no_finding(row, other)} for row, other in sentences]
    chosen = parse(DisambiguateSettings, {"policies": policies})
    fresh = _vectors([aggregate(rows)], chosen, probability)[0]
    assert np.array_equal(combine_vectors(_vectors(rows, chosen, probability)), fresh)


def test_a_text_without_sentences_has_no_label() -> None:
    assert combine_vectors(np.zeros((0, 14), np.float32)).tolist() == [0.0] * 14


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


def test_the_order_of_the_sources_decides(data: Path) -> None:
    assert run(data, [], label_sources=["official:chexpert", "rules"])["image", "i3"] == {"Edema": 1}
    assert run(data, [], label_sources=["truth"])["image", "i1"] == {"Fracture": 1}


def test_targets_of_one_text_agree_with_its_sentences(data: Path) -> None:
    run(data, [data / "second.parquet"])
    table = read_table(data / "targets.parquet", TARGETS)
    study = table.filter((pl.col("kind") == "study") & (pl.col("id") == "s1"))["vector"][0].to_numpy()
    parts = table.filter((pl.col("kind") == "sentence") & pl.col("id").str.starts_with("s1/"))["vector"].to_list()
    assert np.array_equal(combine_vectors(np.array(parts, np.float32)), study)
