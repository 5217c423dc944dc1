"""Names that all rules use: where results lie, what is known when the workflow is planned, digests of code."""

import json
import os
import shlex
import sys
from pathlib import Path

sys.path.insert(0, workflow.basedir)
from mmclip import liveness, provenance
from mmclip.config import kinds
from mmclip.config.documents import read_settings
from mmclip.ingest import watched
from snakemake.exceptions import WorkflowError

RESULTS = f"{config['results']}/{config['run']}"
LANGUAGES = config["languages"]
SOURCE = config["filter"]["source"]
DATASETS = config["datasets"]
SHARDS_OF = {name: kinds.shard_count(one["kind"], config["shards"]) for name, one in DATASETS.items()}
SHARDS = [f"{dataset}-{shard:03d}" for dataset, count in SHARDS_OF.items() for shard in range(count)]
DATASET_OF = {shard: shard.rpartition("-")[0] for shard in SHARDS}
TRAINED = config["train_on"] or list(DATASETS)
TRAINED_SHARDS = [shard for shard in SHARDS if DATASET_OF[shard] in TRAINED]
TASKS = config["evaluate"]["tasks"]
SEARCH = config["search"] or {"experiment": "none", "dataset": "none"}


pathvars:
    results=RESULTS,


# The code that is hashed is the code that runs: locally, in a conda environment, on SLURM, in a container.
# Threads that wait for each other sleep: where they spin, two jobs on the same cores stop each other.
shell.prefix(
    f"set -euo pipefail; export PYTHONPATH='{workflow.basedir}' MMCLIP_CONTROLLER='{liveness.controller()}' "
    f"HF_HUB_OFFLINE='{os.environ.get('HF_HUB_OFFLINE', '1')}' "
    f"OMP_WAIT_POLICY='{os.environ.get('OMP_WAIT_POLICY', 'PASSIVE')}'; "
)


def write_controller():
    """Write down who runs the workflow here, for `mmclip run` to tell a killed run from one that goes on."""
    record, own = Path(liveness.CONTROLLER_RECORD), liveness.controller()
    if not record.exists() or record.read_text() != own:  # `mmclip run` has written it under a lock
        record.write_text(own)


def write_notice():
    """Say in the folder of the results that they hold restricted data, where they do."""
    sources = [source for source in DATASETS.values() if source["kind"] != "phantom"]
    if any(source.get("share", "restricted") == "restricted" for source in sources):
        Path(RESULTS).mkdir(parents=True, exist_ok=True)
        Path(RESULTS, "NOTICE.txt").write_text(
            "The files below this folder were made from restricted data. Those that only their owner may read hold report\n"
            "text, pixels or ids; leave it so, and send nothing of them to a service on the network.\n"
        )


def experiment(path):
    """The settings of an experiment file, checked, completed with defaults, with this run's seed and languages."""
    settings = read_settings(Path(workflow.basedir, path))
    validate(settings, Path(workflow.basedir, "workflow/schemas/experiment.schema.json"))
    settings["seed"] += config["seed"]
    if settings["task"] != "classify":  # which reads no texts
        data = settings["data"]
        wanted = [code for code in data["languages"] or LANGUAGES if code not in data["exclude_languages"]]
        data["languages"] = [code for code in LANGUAGES if code in wanted]
    return settings


EXPERIMENTS = {name: experiment(path) for name, path in config["experiments"].items()}
TEXT_MODELS = {name: settings for name, settings in EXPERIMENTS.items() if settings["task"] == "text"}
CLASSIFIERS = {name: settings for name, settings in EXPERIMENTS.items() if settings["task"] == "classify"}
ALIGNED = {name: settings for name, settings in EXPERIMENTS.items() if settings["task"] == "align"}


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


def experiment_settings(wildcards):
    """The settings of the experiment as one JSON argument."""
    return json.dumps(EXPERIMENTS[wildcards.experiment], sort_keys=True)


def code(stage, *modules):
    """The digest of a stage's code and data files."""
    return provenance.digest(stage, modules)


def shard_number(wildcards):
    """NUMBER/COUNT of a shard."""
    return f"{int(wildcards.shard.rpartition('-')[2])}/{SHARDS_OF[DATASET_OF[wildcards.shard]]}"


