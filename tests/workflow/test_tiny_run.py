"""The whole workflow on the tiny config: what it leaves, and what it says when nothing is left to do."""

from __future__ import annotations

import json
import os
import re
import stat
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest

from mmclip.models.card import read_card
from mmclip.models.digest import weights_digest
from mmclip.sentences import split
from mmclip.tables.evaluation import PREDICTIONS
from mmclip.tables.files import read_table
from mmclip.tables.filtering import CORPUS, REJECTED, SAMPLE
from mmclip.tables.ingest import IMAGES, STUDIES
from mmclip.tables.labeling import LABELS, SENTENCE_LABELS, TARGETS
from mmclip.tables.labeling import PREDICTIONS as LABEL_PREDICTIONS
from mmclip.tables.phantom import FAULTS
from mmclip.tables.schema import Table
from mmclip.tables.translation import SCORED, SENTENCES
from tests.workflow.tiny import CHECKOUT, CONFIG, ON_REQUEST, PATIENCE, RESULTS, STAGES, leftovers, run

SHARDS = ("phantom-000", "phantom-001")
LANGUAGES = ("eng_Latn", "spa_Latn")

TABLES: dict[str, tuple[Table, int]] = {
    "ingest/*/studies.parquet": (STUDIES, 1),
    "ingest/*/images.parquet": (IMAGES, 1),
    "translate/*/phantom-00?.parquet": (SENTENCES, 4),
    "translate/*/*.faults.parquet": (FAULTS, 4),
    "filter/filtered/sentences/*/*.parquet": (SCORED, 4),
    "filter/filtered/corpus/*/*.parquet": (CORPUS, 4),
    "filter/filtered/rejected/*/*.parquet": (REJECTED, 4),
    "validate/sample.parquet": (SAMPLE, 1),
    "label/*.sentence_labels.parquet": (SENTENCE_LABELS, 2),
    "label/*.labels.parquet": (LABELS, 2),
    "predict_labels/classifier.parquet": (LABEL_PREDICTIONS, 1),
    "disambiguate/targets.parquet": (TARGETS, 1),
    "evaluate/*/*/phantom/predictions.parquet": (PREDICTIONS, 8),
}
"""Files below the results -> their table, and how many there are."""


@pytest.mark.parametrize("pattern", TABLES)
def test_tables(tiny_run: Path, pattern: str) -> None:
    table, number = TABLES[pattern]
    files = sorted((tiny_run / RESULTS).glob(pattern))
    assert len(files) == number
    for file in files:
        read_table(file, table)


def test_every_study_of_every_language_is_somewhere(tiny_run: Path) -> None:
    studies = set(read_table(tiny_run / RESULTS / "ingest/phantom/studies.parquet", STUDIES)["study_id"])
    assert len(studies) == 40
    for language in LANGUAGES:
        folder = tiny_run / RESULTS / "filter/filtered"
        corpus = [pl.read_parquet(folder / "corpus" / language / f"{shard}.parquet") for shard in SHARDS]
        rejected = [pl.read_parquet(folder / "rejected" / language / f"{shard}.parquet") for shard in SHARDS]
        ids = [study for frame in (*corpus, *rejected) for study in frame["study_id"]]
        assert sorted(ids) == sorted(studies)


def test_models_can_be_loaded(tiny_run: Path) -> None:
    from mmclip import DualEncoder

    for experiment in ("clip", "three_m_clip"):
        model = DualEncoder.from_pretrained(tiny_run / RESULTS / "pretrain" / experiment / "model")
        assert model.encode_text(["No pleural effusion.", "Kein Pleuraerguss."]).shape == (2, 16)


def test_the_classifier_settles_labels(tiny_run: Path) -> None:
    targets = read_table(tiny_run / RESULTS / "disambiguate/targets.parquet", TARGETS)
    assert targets["policy"].str.contains("U-SelfTrained|U-MultiClass").any()


def test_metrics_of_every_task(tiny_run: Path) -> None:
    found = {}
    for file in (tiny_run / RESULTS / "evaluate").rglob("metrics.json"):
        rows = json.loads(file.read_text())
        assert rows
        found[file.parts[-4], file.parts[-3]] = {row["language"] for row in rows}
    assert len(found) == 8
    assert {*LANGUAGES} <= found["clip", "zero_shot"]
    assert {*LANGUAGES} <= found["three_m_clip", "retrieval"]


def test_a_released_model_is_complete(tiny_run: Path) -> None:
    """Its card has what was measured and the licences; with its prompts it needs nothing else of the run."""
    results = tiny_run / RESULTS
    for experiment in ("clip", "three_m_clip"):
        folder = results / "release" / experiment
        assert weights_digest(folder) == weights_digest(results / "pretrain" / experiment / "model")
        card = read_card(folder)
        tasks = {file.parts[-3] for file in (results / "evaluate" / experiment).rglob("metrics.json")}
        assert {row.task for row in card.metrics} == tasks
        assert {*card.prompts} == {*LANGUAGES}
        assert card.translated_by == ("phrasebook memory",)
        assert "machine-written, not reviewed" in (folder / "README.md").read_text()


def test_pages(tiny_run: Path) -> None:
    for name in ("report/report.html", "search/search.html", "validate/sheet.html"):
        page = (tiny_run / RESULTS / name).read_text()
        assert page.lstrip().lower().startswith("<!doctype html>")
        assert not re.search(r"""(src|href)=["']https?://""", page), f"{name} asks the network for something"
    assert "simulated" in (tiny_run / RESULTS / "report/report.html").read_text()


