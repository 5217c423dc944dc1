"""Commands that read sources: tables and pixels."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from mmclip.commands.options import SETTINGS, Output, Settings, say

app = typer.Typer()


@app.command()
def ingest(
    source: Annotated[
        str, typer.Argument(help="phantom, table, a published data set's kind, or any name with --settings")
    ],
    place: Annotated[Path | None, typer.Argument(help="the table, or the folder of a published data set")] = None,
    output: Output = Path("ingested"),
    settings: Annotated[str, SETTINGS] = "{}",
    n: Annotated[int | None, typer.Option(help="number of simulated studies")] = None,
    seed: Annotated[int | None, typer.Option(help="seed of the simulated studies")] = None,
    workers: Annotated[int | None, typer.Option(help="processes or threads")] = None,
) -> None:
    """Read a data set into tables: simulated studies, a published data set, or your own table of images and reports."""
    from mmclip.config.documents import read_yaml
    from mmclip.config.ingest import KINDS, parse_source
    from mmclip.errors import UserError
    from mmclip.ingest.stage import ingest as stage

    inline = settings.lstrip().startswith("{")
    where = "settings" if inline else settings
    values: Any = read_yaml(settings) or {}
    if not isinstance(values, dict):
        raise UserError(f"{where}: expected keys and values, found {type(values).__name__}")
    if source in KINDS:
        values = {"kind": source, **values}
    where_it_lies = {"file" if values.get("kind") == "table" else "root": str(place) if place else None}
    given = {"n": n, "seed": seed, "workers": workers, **where_it_lies}
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
    """Decode and resize every image once, into memory-mapped arrays."""
    from mmclip.config.base import load
    from mmclip.config.imaging import PackSettings
    from mmclip.imaging.stage import pack as stage

    chosen = load(PackSettings, settings)
    say(stage(chosen.model_copy(update={"workers": workers}) if workers else chosen, images, output))


@app.command("contact-sheet")
def contact_sheet(
    packs: Annotated[list[Path], typer.Argument(help="folders of packed images")],
    output: Output,
    experiment: Annotated[
        str, typer.Option("--settings", help="an experiment: its input size, augmentation and seed")
    ] = "{task: classify}",
    images: Annotated[int, typer.Option(min=1, help="images, drawn at random")] = 8,
    epochs: Annotated[int, typer.Option(min=0, help="epochs of augmentation to show")] = 6,
) -> None:
    """Show what the model will see: each image as packed, as evaluated, and augmented as in the first epochs."""
    from mmclip.config.base import load
    from mmclip.config.training import ExperimentSettings
    from mmclip.data.contact_sheet import choose, write_sheet
    from mmclip.data.contact_sheet import contact_sheet as make
    from mmclip.data.packed import PackedImages

    chosen = load(ExperimentSettings, experiment)
    pixels = PackedImages(packs)
    ids = choose(pixels.ids(), images, chosen.seed)
    sheet = make(pixels, ids, chosen.data.augmentation, chosen.model.image.size, chosen.seed, epochs)
    write_sheet(sheet, output)
    say({"images": len(ids), "of": len(pixels), "pixels": f"{sheet.shape[1]} x {sheet.shape[0]}"})
