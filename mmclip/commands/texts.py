"""Commands that work on texts: translating, filtering, labeling, and sheets on which people judge."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mmclip.commands.options import Languages, Output, Paths, Settings, Shards, paths, say, shard_files

app = typer.Typer()
validate_app = typer.Typer(no_args_is_help=True, help="Sheets on which people judge translations.")
app.add_typer(validate_app, name="validate")


@app.command()
def translate(
    texts: Annotated[Path, typer.Argument(help="study_id, text: CSV, TSV or Parquet")],
    to: Annotated[str, typer.Option(help="target language, a FLORES-200 code")],
    output: Output,
    engine: Annotated[str | None, typer.Option(help="name of an engine of the settings")] = None,
    compare: Annotated[str | None, typer.Option(help="a second engine to compare with")] = None,
    settings: Settings = "{}",
) -> None:
    """Translate texts, sentence by sentence."""
    from mmclip.config.base import load
    from mmclip.config.translation import Translation
    from mmclip.translation.stage import translate_file

    say(translate_file(load(Translation, settings), texts, to, output, engine=engine, compare=compare))


@app.command()
def convert(
    model: Annotated[str, typer.Argument(help="Hugging Face folder, or a name in the local hub cache")],
    output: Output,
    quantization: Annotated[str, typer.Option(help="int8, int8_float16, bfloat16, float32 …")] = "int8",
) -> None:
    """Convert a translation model to CTranslate2, once."""
    from mmclip.translation.convert import convert as stage

    say(stage(model, output, quantization))


@app.command(name="filter")
def filter_texts(
    source: Annotated[Path, typer.Argument(help="study_id, text: CSV, TSV or Parquet")],
    translation: Annotated[Path, typer.Argument(help="study_id, language, text")],
    output: Output,
    settings: Annotated[str, typer.Option(help="thresholds, instead of the shipped ones")] = "{}",
) -> None:
    """Score your translations against their sources, and say which to keep and why not."""
    from mmclip.config.base import load
    from mmclip.config.filtering import Thresholds
    from mmclip.filtering.files import filter_files

    say(filter_files(source, translation, output, load(Thresholds, settings)))


@app.command()
def label(
    reports: Annotated[Path, typer.Argument(help="your reports: CSV or Parquet")],
    id_column: Annotated[str, typer.Option(help="column of the report's id")],
    text_column: Annotated[list[str], typer.Option(help="column of the text; repeat it for several")],
    output: Output,
    explain: Annotated[bool, typer.Option(help="also write the phrases and rules behind each label")] = False,
    compare: Annotated[Path | None, typer.Option(help="labels to compare with")] = None,
    settings: Settings = "{}",
) -> None:
    """Extract the 14 observations of CheXpert from your reports: present, absent, uncertain, not mentioned."""
    from mmclip.config.base import load
    from mmclip.config.labeling import LabelSettings
    from mmclip.labeling.stage import label_file

    chosen = load(LabelSettings, settings)
    say(label_file(chosen, reports, output, id_column, text_column, explain=explain, compare=compare))


@app.command()
def disambiguate(
    ingest: Paths,
    labels: Paths,
    sentence_labels: Paths,
    output: Output,
    predictions: Paths = [],  # noqa: B006
    settings: Settings = "{}",
) -> None:
    """Settle uncertain labels by policy, and write soft label vectors."""
    from mmclip.config.base import load
    from mmclip.config.labeling import DisambiguateSettings
    from mmclip.labeling.disambiguate import disambiguate as stage

    say(
        stage(
            load(DisambiguateSettings, settings),
            ingest=paths(ingest),
            labels=paths(labels),
            sentence_labels=paths(sentence_labels),
            predictions=paths(predictions),
            output=output,
        )
    )


@validate_app.command("filter")
def validate_filter(
    sentences: Annotated[Path, typer.Option(help="folder of scored sentences")],
    languages: Languages,
    shards: Shards,
    output: Output,
    seed: Annotated[int, typer.Option(help="decides which sentences are drawn")] = 0,
    judged: Annotated[list[str], typer.Option(help="filled-in sheets (CSV): measure agreement with them")] = [],  # noqa: B006
    settings: Settings = "{}",
) -> None:
    """Draw the validation sample and write the judges' sheets; with filled-in sheets, measure agreement."""
    from mmclip.config.base import load
    from mmclip.config.filtering import Validation
    from mmclip.filtering.validation import validate as stage

    files = shard_files(sentences, languages, shards)
    say(stage(load(Validation, settings), files, output, seed, paths(judged)))


@validate_app.command("phrasebook")
def validate_phrasebook(output: Output = Path("phrasebook"), language: Languages = "") -> None:
    """Write the review sheets of the phrase book, one page a language; all languages if none is named."""
    from mmclip.languages import TARGETS
    from mmclip.phantom.sheet import review_sheet

    for code in language.split() or TARGETS:
        review_sheet(code, output / f"{code}.html")
        typer.echo(output / f"{code}.html")
