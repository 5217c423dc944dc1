"""Rows of metrics.json and the predictions behind them."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Literal

import polars as pl
from pydantic import BaseModel, ConfigDict, ValidationError

from mmclip.errors import UserError
from mmclip.tables.files import write_json
from mmclip.tables.schema import Table

Task = Literal["zero_shot", "retrieval", "linear_probe", "fine_tune", "segmentation", "detection", "audit", "text"]


class Metric(BaseModel):
    """One measured number, with what is needed to believe and to repeat it.

    `value` with its interval [`low`, `high`]; `interval` says what was resampled. `test_text` says where the test's
    wording came from: phrasebook (held-out), mt:<engine>, or native (written in the language); several are joined by
    ``+``, and it is empty where no text is read.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    experiment: str
    task: Task
    dataset: str
    test_text: str
    language: str
    direction: str = ""
    split: str
    metric: str
    k: int | None = None
    value: float
    low: float | None = None
    high: float | None = None
    interval: Literal["patients", "seeds+patients", ""] = ""
    n: int
    seed: int
    split_hash: str
    prompt_hash: str = ""
    model_digest: str
    config_digest: str


PREDICTIONS = Table(
    "evaluation predictions",
    {
        "id": pl.String,
        "patient_id": pl.String,
        "language": pl.String,
        "truth": pl.String,
        "predicted": pl.String,
        # by class: of zero_shot the mean cosines with its prompts, which compare classes but not images (softmax over
        # the classes, times the model's logit scale, gives probabilities); of linear_probe and fine_tune probabilities
        "scores": pl.List(pl.Float32),
    },
)


def write_metrics(rows: list[Metric], path: Path) -> None:
    """Write metrics.json atomically."""
    write_json([row.model_dump() for row in rows], path)


def read_metrics(path: Path) -> list[Metric]:
    """The rows of a metrics.json whose value is a number: undefined ones (nan) are left out.

    Raises:
        UserError: the file is missing or is no metrics.json.
    """
    try:
        rows = [Metric.model_validate(row) for row in json.loads(path.read_text(encoding="utf-8"))]
    except FileNotFoundError as error:
        raise UserError(f"{path}: no such file; `mmclip evaluate` writes it") from error
    except (ValueError, TypeError, ValidationError) as error:
        raise UserError(f"{path}: not a metrics.json; evaluate again") from error
    return [row for row in rows if math.isfinite(row.value)]
