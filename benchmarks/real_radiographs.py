"""Real radiographs with clinical notes as input of the workflow: tables, settings, and the text encoder's folder.

They lie outside the checkout, where MMCLIP_REAL_DATA and MMCLIP_REAL_MODELS point to, and nothing of them may enter it:
`cxr_pairs/metadata.csv` with a line an image, and the script that makes the folder of multilingual-e5-small.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path
from string import Template
from typing import Any

import polars as pl

from mmclip.config.documents import read_yaml
from mmclip.tables.files import atomic

DATASET = "cxr_pairs"
TEMPLATES = Path(__file__).with_name("radiographs")

MADE = "label_sentences"
"""The data set of sentences that are made from labels."""


def metadata() -> pl.DataFrame:
    """The source's own table, every image once, with our two label columns.

    Images of one hospital (``ker_``) are Normal or one of two pneumonias. Labels of the other's (``ccd_``) say what
    caused the disease, not what an image shows, so these have none.
    """
    source = pl.read_csv(Path(os.environ["MMCLIP_REAL_DATA"]) / DATASET / "metadata.csv", infer_schema=False)
    labelled, normal = pl.col("id").str.starts_with("ker_"), pl.col("labels") == "Normal"
    return source.filter(pl.col("duplicate_of").is_null()).with_columns(
        no_finding=pl.when(labelled).then(normal.cast(pl.Int8)),
        pneumonia=pl.when(labelled).then((~normal).cast(pl.Int8)),
    )


def made_sentences() -> pl.DataFrame:
    """A sentence for each labelled training image, in one of the wordings of its label: id, text, split.

    The images with labels have no notes. Which wording it is depends on the image's id alone.
    """
    wordings = read_yaml(TEMPLATES / "sentences.yaml")
    rows = []
    for image, labels in metadata().filter(pl.col("pneumonia").is_not_null(), split="train")["id", "labels"].rows():
        own = wordings[labels.rpartition("|")[2]]
        number = int(hashlib.sha256(image.encode()).hexdigest(), 16) % len(own)
        rows.append({"id": f"made_{image}", "text": own[number], "split": "train"})
    return pl.DataFrame(rows)


def text_model() -> Path:
    """The folder of the multilingual text encoder, made once and kept in the user's cache."""
    cache = Path(os.environ.get("MMCLIP_CACHE") or Path.home() / ".cache/mmclip")
    folder = cache / "multilingual-e5-small"
    if not folder.is_dir():
        script = Path(os.environ["MMCLIP_REAL_MODELS"]) / "multilingual_e5_small.py"
        with atomic(folder) as temporary:
            subprocess.run([sys.executable, str(script), str(temporary)], check=True, timeout=300)
    return folder


def write_settings(directory: Path) -> Path:
    """Write the config, the experiment and the table of the images into a directory; the config's path."""
    paths = {
        "table": directory / "studies.csv",
        "images": Path(os.environ["MMCLIP_REAL_DATA"]) / DATASET,
        "experiment": directory / "experiment.yaml",
        "prompts": TEMPLATES / "prompts.yaml",
        "text_model": text_model(),
    }
    metadata().write_csv(paths["table"])
    for name in ("config.yaml", "experiment.yaml"):
        filled = Template((TEMPLATES / name).read_text(encoding="utf-8")).substitute(paths)
        (directory / name).write_text(filled, encoding="utf-8")
    return directory / "config.yaml"


def write_made_sentences(directory: Path) -> dict[str, Any]:
    """Write the table of made sentences into a directory; its entry under `datasets`."""
    table = directory / "label_sentences.csv"
    made_sentences().write_csv(table)
    return {
        "kind": "table",
        "file": str(table),
        "columns": {"id": "id", "text": "text", "split": "split"},
        "licence": "made from labels that are CC BY 4.0",
        "share": "restricted",
    }
