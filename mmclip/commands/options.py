"""What the commands share: their options, lists of paths, and how a result is printed."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

SETTINGS = typer.Option("--settings", help="the stage's section of the config: a YAML file, or JSON text")

Settings = Annotated[str, SETTINGS]
Output = Annotated[Path, typer.Option("-o", "--output", help="what to write")]
Paths = Annotated[list[str], typer.Option(help="repeat it, or separate by blanks")]
Shards = Annotated[str, typer.Option("--shards", help="names of the shards, separated by blanks")]
Languages = Annotated[str, typer.Option(help="FLORES-200 codes, separated by blanks")]
Corpus = Annotated[Path, typer.Option(help="corpus folder of a filter variant")]
Checkpoints = Annotated[Path, typer.Option(help="folder of checkpoints; a stopped run goes on from there")]
Threads = Annotated[int | None, typer.Option(help="CPU threads")]
Packs = Annotated[list[str], typer.Option(help="folders of packed images; repeat it, or separate by blanks")]
Model = Annotated[
    str,
    typer.Argument(
        help="a model's folder, or open_clip:, hf:, medclip:, biomedclip:, cxr_clip: or biovil_t: with the folder of "
        "such a model"
    ),
]


def paths(values: list[str]) -> list[Path]:
    """Paths from an option that may be repeated and may hold several, separated by blanks."""
    return [Path(word) for value in values for word in value.split()]


def shard_files(folder: Path, languages: str, shards: str, ending: str = ".parquet") -> dict[str, list[Path]]:
    """language -> the shards' files below ``<folder>/<language>/``."""
    return {code: [folder / code / f"{shard}{ending}" for shard in shards.split()] for code in languages.split()}


def all_files(files: Mapping[str, list[Path]]) -> list[Path]:
    """The files of every language, one after the other."""
    return [file for some in files.values() for file in some]


def engines_of(values: Sequence[str], codes: Sequence[str]) -> dict[str, str]:
    """Language -> engine; one without a language is that of all languages with no other.

    Args:
        values: engines, or LANGUAGE=ENGINE, separated by blanks.
        codes: all languages.
    """
    words = [word for value in values for word in value.split()]
    every = [word for word in words if "=" not in word]
    named = dict(word.split("=", 1) for word in words if "=" in word)
    return {**(dict.fromkeys(codes, every[-1]) if every else {}), **named}


def number_of(shard: str) -> tuple[int, int]:
    """``number/count`` as two numbers."""
    try:
        number, count = map(int, shard.split("/"))
    except ValueError as error:
        raise typer.BadParameter(f"--shard {shard!r}: expected NUMBER/COUNT, as 0/4") from error
    return number, count


def say(result: Mapping[str, Any]) -> None:
    """Print a stage's summary, a line a value; of several ranks, the first one does."""
    if os.environ.get("RANK", "0") != "0":
        return
    for key, value in result.items():
        typer.echo(f"{key}: {value}")
