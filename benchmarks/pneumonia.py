"""Zero-shot pneumonia on real radiographs: 3M-CLIP against the same model untrained, over seeds and patients.

    python benchmarks/pneumonia.py --json docs/results/pneumonia.json    # a quarter of an hour on two cores
    python benchmarks/pneumonia.py --check                               # fails unless training is sure to have helped

824 radiographs of two hospitals, of which one gives labels (normal, bacterial or viral pneumonia; children) and the
other notes. Training sees notes and sentences made from the labels, in English and in Apertium's Spanish, Portuguese
and Italian, by multilingual-e5-small with its last two layers free. Three models of three seeds each:

    three_m_clip    trained as said
    notes_only      without the sentences made from labels: images of pneumonia meet the other hospital's notes alone
    untrained       its weights as drawn; 20 steps at a rate of nothing, so that batch norm knows the images' statistics

AUROC is that of pneumonia against normal on the test images with labels; the picture's shape alone (width over height)
ranks them too. Recall is that of the test images with notes, identical texts counted as one. Intervals draw seeds, then
patients; differences are paired. The rows are those of `metrics.json`; what is no result of 3M-CLIP has task `audit`.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray
from real_radiographs import DATASET, MADE, metadata, write_made_sentences, write_settings
from scipy.stats import rankdata
from study_runs import ROOT, merged

from mmclip.config.documents import read_yaml
from mmclip.data.packed import PackedImages
from mmclip.evaluation.encoder import load_encoder
from mmclip.evaluation.retrieval import instance_ranks
from mmclip.metrics.bootstrap import Draw, Interval, two_level_bootstrap
from mmclip.tables.benchmark import read_benchmark
from mmclip.tables.evaluation import PREDICTIONS, Metric, read_metrics, write_metrics
from mmclip.tables.files import read_table, write_json

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

FOLDER = ROOT / "results/pneumonia"
METHOD, NOTES, UNTRAINED, SHAPE = "three_m_clip", "notes_only", "untrained", "shape"

VARIANTS: dict[str, dict[str, Any]] = {
    METHOD: {"data": {"text_weights": {DATASET: 0.5, MADE: 0.5}}},
    NOTES: {"data": {"text_weights": {DATASET: 1.0}}},
    UNTRAINED: {"optimisation": {"steps": 20, "learning_rate": 1e-12}},
}
"""Model -> what it changes of radiographs/experiment.yaml."""

TASKS = ("zero_shot", "retrieval")

CUTOFFS = (1, 5, 10)
"""K of recall."""


def main() -> int:
    """Do what the command line asks; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--json", type=Path, help="write the rows here")
    parser.add_argument("--check", action="store_true", help="fail where the interval of the gain holds zero")
    given = parser.parse_args()
    train(given.seeds)
    rows = [*zero_shot_rows(given.seeds), *retrieval_rows(given.seeds)]
    show(rows)
    if given.json:
        write_metrics(rows, given.json)
    gain = next(row for row in rows if (row.metric, row.language) == (f"auroc_minus_{UNTRAINED}", "mean"))
    assert gain.low is not None
    return int(given.check and gain.low <= 0)


# --- the models -------------------------------------------------------------------------------------------------------


def name_of(variant: str, seed: int) -> str:
    """The experiment of a model with a seed."""
    return f"{variant}_seed{seed}"


def evaluated(variant: str, seed: int, task: str) -> Path:
    """Where the figures of a model lie."""
    return FOLDER / "results/real/evaluate" / name_of(variant, seed) / task / DATASET / "metrics.json"