def test_no_report_text_in_logs(tiny_run: Path) -> None:
    texts = read_table(tiny_run / RESULTS / "ingest/phantom/studies.parquet", STUDIES)["text"]
    sentences = {sentence for text in texts for sentence in split(text)}
    logs = [*(tiny_run / RESULTS / "logs").rglob("*.log"), *(tiny_run / ".snakemake/log").glob("*.log")]
    assert len(logs) > 30
    for log in logs:
        content = log.read_text()
        assert not [sentence for sentence in sentences if sentence in content], log


PRIVATE = re.compile(r".*\.(parquet|safetensors)|pack/.*\.npy|translate/store.*|validate/.*|benchmarks/[^/]*\.json")
"""What holds report text, pixels or ids, and weights, which may remember some; the simulated images are nobody's."""


def test_what_holds_text_pixels_or_ids_is_private(tiny_run: Path) -> None:
    root = tiny_run / RESULTS
    modes = {file.relative_to(root).as_posix(): stat.S_IMODE(file.stat().st_mode)
             for file in root.rglob("*") if file.is_file()}  # fmt: skip
    private = {name for name in modes if PRIVATE.fullmatch(name)}
    for folder in ("ingest", "pack", "translate", "filter", "validate", "label", "predict_labels", "disambiguate",
                   "benchmarks", "evaluate"):  # fmt: skip
        assert any(name.startswith(f"{folder}/") for name in private), folder
    assert {name: oct(modes[name]) for name in private if modes[name] != 0o600} == {}
    assert {modes[name] for name in set(modes) - private} == {0o644}


def test_what_others_may_read_holds_no_report_text(tiny_run: Path) -> None:
    texts = read_table(tiny_run / RESULTS / "ingest/phantom/studies.parquet", STUDIES)["text"]
    sentences = {sentence.encode() for text in texts for sentence in split(text)}
    for file in (tiny_run / RESULTS).rglob("*"):
        shown = file.name in ("tokenizer.json", "report.html", "search.html")  # simulated reports are shown in pages
        if file.is_file() and file.stat().st_mode & 0o077 and not shown:
            content = file.read_bytes()
            assert not [sentence for sentence in sentences if sentence in content], file


def test_nothing_is_left_over(tiny_run: Path) -> None:
    assert leftovers(tiny_run) == []


def test_every_rule_left_a_log_and_a_timing(tiny_run: Path) -> None:
    for folder, ending in (("logs", "log"), ("benchmarks", "tsv")):
        found = {file.relative_to(tiny_run / RESULTS / folder).parts[0] for file in tiny_run.rglob(f"*.{ending}")
                 if file.is_relative_to(tiny_run / RESULTS / folder)}  # fmt: skip
        assert {name.removesuffix(f".{ending}") for name in found} == STAGES


def test_a_second_run_does_nothing(tiny_run: Path, frozen: Path) -> None:
    done = run(tiny_run, "--dry-run", checkout=frozen)
    assert done.returncode == 0
    assert "Nothing to be done" in done.stdout


def test_snakemake_report(tiny_run: Path, frozen: Path, tmp_path: Path) -> None:
    done = run(tiny_run, "--report", str(tmp_path / "report.html"), checkout=frozen)
    assert done.returncode == 0, done.stdout[-2000:]
    assert (tmp_path / "report.html").stat().st_size > 100_000


def test_summary(tiny_run: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "mmclip", "summary", str(tiny_run / RESULTS)],
        capture_output=True,
        text=True,
        check=True,
        timeout=PATIENCE,
    )
    assert "three_m_clip" in done.stdout and "simulated" in done.stdout


# --- the workflow's own files -----------------------------------------------------------------------------------------


def test_lint() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "snakemake", "--lint", "--configfile", CONFIG],
        cwd=CHECKOUT, capture_output=True, text=True, check=False,
        timeout=PATIENCE,
    )  # fmt: skip
    assert done.returncode == 0 and "good condition" in done.stdout + done.stderr, done.stdout + done.stderr


def test_every_rule_is_complete() -> None:
    rules = {}
    for file in (CHECKOUT / "workflow/rules").glob("*.smk"):
        for block in re.split(r"^rule ", file.read_text(), flags=re.MULTILINE)[1:]:
            rules[block.partition(":")[0]] = block
    assert set(rules) == STAGES | ON_REQUEST
    for name, block in rules.items():
        for directive in ("output", "log", "benchmark", "conda", "resources", "params", "shell"):
            assert re.search(rf"^    {directive}:", block, re.MULTILINE), f"rule {name} has no {directive}"
        assert "code=" in block, f"rule {name} does not carry its code's digest"
        assert "retries:" not in block, f"rule {name}: retries belong in the profile"


def test_schemas_are_the_models(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-m", "mmclip.config.schema", str(tmp_path)], check=True, timeout=PATIENCE)
    for file in tmp_path.iterdir():
        committed = CHECKOUT / "workflow/schemas" / file.name
        assert committed.read_text() == file.read_text(), f"{file.name} is out of date: make schemas"


def test_configfile_replaces_the_demo(tmp_path: Path) -> None:
    """A config file is the whole config: the demo's experiments and data sets are not in a run of another."""
    done = run(tmp_path, "--dry-run")
    assert done.returncode == 0, done.stdout[-2000:]
    assert "results/tiny" in done.stdout and "results/demo" not in done.stdout
    assert len(re.findall(r"^rule pretrain:", done.stdout, re.MULTILINE)) == 2


def test_the_demo_can_be_planned(tmp_path: Path) -> None:
    """Without a config file it is the demo, from any working directory."""
    done = subprocess.run(
        [sys.executable, "-m", "mmclip", "run", "--directory", str(tmp_path), "--dry-run"],
        cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(CHECKOUT)}, capture_output=True, text=True, check=False,
        timeout=PATIENCE,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    assert "results/demo/report/report.html" in done.stdout
