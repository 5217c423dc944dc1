"""Labels read from real reports against human labels, and how fast.

Reports: Indiana University, findings and impression, with human labels (present or not, no uncertain state). One report
in ten, drawn by its id, was never looked at while the rules were written: the row "unread". The human labels come from
MeSH codes, which leave out most of what a report only suspects, so uncertain is scored both ways.

    MMCLIP_REAL_DATA=<folder with iu_reports/> python benchmarks/labels.py [--json FILE] [--check]
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import polars as pl

from mmclip.labeling.extractor import label_sentence
from mmclip.observations import PRESENT, UNCERTAIN, State, aggregate
from mmclip.sentences import split
from mmclip.tables.files import write_json

SEVEN = {
    "Atelectasis": ("Atelectasis",),
    "Cardiomegaly": ("Cardiomegaly",),
    "Consolidation": ("Consolidation",),
    "Edema": ("Edema",),
    "Pleural Effusion": ("Effusion",),
    "Pneumonia": ("Pneumonia",),
    "Pneumothorax": ("Pneumothorax",),
}
GOLD = {**SEVEN, "Lung Lesion": ("Mass", "Nodule"), "No Finding": ("normal",)}
"""Observation -> the human labels of which any makes it present."""

READINGS: dict[str, tuple[int, ...]] = {"uncertain=absent": (PRESENT,), "uncertain=present": (PRESENT, UNCERTAIN)}

GATES: dict[tuple[str, str], float] = {
    ("all", "macro_7"): 0.84,
    ("all", "macro_8"): 0.82,
    ("unread", "macro_7"): 0.80,
}
"""Least macro F1, uncertain counted as absent."""
REPORTS_PER_SECOND = 3000

Rows = list[dict[str, Any]]
Scored = list[tuple[dict[str, Any], dict[str, State]]]


def reports(folder: Path) -> Rows:
    """Reports with human labels and with a text: id, text and the gold columns."""
    table = pl.read_csv(folder / "iu_reports" / "iu_reports_gold.csv", infer_schema=False)
    table = table.filter(pl.col("gold_normal").is_not_null())
    text = pl.concat_str("findings", "impression", separator=" ", ignore_nulls=True).str.strip_chars()
    return table.with_columns(text=text).filter(pl.col("text") != "").to_dicts()


def unread(report_id: str) -> bool:
    """Whether a report belongs to the tenth that nobody looked at."""
    return sha256(report_id.encode()).digest()[0] % 10 == 0


def label_all(rows: Rows) -> tuple[Scored, float]:
    """Labels of every report, and reports a second of CPU time on one core, splitting included."""
    label_sentence("The rules are read before the clock starts.")
    start = time.process_time()
    labels = [aggregate([label_sentence(sentence) for sentence in split(row["text"])]) for row in rows]
    return list(zip(rows, labels, strict=True)), len(rows) / (time.process_time() - start)


def score(scored: Scored, observation: str, positive: tuple[int, ...]) -> dict[str, float]:
    """Precision, recall and F1 of one observation; 0 where undefined."""
    truth = [any(row[f"gold_{name}"] == "1.0" for name in GOLD[observation]) for row, _ in scored]
    found = [labels[observation] in positive for _, labels in scored]
    hits = sum(t and f for t, f in zip(truth, found, strict=True))
    return {
        "positives": sum(truth),
        "precision": hits / max(1, sum(found)),
        "recall": hits / max(1, sum(truth)),
        "f1": 2 * hits / max(1, sum(found) + sum(truth)),
    }


def measure(scored: Scored) -> Rows:
    """Rows of subset, reading, observation and scores, with the macro means."""
    subsets: dict[str, Callable[[str], bool]] = {"all": lambda _: True, "unread": unread}
    rows: Rows = []
    for subset, holds in subsets.items():
        part = [pair for pair in scored if holds(pair[0]["id"])]
        for reading, positive in READINGS.items():
            scores = {name: score(part, name, positive) for name in GOLD}
            shared = {"subset": subset, "reading": reading, "reports": len(part)}
            rows += [{**shared, "observation": name, **values} for name, values in scores.items()]
            for name, members in {"macro_7": [*SEVEN], "macro_8": [*SEVEN, "Lung Lesion"]}.items():
                mean = sum(scores[member]["f1"] for member in members) / len(members)
                rows.append({**shared, "observation": name, "f1": mean})
    return rows


def failures(rows: Rows, speed: float) -> list[str]:
    """The gates that are not reached."""
    reached = {(r["subset"], r["observation"]): r["f1"] for r in rows if r["reading"] == "uncertain=absent"}
    missed = [
        f"{subset} {name}: {reached[subset, name]:.3f} < {least}"
        for (subset, name), least in GATES.items()
        if reached[subset, name] < least
    ]
    return missed + ([f"speed: {speed:.0f} reports/s < {REPORTS_PER_SECOND}"] if speed < REPORTS_PER_SECOND else [])


def main() -> int:
    """Print the table; with --check 1 where a gate is not reached."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, help="write the rows")
    parser.add_argument("--check", action="store_true", help="exit 1 where a stated figure is not reached")
    arguments = parser.parse_args()
    folder = os.environ.get("MMCLIP_REAL_DATA")
    if not folder or not (Path(folder) / "iu_reports").is_dir():
        print("labels: MMCLIP_REAL_DATA names no folder with iu_reports/; nothing measured", file=sys.stderr)
        return 1 if arguments.check else 0
    scored, speed = label_all(reports(Path(folder)))
    rows = measure(scored)
    for row in rows:
        detail = f"{row['precision']:.2f} / {row['recall']:.2f}" if "precision" in row else ""
        print(f"{row['subset']:7} {row['reading']:18} {row['observation']:17} {row['f1']:.3f}  {detail}")
    print(f"{speed:.0f} reports a second of one core")
    if arguments.json:
        write_json({"reports_per_second": round(speed), "rows": rows}, arguments.json)
    missed = failures(rows, speed) if arguments.check else []
    for line in missed:
        print(f"not reached: {line}", file=sys.stderr)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
