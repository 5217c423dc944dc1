"""The command line. A command reads its settings and calls its stage; what a stage imports is loaded when it runs."""

from __future__ import annotations

import logging
import signal
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from mmclip.errors import UserError
from mmclip.lifeline import follow_controller

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Multilingual image-text pretraining on chest radiographs: from reports and images to a model and its report.",
)
validate_app = typer.Typer(no_args_is_help=True, help="Sheets on which people judge translations.")
app.add_typer(validate_app, name="validate")

SETTINGS = typer.Option("--settings", help="the stage's section of the config: a YAML file, or JSON text")
Settings = Annotated[str, SETTINGS]
Output = Annotated[Path, typer.Option("-o", "--output", help="what to write")]
Paths = Annotated[list[str], typer.Option(help="repeat it, or separate by blanks")]


def main() -> None:
    """Run a command; a user's mistake ends it with one line and exit status 2."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s: %(message)s", datefmt="%H:%M:%S")
    follow_controller()
    try:
        app()
    except UserError as error:
        print(f"mmclip: {error}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(128 + signal.SIGINT)


def paths(values: list[str]) -> list[Path]:
    """Paths from an option that may be repeated and may hold several, separated by blanks."""
    return [Path(word) for value in values for word in value.split()]


def shards(folder: Path, languages: str, names: str, ending: str = ".parquet") -> dict[str, list[Path]]:
    """language -> the shards' files below ``<folder>/<language>/``."""
    return {code: [folder / code / f"{name}{ending}" for name in names.split()] for code in languages.split()}


# --- data -------------------------------------------------------------------------------------------------------------


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
    from mmclip.config.base import read_yaml
    from mmclip.config.ingest import parse_source
    from mmclip.ingest.stage import ingest as stage

    values: dict[str, Any] = dict(read_yaml(settings) or {})
    if source in ("phantom", "table"):
        values.setdefault("kind", source)
    given = {"n": n, "seed": seed, "workers": workers, "file": str(file) if file else None}
    values |= {key: value for key, value in given.items() if value is not None}
    _say(stage(source, parse_source(values, "settings"), output))


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
    _say(stage(chosen.model_copy(update={"workers": workers}) if workers else chosen, images, output))


# --- texts ------------------------------------------------------------------------------------------------------------


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

    _say(translate_file(load(Translation, settings), texts, to, output, engine=engine, compare=compare))


@app.command()
def convert(
    model: Annotated[str, typer.Argument(help="Hugging Face folder, or a name in the local hub cache")],
    output: Output,
    quantization: Annotated[str, typer.Option(help="int8, int8_float16, bfloat16, float32 …")] = "int8",
) -> None:
    """Convert a translation model to CTranslate2, once."""
    from mmclip.translation.convert import convert as stage

    _say(stage(model, output, quantization))


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

    _say(filter_files(source, translation, output, load(Thresholds, settings)))


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
    _say(label_file(chosen, reports, output, id_column, text_column, explain=explain, compare=compare))


