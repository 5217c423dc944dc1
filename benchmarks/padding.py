"""What length buckets save: positions that a text tower computes, padding included.

    python benchmarks/padding.py [--run results/demo] [--experiment three_m_clip] [--steps 240] [--json FILE] [--check]

Batches as training makes them, of the texts of a run that is there (`make demo`): with `data.length_buckets` 1, 4 and
16, and with the experiment's mix of single sentences and whole reports beside the default one. Counted a text: its
tokens and the positions of one block as wide as the batch's longest text; then what training does instead
(:mod:`mmclip.training.align`), which is to encode each distinct text once, in groups by length: the tokens of the
distinct texts and the positions of these groups. `--check` exits 1 unless 16 buckets leave little padding in one block.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

import numpy as np

from mmclip.config.base import load
from mmclip.config.training import DataSettings, ExperimentSettings, TextMix
from mmclip.data.alignment import AlignmentBatches
from mmclip.data.corpus import Corpus
from mmclip.data.packed import PackedImages
from mmclip.data.texts import SplitTexts
from mmclip.models.tokenizer import load_tokenizer
from mmclip.tables.files import read_table, write_json
from mmclip.tables.labeling import TARGETS
from mmclip.training.align import LENGTH_GROUPS, distinct_rows
from mmclip.training.sources import read_images, read_studies

BUCKETS = (1, 4, 16)
DATASET = "phantom"
STATED = 0.1
"""Share of one block's positions that is padding with 16 buckets, at most."""


def positions(batches: AlignmentBatches, steps: int) -> dict[str, float]:
    """Per text: tokens, positions of one block, tokens of distinct texts, positions of their groups by length."""
    tokens = block = distinct = groups = texts = 0
    for step in range(steps):
        batch = batches(step)
        mask = batch.attention_mask
        _, own, _ = distinct_rows(batch.input_ids, mask)
        lengths = np.sort(own.sum(dim=1).numpy())
        tokens += int(mask.sum())
        block += mask.numel()
        distinct += int(own.sum())
        groups += sum(len(part) * int(part[-1]) for part in np.array_split(lengths, LENGTH_GROUPS) if len(part))
        texts += len(mask)
    found = {"tokens": tokens, "block": block, "distinct": distinct, "groups": groups}
    return {name: round(value / texts, 2) for name, value in found.items()}


def make_batches(run: Path, settings: ExperimentSettings, model: Path, data: DataSettings) -> AlignmentBatches:
    """The training batches of a run's experiment, with other data settings."""
    ingest = [run / "ingest" / DATASET]
    studies = read_studies(ingest)
    files = sorted((run / "filter" / data.variant / "corpus").glob("*/*.parquet"))
    texts = SplitTexts(files, studies, "train", data.chosen_languages())
    targets = read_table(run / "disambiguate" / "targets.parquet", TARGETS)
    corpus = Corpus.build(texts, load_tokenizer(model), settings.model.text.max_tokens, targets)
    return AlignmentBatches(
        data,
        settings.model.image,
        PackedImages([run / "pack" / DATASET]),
        read_images(ingest, data.views, "train"),
        corpus,
        targets,
        studies,
        batch_size=settings.optimisation.batch_size,
        decoupled=True,
        seed=settings.seed,
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--run", type=Path, default=Path("results/demo"))
    parser.add_argument("--experiment", default="three_m_clip")
    parser.add_argument("--steps", type=int, default=240)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--check", action="store_true")
    options = parser.parse_args()
    settings = load(ExperimentSettings, Path("config/demo") / f"{options.experiment}.yaml")
    model = options.run / "pretrain" / options.experiment / "model"
    rows: list[dict[str, Any]] = []
    print("a text: tokens, positions of one block; tokens of distinct texts, positions of groups by length")
    for name, mix in (("the experiment's", settings.data.text_mix), ("the default", TextMix())):
        for number in BUCKETS:
            data = settings.data.model_copy(update={"text_mix": mix, "length_buckets": number})
            found = positions(make_batches(options.run, settings, model, data), options.steps)
            rows.append({"mix": name, "length_buckets": number, **found})
            print(f"{name:16} mix, {number:2} buckets: " + "  ".join(f"{value:5.1f}" for value in found.values()))
    if options.json:
        write_json(rows, options.json)
    padding = [1 - row["tokens"] / row["block"] for row in rows]
    print("padding in one block: " + "  ".join(f"{share:.0%}" for share in padding))
    return int(options.check and max(padding[len(BUCKETS) - 1 :: len(BUCKETS)]) > STATED)


if __name__ == "__main__":
    sys.exit(main())
