"""A study: variants of one experiment over seeds, on the validation split; finished runs are kept as rows.

    python benchmarks/study.py label_scale             # what docs/results/label_scale.json lacks, two runs at a time
    python benchmarks/study.py label_scale --show      # the stored rows as a table
    python benchmarks/study.py label_scale --check     # one stored run, drawn at random, once more

`benchmarks/studies/<name>.yaml` says what is asked. The workflow makes the data, trains and evaluates; a run that is
finished is never repeated, also after a kill: its results lie in the results of the study's config until they are rows.
`--check` exits 1 where the repeated run differs from the stored row by more than 0.03.
"""

from __future__ import annotations

import argparse
import json
import random
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[1]
TOLERANCE = 0.03
MEASURES = {
    "zero_shot_mean": ("zero_shot", {"metric": "accuracy", "language": "mean"}),
    "zero_shot_worst": ("zero_shot", {"metric": "accuracy", "language": "worst"}),
    "precision_at_5": (
        "retrieval",
        {"metric": "precision_at_k", "k": 5, "direction": "text_to_image", "language": "mean"},
    ),
}
"""Column of a row -> task, and what picks its row of metrics.json."""

Row = dict[str, Any]


def main() -> int:
    """Do what the command line asks; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("study")
    parser.add_argument("--json", type=Path, help="where rows are kept; docs/results/<study>.json by default")
    parser.add_argument("--show", action="store_true")
    parser.add_argument("--check", action="store_true")
    given = parser.parse_args()
    study = yaml.safe_load((ROOT / "benchmarks/studies" / f"{given.study}.yaml").read_text(encoding="utf-8"))
    study["name"] = given.study
    stored = given.json or ROOT / "docs/results" / f"{given.study}.json"
    rows: list[Row] = json.loads(stored.read_text())["rows"] if stored.exists() else []
    if given.check:
        return check(study, rows)
    pending = [
        (variant, seed)
        for seed in study["seeds"]
        for variant in study["variants"]
        if not any((row["variant"], row["seed"]) == (variant, seed) for row in rows)
    ]
    if pending and not given.show:
        try:
            train(study, pending)
        finally:
            rows += [row for variant, seed in pending if (row := finished(study, variant, seed))]
            write(study, rows, stored)
    show(rows)
    return 0


def train(study: Row, runs: list[tuple[str, int]], again: bool = False) -> None:
    """Have the workflow train and evaluate these runs; `again` forgets what it knows of them."""
    folder = ROOT / "results/studies" / study["name"]
    folder.mkdir(parents=True, exist_ok=True)
    config = yaml.safe_load((ROOT / study["config"]).read_text(encoding="utf-8"))
    for variant, seed in runs:
        file = folder / f"{label(study, variant, seed)}.yaml"
        changes = {"base": str(ROOT / study["experiment"]), "seed": seed, **study["variants"][variant]}
        file.write_text(yaml.safe_dump(changes, sort_keys=False), encoding="utf-8")
        config["experiments"][label(study, variant, seed)] = str(file)
    config["evaluate"] |= {"tasks": ["zero_shot", "retrieval"], "split": study["split"]}
    (folder / "config.yaml").write_text(yaml.safe_dump(config, sort_keys=False), encoding="utf-8")
    targets = [
        str(metrics(study, variant, seed, task).relative_to(ROOT))
        for variant, seed in runs
        for task in ("zero_shot", "retrieval")
    ]
    forced = ["--forcerun", "pretrain"] if again else []
    command = [sys.executable, "-m", "mmclip", "run", *targets, "--configfile", str(folder / "config.yaml"), *forced]
    subprocess.run(command, cwd=ROOT, check=True)


def label(study: Row, variant: str, seed: int) -> str:
    """The name of a run's experiment."""
    return f"study_{study['name']}_{re.sub(r'[^0-9a-z]+', '_', variant.lower())}_seed{seed}"


def metrics(study: Row, variant: str, seed: int, task: str) -> Path:
    """Where a run's figures of a task lie."""
    config = yaml.safe_load((ROOT / study["config"]).read_text(encoding="utf-8"))
    (dataset,) = config["evaluate"]["benchmarks"]
    root = ROOT / config["results"] / config["run"]
    return root / "evaluate" / label(study, variant, seed) / task / dataset / "metrics.json"


def finished(study: Row, variant: str, seed: int) -> Row | None:
    """The row of a run, if it is finished."""
    row: Row = {"variant": variant, "seed": seed}
    for column, (task, wanted) in MEASURES.items():
        file = metrics(study, variant, seed, task)
        if not file.exists():
            return None
        found = [entry for entry in json.loads(file.read_text()) if wanted.items() <= entry.items()]
        row |= {column: round(found[0]["value"], 4), "n": found[0]["n"]}
    return row


def write(study: Row, rows: list[Row], file: Path) -> None:
    """Keep the rows, in the order of the study, with what was asked."""
    order = list(study["variants"])
    rows.sort(key=lambda row: (order.index(row["variant"]), row["seed"]))
    asked = {key: study[key] for key in ("question", "config", "experiment", "split", "variants")}
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps({**asked, "rows": rows}, indent=1) + "\n")


def show(rows: list[Row]) -> None:
    """A line a run, and the mean of each variant."""
    print(f"{'variant':28} {'seed':>5} " + " ".join(f"{column:>15}" for column in MEASURES))
    for variant in dict.fromkeys(row["variant"] for row in rows):
        own = [row for row in rows if row["variant"] == variant]
        mean = {column: sum(row[column] for row in own) / len(own) for column in MEASURES}
        for row in [*own, {"seed": "mean", **mean}]:
            print(f"{variant:28} {row['seed']:>5} " + " ".join(f"{row[column]:15.3f}" for column in MEASURES))


def check(study: Row, rows: list[Row]) -> int:
    """Hold one stored row to a new run."""
    stored = random.choice(rows)
    variant, seed = stored["variant"], stored["seed"]
    train(study, [(variant, seed)], again=finished(study, variant, seed) is not None)
    again = finished(study, variant, seed)
    assert again is not None
    show([stored, again])
    return int(any(abs(stored[column] - again[column]) > TOLERANCE for column in MEASURES))


if __name__ == "__main__":
    sys.exit(main())