def train(seeds: list[int]) -> None:
    """Have the workflow make the data, train and evaluate; it goes on with what is there.

    Raises:
        RuntimeError: it failed; what it said lies in run.log.
    """
    FOLDER.mkdir(parents=True, exist_ok=True)
    config = read_yaml(write_settings(FOLDER))
    base = read_yaml(FOLDER / "experiment.yaml")
    config["datasets"][MADE] = write_made_sentences(FOLDER)
    config["experiments"] = {}
    for variant, changes in VARIANTS.items():
        for seed in seeds:
            file = FOLDER / f"{name_of(variant, seed)}.json"
            write_json(merged(base, changes | {"seed": seed}), file)
            config["experiments"][name_of(variant, seed)] = str(file)
    del config["report"]
    write_json(config, FOLDER / "config.json")
    targets = [evaluated(variant, seed, task) for variant in VARIANTS for seed in seeds for task in TASKS]
    command = [sys.executable, "-m", "mmclip", "run", *(str(one.relative_to(FOLDER)) for one in targets)]
    command += ["--configfile", str(FOLDER / "config.json"), "--directory", str(FOLDER), "--cores", "2"]
    done = subprocess.run(
        [*command, "--keep-going", "--quiet", "rules"], cwd=FOLDER, env=os.environ | {"HF_HUB_OFFLINE": "1"},
        text=True, capture_output=True, check=False,
    )  # fmt: skip
    if done.returncode:
        (FOLDER / "run.log").write_text(f"{done.stdout}\n{done.stderr}", encoding="utf-8")
        raise RuntimeError(f"mmclip run ended with status {done.returncode}; see {FOLDER / 'run.log'}")


# --- zero-shot --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Margins:
    """How much nearer each image is to pneumonia's prompts than to those of no finding.

    Attributes:
        values: [seeds, languages, n].
        shown: [n], whether it shows pneumonia.
        images, patients: of the n images.
    """

    values: Floats
    shown: NDArray[np.bool_]
    images: list[str]
    patients: list[str]
    languages: list[str]

    @classmethod
    def read(cls, variant: str, seeds: list[int]) -> Margins:
        """Those of a model with all its seeds."""
        files = [evaluated(variant, seed, "zero_shot").with_name("predictions.parquet") for seed in seeds]
        tables = [read_table(file, PREDICTIONS).sort("language", "id") for file in files]
        languages = tables[0]["language"].unique().sort().to_list()
        first = tables[0].filter(language=languages[0])
        score = pl.col("scores").list
        values = [table.select(score.get(1) - score.get(0)).to_series().to_numpy() for table in tables]
        return cls(
            np.stack(values).astype(np.float64).reshape(len(seeds), len(languages), len(first)),
            (first["truth"] == "Pneumonia").to_numpy(),
            first["id"].to_list(),
            first["patient_id"].to_list(),
            languages,
        )


def zero_shot_rows(seeds: list[int]) -> list[Metric]:
    """AUROC and accuracy of the models, AUROC by the shape, and what 3M-CLIP's is above the others'."""
    margins = {variant: Margins.read(variant, seeds) for variant in VARIANTS}
    own = margins[METHOD]
    sizes = metadata().select("image", pl.col("width").cast(pl.Int32) / pl.col("height").cast(pl.Int32))
    ratio = np.array([dict(sizes.rows())[image] for image in own.images])
    codes = [*own.languages, "mean", "worst"]

    def both(chosen: Draw, draw: Draw) -> Floats:
        by_model = {
            name: with_summary(aurocs(one.values[:, :, draw], own.shown[draw])[chosen].mean(0))
            for name, one in margins.items()
        }
        shape = np.full(len(codes), aurocs(ratio[draw], own.shown[draw]))
        right = (own.values[:, :, draw] > 0) == own.shown[draw]
        differences = [by_model[METHOD] - by_model[NOTES], by_model[METHOD] - by_model[UNTRAINED]]
        accuracy = with_summary(right[chosen].mean((0, 2)))
        return np.concatenate([*by_model.values(), shape, accuracy, *differences, by_model[METHOD] - shape])

    found = two_level_bootstrap(both, len(seeds), own.patients)
    names = [(variant, "auroc") for variant in (*VARIANTS, SHAPE)]
    names += [(METHOD, "accuracy"), *((METHOD, f"auroc_minus_{other}") for other in (NOTES, UNTRAINED, SHAPE))]
    like = read_metrics(evaluated(METHOD, seeds[0], "zero_shot"))
    rows = []
    keys = [(name, metric, code) for name, metric in names for code in codes]
    for (name, metric, code), interval in zip(keys, found, strict=True):
        if name == SHAPE and code != "mean":
            continue
        task = "zero_shot" if name == METHOD and metric in ("auroc", "accuracy") else "audit"
        rows.append(as_row(like[0], interval, experiment=name, task=task, metric=metric, language=code))
    constant = next(one for one in like if one.metric == "constant_accuracy")
    return [*rows, constant.model_copy(update={"experiment": METHOD})]


