"""Labels read from real reports against human labels, and how fast; simple labelers beside them on request.

Reports: Indiana University, findings and impression, with human labels (present or not, no uncertain state). One report
in ten, drawn by its id, was never looked at while the rules were written: the row "unread". The human labels come from
MeSH codes. They leave out most of what a report only suspects, so uncertain is scored both ways; and they are narrower
than CheXpert's observations, so "coded concepts" takes only the mentions of what was coded: edema without heart failure
and congestion, effusion without blunted angles.

    MMCLIP_REAL_DATA=<folder with iu_reports/> python benchmarks/labels.py [--json FILE] [--check] [--peers PYTHON]
    MMCLIP_REAL_DATA=... python benchmarks/labels.py --disagreements FILE

`--peers` names the Python of an environment that has the labelers of benchmarks/label_peers.py; they run on the same
reports, in turn with ours, and the fastest of three rounds counts. `--disagreements` lists, without text, every report
whose label differs, with the rules behind it.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import polars as pl

from mmclip.labeling import extractor
from mmclip.labeling.aggregation import disagreements
from mmclip.labeling.extractor import extract, label_sentence
from mmclip.observations import COLUMNS, OBSERVATIONS, PRESENT, UNCERTAIN, State, aggregate
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

WIDER: dict[str, tuple[str, ...]] = {
    "Edema": ("vascular congestion", "heart failure"),
    "Pleural Effusion": ("blunted costophrenic angle",),
}
"""Observation -> concepts that CheXpert counts to it and the human labels do not."""

READINGS: dict[str, tuple[int, ...]] = {"uncertain=absent": (PRESENT,), "uncertain=present": (PRESENT, UNCERTAIN)}

GATES: dict[str, float] = {
    "Cardiomegaly": 0.92,
    "Atelectasis": 0.93,
    "Pleural Effusion": 0.90,
    "Pneumothorax": 0.90,
    "Consolidation": 0.86,
    "Edema": 0.80,
    "Pneumonia": 0.72,
    "macro_7": 0.86,
}
"""Least F1 on all reports, uncertain counted as absent."""
REPORTS_PER_SECOND = 3000
ROUNDS = 3

Rows = list[dict[str, Any]]
Labels = list[dict[str, State]]


def reports(folder: Path) -> Rows:
    """Reports with human labels and with a text: id, text and the gold columns."""
    table = pl.read_csv(folder / "iu_reports" / "iu_reports_gold.csv", infer_schema=False)
    table = table.filter(pl.col("gold_normal").is_not_null())
    text = pl.concat_str("findings", "impression", separator=" ", ignore_nulls=True).str.strip_chars()
    return table.with_columns(text=text).filter(pl.col("text") != "").to_dicts()


def unread(report_id: str) -> bool:
    """Whether a report belongs to the tenth that nobody looked at."""
    return sha256(report_id.encode()).digest()[0] % 10 == 0


def read_labels(rows: Rows) -> tuple[Labels, float]:
    """Labels of every report, and reports a second of CPU time on one core, splitting included, each sentence new."""
    label_sentence("The rules are read before the clock starts.")
    start = time.process_time()
    labels = [aggregate([label_sentence(sentence) for sentence in split(row["text"])]) for row in rows]
    return labels, len(rows) / (time.process_time() - start)


def narrow_labels(rows: Rows) -> Labels:
    """Labels of every report by the mentions of the coded concepts alone."""
    strength: dict[State, int] = {None: 0, 0: 1, UNCERTAIN: 2, PRESENT: 3}
    labels: Labels = []
    for row in rows:
        states: dict[str, State] = dict.fromkeys(GOLD)
        for mention in (mention for sentence in split(row["text"]) for mention in extract(sentence)):
            name = mention.observation
            coded = name in states and mention.concept not in WIDER.get(name, ())
            if coded and strength[mention.state] > strength[states[name]]:
                states[name] = mention.state
        labels.append(states)
    return labels


def truth(row: dict[str, Any], observation: str) -> bool:
    """Whether the human labels call an observation present."""
    return any(row[f"gold_{name}"] == "1.0" for name in GOLD[observation])


def score(rows: Rows, present: list[set[str]], observation: str) -> dict[str, float]:
    """Precision, recall and F1 of one observation; 0 where undefined."""
    actual = [truth(row, observation) for row in rows]
    found = [observation in names for names in present]
    hits = sum(t and f for t, f in zip(actual, found, strict=True))
    return {
        "positives": sum(actual),
        "precision": hits / max(1, sum(found)),
        "recall": hits / max(1, sum(actual)),
        "f1": 2 * hits / max(1, sum(found) + sum(actual)),
    }


def scores(rows: Rows, present: list[set[str]], observations: list[str], shared: dict[str, Any]) -> Rows:
    """A row an observation and the means over seven and over eight."""
    found = {name: score(rows, present, name) for name in observations}
    table: Rows = [{**shared, "observation": name, **values} for name, values in found.items()]
    for name, members in {"macro_7": [*SEVEN], "macro_8": [*SEVEN, "Lung Lesion"]}.items():
        table.append({**shared, "observation": name, "f1": sum(found[one]["f1"] for one in members) / len(members)})
    return table


def measure(rows: Rows, labels: Labels, narrow: Labels) -> Rows:
    """Our scores: of all reports and of the unread, both readings, and of the coded concepts alone."""
    subsets: dict[str, Callable[[str], bool]] = {"all": lambda _: True, "unread": unread}
    table: Rows = []
    for subset, holds in subsets.items():
        chosen = [k for k, row in enumerate(rows) if holds(row["id"])]
        part = [rows[k] for k in chosen]
        for reading, states in READINGS.items():
            shared = {"labeler": "mmclip", "subset": subset, "reading": reading, "reports": len(part)}
            present = [{name for name in GOLD if labels[k][name] in states} for k in chosen]
            table += scores(part, present, [*GOLD], shared)
        coded = [{name for name in GOLD if narrow[k][name] == PRESENT} for k in chosen]
        shared = {"labeler": "mmclip", "subset": subset, "reading": "coded concepts", "reports": len(part)}
        table += scores(part, coded, [name for name in GOLD if name != "No Finding"], shared)
    return table


def measure_peers(rows: Rows, python: str) -> tuple[Rows, dict[str, float]]:
    """Scores and speeds of the peers, ours measured in turn with them; of each the fastest round counts."""
    texts = json.dumps([row["text"] for row in rows])
    speeds: dict[str, float] = {}
    found: dict[str, Any] = {}
    for _ in range(ROUNDS):
        extractor._remembered.cache_clear()
        speeds["mmclip"] = max(speeds.get("mmclip", 0.0), read_labels(rows)[1])
        command = [python, str(Path(__file__).parent / "label_peers.py")]
        told = subprocess.run(command, input=texts, stdout=subprocess.PIPE, text=True, check=True)
        found = json.loads(told.stdout)
        for name, result in found.items():
            speeds[name] = max(speeds.get(name, 0.0), result["reports_per_second"])
    table: Rows = []
    for name, result in found.items():
        shared = {"labeler": name, "subset": "all", "reading": "uncertain=absent", "reports": len(rows)}
        table += scores(rows, [set(names) for names in result["present"]], [*SEVEN, "Lung Lesion"], shared)
    return table, speeds


def differences(rows: Rows, labels: Labels) -> Rows:
    """Reports whose label of one of the seven differs from the human one, with the rules behind it, without text."""
    out: Rows = []
    for row, states in zip(rows, labels, strict=True):
        for name in SEVEN:
            if (states[name] == PRESENT) == truth(row, name):
                continue
            mentions = [m for sentence in split(row["text"]) for m in extract(sentence) if m.observation == name]
            rules = sorted({f"{m.rule}/{m.cue or 'itself'}:{m.state}" for m in mentions})
            human = "present" if truth(row, name) else "not present"
            ours = {PRESENT: "present", UNCERTAIN: "uncertain", 0: "absent", None: "not mentioned"}[states[name]]
            entry = {"report": row["id"], "observation": name, "human": human, "ours": ours, "rules": rules}
            out.append({**entry, "read": not unread(row["id"])})
    return out


def aggregations(rows: Rows) -> dict[str, int]:
    """Observation -> reports of which our aggregation and that of CheXpert's release say different things."""
    columns: dict[str, list[Any]] = {"id": [], **{name: [] for name in COLUMNS}}
    for row in rows:
        for states in map(label_sentence, split(row["text"])):
            columns["id"].append(row["id"])
            for name, observation in zip(COLUMNS, OBSERVATIONS, strict=True):
                columns[name].append(states[observation])
    return disagreements(pl.DataFrame(columns, schema_overrides=dict.fromkeys(COLUMNS, pl.Int8)), "id")


