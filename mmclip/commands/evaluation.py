"""Commands that measure and use a model, and that show what was measured."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mmclip.commands.options import Model, Output, Packs, Settings, all_files, engines_of, paths, say, shard_files

if TYPE_CHECKING:
    from mmclip.tables.benchmark import Benchmark

app = typer.Typer()


@app.command()
def benchmark(
    dataset: Annotated[str, typer.Argument(help="name of the data set, as in evaluate.benchmarks")],
    folder: Annotated[Path, typer.Argument(help="the data set as ingested")],
    output: Output,
    split: Annotated[str, typer.Option(help="train, val or test")] = "test",
    languages: Annotated[str, typer.Option(help="languages of prompts and texts; all by default")] = "",
    corpus: Annotated[Path | None, typer.Option(help="corpus folder, for texts of real reports")] = None,
    shards: Annotated[str, typer.Option(help="names of the corpus shards")] = "",
    engine: Annotated[
        list[str], typer.Option(help="what translated the corpus, or LANGUAGE=ENGINE; repeat it, or separate by blanks")
    ] = [],  # noqa: B006
    settings: Settings = "{}",
) -> None:
    """Write a benchmark: who is tested, in which class, and what the text tower is asked."""
    from mmclip.config.base import load
    from mmclip.config.evaluation import EvaluateSettings
    from mmclip.evaluation.benchmark import make_benchmark
    from mmclip.languages import LANGUAGES

    codes = tuple(languages.split()) or tuple(LANGUAGES)
    files = all_files(shard_files(corpus, " ".join(codes), shards)) if corpus else []
    made = make_benchmark(
        load(EvaluateSettings, settings), dataset, folder, split, codes, files, engines_of(engine, codes), output
    )
    say({"samples": len(made.samples), "with_class": len(made.labelled), "split_hash": made.split_hash})


@app.command()
def evaluate(
    model: Model,
    task: Annotated[str, typer.Option(help="zero_shot, retrieval, linear_probe, fine_tune, text or audit")],
    data: Annotated[list[str], typer.Option(help="benchmark files; repeat it for train, val and test")],
    packs: Packs,
    output: Output,
    predictions: Annotated[Path | None, typer.Option(help="also write what was predicted")] = None,
    experiment: Annotated[str, typer.Option(help="name in the rows")] = "model",
    seed: Annotated[int, typer.Option(help="the model's seed, for the rows")] = 0,
    settings: Settings = "{}",
    threads: Annotated[int | None, typer.Option(help="CPU threads")] = None,
) -> None:
    """Measure a model: yours, or one of open_clip or Hugging Face, in 21 languages."""
    from mmclip.config.base import load
    from mmclip.config.evaluation import EvaluateSettings
    from mmclip.evaluation.stage import evaluate as stage

    if threads is not None:
        import torch

        torch.set_num_threads(threads)
    chosen = load(EvaluateSettings, settings)
    benchmarks = _by_split(paths(data))
    rows = stage(chosen, model, task, benchmarks, paths(packs), output, predictions, experiment, seed)
    say({f"{row.metric} {row.language}": round(row.value, 4) for row in rows if row.language in ("mean", "worst")})


def _by_split(files: Sequence[Path]) -> dict[str, Benchmark]:
    """Split -> benchmark.

    Raises:
        UserError: two files are of one split.
    """
    from mmclip.errors import UserError
    from mmclip.tables.benchmark import read_benchmark

    found: dict[str, tuple[Path, Benchmark]] = {}
    for path in files:
        made = read_benchmark(path)
        if made.split in found:
            first = found[made.split][0]
            raise UserError(
                f"--data: {first} and {path} are both of split {made.split!r}; evaluate one after the other"
            )
        found[made.split] = path, made
    return {split: made for split, (_, made) in found.items()}


@app.command()
def audit(
    model: Model,
    data: Annotated[Path, typer.Option(help="benchmark file")],
    packs: Packs,
    output: Output = Path("audit.json"),
) -> None:
    """Ask whether a model minds a "no", in every language of a benchmark."""
    evaluate(model, "audit", [str(data)], packs, output)


@app.command()
def embed(
    model: Model,
    output: Output,
    texts: Annotated[Path | None, typer.Option(help="a table with a column text, or a text a line")] = None,
    images: Annotated[Path | None, typer.Option(help="a folder of packed images")] = None,
) -> None:
    """Write embeddings as .npy."""
    from mmclip.evaluation.stage import embed as stage

    say({"embeddings": stage(model, output, texts, images)})


@app.command()
def search(
    model: Annotated[Path, typer.Argument(help="a model's folder")],
    packs: Packs,
    ingest: Annotated[list[str], typer.Option(help="the data sets as ingested")] = [],  # noqa: B006
    benchmark: Annotated[Path | None, typer.Option(help="benchmark whose prompts the page offers")] = None,
    query: Annotated[str | None, typer.Option(help="a sentence in any language: print the nearest images")] = None,
    top: Annotated[int, typer.Option(help="how many images")] = 5,
    output: Output = Path("search.html"),
    settings: Settings = "{}",
) -> None:
    """Find images by a sentence: on the command line, or on a page."""
    from mmclip.config.base import load
    from mmclip.config.report import SearchSettings
    from mmclip.errors import UserError
    from mmclip.search.stage import search as stage
    from mmclip.search.stage import search_query

    if query is not None:
        found = [hit for pack in paths(packs) for hit in search_query(model, pack, query, top)]
        for image_id, score in sorted(found, key=lambda hit: -hit[1])[:top]:
            typer.echo(f"{score:.3f}  {image_id}")
    elif benchmark is None:
        raise UserError("search: give --query SENTENCE, or --benchmark FILE for the page")
    else:
        say(stage(load(SearchSettings, settings), model, paths(packs), paths(ingest), benchmark, output))


@app.command()
def report(
    results: Annotated[Path, typer.Argument(help="results/<run>")],
    output: Output,
    parts: Annotated[
        str, typer.Option(help="what the run consists of, as YAML file or JSON: shards, experiments, ...; else all")
    ] = "{}",
    settings: Settings = "{}",
) -> None:
    """Write one page with everything that was measured."""
    from mmclip.config.base import load
    from mmclip.config.report import ReportSettings, RunParts
    from mmclip.report.stage import report as stage

    say(stage(load(ReportSettings, settings), results, output, load(RunParts, parts)))


@app.command()
def reproduction(
    results: Annotated[Path, typer.Argument(help="results/<run>")],
    configfile: Annotated[str, typer.Option(help="the config of the run")],
    output: Output = Path("table.md"),
) -> None:
    """Write the published table of 3M-CLIP beside what a run measured, with every deviation."""
    from mmclip.config.root import read_run
    from mmclip.provenance import ROOT
    from mmclip.report.reproduction import reproduce

    say(reproduce(*read_run(configfile, ROOT), results, output))


@app.command()
def summary(
    results: Annotated[Path, typer.Argument(help="results/<run>")],
    configfile: Annotated[
        str | None, typer.Option(help="only what this config names; else all that lies there")
    ] = None,
) -> None:
    """Say where a run's report is, and what its models scored."""
    from mmclip.config.base import load
    from mmclip.config.root import Config
    from mmclip.report.parts import parts_of
    from mmclip.report.run import ALL
    from mmclip.report.summary import summarise

    typer.echo(summarise(results, parts_of(load(Config, configfile)) if configfile is not None else ALL))
