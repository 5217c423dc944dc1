"""The benchmark of images that ingestion held out: from a tree as it is published to samples and prompts."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import yaml

from mmclip.config.base import parse
from mmclip.config.evaluation import EvaluateSettings, HeldOutBenchmark
from mmclip.config.root import Config
from mmclip.errors import UserError
from mmclip.evaluation.benchmark import held_out_benchmark, make_benchmark
from mmclip.observations import COLUMNS, FIVE, column
from mmclip.tables.benchmark import Benchmark, read_benchmark
from mmclip.tables.files import write_table
from mmclip.tables.filtering import CORPUS
from mmclip.tables.ingest import HELD_OUT, IMAGES, STUDIES
from mmclip.tables.labeling import LABELS
from tests.ingest.adapters.test_chexpert import HEADER
from tests.ingest.trees import Tree

LANGUAGES = ("eng_Latn", "spa_Latn")
DRAWN = {  # image -> (benchmark, class); a4 was not drawn, but is in the split test too
    "a0": ("five", "Pneumonia"),
    "a1": ("five", "Edema"),
    "a2": ("five", "Edema"),
    "a3": ("five", "Pneumonia"),
    "a5": ("covid", "COVID"),
    "a6": ("covid", "Normal"),
    "a7": ("covid", "COVID"),
}
PROMPTS = {code: {name: [f"{code} {name}"] for name in ("Edema", "Pneumonia", "COVID", "Normal")} for code in LANGUAGES}


def label_row(identity: str, kind: str, source: str, states: dict[str, int]) -> dict[str, Any]:
    values = {column(name): state for name, state in states.items()}
    return {"id": identity, "kind": kind, "label_source": source, **dict.fromkeys(COLUMNS), **values}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    every = [*DRAWN, "a4", "b0"]
    images = [
        {"image_id": name, "study_id": f"s-{name}", "patient_id": f"p-{name}", "path": name, "view": "PA"}
        | {"width": 9, "height": 9, "split": "train" if name == "b0" else "test", "sha256": ""}
        for name in every
    ]
    held = [
        {"benchmark": DRAWN[name][0], "image_id": name, "study_id": f"s-{name}", "patient_id": f"p-{name}"}
        | {"observation": DRAWN[name][1]}
        for name in DRAWN
    ]
    studies = [
        {"study_id": row["study_id"], "patient_id": row["patient_id"], "language": "eng_Latn", "text": "written"}
        | {"split": row["split"], "source": "mine"}
        for row in images
    ]
    labels = [
        *(label_row(name, "image", "official", {held[1]: 1}) for name, held in list(DRAWN.items())[:4]),
        label_row("a1", "image", "radiologist", {"Pneumonia": 1, "Edema": 0}),
        label_row("s-a2", "study", "radiologist", {"Edema": 1, "Pneumonia": 1}),
        label_row("s-a3", "study", "radiologist", {"Pneumonia": 1, "Fracture": 1}),
    ]
    write_table(IMAGES.frame(images), tmp_path / "images.parquet", IMAGES)
    write_table(HELD_OUT.frame(held), tmp_path / "held_out.parquet", HELD_OUT)
    write_table(STUDIES.frame(studies), tmp_path / "studies.parquet", STUDIES)
    write_table(LABELS.frame(labels), tmp_path / "labels.parquet", LABELS)
    rows = [
        {"study_id": f"s-{name}", "language": code, "text": f"{code} {name}", "sentences": [], "indices": []}
        | {"reasons": []}
        for code in LANGUAGES
        for name in ("a1", "a4", "b0")
    ]
    write_table(CORPUS.frame(rows), tmp_path / "corpus.parquet", CORPUS)
    (tmp_path / "prompts.yaml").write_text(yaml.safe_dump(PROMPTS), encoding="utf-8")
    return tmp_path


def made(folder: Path, split: str = "test", **changes: Any) -> Benchmark:
    values = {"kind": "held_out", "held_out": "five", "prompts": folder / "prompts.yaml"} | changes
    settings = HeldOutBenchmark.model_validate(values)
    return held_out_benchmark(
        settings, "mine", folder, split, LANGUAGES, [folder / "corpus.parquet"], dict.fromkeys(LANGUAGES, "nllb")
    )


def labels_of(benchmark: Benchmark) -> dict[str, str | None]:
    return {
        sample.image_id: None if sample.label is None else benchmark.classes[sample.label]
        for sample in benchmark.samples
    }


def test_samples_are_what_was_drawn_in_the_class_it_was_drawn_for(folder: Path) -> None:
    benchmark = made(folder)
    assert benchmark.classes == ("Edema", "Pneumonia"), "in the order of the observations"
    assert labels_of(benchmark) == {name: label for name, (kind, label) in DRAWN.items() if kind == "five"}
    assert benchmark.prompts["spa_Latn"] == {"Edema": ("spa_Latn Edema",), "Pneumonia": ("spa_Latn Pneumonia",)}
    assert benchmark.texts == {code: {"s-a1": f"{code} a1"} for code in LANGUAGES}
    assert benchmark.texts_from == {"eng_Latn": "native", "spa_Latn": "mt:nllb"}
    assert made(folder, texts=False).texts == {}


def test_classes_need_not_be_observations(folder: Path) -> None:
    benchmark = made(folder, held_out="covid")
    assert benchmark.classes == ("COVID", "Normal")
    assert labels_of(benchmark) == {"a5": "COVID", "a6": "Normal", "a7": "COVID"}
    with pytest.raises(UserError, match="label_source: 'COVID' is no observation"):
        made(folder, held_out="covid", label_source="radiologist")


def test_gold_labels_go_before_the_drawn_class_where_there_are_any(folder: Path) -> None:
    found = labels_of(made(folder, label_source="radiologist"))
    assert found == {"a0": "Pneumonia", "a1": "Pneumonia", "a2": None, "a3": "Pneumonia"}
    assert labels_of(made(folder, label_source="official")) == labels_of(made(folder))
    with pytest.raises(UserError, match=r"label_source: no labels of 'rules'; it has official, radiologist"):
        made(folder, label_source="rules")


def test_what_was_not_held_out_is_named(folder: Path) -> None:
    with pytest.raises(UserError, match=r"held_out.parquet: held_out: no benchmark 'ten'; there are covid, five"):
        made(folder, held_out="ten")
    with pytest.raises(UserError, match=r"benchmark 'five' has no image of split 'val'; its split is test"):
        made(folder, split="val")
    with pytest.raises(UserError, match=r"held_out.parquet: no such file; give datasets.mine.hold_out"):
        (folder / "held_out.parquet").unlink()
        made(folder)


def test_the_stage_takes_the_kind_from_the_settings(folder: Path) -> None:
    entry = {"kind": "held_out", "held_out": "five", "prompts": str(folder / "prompts.yaml")}
    settings = parse(EvaluateSettings, {"benchmarks": {"mine": entry}})
    make_benchmark(settings, "mine", folder, "test", LANGUAGES, [], {}, folder / "out.json")
    assert len(read_benchmark(folder / "out.json").labelled) == 4
    with pytest.raises(UserError, match="heldout"):
        parse(EvaluateSettings, {"benchmarks": {"mine": entry | {"heldout": 3}}})


def test_from_a_published_tree_to_the_benchmark(tmp_path: Path) -> None:
    """CheXpert's layout, two images a class held out: these and no others of their patients are the samples."""
    tree, name = Tree(tmp_path), "CheXpert-v1.0-small"
    rows = []
    for number in range(30):
        for study in (1, 2):
            path = f"train/patient{number:05d}/study{study}/view1_frontal.jpg"
            shown = FIVE[number % 5]
            states = ["1.0" if one == shown else "" for one in HEADER[5:]]
            rows.append([f"{name}/{path}", "Female", 68, "Frontal", "AP", *states])
            tree.image(path, 12, 12)
    tree.table("train.csv", HEADER, rows)
    valid = "valid/patient64541/study1/view1_frontal.jpg"
    tree.image(valid, 12, 12)
    tree.table("valid.csv", HEADER, [[f"{name}/{valid}", "Male", 60, "Frontal", "PA", *["0.0"] * 14]])
    tree.ingest("chexpert", hold_out=[{"name": "chexpert_5x200", "per_class": 2}])
    prompts = tmp_path / "prompts.yaml"
    prompts.write_text(yaml.safe_dump({"eng_Latn": {one: [f"{one}."] for one in FIVE}}), encoding="utf-8")
    entry = {"kind": "held_out", "held_out": "chexpert_5x200", "prompts": str(prompts)}
    settings = parse(EvaluateSettings, {"benchmarks": {"set": entry}})
    benchmark = make_benchmark(settings, "set", tree.output, "test", LANGUAGES, [], {}, tmp_path / "out.json")
    assert Counter(labels_of(benchmark).values()) == dict.fromkeys(FIVE, 2)
    assert {sample.image_id for sample in benchmark.samples} == set(tree.read("held_out")["image_id"])
    train = tree.read("images").filter(split="train")
    assert len(train) and not set(train["patient_id"]) & {sample.patient_id for sample in benchmark.samples}


@pytest.mark.parametrize(
    ("held_out", "tasks", "message"),
    [
        ("five", ["zero_shot"], "evaluate.benchmarks.set: 'five' is not held out; datasets.set.hold_out names 5x200"),
        (
            "5x200",
            ["retrieval", "fine_tune"],
            "benchmarks.set: fine_tune learns from the splits train and val",
        ),
    ],
)
def test_a_config_that_cannot_have_it(held_out: str, tasks: list[str], message: str) -> None:
    source = {"kind": "chexpert", "root": "/data", "hold_out": [{"name": "5x200"}]}
    benchmark = {"kind": "held_out", "held_out": held_out, "prompts": "prompts.yaml"}
    evaluate = {"tasks": tasks, "benchmarks": {"set": benchmark}}
    with pytest.raises(UserError, match=message):
        parse(Config, {"datasets": {"set": source}, "evaluate": evaluate}, "config.yaml")
    fine = {"tasks": ["zero_shot"], "benchmarks": {"set": benchmark | {"held_out": "5x200"}}}
    parse(Config, {"datasets": {"set": source}, "evaluate": fine}, "config.yaml")
