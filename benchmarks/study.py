"""A study: variants of data, labels or an experiment over seeds, on the validation split; finished runs become rows.

    python benchmarks/study.py label_scale               # what docs/results/label_scale.json lacks
    python benchmarks/study.py uncertainty --jobs 2      # two runs at a time
    python benchmarks/study.py label_scale --show        # the stored rows as a table
    python benchmarks/study.py label_scale --check       # one stored run, drawn at random, once more

`benchmarks/studies/<name>.yaml` says what is asked: a question, a config, the experiment that is scored, seeds, and
axes. An axis maps names to changes of the config (data, labels, policies) or of the experiment, as `config:` and
`experiment:`; one value of each axis is a variant. `seeds:` beside a change keeps it to some of the study's seeds.

The workflow makes, trains and evaluates; a run that is finished is never repeated, also after a kill, and an unfinished
one goes on. Where a study was edited, delete the rows that this changes, and `results/studies/<name>`. `--check` exits
1 where the repeated run differs from the stored row by more than 0.03.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import Any

from study_measures import columns, intervals, measure
from study_runs import ROOT, Run, Study, start, tidy

from mmclip.tables.files import write_json

TOLERANCE = 0.03

Row = dict[str, Any]


def main() -> int:
    """Do what the command line asks; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("study")
    parser.add_argument("--json", type=Path, help="where rows are kept; docs/results/<study>.json by default")
    parser.add_argument("--jobs", type=int, default=1, help="runs with data of their own at a time")
    parser.add_argument("--runs", type=int, help="start at most this many")
    parser.add_argument("--show", action="store_true")
    parser.add_argument("--check", action="store_true")
    given = parser.parse_args()
    study = Study.read(given.study)
    stored = given.json or ROOT / "docs/results" / f"{given.study}.json"
    known: Row = json.loads(stored.read_text(encoding="utf-8")) if stored.exists() else {"rows": []}
    if given.check:
        return check(study, known["rows"])
    if not given.show:
        fill(study, known, stored, given.jobs, given.runs)
    show(study, known)
    return 0


def fill(study: Study, known: Row, stored: Path, jobs: int, most: int | None = None) -> None:
    """Run what the rows lack, and store each row as soon as it is measured."""
    done = {(row["variant"], row["seed"]) for row in known["rows"]}
    lacking = [run for run in study.runs if (run.variant.name, run.seed) not in done]
    pending = [run for run in lacking if not keep(run, known, stored)][:most]
    if not study.has_own_data:
        try:
            if pending:
                start(study, pending)
        finally:
            for run in pending:
                keep(run, known, stored)
        return
    with ThreadPoolExecutor(jobs) as pool:
        started = {pool.submit(start, study, [run]): run for run in pending}
        try:
            for future in as_completed(started):
                future.result()
                keep(started[future], known, stored)
        finally:
            pool.shutdown(cancel_futures=True)


def keep(run: Run, known: Row, stored: Path) -> bool:
    """Add the row of a run, if it is finished, to what is stored."""
    row = measure(run)
    if row is None:
        return False
    known["rows"].append(row)
    write(run.study, known, stored)
    tidy(run)
    return True


def write(study: Study, known: Row, file: Path) -> None:
    """Store what was asked, the rows in the order of the study, and intervals where all runs of a variant are here."""
    order = [variant.name for variant in study.variants]
    known["rows"].sort(key=lambda row: (order.index(row["variant"]), row["seed"]))
    asked = {key: study.asked[key] for key in ("question", "config", "experiment", "split")}
    asked["axes"] = {name: list(values) for name, values in study.asked["axes"].items()}
    fresh = intervals(study)
    again = {(row["variant"], row["column"]) for row in fresh}
    old = [row for row in known.get("intervals", []) if (row["variant"], row["column"]) not in again]
    known["intervals"] = sorted([*old, *fresh], key=lambda row: (row["column"], order.index(row["variant"])))
    write_json({**asked, "rows": known["rows"], "intervals": known["intervals"]}, file)


def show(study: Study, known: Row) -> None:
    """A line a run, the mean of each variant, and the intervals."""
    names = columns(study)
    width = max(len(variant.name) for variant in study.variants)
    print(f"{'variant':{width}} {'seed':>5} " + " ".join(f"{name:>16}" for name in names))
    for variant in dict.fromkeys(row["variant"] for row in known["rows"]):
        own = [row for row in known["rows"] if row["variant"] == variant]
        mean = {name: sum(row[name] for row in own) / len(own) for name in names}
        for row in [*own, {"seed": "mean", **mean}]:
            print(f"{variant:{width}} {row['seed']:>5} " + " ".join(f"{row[name]:16.3f}" for name in names))
    for row in known.get("intervals", []):
        line = f"{row['variant']:{width}} {row['column']}: {row['value']:.3f} [{row['low']:.3f}, {row['high']:.3f}]"
        if "against" in row:
            line += f"; {row['difference']:+.3f} [{row['difference_low']:+.3f}, {row['difference_high']:+.3f}]"
            line += f" against {row['against']}"
        print(f"{line} ({row['seeds']} seeds)")


def check(study: Study, rows: list[Row]) -> int:
    """Hold one stored row to a new run."""
    stored = random.choice(rows)
    variant = next(variant for variant in study.variants if variant.name == stored["variant"])
    run = Run(study, variant, stored["seed"], "_again" if study.has_own_data else "")
    trained_before = not study.has_own_data and run.metrics(study.measures[0]).exists()
    run.row_file.unlink(missing_ok=True)
    start(study, [run], again=study.has_own_data or trained_before)
    again = measure(run)
    assert again is not None
    show(study, {"rows": [stored, again]})
    return int(any(abs(stored[name] - again[name]) > TOLERANCE for name in columns(study)))


if __name__ == "__main__":
    sys.exit(main())