def corpus(wildcards):
    """Corpus shards that an experiment reads."""
    return expand(
        "{folder}/{language}/{shard}.parquet",
        folder=corpus_folder(wildcards),
        language=EXPERIMENTS[wildcards.experiment]["data"]["languages"],
        shard=TRAINED_SHARDS,
    )


def corpus_folder(wildcards):
    """Where the corpus of the experiment's filter variant lies."""
    return f"{RESULTS}/filter/{EXPERIMENTS[wildcards.experiment]['data']['variant']}/corpus"


def text_model(wildcards):
    """The pretrained text encoder that an experiment starts from, or nothing where it brings its own."""
    name = ALIGNED[wildcards.experiment]["text_experiment"]
    return [f"{RESULTS}/pretrain_text/{name}"] if name else []


def pretrained_towers(wildcards):
    """The digests of the model folders that an experiment's encoders come from; a name of the hub has none."""
    experiment = EXPERIMENTS[wildcards.experiment]
    image, text = experiment["model"]["image"], experiment["model"]["text"]
    folders = [Path(image["name"])] if image["library"] == "hugging_face" else []
    if text["kind"] == "pretrained" and not experiment["text_experiment"]:
        folders.append(Path(text["name"]))
    return [provenance.model_digest(folder) for folder in folders if folder.is_dir()]


def objectives(wildcards):
    """Modules of the objectives that an experiment names."""
    return [f"mmclip.objectives.{objective['name']}" for objective in ALIGNED[wildcards.experiment]["objectives"]]


def source_files(wildcards):
    """The table that a data set of one's own is read from, and the file of its labels."""
    source = DATASETS[wildcards.dataset]
    files = [source.get("file"), source.get("labels", {}).get("file")]
    return list(dict.fromkeys(file for file in files if file))


def engine_chain(language):
    """Names of the engine of a language, and of those it falls back on."""
    translate = config["translate"]
    chain = [translate["engines_by_language"].get(language, translate["engine"])]
    while following := translate["engines"][chain[-1]].get("fallback"):
        chain.append(following)
    return chain


def engines(wildcards):
    """Settings of the engines of a translation job."""
    return [config["translate"]["engines"][name] for name in engine_chain(wildcards.language)]


def translated_by(wildcards):
    """The engines behind the texts that an experiment read, as options of the model's card: name, kind and model."""
    languages = [code for code in EXPERIMENTS[wildcards.experiment]["data"]["languages"] if code != SOURCE]
    named = {}
    for name in dict.fromkeys(name for code in languages for name in engine_chain(code)):
        engine = config["translate"]["engines"][name]
        parts = [name, engine["kind"], Path(engine.get("model") or "").name]
        named[name] = " ".join(dict.fromkeys(filter(None, parts)))
    return " ".join(f"--translated-by {shlex.quote(words)}" for words in named.values())


def memories(wildcards):
    """The files of known translations that a translation job reads."""
    return [engine["file"] for engine in engines(wildcards) if engine.get("file")]


def translation_models(wildcards):
    """The digests of the model folders of a translation job's engines."""
    folders = [Path(engine[key]) for engine in engines(wildcards) for key in ("model", "tokenizer") if engine.get(key)]
    return [provenance.model_digest(folder) for folder in folders if folder.is_dir()]


def drawn(wildcards):
    """The thresholds drawn for a language; the source's, and the variants without a filter, have none."""
    filtered = wildcards.variant == "filtered" and wildcards.language != SOURCE
    return ["<results>/filter/thresholds/{language}.json"] if filtered and config["filter"]["draw"]["sample"] else []


def encoder(wildcards):
    """The digest of the sentence encoder, where there is one."""
    similarity = config["filter"]["similarity"]
    folder = Path(similarity["model"]) if similarity else None
    return provenance.model_digest(folder) if folder and folder.is_dir() else ""


def judged(wildcards):
    """The marks that there are: people's files in validate/judged, and the model's where the config has one."""
    folder = Path(RESULTS, "validate/judged")
    model = [f"{RESULTS}/validate/judged/model.csv"] if config["validate"]["judge"] else []
    return model + sorted(str(file) for file in folder.glob("*.csv") if file.name != "model.csv")


