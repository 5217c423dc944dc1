"""The report: what a run left in its folder in, one HTML page out, and a private one where data is restricted."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmclip.config.report import ReportSettings, RunParts
from mmclip.languages import LANGUAGES
from mmclip.report import by_language, origin
from mmclip.report.counts import counts
from mmclip.report.disclosure import Disclosure, read_disclosure
from mmclip.report.examples import Example, examples, film_strip
from mmclip.report.experiments import experiments, left_out, text_models, variants
from mmclip.report.faults import filter_faults, filter_reasons
from mmclip.report.headline import Row, headline
from mmclip.report.labels import STATES, labels
from mmclip.report.measured import MEAN, Measured, read_run
from mmclip.report.page import render
from mmclip.report.real import real_result
from mmclip.report.rejections import MEANING, rejections
from mmclip.report.run import ALL, Run
from mmclip.report.seen import Sheet, seen
from mmclip.tables.benchmark import Benchmark, read_benchmark
from mmclip.tables.files import PRIVATE, make_folder, write_text
from mmclip.tables.ingest import SPLITS

log = logging.getLogger("mmclip.report")

INTERNAL = Path("private/report_internal.html")
"""Beside the report: the page with pictures, ids and sentences of restricted data."""

STRIP, STRIP_EDGE = 12, 128


def report(settings: ReportSettings, results: Path, output: Path, parts: RunParts = ALL) -> dict[str, Any]:
    """Write the report of what is there; what was not run is named as such.

    Args:
        results: the folder of a run (``results/<run>``).
        output: the page that may be shown: of restricted data it holds aggregates and prompts only. With restricted
            data, ``private/report_internal.html`` beside it (mode 0600, in a folder of mode 0700) holds the rest.
        parts: what of the folder belongs to the run; by default all that lies there.

    Returns:
        a summary: experiments, data sets, sections that are empty, whether there is an internal report.

    Raises:
        UserError: a file of the run is not what it should be.
    """
    run = Run(results, parts)
    disclosure = read_disclosure(run, settings.smallest_cell)
    measured = read_run(run).kept(
        lambda row: (
            disclosure.public(row.dataset) or row.n >= disclosure.smallest
        )  # a metric of few images is a small cell
    )
    values = _values(settings, run, disclosure, measured)
    shown = _examples(settings, results, disclosure, measured, internal=False)
    pictures = _strip(results, disclosure, measured)
    sheet = _seen(settings, run, disclosure, measured, internal=False)
    write_text(render({**values, "examples": shown, "strip": pictures, "seen": sheet, "internal": False}), output)
    internal = output.parent / INTERNAL
    if disclosure.restricted:
        everything = _examples(settings, results, disclosure, measured, internal=True)
        sheet = _seen(settings, run, disclosure, measured, internal=True)
        page = render({**values, "examples": everything, "strip": pictures, "seen": sheet, "internal": True})
        if not internal.parent.exists():
            make_folder(internal.parent, private=True)
        write_text(page, internal, mode=PRIVATE)
    else:
        internal.unlink(missing_ok=True)
    sections = {**values, "filter": values["faults"] or values["reasons"]}
    empty = [name for name in ("headline", "filter", "labels", "counts", "experiments", "real") if not sections[name]]
    summary = {
        "experiments": len(measured.experiments()),
        "datasets": len(disclosure.cards),
        "not_run": empty,
        "internal": bool(disclosure.restricted),
    }
    log.info("report: %s", ", ".join(f"{name} {value}" for name, value in summary.items()))
    return summary


@dataclass(frozen=True)
class DatasetResults:
    """The results of one data set, language by language.

    Attributes:
        main: the experiment of the class figures.
        prompts_from: where the prompts' wording comes from (`test_text`).
        reports_from: where the reports that are retrieved come from -> their languages.
    """

    name: str
    main: str
    prompts_from: str
    reports_from: dict[str, list[str]]
    zero_shot: by_language.Heat | None
    classes: by_language.Heat | None
    confusion: by_language.Confusion | None
    retrieval: list[tuple[by_language.Question, by_language.Heat]]
    words: list[tuple[by_language.Question, by_language.Heat]]
    left_out: list[tuple[str, list[Row]]]


def _values(settings: ReportSettings, run: Run, disclosure: Disclosure, measured: Measured) -> dict[str, Any]:
    """Everything on the page that holds no picture, id or sentence."""
    first = headline(settings, measured)
    dataset = first.dataset if first else None
    counted = counts(run, disclosure)
    books = measured.languages(test_text="phrasebook")
    if disclosure.simulated and not books:
        books = [row.language for row in (counted.languages if counted else ())]
    return {
        "title": settings.title or _title(first.languages if first else 0),
        "run": run.folder.resolve().name,
        "disclosure": disclosure,
        "show": lambda value: disclosure.count(int(value)).text,
        "simulated_sets": [name for name, card in disclosure.cards.items() if card and "simulated" in card.note],
        "names": {code: language.name for code, language in LANGUAGES.items()} | {"mean": "mean"},
        "headline": first,
        "faults": filter_faults(run.folder, disclosure),
        "reasons": filter_reasons(run.folder, disclosure),
        "rejections": rejections(run, disclosure),
        "reason_meaning": MEANING,
        "labels": labels(run, disclosure),
        "states": [name for name, _ in STATES],
        "real": real_result(settings.real, settings.smallest_cell),
        "counts": counted,
        "largest_step": max((step.count.number for step in counted.steps), default=1) or 1 if counted else 1,
        "splits": SPLITS,
        "filtering": variants(settings.filtering, measured, dataset),
        "datasets": [
            _dataset(settings, run.folder, disclosure, measured, name) for name in _ordered(measured, dataset)
        ],
        "experiments": experiments(run, measured, dataset),
        "text_models": text_models(run),
        "versions": origin.versions(),
        "digests": origin.digests(measured),
        "reviews": origin.reviews(books),
        "judged": origin.judged(run, disclosure),
        "timings": origin.timings(run),
    }


def _title(languages: int) -> str:
    """What the page is called where the settings do not say it."""
    title = "One model for chest radiographs and reports"
    return f"{title} in {languages} languages" if languages > 1 else title


def _ordered(measured: Measured, first: str | None) -> list[str]:
    """The scored data sets, that of the headline first."""
    return sorted(measured.datasets(), key=lambda name: name != first)


def _main(settings: ReportSettings, measured: Measured, dataset: str) -> str:
    """The first experiment of the headline that was scored on the data set; else any."""
    scored = [row.experiment for row in measured.find(dataset=dataset, task="zero_shot")]
    wanted = [entry.experiment for entry in settings.headline if entry.experiment in scored]
    return next(iter([*wanted, *scored]), "")


def _dataset(
    settings: ReportSettings, results: Path, disclosure: Disclosure, measured: Measured, name: str
) -> DatasetResults:
    main = _main(settings, measured, name)
    methods = list(dict.fromkeys([main, *(entry.experiment for entry in settings.headline if entry.kind == "method")]))
    every = list(dict.fromkeys([*methods, *measured.experiments()]))
    benchmark = _benchmark(results, measured, name)
    by_class = by_language.class_heat(results, main, name, benchmark.classes, disclosure) if benchmark else None
    return DatasetResults(
        name=name,
        main=main,
        prompts_from=next((row.test_text for row in measured.find(dataset=name, task="zero_shot", language=MEAN)), ""),
        reports_from=by_language.report_origins(measured, name),
        zero_shot=by_language.zero_shot_heat(measured, name, every),
        classes=by_class[0] if by_class else None,
        confusion=by_class[1] if by_class else None,
        retrieval=by_language.question_heats(measured, name, methods, by_language.RETRIEVAL),
        words=by_language.question_heats(measured, name, methods, by_language.WORDS),
        left_out=left_out(settings, measured, name),
    )


def _benchmark(results: Path, measured: Measured, dataset: str) -> Benchmark | None:
    """The benchmark of a data set's scored split, if it is there."""
    row = measured.one(dataset=dataset)
    path = results / "benchmarks" / f"{dataset}.{row.split if row else 'test'}.json"
    return read_benchmark(path) if path.is_file() else None


