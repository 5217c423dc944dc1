"""What translating a corpus costs: each lever of the translation stage alone, and all together, in one run.

    MMCLIP_REAL_DATA=<folder with iu_reports/> python benchmarks/translate.py [--sentences 64] [--single 8] \\
        [--json FILE] [--check] [--small]

The model has the shape of NLLB-200 distilled 600M (615 M parameters, 256,206 pieces) and random weights, which changes
no arithmetic; NLLB itself is not needed. Every engine translates the same sampled sentences of the Indiana reports, or
those of them that `--single` leaves, at beam 4, and is made to write exactly as many tokens as the others. The rows run
in turn, `--rounds` times; the fastest counts. Rows that take a sentence at a time run on an even choice of the sample
by length, since they take seconds a sentence: rates are tokens written a second.

Assumed, not measured: a token every 4 characters (NLLB's tokenizer is not here), 1.25 tokens out for each in, and
65,536 pieces left after pruning to 20 languages. Measured: the share of words in distinct sentences. The sample is of
groups of neighbours by length, as an engine gets them; batches are of one length, and smaller than a corpus's, so the
batched rows are rather too slow than too fast.
`--check` exits 1 unless all levers together take a sixth of the hours of transformers bf16, sentence by sentence.
It takes about 7.5 GB of memory; `--sentences 48 --single 4 --rounds 1` took five minutes on two busy cores. `--small`
takes a model of a few thousand weights, to see in seconds that all of it runs: its rates say nothing about NLLB's.
"""

from __future__ import annotations

import argparse
import os
import random
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import ctranslate2
import polars as pl
import torch
from ctranslate2.converters import Converter
from ctranslate2.converters.transformers import M2M100Loader
from transformers import M2M100Config, M2M100ForConditionalGeneration

from mmclip.sentences import split
from mmclip.tables.files import write_json
from mmclip.translation.batched import batches
from mmclip.translation.normalise import normalise
from mmclip.translation.prune import prune

CHARACTERS_A_TOKEN, WRITTEN_A_TOKEN = 4.0, 1.25
BEAM, REQUIRED = 4, 6.0
GROUP = 12
"""Sentences of about one length that are sampled together."""
REPORTS, LANGUAGES = 216_000, 20
BASELINE = "transformers bf16, one by one"
T4_SENTENCES, T4_BANDWIDTH, A100_BANDWIDTH = 72.0, 320.0, 1555.0
"""Sentences a second of NLLB-600M in CTranslate2 float16 on a T4, by a third party's public report (60 segments of
about 66 characters in 0.835 s); GB a second of both GPUs' memory, by their data sheets (A100: 40 GB)."""


@dataclass(frozen=True)
class Shape:
    """A model's size.

    Attributes:
        pieces: rows of the output layer.
        kept: how many of them 20 languages are taken to use.
    """

    name: str
    pieces: int
    kept: int
    width: int
    layers: int
    inner: int
    heads: int


NLLB = Shape("NLLB-200 distilled 600M", pieces=256_206, kept=65_536, width=1024, layers=12, inner=4096, heads=16)
SMALL = Shape("small", pieces=400, kept=100, width=16, layers=1, inner=16, heads=2)


@dataclass(frozen=True)
class Job:
    """A sentence as tokens, and how many tokens are to be written for it."""

    tokens: tuple[int, ...]
    written: int


@dataclass(frozen=True)
class Corpus:
    """The sampled sentences, and what the whole of `iu_reports` says about a corpus.

    Attributes:
        jobs: the sample, the longest first.
        written: tokens that translating one report takes.
        sentences: sentences a report.
        distinct: share of the tokens that are in distinct sentences.
        distinct_sentences, distinct_words: shares of the sentences that are distinct, and of the words in them.
    """

    jobs: list[Job]
    written: float
    sentences: float
    distinct: float
    distinct_sentences: float
    distinct_words: float


