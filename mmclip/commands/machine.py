"""Commands about this machine and the run as a whole."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mmclip.commands.options import Output, say

app = typer.Typer()


@app.command()
def build(output: Output = Path("ext.json")) -> None:
    """Compile the fused loss, or say why plain PyTorch serves."""
    from mmclip.ops.stage import build as stage

    say(stage(output))


@app.command()
def doctor() -> None:
    """Say what is installed here, what serves each purpose, and what is missing for which stage."""
    from mmclip.doctor import examine

    for finding in examine():
        typer.echo(f"{finding.state:8} {finding.topic:28} {finding.text}")


@app.command()
def fetch(
    name: Annotated[str, typer.Argument(help="a model of the Hugging Face hub")],
    accept_licence: Annotated[bool, typer.Option("--accept-licence", help="its licence allows my use")] = False,
    revision: Annotated[str | None, typer.Option(help="branch, tag, commit or refs/pr/N")] = None,
) -> None:
    """Get pretrained weights into the local cache; the one command that uses a network."""
    from mmclip.fetch import fetch as get

    typer.echo(get(name, accept_licence, revision))


@app.command()
def plan(
    reports: int = 216_000,
    images: int = 377_110,
    languages: int = 20,
    pixels: int = 256,
    epochs: int = 200,
    cores: int = 16,
    gpus: int = 2,
    configfile: Annotated[
        str | None, typer.Option(help="a run of the workflow instead, with its data sets, experiments and GPUs")
    ] = None,
) -> None:
    """Predict hours and storage for a data set of a given size, or for a run of the workflow."""
    from mmclip.config.root import read_run
    from mmclip.plan import plan as predict
    from mmclip.plan import plan_run, table
    from mmclip.provenance import ROOT

    if configfile is not None:
        typer.echo(table(plan_run(*read_run(configfile, ROOT), cores)))
    else:
        typer.echo(table(predict(reports, images, languages, pixels, epochs, cores, gpus)))


@app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def run(context: typer.Context, directory: Annotated[Path, typer.Option(help="where results go")] = Path()) -> None:
    """Run the workflow: Snakemake, recovering from a run that was killed. Further arguments go to Snakemake."""
    from mmclip.run import run as start

    start(context.args, directory)