def _examples(
    settings: ReportSettings, results: Path, disclosure: Disclosure, measured: Measured, internal: bool
) -> list[Example]:
    """Examples of the first data set that has any; of restricted ones only in the internal report."""
    for name in _ordered(measured, settings.dataset):
        benchmark = _benchmark(results, measured, name)
        if benchmark and disclosure.public(name) != internal:
            main = _main(settings, measured, name)
            found = examples(results, main, benchmark, settings.example_languages, settings.examples)
            if found:
                return found
    return []


def _seen(
    settings: ReportSettings, run: Run, disclosure: Disclosure, measured: Measured, internal: bool
) -> Sheet | None:
    """What the headline's first model sees; of restricted data only in the internal report."""
    trained = [folder.name for folder in run.trained("pretrain")]
    wanted = [entry.experiment for entry in settings.headline if entry.experiment in trained]
    names = list(dict.fromkeys([*wanted, *measured.experiments()]))
    return seen(run.folder, names, [name for name in disclosure.cards if disclosure.public(name) != internal])


def _strip(results: Path, disclosure: Disclosure, measured: Measured) -> list[str]:
    """Pictures of a public data set for the head of the page."""
    for name in measured.datasets():
        benchmark = _benchmark(results, measured, name)
        if benchmark and disclosure.public(name):
            return film_strip(results, benchmark, STRIP, STRIP_EDGE)
    return []
