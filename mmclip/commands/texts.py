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
    compare: Annotated[
        tuple[str, str] | None, typer.Option(metavar="A B", help="two engines to compare; the first translates")
    ] = None,
    sample: Annotated[int, typer.Option(min=1, help="distinct sentences on which they are compared")] = 1000,
    settings: Settings = "{}",
) -> None:
    """Translate texts, sentence by sentence; or see what two engines keep and cost on a sample of them."""
    from mmclip.commands.preservation import PRESERVATION
    from mmclip.config.base import load
    from mmclip.config.translation import Translation
    from mmclip.translation.compare import format_comparison
    from mmclip.translation.stage import translate_file

    chosen = load(Translation, settings)
    result = translate_file(chosen, texts, to, output, engine=engine, compare=compare, size=sample, checks=PRESERVATION)
    compared = result.pop("comparison", None)
    say(result)
    if compared is not None:
        typer.echo(format_comparison(compared))


@app.command()
def convert(
    output: Output,
    model: Annotated[
        str, typer.Argument(help="Hugging Face folder, or a name in the local hub cache")
    ] = "facebook/nllb-200-distilled-600M",
    quantization: Annotated[
        str, typer.Option(help="int8, int8_float16, bfloat16, float32 …; auto: by device")
    ] = "auto",
    device: Annotated[str, typer.Option(help="cpu or cuda; auto: what this machine has")] = "auto",
    languages: Annotated[str, typer.Option(help="cut the output layer to these FLORES-200 codes")] = "",
    texts: Annotated[list[str], typer.Option(help="and to the pieces of these texts, a sentence a line")] = [],  # noqa: B006
) -> None:
    """Convert a translation model to CTranslate2, once."""
    from mmclip.translation.convert import convert as stage

    say(stage(model, output, quantization, device, languages.split(), paths(texts)))


@app.command(name="filter")
def filter_texts(
    source: Annotated[Path, typer.Argument(help="study_id, text: CSV, TSV or Parquet")],
    translation: Annotated[Path, typer.Argument(help="study_id, language, text")],
    output: Output,
    settings: Annotated[str, typer.Option(help="thresholds, instead of the shipped ones")] = "{}",
    back: Annotated[Path | None, typer.Option(help="translated back: study_id, language, text; scored by chrF")] = None,
) -> None:
    """Score your translations against their sources, and say which to keep and why not."""
    from mmclip.config.base import load
    from mmclip.config.filtering import Thresholds
    from mmclip.filtering.files import filter_files

    say(filter_files(source, translation, output, load(Thresholds, settings), back=back))


@app.command()
def label(
    reports: Annotated[Path, typer.Argument(help="your reports: CSV or Parquet")],
    id_column: Annotated[str, typer.Option(help="column of the report's id")],
    text_column: Annotated[list[str], typer.Option(help="column of the text; repeat it for several")],
    output: Output,
    language: Annotated[str, typer.Option(help="of the reports: eng_Latn or spa_Latn")] = "eng_Latn",
    explain: Annotated[bool, typer.Option(help="also write the phrases and rules behind each label")] = False,
    compare: Annotated[Path | None, typer.Option(help="labels to compare with, as CheXpert's or your own")] = None,
    compare_id: Annotated[str | None, typer.Option(help="their column of ids, if it has another name")] = None,
    settings: Settings = "{}",
) -> None:
    """Extract the 14 observations of CheXpert from your reports: present, absent, uncertain, not mentioned."""
    from mmclip.config.base import load
    from mmclip.config.labeling import LabelSettings
    from mmclip.labeling.compare import format_comparison
    from mmclip.labeling.stage import label_file

    result = label_file(
        load(LabelSettings, settings),
        reports,
        output,
        id_column,
        text_column,
        explain=explain,
        compare=compare,
        compare_id=compare_id,
        language=language,
    )
    compared, counts = result.pop("comparison", None), result.pop("labels")
    say(result)
    say({name: ", ".join(f"{number} {state}" for state, number in states.items()) for name, states in counts.items()})
    if compared is not None:
        typer.echo(format_comparison(compared))


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
    settings: Settings = "{}",
) -> None:
    """Draw the validation sample of kept and of rejected translations, and write the judges' sheets."""
    from mmclip.config.base import load
    from mmclip.config.filtering import Validation
    from mmclip.filtering.validation import validate as stage

    files = shard_files(sentences, languages, shards)
    say(stage(load(Validation, settings), files, output, seed))


@validate_app.command("judge")
def validate_judge(
    sample: Annotated[Path, typer.Argument(help="sample.parquet of `validate filter`")],
    output: Output,
    cards: Annotated[list[str], typer.Option(help="card.json of each data set it was drawn from")] = [],  # noqa: B006
    source: Annotated[str, typer.Option(help="language of the reports")] = "eng_Latn",
    settings: Settings = "{}",
) -> None:
    """Have a language model mark the sample; `judge.url` of the settings says where it is."""
    from mmclip.config.base import load
    from mmclip.config.filtering import Validation
    from mmclip.errors import UserError
    from mmclip.filtering.judge import judge as stage

    chosen = load(Validation, settings).judge
    if chosen is None:
        raise UserError("validate.judge is not set; name the server's address in judge.url")
    say(stage(chosen, sample, paths(cards), output, source))


@validate_app.command("agreement")
def validate_agreement(
    sample: Annotated[Path, typer.Argument(help="sample.parquet of `validate filter`")],
    judged: Annotated[list[Path], typer.Argument(help="marks (CSV) of people and of models")],
    output: Output,
    settings: Settings = "{}",
) -> None:
    """From the judges' marks: their agreement with one another, and the filter's precision."""
    from mmclip.config.base import load
    from mmclip.config.filtering import Validation
    from mmclip.filtering.agreement import measure_agreement

    say(measure_agreement(load(Validation, settings), sample, judged, output))


@validate_app.command("phrasebook")
def validate_phrasebook(output: Output = Path("phrasebook"), language: Languages = "") -> None:
    """Write the review sheets of the phrase book, one page a language; all languages if none is named."""
    from mmclip.languages import TARGETS
    from mmclip.phantom.sheet import review_sheet

    for code in language.split() or TARGETS:
        review_sheet(code, output / f"{code}.html")
        typer.echo(output / f"{code}.html")
