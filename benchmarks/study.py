"""A study: variants of data, labels or an experiment over seeds, on the validation split; finished runs become rows.

    python benchmarks/study.py objectives --jobs 2       # what docs/results/objectives.json lacks, two jobs at a time
    python benchmarks/study.py objectives --runs 1       # of that only the first run
    python benchmarks/study.py objectives --show         # the stored rows and intervals
    python benchmarks/study.py objectives --table        # the stored intervals as the table of the documents
    python benchmarks/study.py objectives --check        # one stored run, drawn at random, once more

`benchmarks/studies/<name>.yaml` says what is asked: a question, a config, the experiment that is scored, seeds, and
axes. An axis maps names to changes of the config (data, labels, policies) or of the experiment, as `config:` and
`experiment:`; `text:` names the experiment of task text that it starts from. One value of each axis is a variant.
`seeds:` beside a change keeps it to some of the study's seeds. `changes:` is what all variants change of the config.

The workflow makes, trains and evaluates; a run that is finished is never repeated, also after a kill or in another
study, and an unfinished one goes on. Where a study was edited, delete the rows that this changes, and
`results/studies/<name>`. `--check` exits 1 where the repeated run differs from the stored row by more than 0.03.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import sys
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import Any

from study_intervals import intervals
from study_measures import columns, measure
from study_runs import ROOT, Run, Study, start, tidy
from study_table import table

from mmclip.tables.files import write_json

TOLERANCE = 0.03

Row = dict[str, Any]


def main() -> int:
    """Do what the command line asks; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("study")
    parser.add_argument("--json", type=Path, help="where rows are kept; docs/results/<study>.json by default")
    parser.add_argument("--jobs", type=int, default=1, help="jobs at a time")
    parser.add_argument("--runs", type=int, help="start at most this many")
    parser.add_argument("--show", action="store_true")
    parser.add_argument("--table", action="store_true")
    parser.add_argument("--check", action="store_true")
    given = parser.parse_args()
    study = Study.read(given.study)
    stored = given.json or ROOT / "docs/results" / f"{given.study}.json"
    known: Row = json.loads(stored.read_text(encoding="utf-8")) if stored.exists() else {"rows": []}
    if given.check:
        return check(study, known["rows"], given.jobs)
    if given.table:
        print(table(study, known))
        return 0
    if not given.show:
        fill(study, known, stored, given.jobs, given.runs)
    show(study, known)
    return 0


def fill(study: Study, known: Row, stored: Path, jobs: int, most: int | None = None) -> None:
    """Run what the rows lack, and store each row as soon as it is measured."""
    done = {(row["variant"], row["seed"]) for row in known["rows"]}
    lacking = [run for run in study.runs if (run.variant.name, run.seed) not in done]
    pending = [run for run in lacking if not keep(run, known, stored)][:most]
    try:
        if study.seeds_make_data:
            each_apart(pending, known, stored, jobs)
        else:
            beside_each_other(pending, known, stored, jobs)
    finally:
        write(study, known, stored, intervals(study))


def beside_each_other(pending: list[Run], known: Row, stored: Path, jobs: int) -> None:
    """One call of the workflow for all runs with the same data."""
    by_workplace: dict[Path, list[Run]] = {}
    for run in pending:
        by_workplace.setdefault(run.workplace, []).append(run)
    for runs in by_workplace.values():
        try:
            start(runs, jobs)
        finally:
            for run in runs:
                keep(run, known, stored)


def each_apart(pending: list[Run], known: Row, stored: Path, jobs: int) -> None:
    """A call of the workflow for each run, some at a time."""
    with ThreadPoolExecutor(jobs) as pool:
        started = {pool.submit(start, [run]): run for run in pending}
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
    write(run.study, known, stored, [])
    tidy(run)
    return True


def write(study: Study, known: Row, file: Path, fresh: list[Row]) -> None:
    """Store what was asked, the rows in the order of the study, and intervals: fresh ones replace older ones."""
    order = [variant.name for variant in study.variants]
    known["rows"].sort(key=lambda row: (order.index(row["variant"]), row["seed"]))
    asked = {key: study.asked[key] for key in ("question", "config", "experiment", "split")}
    asked["axes"] = {name: list(values) for name, values in study.asked["axes"].items()}
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
        mean = {name: _mean([row[name] for row in own if row.get(name) is not None]) for name in names}
        for row in [*own, {"seed": "mean", **mean}]:
            shown = ["" if row.get(name) is None else f"{row[name]:.3f}" for name in names]
            print(f"{variant:{width}} {row['seed']:>5} " + " ".join(f"{value:>16}" for value in shown))
    for row in known.get("intervals", []):
        line = f"{row['variant']:{width}} {row['column']}: {row['value']:.3f} [{row['low']:.3f}, {row['high']:.3f}]"
        if "against" in row:
            line += f"; {row['difference']:+.3f} [{row['difference_low']:+.3f}, {row['difference_high']:+.3f}]"
            line += f" against {row['against']}"
        print(f"{line} ({row['seeds']} seeds)")


def _mean(values: list[float]) -> float | None:
    return sum(values) / len(values) if values else None


def check(study: Study, rows: list[Row], jobs: int) -> int:
    """Hold one stored row to a new run, its data included."""
    stored = random.choice(rows)
    variant = next(variant for variant in study.variants if variant.name == stored["variant"])
    run = Run(study, variant, stored["seed"], alone=True)
    shutil.rmtree(run.folder, ignore_errors=True)
    start([run], jobs)
    again = measure(run)
    assert again is not None
    tidy(run)
    show(study, {"rows": [stored, again]})
    compared = [(stored[name], again[name]) for name in columns(study) if stored.get(name) is not None]
    return int(any(abs(before - after) > TOLERANCE for before, after in compared))


if __name__ == "__main__":
    sys.exit(main())