def aurocs(scores: Floats, positive: NDArray[np.bool_]) -> Floats:
    """Area under the ROC curve of [..., n] scores; nan where a draw holds one side only."""
    positives, n = int(positive.sum()), len(positive)
    if positives in (0, n):
        return np.full(scores.shape[:-1], np.nan)
    sums = (rankdata(scores, axis=-1) * positive).sum(-1)
    return np.asarray((sums - positives * (positives + 1) / 2) / (positives * (n - positives)))


def with_summary(by_language: Floats) -> Floats:
    """[languages] -> the same, their mean, and the worst."""
    return np.append(by_language, [by_language.mean(), by_language.min()])


# --- retrieval --------------------------------------------------------------------------------------------------------


def retrieval_rows(seeds: list[int]) -> list[Metric]:
    """Recall of 3M-CLIP and of the untrained model by language and direction."""
    rows = []
    for variant in (METHOD, UNTRAINED):
        like = read_metrics(evaluated(variant, seeds[0], "retrieval"))
        wording = {one.language: one.test_text for one in like if one.metric == "recall_at_k"}
        for code, (patients, by_direction) in ranks_by_language(variant, seeds).items():
            for direction, ranks in by_direction.items():
                intervals = two_level_bootstrap(recall_of(ranks), len(seeds), patients)
                for k, interval in zip(CUTOFFS, intervals, strict=True):
                    task = "retrieval" if variant == METHOD else "audit"
                    changes = {"direction": direction, "k": k, "test_text": wording[code], "n": len(patients)}
                    named = {"experiment": variant, "task": task, "metric": "recall_at_k", "language": code}
                    rows.append(as_row(like[0], interval, **named, **changes))
    return rows


def recall_of(ranks: Ints) -> Callable[[Draw, Draw], Floats]:
    """The statistic of [seeds, n] ranks: recall at each cutoff."""
    hits = np.stack([ranks <= k for k in CUTOFFS])
    return lambda chosen, draw: np.asarray(hits[:, chosen][:, :, draw].mean((1, 2)))


def ranks_by_language(variant: str, seeds: list[int]) -> Mapping[str, tuple[list[str], dict[str, Ints]]]:
    """Language -> the patients of the n test images with a text, and by direction their [seeds, n] ranks."""
    results = FOLDER / "results/real"
    benchmark = read_benchmark(results / f"benchmarks/{DATASET}.test.json")
    samples = benchmark.samples
    pixels = np.stack(PackedImages([results / "pack" / DATASET]).read([sample.image_id for sample in samples]))
    studies = [sample.study_id for sample in samples]
    encoders = [load_encoder(str(results / "pretrain" / name_of(variant, seed) / "model")) for seed in seeds]
    features = [encoder.images(pixels) for encoder in encoders]
    out = {}
    for code, texts in benchmark.texts.items():
        found = [instance_ranks(own, studies, encoder, texts) for encoder, own in zip(encoders, features, strict=True)]
        by_direction = {way: np.stack([one.by_direction[way] for one in found]) for way in found[0].by_direction}
        out[code] = ([samples[number].patient_id for number in found[0].kept], by_direction)
    return out


# --- rows -------------------------------------------------------------------------------------------------------------


def as_row(like: Metric, interval: Interval, **changes: Any) -> Metric:
    """A row over seeds and patients, with the test set's hashes of another row."""
    bounds = {"value": interval.value, "low": interval.low, "high": interval.high}
    over = {"interval": "seeds+patients", "k": None, "direction": ""}
    return like.model_copy(update=over | bounds | changes)


def show(rows: list[Metric]) -> None:
    """A line a row."""
    for one in rows:
        place = " ".join(filter(None, [one.language, one.direction, f"@{one.k}" if one.k else ""]))
        bounds = "" if one.low is None else f"  ({one.low:.3f} to {one.high:.3f})"
        print(f"{one.experiment:14} {one.metric:22} {place:28} {one.value:.3f}{bounds}  n={one.n}")


if __name__ == "__main__":
    sys.exit(main())
