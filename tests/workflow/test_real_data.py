"""The whole workflow on real radiographs with clinical notes, translated by Apertium, read by a real text encoder.

It shows that every stage stands real input. The data lie outside the checkout and nothing of them may enter it.
"""

from __future__ import annotations

import html
import json
import shutil
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest
from real_radiographs import DATASET, metadata, text_model, write_settings
from safetensors import safe_open
from sklearn.metrics import roc_auc_score

from mmclip.observations import OBSERVATIONS
from mmclip.sentences import split
from mmclip.tables.evaluation import PREDICTIONS, Metric
from mmclip.tables.files import read_table, read_tables
from mmclip.tables.filtering import CORPUS, REJECTED, SAMPLE
from mmclip.tables.imaging import INDEX
from mmclip.tables.ingest import IMAGES, STUDIES
from mmclip.tables.labeling import LABELS, SENTENCE_LABELS, TARGETS
from mmclip.tables.schema import Table
from mmclip.tables.translation import SCORED, SENTENCES
from tests.workflow.tiny import CHECKOUT, environment

pytestmark = [
    pytest.mark.needs("real_data", "real_models", "apertium"),
    pytest.mark.timeout(1200),  # all of the run is the first test's
]

LANGUAGES = ("eng_Latn", "spa_Latn", "por_Latn", "ita_Latn")
TRANSLATED = LANGUAGES[1:]
EXPERIMENT = "three_m_clip"

TABLES: dict[str, tuple[Table, int]] = {
    "ingest/*/studies.parquet": (STUDIES, 1),
    "ingest/*/images.parquet": (IMAGES, 1),
    "ingest/*/labels.parquet": (LABELS, 1),
    "pack/*/index.parquet": (INDEX, 1),
    "translate/*/cxr_pairs-00?.parquet": (SENTENCES, 8),
    "filter/filtered/sentences/*/*.parquet": (SCORED, 8),
    "filter/filtered/corpus/*/*.parquet": (CORPUS, 8),
    "filter/filtered/rejected/*/*.parquet": (REJECTED, 8),
    "validate/sample.parquet": (SAMPLE, 1),
    "label/*.sentence_labels.parquet": (SENTENCE_LABELS, 2),
    "label/*.labels.parquet": (LABELS, 2),
    "disambiguate/targets.parquet": (TARGETS, 1),
    "evaluate/*/*/*/predictions.parquet": (PREDICTIONS, 2),
}
"""Files below the results -> their table, and how many there are."""

HEAVY = ("pretrain", "checkpoints")
"""What is removed when the tests are done: the text encoder's weights, several times over."""


# --- the run ----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The results of the run."""
    directory = tmp_path_factory.mktemp("real")
    command = [sys.executable, "-m", "mmclip", "run", "--directory", str(directory)]
    done = subprocess.run(
        [*command, "--configfile", str(write_settings(directory)), "--cores", "2", "--quiet", "rules"],
        cwd=CHECKOUT, env=environment(), text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False,
        timeout=3000,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-5000:]
    yield directory / "results/real"
    for folder in HEAVY:
        shutil.rmtree(directory / "results/real" / folder)


def scored(results: Path, language: str) -> pl.DataFrame:
    """The scored sentences of a language."""
    return read_tables(sorted((results / "filter/filtered/sentences" / language).glob("*.parquet")), SCORED)


def metrics(results: Path, task: str) -> list[Metric]:
    """The rows of a task."""
    rows = json.loads((results / f"evaluate/{EXPERIMENT}/{task}/{DATASET}/metrics.json").read_text())
    return [Metric.model_validate(row) for row in rows]


def sentences(results: Path) -> set[str]:
    """Every source sentence and translation that is too long to be a prompt by chance."""
    tables = [scored(results, language) for language in LANGUAGES]
    found = {text for table in tables for name in ("source", "translation") for text in table[name]}
    return {text for text in found if len(text.split()) >= 5}


# --- what it leaves ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("pattern", TABLES)
def test_tables(results: Path, pattern: str) -> None:
    table, number = TABLES[pattern]
    files = sorted(results.glob(pattern))
    assert len(files) == number
    for file in files:
        read_table(file, table)


