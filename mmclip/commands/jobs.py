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
    settings: Settings = "{}",
) -> None:
    """Score and filter the translations of one shard."""
    from mmclip.config.base import load
    from mmclip.config.filtering import Filtering
    from mmclip.filtering.stage import filter_shard as stage

    chosen = load(Filtering, settings)
    say(stage(chosen, sentences, language, variant, scored=scored, corpus=corpus, rejected=rejected, faults=faults))


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
    settings: Settings = "{}",
) -> None:
    """Label the sentences and studies of one shard."""
    from mmclip.config.base import load
    from mmclip.config.labeling import LabelSettings
    from mmclip.labeling.stage import label as stage

    number, count = number_of(shard)
    say(stage(load(LabelSettings, settings), studies, number, count, sentence_labels, labels))
