"""How much memory the texts of training need, a report: while they are read, and what stays.

    python benchmarks/corpus.py [--sizes 4000 16000] [--json FILE] [--check]

Corpora of two sizes are written: 21 languages, 8 sentences of about 120 bytes a report, of words that mean nothing, in
alphabets of one to three bytes a letter; 39 % of the sentences are distinct, as of Indiana University's reports (a
larger corpus repeats itself more). A new process reads each as a rank does: `align` with soft labels, for `pretrain`;
`text` with the choice of a tokenizer's sentences and each distinct sentence once, for `pretrain-text`. Measured are the
peak of the resident memory above that before the first table is read, the arrays that stay, and seconds. What 216,000
reports take is predicted from the slope between the two sizes, not measured. `--check` exits 1 where a prediction is
above its bound.
"""

from __future__ import annotations

import argparse
import gc
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from mmclip.config.training import DataSettings, Tokenizer
from mmclip.data.corpus import Corpus
from mmclip.data.streams import TextStream
from mmclip.data.texts import DistinctTexts, SplitTexts
from mmclip.languages import LANGUAGES
from mmclip.models.tokenizer import load_tokenizer
from mmclip.observations import OBSERVATIONS
from mmclip.tables.files import read_table, write_json, write_table
from mmclip.tables.filtering import CORPUS
from mmclip.tables.labeling import TARGETS
from mmclip.training.tokenizer import sample_sentences, train_tokenizer

REPORTS = 216_000
"""Those of MIMIC-CXR that have a frontal image, rounded."""
SENTENCES, BYTES, DISTINCT = 8, 120, 0.39
SHARD, WORDS, MAX_TOKENS = 2000, 1500, 256
ALPHABETS = ("abcdefghijklmnopqrstuvwxyz", "абвгдежзиклмнопрстуфхцчшщыэюя", "अआइईउऊएऐओऔकखगघचछजझटठडढतथदधनपफबभमयरलवशषसह")
KINDS = ("align", "text")
BOUNDS = {"peak": 6.0, "stays": 3.5}
"""GB a rank at 216,000 reports."""


def words_of(number: int) -> list[str]:
    """The words of a language."""
    random = np.random.default_rng(number)
    letters = np.array(list(ALPHABETS[number % len(ALPHABETS)]))
    return ["".join(random.choice(letters, random.integers(3, 10))) for _ in range(WORDS)]


def sentences_of(number: int, reports: int) -> np.ndarray:
    """The sentences of a language, [reports, SENTENCES]; in every language the same ones are alike."""
    many = reports * SENTENCES
    words = np.array(words_of(number), dtype=object)
    length = BYTES // (1 + int(np.mean([len(word.encode()) for word in words])))
    chosen = words[np.random.default_rng([number, 1]).integers(WORDS, size=(int(many * DISTINCT), length))]
    distinct = np.array([" ".join(row) + "." for row in chosen], dtype=object)
    wording = np.random.default_rng(0).integers(len(distinct), size=many)
    wording[: len(distinct)] = np.arange(len(distinct))
    return distinct[np.random.default_rng(1).permutation(wording)].reshape(reports, SENTENCES)


def write_corpus(folder: Path, reports: int) -> None:
    """Studies, targets and corpus shards, as the workflow writes them."""
    folder.mkdir()
    studies = [f"mimic-cxr-{50_000_000 + number}" for number in range(reports)]
    table = pl.DataFrame({"study_id": studies, "split": "train", "source": "made", "language": "eng_Latn"})
    table.write_parquet(folder / "studies.parquet")
    names = [f"{study}/{place}" for study in studies for place in range(SENTENCES)]
    vectors = (np.random.default_rng(0).random((len(names) + reports, len(OBSERVATIONS))) < 0.1).astype(np.float32)
    targets = {"id": names + studies, "kind": ["sentence"] * len(names) + ["study"] * reports, "policy": ""}
    made = pl.DataFrame(targets).with_columns(pl.Series("vector", vectors).arr.to_list())
    write_table(made, folder / "targets.parquet", TARGETS)
    for number, language in enumerate(LANGUAGES):
        sentences = sentences_of(number, reports)
        (folder / language).mkdir()
        for start in range(0, reports, SHARD):
            rows = sentences[start : start + SHARD].tolist()
            shard = pl.DataFrame({"study_id": studies[start : start + SHARD], "sentences": rows})
            shard = shard.with_columns(
                language=pl.lit(language),
                text=pl.col("sentences").list.join(" "),
                indices=pl.lit(list(range(SENTENCES)), pl.List(pl.Int32)),
                reasons=pl.lit([], pl.List(pl.String)),
            )
            write_table(shard, folder / language / f"{start}.parquet", CORPUS)


