"""Commands that turn a model's folder into another form of it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mmclip.commands.options import Output, paths, say

app = typer.Typer()


@app.command()
def export(
    model: Annotated[Path, typer.Argument(help="a model's folder")],
    output: Output,
    open_clip: Annotated[bool, typer.Option("--open-clip", help="in the form that open_clip loads")] = True,
) -> None:
    """Write a model in the form of another library."""
    from mmclip.errors import UserError
    from mmclip.models.export import export_open_clip

    if not open_clip:
        raise UserError("export: --open-clip is the one form that there is")
    export_open_clip(model, output)


@app.command("import")
def import_(
    folder: Annotated[Path, typer.Argument(help="a model in the form of another library")],
    output: Output,
    open_clip: Annotated[bool, typer.Option("--open-clip", help="in open_clip's form")] = True,
) -> None:
    """Write a model of another library as a folder of mmclip, where the architectures allow it."""
    from mmclip.errors import UserError
    from mmclip.models.from_open_clip import import_open_clip

    if not open_clip:
        raise UserError("import: --open-clip is the one form that there is")
    import_open_clip(folder, output)


@app.command()
def convert_weights(
    checkpoint: Annotated[Path, typer.Argument(help="a published checkpoint: .bin, .pt, .pth, .ckpt or .tar")],
    output: Annotated[Path | None, typer.Option("--output", "-o", help="beside it by default")] = None,
) -> None:
    """Make safetensors of somebody's pickled checkpoint, of which nothing is run."""
    from mmclip.models.unpickle import convert_weights as convert

    say(convert(checkpoint, output))


@app.command()
def release(
    model: Annotated[Path, typer.Argument(help="a model's folder")],
    output: Output,
    metrics: Annotated[list[str], typer.Option(help="metrics.json files of mmclip evaluate")] = [],  # noqa: B006
    benchmark: Annotated[list[str], typer.Option(help="benchmark files, for their prompts")] = [],  # noqa: B006
    translated_by: Annotated[list[str], typer.Option(help="an engine behind translated texts")] = [],  # noqa: B006
    labels_from: Annotated[str, typer.Option(help="whose labels the targets were made of")] = "",
    reviewed: Annotated[list[str], typer.Option(help="LANGUAGE=NAME, who reviewed its prompts")] = [],  # noqa: B006
) -> None:
    """Write a copy of a model's folder whose card shows what was measured of it, with its prompts."""
    from mmclip.errors import UserError
    from mmclip.models.release import release as write

    pairs = [entry.partition("=") for entry in reviewed]
    wrong = next((entry for entry, (_, sign, name) in zip(reviewed, pairs, strict=True) if not (sign and name)), None)
    if wrong is not None:
        raise UserError(f"--reviewed {wrong!r}: expected LANGUAGE=NAME, as eng_Latn='A. Reader'")
    reviewers = {code: name for code, _, name in pairs}
    files = {"metrics": paths(metrics), "benchmarks": paths(benchmark)}
    say(write(model, output, translated_by=translated_by, label_source=labels_from, reviewed_by=reviewers, **files))
