"""Small data sets in the layouts that config/reproduce_3mclip.yaml reads, and that config made small."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from mmclip.config.documents import read_settings
from mmclip.languages import ENGLISH
from mmclip.observations import FIVE, NO_FINDING, OBSERVATIONS
from mmclip.phantom import phrasebook
from mmclip.tables.files import write_json
from tests.ingest.adapters.test_chexpert import HEADER
from tests.ingest.adapters.test_mimic_cxr import METADATA
from tests.ingest.trees import Tree, dicom
from tests.workflow.tiny import CHECKOUT

PER_CLASS = 2
CLASSES = (*FIVE, NO_FINDING)


def mimic(folder: Path, patients: int = 48) -> Path:
    """A MIMIC-CXR-JPG with reports in the phrase book's words: a study, with one image, for each patient."""
    tree = Tree(folder)
    rows = []
    for number in range(patients):
        shown = CLASSES[number % len(CLASSES)]
        subject, study, image = f"1{number:07}", f"5{number:07}", f"{number:08x}-aaaaaaaa"
        split = ("train", "train", "train", "validate", "test", "train")[number // len(CLASSES) % 6]
        rows.append((subject, study, image, split, shown))
        tree.image(f"files/p{subject[:2]}/p{subject}/s{study}/{image}.jpg", 48, 48)
        tree.write(f"files/p{subject[:2]}/p{subject}/s{study}.txt", f" FINAL REPORT\n FINDINGS: {report(shown)}\n")
    metadata = [[i, p, s, "CHEST", "PA", 48, 48, 21800506, 213014.531, "", "postero-anterior", ""]
                for p, s, i, _, _ in rows]  # fmt: skip
    tree.table("mimic-cxr-2.0.0-metadata.csv.gz", METADATA, metadata)
    splits = [[i, s, p, split] for p, s, i, split, _ in rows]
    tree.table("mimic-cxr-2.0.0-split.csv.gz", ["dicom_id", "study_id", "subject_id", "split"], splits)
    for labeler in ("chexpert", "negbio"):
        cells = [[p, s, *("1.0" if name == shown else "" for name in OBSERVATIONS)] for p, s, _, _, shown in rows]
        tree.table(f"mimic-cxr-2.0.0-{labeler}.csv.gz", ["subject_id", "study_id", *OBSERVATIONS], cells)
    return tree.root


def report(shown: str) -> str:
    """What the phrase book says of a film that shows one thing."""
    kind, finding = ("normal", None) if shown == NO_FINDING else ("present", shown)
    frames = [frame for frame in phrasebook.frames(role="training", kind=kind) if frame.finding == finding]
    return " ".join(next(phrasebook.realisations(ENGLISH, frame.id)) for frame in frames[:2])


def chexpert(folder: Path, patients: int = 30) -> Path:
    """A CheXpert whose images show one observation each."""
    tree = Tree(folder)
    for table, start in (("train", 0), ("valid", patients)):
        cells = []
        for number in range(start, start + patients):
            path = f"{table}/patient{number:05}/study1/view1_frontal.jpg"
            states = ["1.0" if name == CLASSES[number % len(CLASSES)] else "" for name in HEADER[5:]]
            cells.append([f"CheXpert-v1.0-small/{path}", "Female", 68, "Frontal", "AP", *states])
            tree.image(path, 48, 48)
        tree.table(f"{table}.csv", HEADER, cells)
    return tree.root


def covid(folder: Path) -> Path:
    """A COVID-19 Radiography Database of four classes."""
    tree = Tree(folder)
    for name in ("COVID", "Lung_Opacity", "Normal", "Viral Pneumonia"):
        for number in range(4):
            tree.image(f"{name}/images/{name}-{number}.png")
    return tree.root


def rsna(folder: Path) -> Path:
    """An RSNA challenge, half of it with pneumonia."""
    tree = Tree(folder)
    names = [f"{number:08x}-14fd" for number in range(8)]
    sick = [number % 2 for number in range(len(names))]
    labels = [[name, *(["1.0"] * 4 if ill else [""] * 4), str(ill)] for name, ill in zip(names, sick, strict=True)]
    tree.table("stage_2_train_labels.csv", ["patientId", "x", "y", "width", "height", "Target"], labels)
    classes = [[name, "Lung Opacity" if ill else "Normal"] for name, ill in zip(names, sick, strict=True)]
    tree.table("stage_2_detailed_class_info.csv", ["patientId", "class"], classes)
    for name in names:
        tree.write(f"stage_2_train_images/{name}.dcm", dicom(np.eye(40, dtype=np.uint8)))
    return tree.root


def small_config(
    folder: Path, left_out: tuple[str, ...] = (), experiments: tuple[str, ...] = ("clip", "three_m_clip")
) -> Path:
    """The shipped config on these data sets, with the tests' experiments, two languages and known translations."""
    config: dict[str, Any] = read_settings(CHECKOUT / "config/reproduce_3mclip.yaml")
    roots = {"mimic": mimic, "chexpert": chexpert, "covid": covid, "rsna": rsna}
    for name, made in roots.items():
        if name in left_out:
            del config["datasets"][name], config["evaluate"]["benchmarks"][name]
            continue
        source = config["datasets"][name]
        source["root"] = str(made(folder / name))
        source["hold_out"][0]["per_class"] = PER_CLASS
    config["datasets"]["mimic"].pop("reports")
    config["train_on"] = [name for name in config["train_on"] if name in config["datasets"]]
    config["evaluate"]["resamples"] = 20
    config |= {
        "languages": ["eng_Latn", "spa_Latn"],
        "shards": 1,
        "pack": {"size": 40},
        "translate": {"engine": "known", "engines": {"known": {"kind": "memory", "faults": {"rate": 0}}}},
        "threads": dict.fromkeys(config["threads"], 1),
        "gpus": 0,
        "experiments": {"text": "tests/config/text.yaml", "classify": "tests/config/classifier.yaml"}
        | {name: f"tests/config/{name}.yaml" for name in experiments},
    }
    file = folder / "config.json"
    write_json(config, file)
    return file
