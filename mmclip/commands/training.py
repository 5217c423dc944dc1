"""Commands that train."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mmclip.commands.options import (
    Checkpoints,
    Corpus,
    Output,
    Paths,
    Settings,
    Shards,
    Threads,
    all_files,
    paths,
    say,
    shard_files,
)

if TYPE_CHECKING:
    from mmclip.config.training import ExperimentSettings

app = typer.Typer()


@app.command()
def pretrain_text(
    ingest: Paths,
    corpus: Corpus,
    shards: Shards,
    checkpoints: Checkpoints,
    output: Output,
    settings: Settings = "{}",
    threads: Threads = None,
) -> None:
    """Train a text encoder by masked and translation language modelling."""
    from mmclip.config.base import load
    from mmclip.config.training import ExperimentSettings
    from mmclip.training.text_stage import pretrain_text as stage

    chosen = load(ExperimentSettings, settings)
    files = corpus_files(chosen, corpus, shards)
    say(stage(chosen, paths(ingest), files, output, checkpoints, threads))


@app.command()
def pretrain(
    ingest: Paths,
    packs: Paths,
    corpus: Corpus,
    shards: Shards,
    targets: Annotated[Path, typer.Option(help="soft label vectors")],
    checkpoints: Checkpoints,
    output: Output,
    text_model: Annotated[Path | None, typer.Option(help="folder of a pretrained text encoder")] = None,
    settings: Settings = "{}",
    threads: Threads = None,
) -> None:
    """Align images and texts by the objectives of an experiment."""
    from mmclip.config.base import load
    from mmclip.config.training import ExperimentSettings
    from mmclip.training.stage import pretrain as stage

    chosen = load(ExperimentSettings, settings)
    say(
        stage(
            chosen,
            ingest=paths(ingest),
            packs=paths(packs),
            corpus=corpus_files(chosen, corpus, shards),
            targets=targets,
            output=output,
            checkpoints=checkpoints,
            text_model=text_model,
            threads=threads,
        )
    )


@app.command()
def predict_labels(
    ingest: Paths,
    packs: Paths,
    labels: Paths,
    checkpoints: Checkpoints,
    output: Output,
    settings: Settings = "{}",
    threads: Threads = None,
) -> None:
    """Train label classifiers, and predict every image by one that never saw its patient."""
    from mmclip.config.base import load
    from mmclip.config.training import ExperimentSettings
    from mmclip.training.classify_stage import predict_labels as stage

    chosen = load(ExperimentSettings, settings)
    say(stage(chosen, paths(ingest), paths(packs), paths(labels), output, checkpoints, threads))


def corpus_files(experiment: ExperimentSettings, folder: Path, shards: str) -> list[Path]:
    """The corpus shards of the languages that an experiment samples."""
    return all_files(shard_files(folder, " ".join(experiment.data.chosen_languages()), shards))
