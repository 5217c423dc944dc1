"""Names that every rule uses: where results lie, what is known when the workflow is planned, digests of code."""

import json
import os
import sys
from pathlib import Path

import yaml

sys.path.insert(0, workflow.basedir)
from mmclip import provenance

RESULTS = f"{config['results']}/{config['run']}"
LANGUAGES = config["languages"]
DATASETS = config["datasets"]
SHARDS = [
    f"{dataset}-{shard:03d}" for dataset in DATASETS for shard in range(config["shards"])
]
DATASET_OF = {shard: shard.rpartition("-")[0] for shard in SHARDS}
TASKS = config["evaluate"]["tasks"]

# The code that is hashed is the code that runs: locally, in a conda environment, on SLURM, in a container.
shell.prefix(
    f"set -euo pipefail; export PYTHONPATH='{workflow.basedir}' MMCLIP_CONTROLLER='{provenance.controller()}' "
    f"HF_HUB_OFFLINE=${{HF_HUB_OFFLINE:-1}}; "
)


def experiment(path):
    """The settings of an experiment file, checked and completed with defaults."""
    with open(Path(workflow.basedir, path), encoding="utf-8") as file:
        settings = yaml.safe_load(file)
    validate(settings, Path(workflow.basedir, "workflow/schemas/experiment.schema.json"))
    settings["seed"] += config["seed"]
    return settings


EXPERIMENTS = {name: experiment(path) for name, path in config["experiments"].items()}
TEXT_MODELS = {name: e for name, e in EXPERIMENTS.items() if e["task"] == "text"}
CLASSIFIERS = {name: e for name, e in EXPERIMENTS.items() if e["task"] == "classify"}
ALIGNED = {name: e for name, e in EXPERIMENTS.items() if e["task"] == "align"}


wildcard_constraints:
    dataset="|".join(DATASETS),
    language="|".join(LANGUAGES),
    shard="|".join(SHARDS),
    variant="filtered|unfiltered|oracle",
    split="train|val|test",
    experiment="|".join(EXPERIMENTS),
    task="|".join(TASKS),


def settings(section):
    """A section of the config as one JSON argument; only its own stage reruns when it changes."""
    return json.dumps(config[section], sort_keys=True)


def code(stage, *modules):
    """The digest of a stage's code and data files."""
    return provenance.digest(stage, modules)


def corpus(experiment):
    """Corpus shards that an experiment reads."""
    data = experiment["data"]
    chosen = [
        language
        for language in LANGUAGES
        if language in (data["languages"] or LANGUAGES) and language not in data["exclude_languages"]
    ]
    return expand(
        RESULTS + "/filter/{variant}/corpus/{language}/{shard}.parquet",
        variant=data["variant"],
        language=chosen,
        shard=SHARDS,
    )


def corpus_folder(experiment):
    """Where the corpus of the experiment's filter variant lies."""
    return f"{RESULTS}/filter/{experiment['data']['variant']}/corpus"


def text_model(experiment):
    """The pretrained text encoder that an experiment starts from, or nothing where it brings its own."""
    name = experiment["text_experiment"]
    return [f"{RESULTS}/pretrain_text/{name}"] if name else []


def objectives(experiment):
    """Modules of the objectives that an experiment names."""
    return [f"mmclip.objectives.{objective['name']}" for objective in experiment["objectives"]]


def benchmark_corpus(dataset):
    """Corpus shards whose texts a benchmark of real reports retrieves."""
    benchmark = config["evaluate"]["benchmarks"][dataset]
    if benchmark["kind"] == "phantom" or not benchmark["texts"]:
        return []
    return expand(
        RESULTS + "/filter/filtered/corpus/{language}/{shard}.parquet",
        language=LANGUAGES,
        shard=[shard for shard in SHARDS if DATASET_OF[shard] == dataset],
    )


SUPERVISED = {"linear_probe", "fine_tune"}
SPLITS_OF = {
    task: ["train", "val", "test"] if task in SUPERVISED else [config["evaluate"]["split"]]
    for task in TASKS
}