def test_every_row_of_the_source_is_taken_as_it_is(results: Path) -> None:
    source = metadata()
    studies = read_table(results / "ingest" / DATASET / "studies.parquet", STUDIES)
    joined = source.join(studies, left_on="id", right_on="study_id", suffix=":read")
    assert joined.height == source.height == studies.height == 824
    assert (joined["split"] == joined["split:read"]).all() and (joined["patient"] == joined["patient_id"]).all()
    assert studies.group_by("patient_id").agg(pl.col("split").n_unique())["split"].max() == 1
    assert (joined["text"].is_not_null() == (joined["text:read"] != "")).all()
    texts = joined.filter(pl.col("text").is_not_null())
    whole = [" ".join(text.split()) for text in texts["text"]]
    read = [" ".join(text.split()) for text in texts["text:read"]]
    assert all(part in text for part, text in zip(read, whole, strict=True))
    assert sum(part != text for part, text in zip(read, whole, strict=True)) <= 2  # two have a heading that cuts them
    assert scored(results, "eng_Latn").height == sum(len(split(text)) for text in texts["text:read"])
    card = json.loads((results / "ingest" / DATASET / "card.json").read_text())
    assert card["share"] == "restricted" and "CC BY-NC-SA" in card["licence"]


def test_every_image_is_packed(results: Path) -> None:
    index = read_table(results / "pack" / DATASET / "index.parquet", INDEX)
    assert sorted(index["image_id"]) == sorted(metadata()["image"])


def test_every_text_has_a_corpus_in_every_language(results: Path) -> None:
    studies = set(metadata().filter(pl.col("text").is_not_null())["id"])
    folder = results / "filter/filtered"
    for language in LANGUAGES:
        corpus = read_tables(sorted((folder / "corpus" / language).glob("*.parquet")), CORPUS)
        rejected = read_tables(sorted((folder / "rejected" / language).glob("*.parquet")), REJECTED)
        assert set(corpus["study_id"]) | set(rejected["study_id"]) == studies
        assert corpus.height > 0.8 * len(studies)


@pytest.mark.parametrize("language", TRANSLATED)
def test_the_filter_rejects_some_translations_and_keeps_most(results: Path, language: str) -> None:
    table = scored(results, language)
    assert set(table["engine"]) == {"apertium"}
    assert (table["translation"] != table["source"]).mean() > 0.9
    assert 0 < (~table["kept"]).mean() < 0.5


def test_the_filter_finds_what_apertium_does_to_a_side(results: Path) -> None:
    """On the way over Spanish, the right lung becomes a straight one (derecho, diritto)."""
    table = scored(results, "ita_Latn")
    wrong = table.filter(pl.col("source").str.contains(r"(?i)\bright\b") & ~pl.col("source").str.contains("(?i)left"))
    wrong = wrong.filter(pl.col("translation").str.contains(r"(?i)\bdiritt[oaie]\b"))
    assert wrong.height > 50
    assert wrong["reasons"].list.contains("laterality").mean() > 0.95  # where another word is right, the rest passes


def test_targets_are_those_of_the_source_or_of_the_text(results: Path) -> None:
    targets = read_table(results / "disambiguate/targets.parquet", TARGETS).filter(pl.col("kind") == "image")
    found = {
        row["id"]: {name for name, value in zip(OBSERVATIONS, row["vector"], strict=True) if value}
        for row in targets.iter_rows(named=True)
    }
    source = metadata()
    for image, pneumonia in source.filter(pl.col("pneumonia").is_not_null()).select("image", "pneumonia").iter_rows():
        assert found[image] == ({"Pneumonia"} if pneumonia else {"No Finding"})
    without = source.filter(pl.col("pneumonia").is_null() & pl.col("text").is_null())
    assert without.height and not found.keys() & set(without["image"])
    assert found.keys() == set(source["image"]) - set(without["image"])


def test_the_text_tower_is_the_pretrained_one_and_learned_where_it_may(results: Path) -> None:
    name = "encoder.layer.{}.attention.self.query.weight"
    with (
        safe_open(text_model() / "model.safetensors", framework="pt") as before,
        safe_open(results / "pretrain" / EXPERIMENT / "model/text/model.safetensors", framework="pt") as after,
    ):
        for layer, learned in ((0, False), (9, False), (10, True), (11, True)):
            one, other = (file.get_tensor(name.format(layer)) for file in (before, after))
            assert bool((one != other).any()) is learned, layer


def test_classes_are_scored_within_one_hospital(results: Path) -> None:
    source = metadata().filter(pl.col("id").str.starts_with("ker_") & (pl.col("split") == "test"))
    truth = {
        image: "Pneumonia" if pneumonia else "No Finding" for image, pneumonia in source["image", "pneumonia"].rows()
    }
    predictions = read_table(results / f"evaluate/{EXPERIMENT}/zero_shot/{DATASET}/predictions.parquet", PREDICTIONS)
    assert set(predictions["language"]) == set(LANGUAGES)
    for language in LANGUAGES:
        rows = predictions.filter(pl.col("language") == language)
        assert dict(rows.select("id", "truth").rows()) == truth


