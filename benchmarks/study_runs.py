"""The runs of a study: which there are, where each lies, and how they are started.

A run is one variant with one seed. Where the seed makes only models, all runs with the same data lie beside each other:
the data are made once, each run is an experiment there, and two studies that ask for the same run train it once. Where
the seed also makes classifiers whose predictions are part of the data (`experiments:` among a variant's changes), every
run goes the whole way in a folder of its own.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from mmclip.config.documents import read_settings, read_yaml
from mmclip.tables.files import write_json, write_text

ROOT = Path(__file__).resolve().parents[1]

TOGETHER = ROOT / "results/studies/together"
"""Where runs lie beside each other, in a folder for each data."""

Values = dict[str, Any]


@dataclass(frozen=True)
class Variant:
    """One value of each axis.

    Attributes:
        name: the values' names, joined by a comma.
        values: the names, one of each axis.
        reference: the variant that differs in the last axis only, where it has the first value.
        config, experiment: what it changes, in this order.
        text: the file of the experiment whose text encoder it starts from, with the run's seed; none as its experiment
            says.
        seeds: the seeds it runs with.
    """

    name: str
    values: tuple[str, ...]
    reference: str
    config: tuple[Values, ...]
    experiment: tuple[Values, ...]
    text: str | None
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
        """What is measured; see COLUMNS_OF in study_measures."""
        return tuple(self.asked.get("measures", ("zero_shot", "retrieval")))

    @property
    def tasks(self) -> list[str]:
        """The tasks of evaluation among the measures that the workflow does for them."""
        return [name for name in self.measures if name in ("zero_shot", "retrieval")]

    @cached_property
    def config(self) -> Values:
        """The config that the variants change."""
        return merged(read_settings(ROOT / self.asked["config"]), self.asked.get("changes", {}))

    @cached_property
    def variants(self) -> tuple[Variant, ...]:
        """Every combination of the axes' values, in their order."""
        axes = [list(axis.items()) for axis in self.asked["axes"].values()]
        out = []
        for chosen in itertools.product(*axes):
            names, changes = [name for name, _ in chosen], [change for _, change in chosen]
            config, experiment = (
                tuple(change[where] for change in changes if where in change) for where in ("config", "experiment")
            )
            text = next((change["text"] for change in reversed(changes) if "text" in change), self.asked.get("text"))
            allowed = [change["seeds"] for change in changes if "seeds" in change]
            seeds = tuple(seed for seed in self.asked["seeds"] if all(seed in some for some in allowed))
            reference = ", ".join([*names[:-1], axes[-1][0][0]])
            out.append(Variant(", ".join(names), tuple(names), reference, config, experiment, text, seeds))
        return tuple(out)

    @cached_property
    def seeds_make_data(self) -> bool:
        """Whether a run's data depend on its seed."""
        return any("experiments" in change for variant in self.variants for change in variant.config)

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
    """A variant with a seed; `alone` keeps it from its likes, to be made anew."""

    study: Study
    variant: Variant
    seed: int
    alone: bool = False

    @property
    def label(self) -> str:
        """Its name in paths."""
        again = "_again" if self.alone else ""
        return f"{re.sub(r'[^0-9a-z]+', '_', self.variant.name.lower())}_seed{self.seed}{again}"

    @property
    def folder(self) -> Path:
        """What is its own."""
        return self.study.folder / self.label

    @property
    def is_apart(self) -> bool:
        """Whether it goes the whole way in its own folder."""
        return self.alone or self.study.seeds_make_data

    @cached_property
    def config(self) -> Values:
        """The config of its data."""
        config = merged(self.study.config, *self.variant.config)
        asked = {"tasks": self.study.tasks, "split": self.study.asked["split"]}
        config["evaluate"] = config["evaluate"] | asked
        return config | {"run": "run", "results": "results", "seed": self.seed if self.study.seeds_make_data else 0}

    @property
    def workplace(self) -> Path:
        """The folder in which the workflow works for it, and perhaps for others."""
        shared = {key: value for key, value in self.config.items() if key not in ("evaluate", "threads")}
        return self.folder if self.is_apart else TOGETHER / _digest(shared)

    @property
    def results(self) -> Path:
        """The results that it is among."""
        return self.workplace / "results/run"

    @property
    def row_file(self) -> Path:
        """Its measured row; it is there once the run is finished."""
        return self.folder / "row.json"

    @property
    def evidence_file(self) -> Path:
        """What the row's figures are means of."""
        return self.folder / "evidence.parquet"

    @cached_property
    def text_settings(self) -> Values | None:
        """The settings of the experiment whose text encoder it starts from."""
        if self.variant.text is None:
            return None
        return merged(read_settings(ROOT / self.variant.text), {"seed": self._seed})

    @property
    def text_experiment(self) -> str:
        """The name of that experiment."""
        return f"text_{_digest(self.text_settings)}"

    @cached_property
    def settings(self) -> Values:
        """The settings of the scored experiment."""
        own = merged(read_settings(ROOT / self.study.asked["experiment"]), {"seed": self._seed})
        start = {} if self.text_settings is None else {"text_experiment": self.text_experiment}
        return merged(own, start, *self.variant.experiment)

    @property
    def experiment(self) -> str:
        """The name of the scored experiment."""
        return f"run_{_digest(self.settings)}"

    @property
    def _seed(self) -> int:
        """What the experiments' seeds are before the workflow adds the config's."""
        return 0 if self.study.seeds_make_data else self.seed

    @property
    def dataset(self) -> str:
        """The data set that it is scored on."""
        (dataset,) = map(str, self.config["evaluate"]["benchmarks"])
        return dataset

    def metrics(self, task: str) -> Path:
        """Where its figures of a task lie."""
        return self.results / "evaluate" / self.experiment / task / self.dataset / "metrics.json"

    def write_experiments(self) -> dict[str, str]:
        """Write the settings of its experiments; name -> file."""
        made = {self.experiment: self.settings}
        if self.text_settings is not None:
            made[self.text_experiment] = self.text_settings
        for name, settings in made.items():
            write_json(settings, self.workplace / f"{name}.json")
        return {name: str(self.workplace / f"{name}.json") for name in made}


