"""Commands that read sources: tables and pixels."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from mmclip.commands.options import SETTINGS, Output, Settings, say

app = typer.Typer()


@app.command()
def ingest(
    source: Annotated[str, typer.Argument(help="phantom, table, or the data set's name with --settings")],
    file: Annotated[Path | None, typer.Argument(help="the table, for `ingest table`")] = None,
    output: Output = Path("ingested"),
    settings: Annotated[str, SETTINGS] = "{}",
    n: Annotated[int | None, typer.Option(help="number of simulated studies")] = None,
    seed: Annotated[int | None, typer.Option(help="seed of the simulated studies")] = None,
    workers: Annotated[int | None, typer.Option(help="processes or threads")] = None,
) -> None:
    """Read a data set into tables: simulated studies, or your own table of images and reports."""
    from mmclip.config.documents import read_yaml
    from mmclip.config.ingest import parse_source
    from mmclip.errors import UserError
    from mmclip.ingest.stage import ingest as stage

    inline = settings.lstrip().startswith("{")
    where = "settings" if inline else settings
    values: Any = read_yaml(settings) or {}
    if not isinstance(values, dict):
        raise UserError(f"{where}: expected keys and values, found {type(values).__name__}")
    if source in ("phantom", "table"):
        values = {"kind": source, **values}
    given = {"n": n, "seed": seed, "workers": workers, "file": str(file) if file else None}
    values |= {key: value for key, value in given.items() if value is not None}
    name = output.resolve().name if source == "table" else source
    say(stage(name, parse_source(values, where), output))


@app.command()
def pack(
    images: Annotated[Path, typer.Argument(help="the images table of an ingested data set")],
    output: Output,
    settings: Settings = "{}",
    workers: Annotated[int | None, typer.Option(help="processes")] = None,
) -> None:
    """Decode and resize every image once, into one memory-mapped array."""
    from mmclip.config.base import load
    from mmclip.config.imaging import PackSettings
    from mmclip.imaging.stage import pack as stage

    chosen = load(PackSettings, settings)
    say(stage(chosen.model_copy(update={"workers": workers}) if workers else chosen, images, output))
