"""Commands that only the workflow's rules call: a job is one shard, of one language where languages matter."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from mmclip.commands.options import Languages, Output, Settings, Shards, all_files, number_of, say, shard_files

app = typer.Typer()

Shard = Annotated[str, typer.Option(help="NUMBER/COUNT, as 0/4")]


@app.command(hidden=True)
def translate_shard(
    studies: Path,
    to: Annotated[str, typer.Option()],
    shard: Shard,
    output: Output,
    faults: Annotated[Path, typer.Option()],
    store: Annotated[Path, typer.Option()],
    seed: Annotated[int, typer.Option()] = 0,
    settings: Settings = "{}",
) -> None:
    """Translate the sentences of one shard into one language."""
    from mmclip.config.base import load
    from mmclip.config.translation import Translation
    from mmclip.translation.stage import translate as stage

    number, count = number_of(shard)
    say(stage(load(Translation, settings), studies, to, number, count, output, faults, seed, store))


@app.command(hidden=True)
def filter_shard(
    sentences: Path,
    language: Annotated[str, typer.Option()],
    variant: Annotated[Literal["filtered", "unfiltered", "oracle"], typer.Option()],
    scored: Annotated[Path, typer.Option()],
    corpus: Annotated[Path, typer.Option()],
    rejected: Annotated[Path, typer.Option()],
    faults: Annotated[Path | None, typer.Option(help="injected faults, for the oracle variant")] = None,
    thresholds: Annotated[Path | None, typer.Option(help="those drawn for the language")] = None,
    settings: Settings = "{}",
) -> None:
    """Score and filter the translations of one shard."""
    from mmclip.config.base import load
    from mmclip.config.filtering import Filtering
    from mmclip.filtering.stage import filter_shard as stage

    outputs = {"scored": scored, "corpus": corpus, "rejected": rejected}
    say(stage(load(Filtering, settings), sentences, language, variant, **outputs, faults=faults, thresholds=thresholds))


@app.command(hidden=True)
def draw_thresholds(
    sentences: Annotated[Path, typer.Option(help="folder of translations")],
    language: Annotated[str, typer.Option()],
    shards: Shards,
    output: Output,
    seed: Annotated[int, typer.Option()] = 0,
    settings: Settings = "{}",
) -> None:
    """Draw the filter's thresholds for a language from a sample of its translations."""
    from mmclip.config.base import load
    from mmclip.config.filtering import Filtering
    from mmclip.filtering.thresholds import draw_thresholds as stage

    files = all_files(shard_files(sentences, language, shards))
    say(stage(load(Filtering, settings), files, language, output, seed))


@app.command(hidden=True)
def measure_filter(
    sentences: Annotated[Path, typer.Option(help="folder of scored sentences")],
    translations: Annotated[Path, typer.Option(help="folder of translations, with the injected faults")],
    languages: Languages,
    shards: Shards,
    output: Output,
) -> None:
    """Compare the filter's decisions with the faults that were injected."""
    from mmclip.filtering.measure import measure

    faults = shard_files(translations, languages, shards, ".faults.parquet")
    say(measure(shard_files(sentences, languages, shards), all_files(faults), output))


@app.command(hidden=True)
def label_shard(
    studies: Path,
    shard: Shard,
    sentence_labels: Annotated[Path, typer.Option()],
    labels: Annotated[Path, typer.Option()],
    source: Annotated[
        Literal["rules", "official:chexpert", "official:negbio", "file"],
        typer.Option(help="which labels of the data set's studies count"),
    ] = "rules",
    settings: Settings = "{}",
) -> None:
    """Label the sentences and studies of one shard."""
    from mmclip.config.base import load
    from mmclip.config.labeling import LabelSettings
    from mmclip.labeling.stage import label as stage

    number, count = number_of(shard)
    say(stage(load(LabelSettings, settings), studies, number, count, sentence_labels, labels, source))
