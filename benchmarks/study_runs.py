"""The runs of a study: which there are, where each lies, and how it is started.

A run is one variant with one seed. Where variants change the data or the labels, every run goes the whole way in a
folder of its own, its seed added to that of every model. Where they change the scored experiment alone, all runs are
experiments beside each other in the results of the study's config, and share its data.
"""

from __future__ import annotations

import itertools
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from mmclip.config.documents import read_yaml
from mmclip.tables.files import write_json, write_text

ROOT = Path(__file__).resolve().parents[1]

SCORED = "scored"
"""Name of the experiment in a run that has a folder of its own."""

Values = dict[str, Any]


@dataclass(frozen=True)
class Variant:
    """One value of each axis.

    Attributes:
        name: the values' names, joined by a comma.
        reference: the variant that differs in the last axis only, where it has the first value.
        config, experiment: what it changes.
        seeds: the seeds it runs with.
    """

    name: str
    reference: str
    config: Values
    experiment: Values
    seeds: tuple[int, ...]


@dataclass(frozen=True)
class Study:
    """What `benchmarks/studies/<name>.yaml` asks."""

    name: str
    asked: Values

    @classmethod
    def read(cls, name: str) -> Study:
        """The study of that name."""
        return cls(name, read_yaml(ROOT / "benchmarks/studies" / f"{name}.yaml"))

    @cached_property
    def measures(self) -> tuple[str, ...]:
        """What is measured: tasks, and `targets`."""
        return tuple(self.asked.get("measures", ("zero_shot", "retrieval")))

    @cached_property
    def config(self) -> Values:
        """The config that the variants change."""
        content: Values = read_yaml(ROOT / self.asked["config"])
        return content

    @cached_property
    def variants(self) -> tuple[Variant, ...]:
        """Every combination of the axes' values, in their order."""
        axes = [list(axis.items()) for axis in self.asked["axes"].values()]
        out = []
        for chosen in itertools.product(*axes):
            names, changes = [name for name, _ in chosen], [change for _, change in chosen]
            config: Values = {}
            experiment: Values = {}
            for change in changes:
                config, experiment = (
                    merged(config, change.get("config", {})),
                    merged(experiment, change.get("experiment", {})),
                )
            allowed = [change["seeds"] for change in changes if "seeds" in change]
            seeds = tuple(seed for seed in self.asked["seeds"] if all(seed in some for some in allowed))
            reference = ", ".join([*names[:-1], axes[-1][0][0]])
            out.append(Variant(", ".join(names), reference, config, experiment, seeds))
        return tuple(out)

    @cached_property
    def has_own_data(self) -> bool:
        """Whether a variant changes more than the scored experiment."""
        return any(variant.config for variant in self.variants)

    @cached_property
    def runs(self) -> tuple[Run, ...]:
        """All runs: the first seed of every variant, then the second, ..."""
        pairs = [(variant, seed) for seed in self.asked["seeds"] for variant in self.variants if seed in variant.seeds]
        return tuple(Run(self, variant, seed) for variant, seed in pairs)

    @property
    def folder(self) -> Path:
        """Where the study keeps what is not worth keeping in the repository."""
        return ROOT / "results/studies" / self.name


@dataclass(frozen=True)
class Run:
    """A variant with a seed."""

    study: Study
    variant: Variant
    seed: int
    attempt: str = ""

    @property
    def label(self) -> str:
        """Its name in paths."""
        return f"{re.sub(r'[^0-9a-z]+', '_', self.variant.name.lower())}_seed{self.seed}{self.attempt}"

    @property
    def experiment(self) -> str:
        """The name of the scored experiment."""
        return SCORED if self.study.has_own_data else f"study_{self.study.name}_{self.label}"

    @property
    def folder(self) -> Path:
        """What is its own; for a run among others only its settings."""
        return self.study.folder / self.label

    @property
    def results(self) -> Path:
        """The results that it is, or is among."""
        shared = ROOT / str(self.study.config["results"]) / str(self.study.config["run"])
        return self.folder / "results/run" if self.study.has_own_data else shared

    @property
    def row_file(self) -> Path:
        """Its measured row; it is there once the run is finished."""
        return self.folder / "row.json"

    @property
    def evidence_file(self) -> Path:
        """What the row's figures are means of."""
        return self.folder / "evidence.parquet"

    def metrics(self, task: str) -> Path:
        """Where its figures of a task lie."""
        (dataset,) = map(str, self.study.config["evaluate"]["benchmarks"])
        return self.results / "evaluate" / self.experiment / task / dataset / "metrics.json"

    def write_experiment(self) -> Path:
        """Write the settings of the scored experiment."""
        seed = {} if self.study.has_own_data else {"seed": self.seed}
        changes = {"base": str(ROOT / self.study.asked["experiment"]), **seed, **self.variant.experiment}
        file = self.folder / "experiment.yaml"
        write_json(changes, file)
        return file


def start(study: Study, runs: Sequence[Run], again: bool = False) -> None:
    """Have the workflow make, train and evaluate these runs of a study; it goes on with what a killed one left.

    Args:
        runs: of a study without data of its own any number, otherwise one.
        again: forget what the workflow knows of them.
    """
    (first, *others) = runs
    folder = first.folder if study.has_own_data else study.folder
    if others and study.has_own_data:
        raise ValueError("runs with data of their own are started one by one")
    if again and study.has_own_data:
        shutil.rmtree(folder, ignore_errors=True)
    tasks = [task for task in study.measures if task != "targets"]
    config = merged(study.config, first.variant.config if study.has_own_data else {})
    config["evaluate"] |= {"tasks": tasks, "split": study.asked["split"]}
    config["experiments"] = config.get("experiments", {}) | {
        run.experiment: str(run.write_experiment()) for run in runs
    }
    if study.has_own_data:
        config |= {"run": "run", "results": "results", "seed": first.seed}
    write_json(config, folder / "config.yaml")
    where = folder if study.has_own_data else ROOT
    targets = [str(run.metrics(task).relative_to(where)) for run in runs for task in tasks]
    command = [sys.executable, "-m", "mmclip", "run", *targets, "--configfile", str(folder / "config.yaml")]
    if study.has_own_data:
        command += ["--directory", str(folder), "--cores", "1", "--quiet", "all"]
    elif again:
        command += ["--forcerun", "pretrain"]
    done = subprocess.run(command, cwd=where, check=False, text=True, capture_output=study.has_own_data)
    if done.returncode:
        if study.has_own_data:
            write_text(f"{done.stdout}\n{done.stderr}", folder / "run.log")
        raise RuntimeError(f"{folder}: mmclip run ended with status {done.returncode}")


def tidy(run: Run) -> None:
    """Remove the data and models of a finished run that has a folder of its own."""
    if run.study.has_own_data:
        for name in ("results", ".snakemake"):
            shutil.rmtree(run.folder / name, ignore_errors=True)


def merged(base: Values, changes: Values) -> Values:
    """`base` with `changes`, mappings key by key."""
    out = dict(base)
    for key, value in changes.items():
        if isinstance(value, dict) and isinstance(out.get(key), dict):
            out[key] = merged(out[key], value)
        else:
            out[key] = value
    return out