def read_corpus(folder: Path, size: int, kept: int) -> Corpus:
    """Sample `size` distinct sentences, and give them tokens of the first `kept` pieces.

    The sample is of small groups of about one length, as the blocks are that the stage gives to an engine: the
    sentences of a corpus by length, a thousand at a time.
    """
    table = pl.read_csv(folder / "iu_reports" / "iu_reports_gold.csv", infer_schema=False)
    texts = table.select(pl.concat_str("findings", "impression", separator=" ", ignore_nulls=True)).to_series()
    sentences = [[normalise(sentence) for sentence in split(text)] for text in texts if text and text.strip()]
    every = [sentence for some in sentences for sentence in some]
    rng = random.Random(0)
    total, once = sum(map(_written, every)), set(every)
    by_length = sorted(once, key=lambda sentence: (-len(sentence), sentence))
    jobs = [_job(sentence, rng, kept) for sentence in _groups(by_length, size, rng)]
    return Corpus(
        jobs=sorted(jobs, key=lambda job: -len(job.tokens)),
        written=total / len(sentences),
        sentences=len(every) / len(sentences),
        distinct=sum(map(_written, once)) / total,
        distinct_sentences=len(once) / len(every),
        distinct_words=sum(map(_words, once)) / sum(map(_words, every)),
    )