def start(runs: Sequence[Run], jobs: int = 1) -> None:
    """Have the workflow make, train and evaluate runs of one workplace; it goes on with what a killed one left.

    Args:
        jobs: jobs at a time.

    Raises:
        RuntimeError: it failed; what it said lies in run.log of the workplace.
    """
    first, folder = runs[0], runs[0].workplace
    if any(run.workplace != folder for run in runs):
        raise ValueError("runs with different data are started one by one")
    experiments = first.config.get("experiments", {})
    for run in runs:
        experiments = experiments | run.write_experiments()
    write_json(first.config | {"experiments": experiments}, folder / "config.json")
    targets = [str(run.metrics(task).relative_to(folder)) for run in runs for task in run.study.tasks]
    command = [sys.executable, "-m", "mmclip", "run", *targets, "--configfile", str(folder / "config.json")]
    command += ["--directory", str(folder), "--cores", str(jobs), "--keep-going", "--quiet", "rules"]
    done = subprocess.run(command, cwd=folder, check=False, text=True, capture_output=True)
    if done.returncode:
        write_text(f"{done.stdout}\n{done.stderr}", folder / "run.log")
        raise RuntimeError(f"{folder}: mmclip run ended with status {done.returncode}; see run.log there")


def tidy(run: Run) -> None:
    """Remove what a finished run needs no more: its checkpoints, and where it is apart its data and models too."""
    if run.is_apart:
        for name in ("results", ".snakemake"):
            shutil.rmtree(run.folder / name, ignore_errors=True)
    else:
        for name in [run.experiment, *([run.text_experiment] if run.text_settings else [])]:
            shutil.rmtree(run.results / "checkpoints" / name, ignore_errors=True)


def merged(base: Values, *changes: Values) -> Values:
    """`base` with one change after the other, mappings key by key; null takes a value away: its default holds."""
    out = dict(base)
    for key, value in (item for change in changes for item in change.items()):
        if isinstance(value, dict) and isinstance(out.get(key), dict):
            out[key] = merged(out[key], value)
        elif value is None:
            out.pop(key, None)
        else:
            out[key] = value
    return out


def _digest(values: Any) -> str:
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()[:12]
