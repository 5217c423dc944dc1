"""Everything on the embedded data beside its controls: what `make demo-full` measures, as one table.

    python benchmarks/controls.py --json docs/results/controls.json     # runs config/full.yaml; an hour on two cores
    python benchmarks/controls.py --check                               # the stored rows against what they must show

`--check` exits 1 where shuffled pairs leave chance, where a model beats the supervised ceiling, or where the stored
rows are not those of the run in results/full, if it is there.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[1]
STORED = ROOT / "docs/results/controls.json"
CONFIG = ROOT / "config/full.yaml"
RESULTS = ROOT / "results/full"
CHANCE = 0.2
NEAR_CHANCE = 0.05
"""Five classes; a control at chance is expected within two standard errors of 490 images, and a little more, since its
errors are shared by the languages."""

Row = dict[str, Any]


def main() -> int:
    """Run or check, and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--check", action="store_true")
    given = parser.parse_args()
    if given.check:
        rows = json.loads(STORED.read_text())
        show(rows)
        return check(rows)
    subprocess.run([sys.executable, "-m", "mmclip", "run", "--configfile", str(CONFIG)], cwd=ROOT, check=True)
    rows = measured()
    show(rows)
    if given.json:
        given.json.write_text(json.dumps(rows, indent=1) + "\n")
    return 0


def measured() -> list[Row]:
    """A row an experiment that reads images: zero-shot, class retrieval, and what its image tower is worth."""
    experiments: dict[str, str] = yaml.safe_load(CONFIG.read_text(encoding="utf-8"))["experiments"]
    return [row for name in experiments if (row := scores(name))]


def scores(experiment: str) -> Row | None:
    """The figures of an experiment on the test split, None where it is not evaluated by images."""
    zero_shot = metrics(experiment, "zero_shot")
    if not zero_shot:
        return None
    accuracy = {row["language"]: row for row in zero_shot if row["metric"] == "accuracy"}
    mean = accuracy["mean"]
    return {
        "experiment": experiment,
        "zero_shot_mean": mean["value"],
        "low": mean["low"],
        "high": mean["high"],
        "zero_shot_worst": accuracy["worst"]["value"],
        "zero_shot_italian": accuracy["ita_Latn"]["value"],
        "precision_at_5": one(metrics(experiment, "retrieval"), "precision_at_k", 5, "text_to_image", "mean"),
        "linear_probe": one(metrics(experiment, "linear_probe"), "accuracy", 100),
        "fine_tune": one(metrics(experiment, "fine_tune"), "accuracy", 100),
        "n": mean["n"],
    }


def metrics(experiment: str, task: str) -> list[Row]:
    """The rows of metrics.json, none where the task was not run."""
    file = RESULTS / "evaluate" / experiment / task / "phantom/metrics.json"
    rows: list[Row] = json.loads(file.read_text()) if file.exists() else []
    return rows


def one(rows: list[Row], metric: str, k: int, direction: str = "", language: str = "none") -> float | None:
    """The value of the row that fits, None where there is none."""
    wanted = {"metric": metric, "k": k, "direction": direction, "language": language}
    return next((row["value"] for row in rows if wanted.items() <= row.items()), None)


def show(rows: list[Row]) -> None:
    """A line an experiment."""
    columns = [name for name in rows[0] if name not in ("experiment", "n")]
    print(f"{'experiment':30} " + " ".join(f"{name:>17}" for name in columns))
    for row in rows:
        cells = (f"{row[name]:17.3f}" if row[name] is not None else " " * 17 for name in columns)
        print(f"{row['experiment']:30} " + " ".join(cells))


def check(rows: list[Row]) -> int:
    """Hold the rows to what controls are for."""
    by_name = {row["experiment"]: row for row in rows}
    wrong = []
    shuffled = by_name["shuffled_pairs"]["zero_shot_mean"]
    if abs(shuffled - CHANCE) > NEAR_CHANCE:
        wrong.append(f"shuffled pairs reach {shuffled:.3f}; chance is {CHANCE}")
    ceiling = max(row["fine_tune"] for row in rows if row["fine_tune"] is not None)
    wrong += [f"{name} beats the ceiling" for name, row in by_name.items() if row["low"] > ceiling]
    if (RESULTS / "evaluate").exists() and measured() != rows:
        wrong.append(f"{RESULTS} holds other figures than {STORED}")
    for line in wrong:
        print(line)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
