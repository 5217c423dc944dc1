"""The published table of 3M-CLIP beside what a run measured, with every deviation from the paper."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mmclip.config.documents import read_yaml
from mmclip.config.root import Config
from mmclip.config.training import ExperimentSettings
from mmclip.languages import ENGLISH
from mmclip.report.measured import MEAN, WORST, Measured, read_run
from mmclip.report.parts import parts_of
from mmclip.report.run import Run
from mmclip.tables.evaluation import Metric
from mmclip.tables.files import write_json, write_text

PUBLISHED = Path(__file__).with_name("published.yaml")
MISSING = "-"

Row = dict[str, Any]


def reproduce(
    config: Config, experiments: Mapping[str, ExperimentSettings], results: Path, output: Path
) -> dict[str, Any]:
    """Write the table as Markdown, and the same as JSON beside it.

    Args:
        experiments: those of the config, by name.
        results: the folder of the run (``results/<run>``).
        output: the Markdown file.

    Returns:
        a summary: how many of the published values are measured here, and how many deviations are listed.
    """
    known = read_yaml(PUBLISHED)
    measured = read_run(Run(results, parts_of(config)))
    aligned = [name for name, settings in experiments.items() if settings.task == "align"]
    rows = [_benchmark(entry, config, aligned, measured) for entry in known["benchmarks"]]
    several = [row for name in config.evaluate.benchmarks for row in _languages(name, aligned, measured)]
    deviations = [*known["deviations"], *_of_data(config), *_of_settings(known["settings"], experiments)]
    found = {"benchmarks": rows, "languages": several, "deviations": deviations, "hold_out": _draws(config)}
    write_json(found, output.with_suffix(".json"))
    write_text(_page(found, aligned, config), output)
    return {"measured": sum(bool(row["ours"]) for row in rows), "of": len(rows), "deviations": len(deviations)}


def _benchmark(entry: Row, config: Config, aligned: list[str], measured: Measured) -> Row:
    """A published value, and ours of every experiment: English prompts, as there."""
    datasets = [name for name, source in config.datasets.items() if source.kind in entry["kinds"]]
    ours = {}
    for experiment in aligned:
        for name in datasets:
            wanted = {"experiment": experiment, "task": entry["task"], "dataset": name, "metric": "accuracy"}
            language = ENGLISH if entry["task"] == "zero_shot" else "none"
            found = measured.one(**wanted, language=language)
            if found is not None:
                ours[experiment] = _value(found)
    return {**{key: entry.get(key) for key in ("name", "task", "published", "before")}, "ours": ours}


def _languages(dataset: str, aligned: list[str], measured: Measured) -> list[Row]:
    """What is not published in numbers: zero-shot and retrieval over all languages."""
    rows = []
    for experiment in aligned:
        of = {"experiment": experiment, "dataset": dataset}
        recall = {"metric": "recall_at_k", "k": 10, "direction": "image_to_text"}
        cells = {
            "zero-shot, mean": measured.one(**of, task="zero_shot", metric="accuracy", language=MEAN),
            "worst language": measured.one(**of, task="zero_shot", metric="accuracy", language=WORST),
            "P@5": measured.one(**of, metric="precision_at_k", k=5, direction="text_to_image", language=MEAN),
            "R@10": measured.one(**of, **recall, language=MEAN),
        }
        if any(cells.values()):
            values = {name: _value(cell) if cell else None for name, cell in cells.items()}
            rows.append({"dataset": dataset, "experiment": experiment, **values})
    return rows


def _value(found: Metric) -> Row:
    return {"value": found.value, "low": found.low, "high": found.high, "n": found.n}


def _of_settings(known: list[Row], experiments: Mapping[str, ExperimentSettings]) -> list[Row]:
    """Settings whose value is another than the paper's; of several experiments with one value, one line."""
    out = []
    for entry in known:
        values: dict[str, list[str]] = {}
        for name, settings in experiments.items():
            if settings.task == entry["task"]:
                value = settings.model_dump(mode="json")
                for part in entry["key"].split("."):
                    value = value[part]
                if value != entry["paper"]:
                    values.setdefault(str(value), []).append(name)
        for found, names in values.items():
            what = f"{entry['key']} ({', '.join(names)})"
            here = f"{found}: {entry['why']}" if "why" in entry else found
            out.append({"what": what, "paper": str(entry["paper"]), "here": here})
    return out


def _of_data(config: Config) -> list[Row]:
    """Data sets and engines that are not the paper's."""
    kinds = {source.kind for source in config.datasets.values()}
    out = []
    if "mimic_cxr" not in kinds:
        out.append({"what": "pairs", "paper": "MIMIC-CXR", "here": f"{', '.join(sorted(kinds))}"})
    if not kinds & {"chexpert", "chexpert_plus"}:
        out.append(
            {"what": "images without reports", "paper": "CheXpert", "here": "none: no such data set in the config"}
        )
    if len(config.languages) != 21:
        out.append({"what": "number of languages", "paper": "21", "here": str(len(config.languages))})
    engine = config.translate.engines[config.translate.engine].kind
    if engine not in ("nllb", "nllb-transformers"):
        out.append({"what": "translation", "paper": "NLLB-200 distilled 600M", "here": f"engine of kind {engine}"})
    return out


def _draws(config: Config) -> list[Row]:
    """How the benchmark images were drawn."""
    chosen = [(name, one) for name, source in config.datasets.items() for one in getattr(source, "hold_out", ())]
    return [{"dataset": name, **one.model_dump(mode="json")} for name, one in chosen]


def _page(found: Row, aligned: list[str], config: Config) -> str:
    several = ["zero-shot, mean", "worst language", "P@5", "R@10"]
    published = [
        ["benchmark", "3M-CLIP, published", "best before, as published", *(f"{name}, ours" for name in aligned)]
    ]
    for row in found["benchmarks"]:
        ours = [_cell(row["ours"].get(name)) for name in aligned]
        published.append([row["name"], _number(row["published"]), _number(row["before"]), *ours])
    languages = [["data set", "experiment", *several]]
    languages += [
        [row["dataset"], row["experiment"], *(_cell(row[name]) for name in several)] for row in found["languages"]
    ]
    deviations = [["what", "paper", "here"]]
    deviations += [[str(row[key]) for key in ("what", "paper", "here")] for row in found["deviations"]]
    parts = [
        "# 3M-CLIP, published and ours",
        "Accuracy; zero-shot with English prompts. Brackets: 95 % intervals that draw patients anew, for these models,"
        " not for the methods. The published values have none. They come from a post of one of the authors, on images"
        " that were never listed: a difference of a few points says nothing.",
        _markdown(published),
        f"## In {len(config.languages)} languages",
        "Nothing of this is published in numbers. P@5: images of a class by a sentence; R@10: a study's report by its"
        " image.",
        _markdown(languages) if len(languages) > 1 else "Nothing was measured.",
        "## Where we deviate",
        _markdown(deviations),
    ]
    return "\n\n".join(parts) + "\n"


def _markdown(rows: list[list[str]]) -> str:
    lines = [rows[0], ["---"] * len(rows[0]), *rows[1:]]
    return "\n".join(f"| {' | '.join(cell.replace('|', '/') for cell in line)} |" for line in lines)


def _cell(value: Row | None) -> str:
    if value is None:
        return MISSING
    if value["low"] is None:
        return _number(value["value"])
    return f"{_number(value['value'])} ({_number(value['low'])} to {_number(value['high'])})"


def _number(value: float | None) -> str:
    return MISSING if value is None else f"{value:.4f}"