@app.command()
def disambiguate(
    ingest: Annotated[list[str], typer.Option(help="folders of ingested data sets")],
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

    _say(
        stage(
            load(DisambiguateSettings, settings),
            ingest=paths(ingest),
            labels=paths(labels),
            sentence_labels=paths(sentence_labels),
            predictions=paths(predictions),
            output=output,
        )
    )


# --- training and evaluation ------------------------------------------------------------------------------------------


@app.command()
def pretrain_text(
    ingest: Paths,
    corpus: Annotated[Path, typer.Option(help="corpus folder of a filter variant")],
    shard_names: Annotated[str, typer.Option("--shards", help="names of the corpus shards")],
    checkpoints: Path,
    output: Output,
    languages: Annotated[str, typer.Option(help="languages of the run; the settings may take fewer")] = "",
    settings: Settings = "{}",
    threads: int | None = None,
) -> None:
    """Train a text encoder by masked and translation language modelling."""
    from mmclip.config.base import load
    from mmclip.config.training import ExperimentSettings
    from mmclip.training.text_stage import pretrain_text as stage

    chosen = load(ExperimentSettings, settings)
    files = corpus_files(corpus, chosen.data.chosen_languages(), languages, shard_names)
    _say(stage(chosen, paths(ingest), files, output, checkpoints, threads))


@app.command()
def pretrain(
    ingest: Paths,
    packs: Paths,
    corpus: Annotated[Path, typer.Option(help="corpus folder of a filter variant")],
    shard_names: Annotated[str, typer.Option("--shards", help="names of the corpus shards")],
    targets: Path,
    checkpoints: Path,
    output: Output,
    languages: Annotated[str, typer.Option(help="languages of the run; the settings may take fewer")] = "",
    text_model: Path | None = None,
    settings: Settings = "{}",
    threads: int | None = None,
) -> None:
    """Align images and texts by the objectives of an experiment."""
    from mmclip.config.base import load
    from mmclip.config.training import ExperimentSettings
    from mmclip.training.stage import pretrain as stage

    chosen = load(ExperimentSettings, settings)
    files = corpus_files(corpus, chosen.data.chosen_languages(), languages, shard_names)
    _say(
        stage(
            chosen,
            ingest=paths(ingest),
            packs=paths(packs),
            corpus=files,
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
    checkpoints: Path,
    output: Output,
    settings: Settings = "{}",
    threads: int | None = None,
) -> None:
    """Train label classifiers, and predict every image by one that never saw its patient."""
    from mmclip.config.base import load
    from mmclip.config.training import ExperimentSettings
    from mmclip.training.classify_stage import predict_labels as stage

    chosen = load(ExperimentSettings, settings)
    _say(stage(chosen, paths(ingest), paths(packs), paths(labels), output, checkpoints, threads))


@app.command()
def benchmark(
    dataset: Annotated[str, typer.Argument(help="name of the data set, as in evaluate.benchmarks")],
    folder: Annotated[Path, typer.Argument(help="the data set as ingested")],
    output: Output,
    split: Annotated[str, typer.Option(help="train, val or test")] = "test",
    languages: Annotated[str, typer.Option(help="languages of prompts and texts; all by default")] = "",
    corpus: Annotated[Path | None, typer.Option(help="corpus folder, for texts of real reports")] = None,
    shard_names: Annotated[str, typer.Option("--shards", help="names of the corpus shards")] = "",
    engine: Annotated[str, typer.Option(help="what translated the corpus")] = "",
    settings: Settings = "{}",
) -> None:
    """Write a benchmark: who is tested, in which class, and what the text tower is asked."""
    from mmclip.config.base import load
    from mmclip.config.evaluation import EvaluateSettings
    from mmclip.evaluation.stage import make_benchmark
    from mmclip.languages import LANGUAGES

    codes = tuple(languages.split()) or tuple(LANGUAGES)
    files = [file for code in codes for file in shards(corpus, code, shard_names)[code]] if corpus else []
    chosen = load(EvaluateSettings, settings)
    made = make_benchmark(chosen, dataset, folder, split, codes, files, engine, output)
    _say({"samples": len(made.samples), "with_class": len(made.labelled), "split_hash": made.split_hash})


@app.command()
def evaluate(
    model: Annotated[str, typer.Argument(help="a model's folder, open_clip:FOLDER or hf:FOLDER")],
    task: Annotated[str, typer.Option(help="zero_shot, retrieval, linear_probe, fine_tune, text or audit")],
    data: Annotated[list[str], typer.Option(help="benchmark files; repeat it for train, val and test")],
    packs: Annotated[list[str], typer.Option(help="folders of packed images")],
    output: Output,
    predictions: Annotated[Path | None, typer.Option(help="also write what was predicted")] = None,
    experiment: Annotated[str, typer.Option(help="name in the rows")] = "model",
    seed: Annotated[int, typer.Option(help="the model's seed, for the rows")] = 0,
    settings: Settings = "{}",
) -> None:
    """Measure a model: yours, or one of open_clip or Hugging Face, in 21 languages."""
    from mmclip.config.base import load
    from mmclip.config.evaluation import EvaluateSettings
    from mmclip.evaluation.stage import evaluate as stage
    from mmclip.tables.benchmark import read_benchmark

    chosen = load(EvaluateSettings, settings)
    read = [read_benchmark(path) for path in paths(data)]
    rows = stage(chosen, model, task, {b.split: b for b in read}, paths(packs), output, predictions, experiment, seed)
    _say({f"{row.metric} {row.language}": round(row.value, 4) for row in rows if row.language in ("mean", "worst")})


@app.command()
def audit(
    model: Annotated[str, typer.Argument(help="a model's folder, open_clip:FOLDER or hf:FOLDER")],
    data: Annotated[Path, typer.Option(help="benchmark file")],
    packs: Annotated[list[str], typer.Option(help="folders of packed images")],
    output: Output = Path("audit.json"),
) -> None:
    """Ask whether a model minds a "no", in every language of a benchmark."""
    evaluate(model, "audit", [str(data)], packs, output)


@app.command()
def embed(
    model: Annotated[str, typer.Argument(help="a model's folder, open_clip:FOLDER or hf:FOLDER")],
    output: Output,
    texts: Annotated[Path | None, typer.Option(help="a table with a column text, or a text a line")] = None,
    images: Annotated[Path | None, typer.Option(help="a folder of packed images")] = None,
) -> None:
    """Write embeddings as .npy."""
    from mmclip.evaluation.stage import embed as stage

    _say({"embeddings": stage(model, output, texts, images)})


@app.command()
def export(
    model: Annotated[Path, typer.Argument(help="a model's folder")],
    output: Output,
    open_clip: Annotated[bool, typer.Option("--open-clip", help="in the form that open_clip loads")] = True,
) -> None:
    """Write a model in the form of another library."""
    from mmclip.models.export import export_open_clip

    if not open_clip:
        raise UserError("export: --open-clip is the one form that there is")
    export_open_clip(model, output)


@app.command()
def report(
    results: Annotated[Path, typer.Argument(help="results/<run>")], output: Output, settings: Settings = "{}"
) -> None:
    """Write one page with everything that was measured."""
    from mmclip.config.base import load
    from mmclip.config.report import ReportSettings
    from mmclip.report.stage import report as stage

    _say(stage(load(ReportSettings, settings), results, output))


@app.command()
def search(
    model: Annotated[Path, typer.Argument(help="a model's folder")],
    packs: Annotated[list[str], typer.Option(help="folders of packed images")],
    ingest: Annotated[list[str], typer.Option(help="the data sets as ingested")] = [],  # noqa: B006
    benchmark: Annotated[Path | None, typer.Option(help="benchmark whose prompts the page offers")] = None,
    query: Annotated[str | None, typer.Option(help="a sentence in any language: print the nearest images")] = None,
    top: Annotated[int, typer.Option(help="how many images")] = 5,
    output: Output = Path("search.html"),
    settings: Settings = "{}",
) -> None:
    """Find images by a sentence: on the command line, or on a page."""
    from mmclip.search.stage import search as stage
    from mmclip.search.stage import search_query

    if query is not None:
        for image_id, score in search_query(model, paths(packs), query, top):
            typer.echo(f"{score:.3f}  {image_id}")
        return
    if benchmark is None:
        raise UserError("search: give --query SENTENCE, or --benchmark FILE for the page")
    from mmclip.config.base import load
    from mmclip.config.report import SearchSettings

    _say(stage(load(SearchSettings, settings), model, paths(packs), paths(ingest), benchmark, output))


# --- the machine and the run ------------------------------------------------------------------------------------------


@app.command()
def build(output: Output = Path("ext.json")) -> None:
    """Compile the fused loss, or say why plain PyTorch serves."""
    from mmclip.ops.stage import build as stage

    _say(stage(output))


@app.command()
def doctor() -> None:
    """Say what is installed here, what serves each purpose, and what is missing for which stage."""
    from mmclip.doctor import examine

    for finding in examine():
        typer.echo(f"{finding.state:8} {finding.topic:28} {finding.text}")


@app.command()
def fetch(
    name: Annotated[str, typer.Argument(help="a model of the Hugging Face hub")], accept_licence: bool = False
) -> None:
    """Get pretrained weights into the local cache; the one command that uses a network."""
    from mmclip.fetch import fetch as get

    typer.echo(get(name, accept_licence))


@app.command()
def plan(
    reports: int = 216_000,
    images: int = 377_110,
    languages: int = 20,
    pixels: int = 256,
    epochs: int = 200,
    cores: int = 16,
    gpus: int = 2,
) -> None:
    """Predict hours, storage and GPU-hours for a data set of a given size."""
    from mmclip.plan import plan as predict

    typer.echo("predicted, not measured: each line says what it rests on")
    for line in predict(reports, images, languages, pixels, epochs, cores, gpus):
        hours = f"{line.gpu_hours:9.1f} h GPU" if line.gpu_hours else f"{line.cpu_hours:9.1f} h CPU"
        typer.echo(f"{line.stage:18} {hours} {line.gigabytes:8.1f} GB   {line.basis}")


@app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def run(context: typer.Context, directory: Annotated[Path, typer.Option(help="where results go")] = Path()) -> None:
    """Run the workflow: Snakemake, recovering from a run that was killed. Further arguments go to Snakemake."""
    from mmclip.run import run as start

    start(context.args, directory)


@app.command()
def summary(results: Annotated[Path, typer.Argument(help="results/<run>")]) -> None:
    """Say where a run's report is, and what its models scored."""
    from mmclip.report.summary import summarise

    typer.echo(summarise(results))


@validate_app.command("phrasebook")
def validate_phrasebook(output: Output = Path("phrasebook"), language: str = "") -> None:
    """Write the review sheets of the phrase book, one page a language."""
    from mmclip.languages import TARGETS
    from mmclip.phantom.sheet import review_sheet

    for code in language.split() or TARGETS:
        review_sheet(code, output / f"{code}.html")
        typer.echo(output / f"{code}.html")


# --- jobs of the workflow ---------------------------------------------------------------------------------------------


@app.command(hidden=True)
def translate_shard(
    studies: Path,
    to: Annotated[str, typer.Option()],
    shard: Annotated[str, typer.Option()],
    output: Output,
    faults: Annotated[Path, typer.Option()],
    store: Annotated[Path, typer.Option()],
    seed: int = 0,
    settings: Settings = "{}",
) -> None:
    """The sentences of one shard (``number/count``) into one language."""
    from mmclip.config.base import load
    from mmclip.config.translation import Translation
    from mmclip.translation.stage import translate as stage

    number, count = map(int, shard.split("/"))
    _say(stage(load(Translation, settings), studies, to, number, count, output, faults, seed, store))


@app.command(hidden=True)
def filter_shard(
    sentences: Path,
    language: Annotated[str, typer.Option()],
    variant: Annotated[str, typer.Option()],
    scored: Annotated[Path, typer.Option()],
    corpus: Annotated[Path, typer.Option()],
    rejected: Annotated[Path, typer.Option()],
    faults: Path | None = None,
    settings: Settings = "{}",
) -> None:
    """Score and filter the translations of one shard."""
    from mmclip.config.base import load
    from mmclip.config.filtering import Filtering
    from mmclip.filtering.stage import filter_shard as stage

    chosen = load(Filtering, settings)
    _say(
        stage(chosen, sentences, language, variant, scored=scored, corpus=corpus, rejected=rejected, faults=faults)  # type: ignore[arg-type]
    )


@app.command(hidden=True)
def measure_filter(
    sentences: Annotated[Path, typer.Option(help="folder of scored sentences")],
    translations: Annotated[Path, typer.Option(help="folder of translations, with the injected faults")],
    languages: Annotated[str, typer.Option()],
    shard_names: Annotated[str, typer.Option("--shards")],
    output: Output,
) -> None:
    """Compare the filter's decisions with the faults that were injected."""
    from mmclip.filtering.stage import measure

    faults = shards(translations, languages, shard_names, ".faults.parquet")
    _say(measure(shards(sentences, languages, shard_names), [f for files in faults.values() for f in files], output))


@validate_app.command("filter")
def validate_filter(
    sentences: Annotated[Path, typer.Option(help="folder of scored sentences")],
    languages: Annotated[str, typer.Option()],
    shard_names: Annotated[str, typer.Option("--shards")],
    output: Output,
    seed: int = 0,
    judged: Paths = [],  # noqa: B006
    settings: Settings = "{}",
) -> None:
    """Draw the validation sample and write the judges' sheets."""
    from mmclip.config.base import load
    from mmclip.config.filtering import Validation
    from mmclip.filtering.stage import validate as stage

    files = shards(sentences, languages, shard_names)
    _say(stage(load(Validation, settings), files, output, seed, paths(judged)))


@app.command(hidden=True)
def label_shard(
    studies: Path,
    shard: Annotated[str, typer.Option()],
    sentence_labels: Annotated[Path, typer.Option()],
    labels: Annotated[Path, typer.Option()],
    settings: Settings = "{}",
) -> None:
    """Label the sentences and studies of one shard (``number/count``)."""
    from mmclip.config.base import load
    from mmclip.config.labeling import LabelSettings
    from mmclip.labeling.stage import label as stage

    number, count = map(int, shard.split("/"))
    _say(stage(load(LabelSettings, settings), studies, number, count, sentence_labels, labels))


def corpus_files(folder: Path, chosen: tuple[str, ...], languages: str, names: str) -> list[Path]:
    """Corpus shards of the languages that an experiment chooses among those of the run."""
    known = languages.split()
    codes = [code for code in chosen if not known or code in known]
    return [file for files in shards(folder, " ".join(codes), names).values() for file in files]


def _say(result: Any) -> None:
    """Print a stage's summary, a line a value."""
    if isinstance(result, dict):
        for key, value in result.items():
            typer.echo(f"{key}: {value}")
