"""The benchmark of a data set with labels: who is in which class, and a file of prompts with every mistake."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl
import pytest
import yaml
from pydantic import ValidationError

from mmclip.commands.options import engines_of
from mmclip.config.base import parse
from mmclip.config.documents import read_yaml
from mmclip.config.evaluation import EvaluateSettings, LabelledBenchmark
from mmclip.errors import UserError
from mmclip.evaluation.benchmark import labelled_benchmark, make_benchmark
from mmclip.observations import COLUMNS, column
from mmclip.provenance import ROOT
from mmclip.tables.benchmark import Benchmark
from mmclip.tables.files import read_table, write_table
from mmclip.tables.filtering import CORPUS
from mmclip.tables.ingest import IMAGES, STUDIES
from mmclip.tables.labeling import LABELS

CLASSES = ("Edema", "Pneumonia")
LANGUAGES = ("eng_Latn", "spa_Latn")
NLLB = dict.fromkeys(LANGUAGES, "nllb")
PROMPTS = {
    "eng_Latn": {"Edema": ["There is edema."], "Pneumonia": ["There is pneumonia.", "Pneumonia."], "No Finding": ["x"]},
    "spa_Latn": {"Edema": ["Hay edema."], "Pneumonia": ["Hay neumonía."], "No Finding": ["y"]},
    "fra_Latn": {"Edema": ["Œdème."], "Pneumonia": ["Pneumonie."], "No Finding": ["z"]},
}
STATES = {  # image -> its study's labels
    "a1": {"Edema": 1, "Pneumonia": 0},
    "a2": {"Pneumonia": 1},
    "a3": {"Edema": 1, "Pneumonia": 1},
    "a4": {"Edema": -1},
    "a5": {"No Finding": 1},
    "b1": {"Edema": 0, "Pneumonia": 1},
    "b2": {"Edema": 0},
    "b3": None,
}


def label_row(identity: str, kind: str, source: str, states: dict[str, int]) -> dict[str, Any]:
    values = {column(name): state for name, state in states.items()}
    return {"id": identity, "kind": kind, "label_source": source, **dict.fromkeys(COLUMNS), **values}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    images = [
        {"image_id": name, "study_id": f"s-{name}", "patient_id": f"p-{name}", "path": name, "view": "PA"}
        | {"width": 9, "height": 9, "split": "train" if name == "a0" else "test", "sha256": ""}
        for name in ("a0", *STATES)
    ]
    labels = [label_row(f"s-{name}", "study", "file", states) for name, states in STATES.items() if states]
    labels.append(label_row("a1", "study", "file", {"Pneumonia": 1}))  # a study that is called like an image
    labels.append(label_row("b2", "image", "file", {"Edema": 1}))  # an image's own label counts before its study's
    labels.append(label_row("s-a4", "study", "rules", {"Edema": 1}))
    studies = [
        {"study_id": row["study_id"], "patient_id": row["patient_id"], "language": "eng_Latn", "text": "written"}
        | {"split": row["split"], "source": "mine"}
        for row in images
    ]
    write_table(IMAGES.frame(images), tmp_path / "images.parquet", IMAGES)
    write_table(STUDIES.frame(studies), tmp_path / "studies.parquet", STUDIES)
    write_table(LABELS.frame(labels), tmp_path / "labels.parquet", LABELS)
    (tmp_path / "prompts.yaml").write_text(yaml.safe_dump(PROMPTS, allow_unicode=True), encoding="utf-8")
    return tmp_path


def corpus(folder: Path) -> list[Path]:
    files = []
    for code in ("eng_Latn", "spa_Latn", "fra_Latn"):
        rows = [
            {"study_id": f"s-{name}", "language": code, "text": f"{code} {name}", "sentences": [], "indices": []}
            | {"reasons": []}
            for name in ("a0", "a1", "b1")
        ]
        files.append(folder / f"{code}.parquet")
        write_table(CORPUS.frame(rows), files[-1], CORPUS)
    return files


def made(folder: Path, shards: list[Path] | None = None, **changes: Any) -> Benchmark:
    values = {"kind": "labels", "classes": CLASSES, "prompts": folder / "prompts.yaml"} | changes
    settings = LabelledBenchmark.model_validate(values)
    return labelled_benchmark(settings, "mine", folder, "test", LANGUAGES, shards or [], NLLB)


def labels_of(benchmark: Benchmark) -> dict[str, int | None]:
    return {sample.image_id: sample.label for sample in benchmark.samples}


def test_a_sample_shows_exactly_one_class(folder: Path) -> None:
    found = labels_of(made(folder))
    assert found == {"a1": 0, "a2": 1, "a3": None, "a4": None, "a5": None, "b1": 1, "b2": 0, "b3": None}


def test_a_single_observation_is_present_or_absent(folder: Path) -> None:
    one = made(folder, classes=("Edema",))
    assert one.classes == ("No Finding", "Edema")
    assert labels_of(one) == {"a1": 1, "a2": None, "a3": 1, "a4": None, "a5": 0, "b1": 0, "b2": 1, "b3": None}
    assert one.prompts["eng_Latn"]["No Finding"] == ("x",)


def test_another_source_of_labels_and_images_of_one_hospital(folder: Path) -> None:
    assert labels_of(made(folder, label_source="rules"))["a4"] == 0
    with pytest.raises(UserError, match=r"no labels of 'official'; it has file, rules"):
        made(folder, label_source="official")


def test_images_of_another_hospital_have_no_class_but_are_retrieved(folder: Path) -> None:
    benchmark = made(folder, corpus(folder), only="b")
    others = dict.fromkeys(("a1", "a2", "a3", "a4", "a5"))
    assert labels_of(benchmark) == others | {"b1": 1, "b2": 0, "b3": None}
    assert set(benchmark.texts["eng_Latn"]) == {"s-a1", "s-b1"}


def test_texts_are_those_of_the_tests_studies_in_the_configured_languages(folder: Path) -> None:
    benchmark = made(folder, corpus(folder))
    assert benchmark.texts == {code: {"s-a1": f"{code} a1", "s-b1": f"{code} b1"} for code in ("eng_Latn", "spa_Latn")}
    assert made(folder, corpus(folder), texts=False).texts == {}


def test_what_was_written_is_told_from_what_was_translated(folder: Path) -> None:
    benchmark = made(folder, corpus(folder))
    assert benchmark.test_text == "native", "prompts are taken as written in each language"
    assert benchmark.texts_from == {"eng_Latn": "native", "spa_Latn": "mt:nllb"}
    studies = read_table(folder / "studies.parquet", STUDIES)
    spanish = studies.with_columns(
        language=pl.when(pl.col("study_id") == "s-b1").then(pl.lit("spa_Latn")).otherwise("language")
    )
    write_table(spanish, folder / "studies.parquet", STUDIES)
    assert made(folder, corpus(folder)).texts_from == dict.fromkeys(LANGUAGES, "mt:nllb+native")
    assert made(folder, prompts_text="mt:opus").test_text == "mt:opus"
    with pytest.raises(ValidationError, match="prompts_text"):
        made(folder, prompts_text="opus")


def test_each_language_names_its_own_engine(folder: Path) -> None:
    def origins(*words: str) -> dict[str, str]:
        settings = LabelledBenchmark.model_validate(
            {"kind": "labels", "classes": CLASSES, "prompts": folder / "prompts.yaml"}
        )
        engines = engines_of(words, LANGUAGES)
        return labelled_benchmark(settings, "mine", folder, "test", LANGUAGES, corpus(folder), engines).texts_from

    assert origins("nllb spa_Latn=apertium")["spa_Latn"] == "mt:apertium"
    assert origins("spa_Latn=apertium", "nllb")["spa_Latn"] == "mt:apertium"
    assert origins("fra_Latn=apertium nllb")["spa_Latn"] == "mt:nllb"
    assert origins()["spa_Latn"] == "mt:unknown"


def test_prompts_are_named_from_the_checkout_on(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    found = made(folder, prompts="config/prompts/classes.yaml", classes=("Edema", "Pneumonia")).prompts["spa_Latn"]
    shipped = read_yaml(ROOT / "config/prompts/classes.yaml")["spa_Latn"]
    assert found == {name: tuple(shipped[name]) for name in ("Edema", "Pneumonia")}
    with pytest.raises(UserError, match=r"prompts\.yaml: no such file"):
        made(folder, prompts="prompts.yaml")


def test_prompts_are_those_of_the_configured_languages(folder: Path) -> None:
    benchmark = made(folder)
    assert set(benchmark.prompts) == set(LANGUAGES)
    assert benchmark.prompts["eng_Latn"]["Pneumonia"] == ("There is pneumonia.", "Pneumonia.")
    assert set(benchmark.prompts["eng_Latn"]) == set(CLASSES)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"spa_Latn": {"Edema": ["e"]}}, r"prompts.yaml: spa_Latn: no prompts for 'Pneumonia'"),
        ({"spa_Latn": {"Edema": ["e"], "Pneumonia": []}}, r"spa_Latn: no prompts for 'Pneumonia'"),
        ({"spanish": PROMPTS["spa_Latn"]}, r"prompts.yaml: 'spanish' is not a language"),
        ({"es": PROMPTS["spa_Latn"]}, r"did you mean spa_Latn"),
        ({"spa_Latn": {"Edema": "e", "Pneumonia": ["p"]}}, r"spa_Latn: Edema: must be a list of sentences"),
        ({"spa_Latn": {"Edema": ["e", 3], "Pneumonia": ["p"]}}, r"spa_Latn: Edema: must be a list"),
        ({"spa_Latn": ["e"]}, r"must map languages to classes"),
        (None, r"must map languages to classes"),
        ({"fra_Latn": PROMPTS["fra_Latn"]}, r"none of the configured languages \(eng_Latn, spa_Latn\)"),
    ],
)
def test_mistakes_in_the_prompts_are_named(folder: Path, content: Any, message: str) -> None:
    (folder / "prompts.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")
    with pytest.raises(UserError, match=message):
        made(folder)


def test_a_missing_file_of_prompts_is_named(folder: Path) -> None:
    with pytest.raises(UserError, match=r"none.yaml: no such file"):
        made(folder, prompts=folder / "none.yaml")


def test_the_stage_takes_the_kind_from_the_settings(folder: Path) -> None:
    entry = {"kind": "labels", "classes": CLASSES, "prompts": str(folder / "prompts.yaml")}
    settings = parse(EvaluateSettings, {"benchmarks": {"mine": entry}})
    make_benchmark(settings, "mine", folder, "test", LANGUAGES, corpus(folder), NLLB, folder / "out.json")
    assert (folder / "out.json").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    "values", [{"classes": ("Edma",)}, {"classes": ()}, {"classes": CLASSES, "only": 3}, {"classes": CLASSES, "x": 1}]
)
def test_settings_are_checked(values: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        LabelledBenchmark.model_validate({"kind": "labels", "prompts": "p.yaml"} | values)