def test_zero_shot_has_wide_intervals(results: Path) -> None:
    rows = {(row.language, row.metric): row for row in metrics(results, "zero_shot")}
    for language in (*LANGUAGES, "mean", "worst"):
        for metric, least in (("auroc", 0.02), ("accuracy", 0.1)):
            row = rows[language, metric]
            assert (row.n, row.interval, row.split) == (84, "patients", "test")
            assert row.low is not None and row.high is not None
            assert 0 <= row.low <= row.value <= row.high <= 1
            assert row.high - row.low > least, "84 images cannot say it more exactly"


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_model_sees_more_than_the_shape_of_the_picture(results: Path, language: str) -> None:
    """Radiographs with pneumonia are wider here: width over height alone has an AUROC of 0.78."""
    path = results / f"evaluate/{EXPERIMENT}/zero_shot/{DATASET}/predictions.parquet"
    predictions = read_table(path, PREDICTIONS).filter(pl.col("language") == language)
    rows = predictions.join(metadata(), left_on="id", right_on="image")
    assert rows.height == predictions.height
    shown = rows["truth"] == "Pneumonia"
    margin = rows["scores"].list.get(1) - rows["scores"].list.get(0)
    shape = rows["width"].cast(pl.Int32) / rows["height"].cast(pl.Int32)
    assert roc_auc_score(shown, margin) > roc_auc_score(shown, shape) > 0.7


def test_retrieval_of_the_tests_texts(results: Path) -> None:
    rows = metrics(results, "retrieval")
    recall = {(row.language, row.direction): row for row in rows if row.metric == "recall_at_k" and row.k == 10}
    assert {*recall} >= {(code, way) for code in LANGUAGES for way in ("image_to_text", "text_to_image")}
    origins = dict.fromkeys(TRANSLATED, "mt:apertium") | {"eng_Latn": "native", "mean": "mt:apertium+native"}
    for row in recall.values():
        assert row.test_text == origins[row.language] and 30 <= row.n <= 42
        if row.language in LANGUAGES:
            assert row.low is not None and row.high is not None and row.high - row.low > 0.05
    assert recall["eng_Latn", "image_to_text"].n == 40


def test_nobody_is_warned_of_a_broken_tokenizer(results: Path) -> None:
    logs = sorted((results / "logs").rglob("*.log"))
    assert len(logs) > 30
    assert not [file for file in logs if "incorrect tokenization" in file.read_text()]


# --- what it must not show --------------------------------------------------------------------------------------------


def test_the_report_shows_no_text_no_id_and_no_picture(results: Path) -> None:
    page = html.unescape((results / "report/report.html").read_text(encoding="utf-8"))
    secret = sentences(results)
    assert len(secret) > 1000
    assert not [text for text in secret if text in page]
    source = metadata()
    assert not [name for column in ("id", "patient") for name in source[column] if name in page]
    assert "data:image" not in page and "<img" not in page
    assert "Restricted data" in page and "Simulated" not in page and "make demo" not in page
    assert "Sentences that the filter rejects" in page
    assert all(name in page for name in ("English", "Spanish", "Portuguese", "Italian"))


def test_the_internal_report_is_private_and_shows_pictures(results: Path) -> None:
    folder = results / "report/private"
    page = folder / "report_internal.html"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE(page.stat().st_mode) == 0o600
    assert "data:image" in page.read_text(encoding="utf-8")


def test_a_notice_says_that_the_data_are_restricted(results: Path) -> None:
    assert "restricted data" in (results / "NOTICE.txt").read_text(encoding="utf-8")
    assert {stat.S_IMODE(folder.stat().st_mode) for folder in (results / "ingest").iterdir()} == {0o700}


def test_what_everybody_may_read_holds_no_text(results: Path) -> None:
    secret = sentences(results)
    files = [file for ending in ("log", "json", "jsonl", "html", "md", "csv") for file in results.rglob(f"*.{ending}")]
    readable = [file for file in files if file.stat().st_mode & 0o077 and file.name != "tokenizer.json"]
    assert len(readable) > 30
    for file in readable:
        content = html.unescape(file.read_text(encoding="utf-8"))
        assert not [text for text in secret if text in content], file