def _groups(by_length: list[str], size: int, rng: random.Random) -> list[str]:
    """Groups of neighbours, each drawn from its own part of the sentences by length, `size` sentences in all."""
    parts = -(-size // GROUP)
    edges = [round(part * len(by_length) / parts) for part in range(parts + 1)]
    found = []
    for start, end in pairwise(edges):
        wanted = min(GROUP, size - len(found), end - start)
        first = rng.randint(start, end - wanted)
        found += by_length[first : first + wanted]
    return found


def _read(sentence: str) -> int:
    """Tokens of a sentence, with the language before and the end behind."""
    return max(1, round(len(sentence) / CHARACTERS_A_TOKEN)) + 2


def _written(sentence: str) -> float:
    """Tokens of a sentence's translation."""
    return WRITTEN_A_TOKEN * _read(sentence)


def _words(sentence: str) -> int:
    return len(sentence.split())


def _job(sentence: str, rng: random.Random, kept: int) -> Job:
    """Random pieces, as many as the sentence has, and as many to write as for any sentence of its length."""
    size = _read(sentence)
    tokens = (kept - 1, *(rng.randrange(4, kept - 1) for _ in range(size - 2)), 2)
    return Job(tokens, round(WRITTEN_A_TOKEN * size))


def network(shape: Shape, dtype: torch.dtype) -> M2M100ForConditionalGeneration:
    """NLLB's architecture with random weights."""
    torch.manual_seed(0)
    torch.set_default_dtype(dtype)
    settings = M2M100Config(
        vocab_size=shape.pieces, d_model=shape.width, encoder_layers=shape.layers, decoder_layers=shape.layers,
        encoder_ffn_dim=shape.inner, decoder_ffn_dim=shape.inner, encoder_attention_heads=shape.heads,
        decoder_attention_heads=shape.heads, decoder_start_token_id=2, bos_token_id=0, pad_token_id=1, eos_token_id=2,
        scale_embedding=True, max_position_embeddings=1024,
    )  # fmt: skip
    model = M2M100ForConditionalGeneration(settings).eval()
    torch.set_default_dtype(torch.float32)
    return model


class RandomWeights(Converter):
    """CTranslate2's conversion of a network in memory, whole or with `rows` rows of its output layer."""

    def __init__(self, model: Any, pieces: int, rows: int) -> None:
        self._model, self._pieces, self._rows = model, pieces, rows

    def _load(self) -> Any:
        names = ["<s>", "<pad>", "</s>", "<unk>", *(f"p{number}" for number in range(4, self._pieces))]
        tokenizer = SimpleNamespace(
            get_vocab=lambda: {name: number for number, name in enumerate(names)},
            convert_ids_to_tokens=names.__getitem__,
            special_tokens_map={}, unk_token_id=3, bos_token="<s>", eos_token="</s>", unk_token="<unk>",
        )  # fmt: skip
        with torch.no_grad():
            spec = M2M100Loader()(self._model, tokenizer)
            if self._rows < self._pieces:
                prune(spec, range(self._rows))
        return spec


def hugging_face(model: Any) -> Callable[[list[list[Job]]], None]:
    """Translate batches, each of one length, in turn with transformers' generate."""

    def run(groups: list[list[Job]]) -> None:
        for jobs in groups:
            ids = torch.tensor([job.tokens for job in jobs])
            wanted = jobs[0].written
            with torch.inference_mode():
                out = model.generate(
                    input_ids=ids, attention_mask=torch.ones_like(ids), forced_bos_token_id=jobs[0].tokens[0],
                    num_beams=BEAM, do_sample=False, min_new_tokens=wanted, max_new_tokens=wanted,
                )  # fmt: skip
            assert out.shape[1] == wanted + 1

    return run


def ctranslate(translator: Any) -> Callable[[list[list[Job]]], None]:
    """Translate batches, each of one length, as many at once as there are workers."""

    def start(jobs: list[Job]) -> list[Any]:
        results: list[Any] = translator.translate_batch(
            [[_name(token) for token in job.tokens] for job in jobs],
            target_prefix=[[_name(job.tokens[0])] for job in jobs], asynchronous=True, beam_size=BEAM,
            min_decoding_length=jobs[0].written, max_decoding_length=jobs[0].written, max_input_length=0,
        )  # fmt: skip
        return results

    def run(groups: list[list[Job]]) -> None:
        started = [result for jobs in groups for result in start(jobs)]
        wanted = [job.written for jobs in groups for job in jobs]
        assert [len(result.result().hypotheses[0]) for result in started] == wanted

    return run


def _name(token: int) -> str:
    return "</s>" if token == 2 else f"p{token}"


def grouped(jobs: list[Job], tokens: int) -> list[list[Job]]:
    """Batches of at most so many source tokens, each of one length."""
    return [[jobs[i] for i in positions] for positions in batches([len(job.tokens) for job in jobs], tokens)]


@dataclass(frozen=True)
class Row:
    """A way to translate: what it runs on, how, and how on one short sentence, so that all memory is in use before."""

    name: str
    jobs: list[Job]
    run: Callable[[], None]
    warm: Callable[[], None]


def rows(corpus: Corpus, shape: Shape, single: int, folder: Path) -> list[Row]:
    """All rows, with their models loaded."""
    model = network(shape, torch.float32)
    for name, kept in (("whole", shape.pieces), ("pruned", shape.kept)):
        RandomWeights(model, shape.pieces, kept).convert(str(folder / name), quantization="int8")
    half = network(shape, torch.bfloat16)
    cores = len(os.sched_getaffinity(0))
    jobs, few = corpus.jobs, corpus.jobs[:: max(1, len(corpus.jobs) // single)]
    alone = [[job] for job in few]
    full = grouped(jobs, 2048)
    spread = grouped(jobs, max(64, sum(len(job.tokens) for job in jobs) // (4 * cores)))  # work for every worker

    def translator(name: str, workers: int) -> Callable[[list[list[Job]]], None]:
        threads = {"inter_threads": workers, "intra_threads": cores // workers}
        return ctranslate(ctranslate2.Translator(str(folder / name), device="cpu", compute_type="int8", **threads))

    float32, bfloat16 = hugging_face(model), hugging_face(half)
    one, each, cut = translator("whole", 1), translator("whole", cores), translator("pruned", cores)
    one_cut = translator("pruned", 1)
    short = [[jobs[-1]]]

    def row(name: str, on: list[Job], groups: list[list[Job]], run: Callable[[list[list[Job]]], None]) -> Row:
        return Row(name, on, lambda: run(groups), lambda: run(short))

    return [
        row("transformers fp32, one by one", few, alone, float32),
        row(BASELINE, few, alone, bfloat16),
        row("transformers bf16, batched", jobs, full, bfloat16),
        row("CTranslate2 int8, one by one", few, alone, one),
        row("CTranslate2 int8, one by one, one worker a core", few, alone, each),
        row("CTranslate2 int8, one by one, pruned vocabulary", few, alone, one_cut),
        row("CTranslate2 int8, batched", jobs, full, one),
        row("CTranslate2 int8, batched, one worker a core", jobs, spread, each),
        row("CTranslate2 int8, batched, one worker a core, pruned", jobs, spread, cut),
    ]


def measure(ways: list[Row], rounds: int) -> dict[str, dict[str, float]]:
    """Tokens written a second of each row, by the clock and by processor time: the fastest of interleaved rounds."""
    best: dict[str, dict[str, float]] = {}
    for way in ways:
        way.warm()
    for turn in range(rounds):
        for way in ways:
            wall, cpu = time.perf_counter(), time.process_time()
            way.run()
            wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
            written = sum(job.written for job in way.jobs)
            found = {"sentences": len(way.jobs), "tokens": written, "wall": wall, "cpu": cpu}
            if wall < best.get(way.name, found)["wall"] or way.name not in best:
                best[way.name] = found
            print(f"  round {turn + 1}: {way.name}: {written / wall:.1f} tokens/s", file=sys.stderr, flush=True)
    return best


def summarise(corpus: Corpus, best: dict[str, dict[str, float]]) -> dict[str, Any]:
    """Hours for the whole corpus by row, with deduplication as a row of its own."""
    tokens = REPORTS * LANGUAGES * corpus.written
    out = []
    for name, row in best.items():
        rate, rate_cpu = row["tokens"] / row["wall"], row["tokens"] / row["cpu"]
        out.append({"name": name, **row, "tokens_per_second": rate, "tokens_per_cpu_second": rate_cpu})
    last = out[-1]
    base = next(row for row in out if row["name"] == BASELINE)
    out.append({**base, "name": f"{BASELINE}, each sentence once", "share": corpus.distinct})
    out.append({**last, "name": "all together: the last but one, each sentence once", "share": corpus.distinct})
    for row in out:
        row["hours"] = tokens * row.get("share", 1.0) / row["tokens_per_second"] / 3600
        row["times_faster"] = tokens / base["tokens_per_second"] / 3600 / row["hours"]
    sentences = REPORTS * LANGUAGES * corpus.sentences * corpus.distinct
    return {
        "cores": len(os.sched_getaffinity(0)),
        "load": os.getloadavg()[0],
        "tokens_a_report": corpus.written,
        "distinct_share_of_sentences": corpus.distinct_sentences,
        "distinct_share_of_words": corpus.distinct_words,
        "distinct_share_of_tokens": corpus.distinct,
        "rows": out,
        "a100_hours_estimate": sentences / (T4_SENTENCES * A100_BANDWIDTH / T4_BANDWIDTH) / 3600,
    }


def show(result: dict[str, Any]) -> None:
    print(
        f"{result['model']}, beam {BEAM}, {result['cores']} cores, load {result['load']:.1f}; "
        f"{result['tokens_a_report']:.0f} tokens a report; distinct: "
        f"{result['distinct_share_of_sentences']:.1%} of the sentences, "
        f"{result['distinct_share_of_words']:.1%} of the words, "
        f"{result['distinct_share_of_tokens']:.1%} of the tokens"
    )
    print(f"{'':55} {'sent.':>6} {'tok/s':>8} {'tok/cpu s':>10} {'hours':>8} {'x':>6}")
    for row in result["rows"]:
        print(
            f"{row['name']:55} {row['sentences']:>6.0f} {row['tokens_per_second']:>8.1f} "
            f"{row['tokens_per_cpu_second']:>10.1f} {row['hours']:>8.0f} {row['times_faster']:>6.2f}"
        )
    print(f"hours: {REPORTS:,} reports x {LANGUAGES} languages on this machine; reports as long as Indiana's")
    print(
        f"one A100: about {result['a100_hours_estimate']:.0f} h. An estimate, not measured: {T4_SENTENCES:.0f} "
        "sentences a second on a T4 by a third party's report, times the ratio of memory bandwidths; each sentence once"
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sentences", type=int, default=64)
    parser.add_argument("--single", type=int, default=8, help="how many of them the rows one by one take")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--small", action="store_true", help="a tiny model, to see that everything runs")
    options = parser.parse_args()
    torch.set_num_threads(len(os.sched_getaffinity(0)))
    shape = SMALL if options.small else NLLB
    corpus = read_corpus(Path(os.environ["MMCLIP_REAL_DATA"]), options.sentences, shape.kept)
    with tempfile.TemporaryDirectory() as folder:
        best = measure(rows(corpus, shape, options.single, Path(folder)), options.rounds)
    result = {
        "model": shape.name,
        "torch": torch.__version__,
        "ctranslate2": ctranslate2.__version__,
        **summarise(corpus, best),
    }
    show(result)
    if options.json:
        write_json(result, options.json)
    found = result["rows"][-1]["times_faster"]
    if options.check and found < REQUIRED:
        print(f"all levers together are {found:.2f} times as fast as {BASELINE}; {REQUIRED:.0f} is stated")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