def resident(name: str) -> int:
    """VmRSS or VmHWM (its peak) of this process, in bytes."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(name))


def measure(folder: Path, kind: str, tokenizer_folder: Path) -> dict[str, float]:
    """What one rank needs, in bytes, and seconds: to be asked for in a process that has done nothing else."""
    tokenizer = load_tokenizer(tokenizer_folder)
    Path("/proc/self/clear_refs").write_text("5")  # the peak is counted from here
    before, start = resident("VmRSS"), time.perf_counter()
    studies = pl.read_parquet(folder / "studies.parquet")
    targets = read_table(folder / "targets.parquet", TARGETS) if kind == "align" else None
    files = sorted(folder.glob("*/*.parquet"))
    texts = SplitTexts(files, studies, "train", list(LANGUAGES))
    if kind == "text":
        sample_sentences(texts, Tokenizer().sentences)
    corpus = Corpus.build(DistinctTexts(texts) if kind == "text" else texts, tokenizer, MAX_TOKENS, targets)
    seconds = time.perf_counter() - start
    TextStream(DataSettings(), corpus, studies, 0).take(0, 4096)
    peak = resident("VmHWM") - before
    del texts, targets, studies
    gc.collect()
    arrays = [value.nbytes for value in vars(corpus).values() if isinstance(value, np.ndarray)]
    ids = sum(map(sys.getsizeof, corpus.studies))
    found = {"peak": peak, "stays": sum(arrays) + ids, "seconds": seconds, "texts": len(corpus)}
    return found | {"sentences": len(corpus.sentence), "tokens": len(corpus.tokens)}


def slopes(small: dict[str, float], large: dict[str, float]) -> dict[str, float]:
    """Bytes a report, and GB at 216,000 reports on the line through both sizes; of the time seconds."""
    out = {}
    for name in ("peak", "stays", "seconds"):
        slope = (large[name] - small[name]) / (large["reports"] - small["reports"])
        predicted = large[name] + slope * (REPORTS - large["reports"])
        out[f"{name}_a_report"] = slope
        out[f"{name}_predicted"] = predicted if name == "seconds" else predicted / 1e9
    return out


def failures(found: dict[str, dict[str, float]]) -> list[str]:
    """The bounds that are not kept."""
    return [
        f"{kind}: {name} {values[f'{name}_predicted']:.1f} GB > {most} GB"
        for kind, values in found.items()
        for name, most in BOUNDS.items()
        if values[f"{name}_predicted"] > most
    ]


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--sizes", type=int, nargs=2, default=(4000, 16_000))
    parser.add_argument("--json", type=Path)
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--one", nargs=3, help=argparse.SUPPRESS)
    given = parser.parse_args(arguments)
    if given.one:
        print(json.dumps(measure(Path(given.one[0]), given.one[1], Path(given.one[2]))))
        return 0
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        learned = [sentence for number in range(len(LANGUAGES)) for sentence in sentences_of(number, 100).ravel()]
        train_tokenizer(learned, Tokenizer(vocabulary=16_000)).save_pretrained(folder / "tokenizer")
        for reports in given.sizes:
            write_corpus(folder / str(reports), reports)
            for kind in KINDS:
                command = [sys.executable, __file__, "--one", folder / str(reports), kind, folder / "tokenizer"]
                told = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
                rows.append({"kind": kind, "reports": reports, **json.loads(told.stdout)})
                row, kept = rows[-1], rows[-1]["tokens"] / rows[-1]["sentences"]
                print(
                    f"{kind:5} {reports:7,} reports: peak {row['peak'] / 1e6:7.1f} MB, stays "
                    f"{row['stays'] / 1e6:6.1f} MB, {row['seconds']:.0f} s, {kept:.1f} tokens kept a sentence"
                )
    found = {kind: slopes(*(row for row in rows if row["kind"] == kind)) for kind in KINDS}
    for kind, values in found.items():
        print(
            f"{kind:5} a report {values['peak_a_report'] / 1e3:.1f} KB, stays {values['stays_a_report'] / 1e3:.1f} KB; "
            f"predicted from the slope for {REPORTS:,} reports: peak {values['peak_predicted']:.1f} GB (at most "
            f"{BOUNDS['peak']:g}), stays {values['stays_predicted']:.1f} GB (at most {BOUNDS['stays']:g}), "
            f"{values['seconds_predicted'] / 60:.0f} minutes"
        )
    if given.json:
        write_json({"rows": rows, "slopes": found}, given.json)
    missed = failures(found) if given.check else []
    for line in missed:
        print(f"not reached: {line}", file=sys.stderr)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