def agreement(wildcards):
    """What is known of the marks, where there are any; a model that has not marked is not asked for the report."""
    marks = judged(wildcards)
    return [f"{RESULTS}/validate/agreement.json"] if marks and all(map(os.path.exists, marks)) else []


def run_parts(wildcards, input):
    """What the run consists of, as one JSON argument: the report shows nothing of what else lies in its folder."""
    parts = {
        "datasets": list(DATASETS),
        "languages": LANGUAGES,
        "shards": SHARDS,
        "experiments": list(EXPERIMENTS),
        "tasks": TASKS,
        "benchmarks": list(config["evaluate"]["benchmarks"]),
        "judged": bool(input.agreement),
    }
    return json.dumps(parts)


def prompts(wildcards):
    """The prompts of a benchmark that has a file of them; like every file of the config's, from the checkout on."""
    benchmark = config["evaluate"]["benchmarks"][wildcards.dataset]
    return [str(Path(workflow.basedir, benchmark["prompts"]))] if "prompts" in benchmark else []


def benchmark_corpus(wildcards):
    """Corpus shards whose texts a benchmark of real reports retrieves."""
    benchmark = config["evaluate"]["benchmarks"][wildcards.dataset]
    if benchmark["kind"] == "phantom" or not benchmark["texts"]:
        return []
    return expand(
        "<results>/filter/filtered/corpus/{language}/{shard}.parquet",
        language=LANGUAGES,
        shard=dataset_shards(wildcards),
    )


def real_result(wildcards):
    """The result on real patients that the report shows beside its own, if the config names one."""
    real = config["report"]["real"]
    return [str(Path(workflow.basedir, real["metrics"]))] if real else []


def dataset_shards(wildcards):
    """The shards of one data set."""
    return [shard for shard in SHARDS if DATASET_OF[shard] == wildcards.dataset]


def benchmarks(wildcards):
    """The benchmark files that a task reads: what is supervised also learns from train and chooses by val."""
    supervised = wildcards.task in ("linear_probe", "fine_tune")
    splits = ["train", "val"] * supervised + [config["evaluate"]["split"]]
    return [f"{RESULTS}/benchmarks/{wildcards.dataset}.{split}.json" for split in dict.fromkeys(splits)]


def whole_config(wildcards):
    """The config of the run as one JSON argument, its experiments in their order."""
    return json.dumps(config)


def cost(wildcards):
    """What a run that reads MIMIC-CXR will cost: shown before anything is read, and no reason to read again."""
    reads = any(source["kind"] == "mimic_cxr" for source in DATASETS.values())
    return [ancient(f"{RESULTS}/reproduce_3mclip/cost.txt")] if reads else []


def reproduced(wildcards):
    """The metrics that the published table of 3M-CLIP needs."""
    if not any(source["kind"] == "mimic_cxr" for source in DATASETS.values()):
        raise WorkflowError(
            "reproduce_3mclip: no data set of kind mimic_cxr; "
            "add --configfile config/reproduce_3mclip.yaml, with your paths in it"
        )
    return expand(
        "<results>/evaluate/{experiment}/{task}/{dataset}/metrics.json",
        experiment=ALIGNED,
        task=TASKS,
        dataset=config["evaluate"]["benchmarks"],
    )


def launcher(wildcards):
    """What starts a training job: one process, or one for each GPU."""
    several = f"torch.distributed.run --standalone --nproc-per-node {config['gpus']} -m " if config["gpus"] > 1 else ""
    return f"python -m {several}mmclip"


def translation_gpus(wildcards):
    """GPUs of a translation job: a neural engine uses one, unless it stays on the CPU or there is nothing to translate."""
    kind = DATASETS[DATASET_OF[wildcards.shard]]["kind"]
    if kind in kinds.WITHOUT_REPORTS or (wildcards.language == SOURCE and kind in kinds.ENGLISH_REPORTS):
        return 0
    return int(any(engine.get("device", "cpu") != "cpu" for engine in engines(wildcards)))