def failures(table: Rows, speed: float) -> list[str]:
    """The stated figures that are not reached."""
    reached = {
        row["observation"]: row["f1"]
        for row in table
        if (row["labeler"], row["subset"], row["reading"]) == ("mmclip", "all", "uncertain=absent")
    }
    missed = [f"{name}: {reached[name]:.3f} < {least}" for name, least in GATES.items() if reached[name] < least]
    return missed + ([f"speed: {speed:.0f} reports/s < {REPORTS_PER_SECOND}"] if speed < REPORTS_PER_SECOND else [])


def show(table: Rows, speeds: dict[str, float]) -> None:
    """The table, a line a score."""
    for row in table:
        detail = f"{row['precision']:.2f} / {row['recall']:.2f}" if "precision" in row else ""
        place = f"{row['labeler']:9} {row['subset']:7} {row['reading']:18}"
        print(f"{place} {row['observation']:17} {row['f1']:.3f}  {detail}")
    for name, speed in speeds.items():
        print(f"{name}: {speed:.0f} reports a second of one core")


def main() -> int:
    """Print the table; with --check 1 where a stated figure is not reached."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, help="write the rows")
    parser.add_argument("--check", action="store_true", help="exit 1 where a stated figure is not reached")
    parser.add_argument("--peers", metavar="PYTHON", help="also run the labelers installed for this Python")
    parser.add_argument("--disagreements", type=Path, metavar="FILE", help="write the reports that differ, and end")
    arguments = parser.parse_args()
    folder = os.environ.get("MMCLIP_REAL_DATA")
    if not folder or not (Path(folder) / "iu_reports").is_dir():
        print("labels: MMCLIP_REAL_DATA names no folder with iu_reports/; nothing measured", file=sys.stderr)
        return 1 if arguments.check else 0
    rows = reports(Path(folder))
    labels, speed = read_labels(rows)
    if arguments.disagreements:
        write_json(differences(rows, labels), arguments.disagreements)
        return 0
    table, speeds = measure(rows, labels, narrow_labels(rows)), {"mmclip": speed}
    if arguments.peers:
        peers, speeds = measure_peers(rows, arguments.peers)
        table += peers
    show(table, speeds)
    differing = {name: count for name, count in aggregations(rows).items() if count}
    print(f"aggregation, present first and as released: {differing} of {len(rows)} reports each differ")
    if arguments.json:
        rates = {name: round(value) for name, value in speeds.items()}
        results = {"reports_per_second": rates, "aggregations_differ": differing, "rows": table}
        write_json(results, arguments.json)
    missed = failures(table, speeds["mmclip"]) if arguments.check else []
    for line in missed:
        print(f"not reached: {line}", file=sys.stderr)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
