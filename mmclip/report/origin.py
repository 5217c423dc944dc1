"""Where the numbers come from: versions, digests, who reviewed the wordings, and how long each step took."""

from __future__ import annotations

import json
import platform
from dataclasses import dataclass
from importlib import metadata
from typing import Any

import mmclip
from mmclip.languages import LANGUAGES
from mmclip.phantom import phrasebook
from mmclip.report.disclosure import Disclosure
from mmclip.report.measured import Measured
from mmclip.report.run import Run

PACKAGES = ("torch", "torchvision", "timm", "transformers", "ctranslate2", "polars", "numpy", "snakemake")
"""Packages whose versions decide results."""


@dataclass(frozen=True)
class Review:
    """Who has reviewed a language's wordings; nobody where `reviewed_by` is empty."""

    language: str
    reviewed_by: str
    note: str


@dataclass(frozen=True)
class Timing:
    """Seconds of all jobs of a rule, and the largest memory of one in MB."""

    rule: str
    jobs: int
    seconds: float
    memory: float


def versions() -> dict[str, str]:
    """Name -> version of mmclip, Python and the packages that decide results."""
    out = {"mmclip": mmclip.__version__, "Python": platform.python_version()}
    for name in PACKAGES:
        try:
            out[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return out


def digests(measured: Measured) -> list[dict[str, Any]]:
    """Each evaluated model with the hashes that its rows carry."""
    rows: dict[tuple[str, str], dict[str, Any]] = {}
    for row in measured.rows:
        rows.setdefault(
            (row.experiment, row.dataset),
            {
                "experiment": row.experiment,
                "dataset": row.dataset,
                "split": row.split,
                "seed": row.seed,
                "model": row.model_digest,
                "samples": row.split_hash,
                "prompts": row.prompt_hash,
                "settings": row.config_digest,
            },
        )
    return list(rows.values())


def reviews(languages: list[str]) -> list[Review]:
    """The phrase book's review of each of these languages that it has."""
    books = [(code, phrasebook.wording(code)) for code in languages if code in phrasebook.available()]
    return [Review(LANGUAGES[code].name, book.reviewed_by, book.note) for code, book in books]


def judged(run: Run, disclosure: Disclosure) -> str:
    """How many sentences of the validation sample people have judged, as a sentence."""
    path = run.folder / "validate" / "agreement.json"
    if not run.parts.judged or not path.is_file():
        return "Nobody has judged the validation sample of translations yet."
    content = json.loads(path.read_text(encoding="utf-8"))
    done, drawn = (disclosure.count(int(content[key])).text for key in ("items_judged", "items_in_sample"))
    return f"{len(content['judges'])} judges have marked {done} of {drawn} sentences of the validation sample."


def timings(run: Run) -> list[Timing]:
    """The time of each rule, from the files that Snakemake writes below ``benchmarks/``; the longest first."""
    by_rule: dict[str, list[tuple[float, float]]] = {}
    for rule, file in run.timings():
        lines = [line.split("\t") for line in file.read_text(encoding="utf-8").splitlines()]
        for values in lines[1:]:
            row = dict(zip(lines[0], values, strict=False))
            by_rule.setdefault(rule, []).append((_number(row.get("s")), _number(row.get("max_rss"))))
    rows = [Timing(rule, len(jobs), sum(s for s, _ in jobs), max(m for _, m in jobs)) for rule, jobs in by_rule.items()]
    return sorted(rows, key=lambda row: -row.seconds)


def _number(text: str | None) -> float:
    try:
        return float(text or 0)
    except ValueError:
        return 0.0
