"""Every task from files to files, with a real model; and the mistakes that a user can make."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from sklearn.metrics import roc_auc_score
from typer.testing import CliRunner

from mmclip.cli import app
from mmclip.config.evaluation import EvaluateSettings
from mmclip.data.packed import PackedImages
from mmclip.errors import BudgetExceeded, UserError
from mmclip.evaluation.stage import embed, evaluate
from mmclip.models.digest import weights_digest
from mmclip.models.dual_encoder import DualEncoder
from mmclip.tables.benchmark import Benchmark, write_benchmark
from mmclip.tables.evaluation import PREDICTIONS, Metric
from mmclip.tables.files import read_table, write_table
from mmclip.tables.imaging import INDEX
from tests.evaluation.small_phantom import LANGUAGES, Phantom

TASKS = ("zero_shot", "retrieval", "linear_probe", "fine_tune", "text", "audit")


@pytest.fixture(scope="session")
def results(
    phantom: Phantom, model_folder: Path, settings: EvaluateSettings, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """Every task's files, in a folder of the task's name."""
    root = tmp_path_factory.mktemp("evaluate")
    for task in TASKS:
        run(phantom, model_folder, settings, task, root / task)
    return root


def run(
    phantom: Phantom,
    model: Path | str,
    settings: EvaluateSettings,
    task: str,
    output: Path,
    benchmarks: dict[str, Benchmark] | None = None,
    packs: list[Path] | None = None,
) -> list[Metric]:
    return evaluate(
        settings,
        str(model),
        task,
        phantom.benchmarks if benchmarks is None else benchmarks,
        [phantom.pack] if packs is None else packs,
        output / "metrics.json",
        output / "predictions.parquet",
        "tiny",
        seed=7,
    )


def rows_of(results: Path, task: str) -> list[Metric]:
    return [Metric.model_validate(row) for row in json.loads((results / task / "metrics.json").read_text())]


@pytest.mark.parametrize("task", TASKS)
def test_every_row_is_signed(
    results: Path, phantom: Phantom, model_folder: Path, settings: EvaluateSettings, task: str
) -> None:
    rows, test = rows_of(results, task), phantom.benchmarks["test"]
    assert rows
    for row in rows:
        assert (row.experiment, row.task, row.dataset, row.seed) == ("tiny", task, "phantom", 7)
        assert (row.split, row.test_text) == ("test", "" if row.language == "none" else "phrasebook")
        assert (row.split_hash, row.prompt_hash) == (test.split_hash, test.prompt_hash)
        assert row.model_digest == weights_digest(model_folder)
        assert len(row.config_digest) == 16
        assert row.n > 0 and np.isfinite(row.value)
        assert (row.interval == "patients") == (row.low is not None) == (row.high is not None)
        if row.low is not None and row.high is not None:
            assert row.low <= row.high


@pytest.mark.parametrize("task", TASKS)
def test_the_table_of_predictions_is_always_there(results: Path, task: str) -> None:
    table = read_table(results / task / "predictions.parquet", PREDICTIONS)
    assert table.is_empty() == (task in ("retrieval", "text", "audit"))


def test_zero_shot_rows_follow_from_the_predictions(results: Path, phantom: Phantom) -> None:
    test = phantom.benchmarks["test"]
    table = read_table(results / "zero_shot" / "predictions.parquet", PREDICTIONS)
    assert len(table) == len(LANGUAGES) * len(test.labelled)
    value = {(row.metric, row.language): row.value for row in rows_of(results, "zero_shot")}
    by_language = {}
    for (code,), group in table.group_by("language"):
        by_language[code] = float((group["truth"] == group["predicted"]).mean())  # type: ignore[arg-type]
        assert value["accuracy", str(code)] == pytest.approx(by_language[code])
        best = [test.classes[int(np.argmax(scores))] for scores in group["scores"]]
        assert best == group["predicted"].to_list()
    assert value["accuracy", "mean"] == pytest.approx(np.mean(list(by_language.values())))
    assert value["accuracy", "worst"] == pytest.approx(min(by_language.values()))
    assert value["chance_accuracy", "none"] == pytest.approx(1 / 5)
    commonest = max(np.bincount([sample.label for sample in test.labelled if sample.label is not None]))
    assert value["constant_accuracy", "none"] == pytest.approx(commonest / len(test.labelled))


def test_zero_shot_agrees_with_the_models_own(results: Path, phantom: Phantom, model_folder: Path) -> None:
    test = phantom.benchmarks["test"]
    pixels = np.stack(PackedImages([phantom.pack]).read([sample.image_id for sample in test.labelled]))
    own = DualEncoder.from_pretrained(model_folder).zero_shot(pixels, test.prompts["deu_Latn"]).double().numpy()
    table = read_table(results / "zero_shot" / "predictions.parquet", PREDICTIONS)
    predicted = table.filter(pl.col("language") == "deu_Latn")["predicted"].to_list()
    assert predicted == [test.classes[number] for number in own.argmax(1)]
    auroc = {row.language: row.value for row in rows_of(results, "zero_shot") if row.metric == "auroc"}["deu_Latn"]
    truth = [sample.label for sample in test.labelled]
    by_class = [roc_auc_score([label == number for label in truth], own[:, number]) for number in range(5)]
    assert auroc == pytest.approx(np.mean(by_class), abs=1e-3), "AUROC ranks images by their probabilities"


def test_retrieval_has_both_directions_and_means(results: Path, settings: EvaluateSettings) -> None:
    rows = rows_of(results, "retrieval")
    found = {(row.direction, row.metric, row.k, row.language) for row in rows}
    for direction in ("text_to_image", "image_to_text"):
        for language in (*LANGUAGES, "mean"):
            assert (direction, "mean_rank", None, language) in found
            assert {(direction, "recall_at_k", k, language) for k in settings.recall_at} <= found
            assert {(direction, "precision_at_k", k, language) for k in settings.precision_at} <= found
    single = [row.value for row in rows if (row.metric, row.direction) == ("mean_rank", "image_to_text")]
    assert single[-1] == pytest.approx(np.mean(single[:-1]))


def test_each_row_says_where_its_own_sentences_come_from(
    phantom: Phantom, model_folder: Path, settings: EvaluateSettings, tmp_path: Path
) -> None:
    """Prompts are native; of the reports, those in English are native and the others translated."""
    origins = dict.fromkeys(LANGUAGES, "mt:nllb") | {"eng_Latn": "native"}
    test = phantom.benchmarks["test"].model_copy(update={"test_text": "native", "texts_from": origins})
    rows = run(phantom, model_folder, settings, "retrieval", tmp_path, {"test": test})
    found = {(row.metric == "precision_at_k", row.language, row.test_text) for row in rows}
    by_class = {(True, code, "native") for code in (*LANGUAGES, "mean")}
    by_study = {(False, code, origin) for code, origin in origins.items()}
    assert found == by_class | by_study | {(False, "mean", "mt:nllb+native")}


@pytest.mark.parametrize(("task", "percents"), [("linear_probe", {50, 100}), ("fine_tune", {100})])
def test_supervised_rows_say_how_much_they_were_trained_on(results: Path, task: str, percents: set[int]) -> None:
    rows = rows_of(results, task)
    assert {row.k for row in rows} == percents
    assert {row.metric for row in rows} == {"accuracy", "balanced_accuracy", "f1", "auroc"}
    table = read_table(results / task / "predictions.parquet", PREDICTIONS)
    assert set(table["language"]) == {f"{percent} %" for percent in percents}
    for scores in table["scores"]:
        assert sum(scores) == pytest.approx(1, abs=1e-4)


def test_text_and_audit_cover_every_language(results: Path) -> None:
    text = {(row.metric, row.language) for row in rows_of(results, "text")}
    assert text == {("negation_similarity", code) for code in (*LANGUAGES, "mean")} | {
        ("recall_at_k", code) for code in (*LANGUAGES[1:], "mean")
    }
    audit = rows_of(results, "audit")
    assert {row.language for row in audit} == {*LANGUAGES, "mean"}
    assert all(0 <= row.value <= 1 for row in audit)


def test_the_same_run_gives_the_same_bytes(
    results: Path, phantom: Phantom, model_folder: Path, settings: EvaluateSettings, tmp_path: Path
) -> None:
    for task in ("zero_shot", "fine_tune"):
        run(phantom, model_folder, settings, task, tmp_path)
        assert (tmp_path / "metrics.json").read_bytes() == (results / task / "metrics.json").read_bytes()


def test_the_config_digest_is_that_of_the_settings(
    results: Path, phantom: Phantom, model_folder: Path, settings: EvaluateSettings, tmp_path: Path
) -> None:
    other = run(phantom, model_folder, settings.model_copy(update={"resamples": 5}), "text", tmp_path)
    assert other[0].config_digest != rows_of(results, "text")[0].config_digest


def test_validation_can_be_scored_instead(phantom: Phantom, model_folder: Path, tmp_path: Path) -> None:
    settings = EvaluateSettings(split="val", resamples=0)
    rows = run(phantom, model_folder, settings, "linear_probe", tmp_path)
    assert {row.split for row in rows} == {"val"}
    assert {row.split_hash for row in rows} == {phantom.benchmarks["val"].split_hash}
    assert all(row.low is None for row in rows)


def test_what_is_undefined_has_no_row(
    phantom: Phantom, model_folder: Path, settings: EvaluateSettings, tmp_path: Path
) -> None:
    test = phantom.benchmarks["test"]
    first = test.labelled[0].label
    one_class = test.model_copy(update={"samples": tuple(s for s in test.samples if s.label == first)})
    rows = run(phantom, model_folder, settings, "zero_shot", tmp_path, {"test": one_class})
    assert {row.metric for row in rows} == {"accuracy", "balanced_accuracy", "constant_accuracy", "chance_accuracy"}
    assert "NaN" not in (tmp_path / "metrics.json").read_text()


def test_a_task_without_anything_to_measure_says_so(
    phantom: Phantom, model_folder: Path, settings: EvaluateSettings, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    plain = phantom.benchmarks["test"].model_copy(update={"parallel": {}, "negations": {}})
    for task in ("text", "audit"):
        assert run(phantom, model_folder, settings, task, tmp_path, {"test": plain}) == []
        assert f"task {task} has nothing to measure on phantom" in caplog.text
        assert json.loads((tmp_path / "metrics.json").read_text()) == []


def test_text_needs_no_packs(phantom: Phantom, model_folder: Path, settings: EvaluateSettings, tmp_path: Path) -> None:
    assert run(phantom, model_folder, settings, "text", tmp_path, packs=[])


@pytest.fixture
def pack_without_one(phantom: Phantom, tmp_path: Path) -> Path:
    """The pack without the first image of the test split."""
    folder = tmp_path / "pack"
    shutil.copytree(phantom.pack, folder)
    gone = phantom.benchmarks["test"].samples[0].image_id
    index = read_table(folder / "index.parquet", INDEX).filter(pl.col("image_id") != gone)
    write_table(index, folder / "index.parquet", INDEX)
    return folder


def test_images_that_were_not_packed_are_left_out_within_the_budget(
    phantom: Phantom, model_folder: Path, settings: EvaluateSettings, pack_without_one: Path, tmp_path: Path
) -> None:
    lenient = settings.model_copy(update={"error_budget": 0.2})
    rows = run(phantom, model_folder, lenient, "retrieval", tmp_path, packs=[pack_without_one])
    assert {row.n for row in rows if row.metric == "mean_rank"} == {len(phantom.benchmarks["test"].samples) - 1}
    assert phantom.benchmarks["test"].split_hash not in {row.split_hash for row in rows}


def test_too_many_images_that_were_not_packed_are_an_error(
    phantom: Phantom, model_folder: Path, settings: EvaluateSettings, pack_without_one: Path, tmp_path: Path
) -> None:
    with pytest.raises(BudgetExceeded, match=r"1 of \d+ images of phantom's test split are in no pack"):
        run(phantom, model_folder, settings, "zero_shot", tmp_path, packs=[pack_without_one])
    assert not (tmp_path / "metrics.json").exists()


def moved_patient(phantom: Phantom) -> dict[str, Benchmark]:
    train = phantom.benchmarks["train"]
    samples = (*train.samples, phantom.benchmarks["test"].samples[0])
    return {**phantom.benchmarks, "train": train.model_copy(update={"samples": samples})}


def learned_in_validation(phantom: Phantom) -> dict[str, Benchmark]:
    val = phantom.benchmarks["val"]
    samples = (*val.samples, phantom.benchmarks["train"].samples[0])
    return {**phantom.benchmarks, "val": val.model_copy(update={"samples": samples})}


def other_classes(phantom: Phantom) -> dict[str, Benchmark]:
    val = phantom.benchmarks["val"]
    return {**phantom.benchmarks, "val": val.model_copy(update={"classes": val.classes[::-1]})}


def no_classes(phantom: Phantom) -> dict[str, Benchmark]:
    test = phantom.benchmarks["test"]
    samples = tuple(sample.model_copy(update={"label": None}) for sample in test.samples)
    return {"test": test.model_copy(update={"samples": samples})}


@pytest.mark.parametrize(
    ("task", "benchmarks", "message"),
    [
        ("zero_shto", None, r"--task: 'zero_shto' is not a task; known: zero_shot, "),
        ("zero_shot", lambda p: {"val": p.benchmarks["val"]}, r"no benchmark of split 'test' given; found val"),
        ("zero_shot", no_classes, "no sample with a class"),
        ("linear_probe", lambda p: {"test": p.benchmarks["test"]}, "need benchmarks of the train and val splits"),
        (
            "fine_tune",
            lambda p: {k: p.benchmarks[k] for k in ("test", "train")},
            "need benchmarks of the train and val",
        ),
        ("linear_probe", moved_patient, r"patient '.*' is in train and in test"),
        ("linear_probe", learned_in_validation, r"patient '.*' is in train and in val"),
        ("fine_tune", learned_in_validation, r"patient '.*' is in train and in val"),
        ("fine_tune", other_classes, "val has other classes than test"),
    ],
)
def test_mistakes_are_named(
    phantom: Phantom,
    model_folder: Path,
    settings: EvaluateSettings,
    tmp_path: Path,
    task: str,
    benchmarks: Any,
    message: str,
) -> None:
    with pytest.raises(UserError, match=message):
        run(phantom, model_folder, settings, task, tmp_path, benchmarks(phantom) if benchmarks else None)
    assert not (tmp_path / "metrics.json").exists()


def test_a_missing_model_is_named(phantom: Phantom, settings: EvaluateSettings, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="none: no such model folder"):
        run(phantom, tmp_path / "none", settings, "zero_shot", tmp_path)


def test_texts_are_embedded_row_by_row(model_folder: Path, tmp_path: Path) -> None:
    texts = ["No pleural effusion.", "", "Kein Erguss, links.", "No pleural effusion."]
    expected = DualEncoder.from_pretrained(model_folder).encode_text(texts).numpy()
    (tmp_path / "a.txt").write_text("\n".join(texts) + "\n", encoding="utf-8")
    frame = pl.DataFrame({"id": ["1", "2", "3", "4"], "text": [text or None for text in texts]})
    frame.write_csv(tmp_path / "a.CSV")
    frame.write_csv(tmp_path / "a.tsv", separator="\t")
    frame.write_parquet(tmp_path / "a.parquet")
    for name in ("a.txt", "a.CSV", "a.tsv", "a.parquet"):
        assert embed(str(model_folder), tmp_path / "out.npy", texts=tmp_path / name) == 4
        np.testing.assert_allclose(np.load(tmp_path / "out.npy", allow_pickle=False), expected, atol=1e-6)


def test_images_are_embedded_in_the_order_of_the_pack(phantom: Phantom, model_folder: Path, tmp_path: Path) -> None:
    assert embed(str(model_folder), tmp_path / "out.npy", images=phantom.pack) == 60
    pixels = np.load(phantom.pack / "pixels-00000.npy")
    rows = read_table(phantom.pack / "index.parquet", INDEX)["row"].to_list()
    expected = DualEncoder.from_pretrained(model_folder).encode_image(pixels[rows]).numpy()
    np.testing.assert_allclose(np.load(tmp_path / "out.npy"), expected, atol=1e-6)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.csv", b"id,report\n1,x\n", r"a.csv: column 'text' is missing; it has id, report"),
        ("a.csv", b"", r"a.csv: cannot be read"),
        ("a.parquet", b"no parquet", r"a.parquet: cannot be read"),
        ("a.txt", b"caf\xe9", r"a.txt: not UTF-8 text \(byte 3\)"),
        ("a.txt", b"", r"a.txt: holds nothing to embed"),
        ("a.csv", b"text\n", r"a.csv: holds nothing to embed"),
        ("none.txt", None, r"none.txt: cannot be read"),
    ],
)
def test_texts_that_cannot_be_embedded(
    model_folder: Path, tmp_path: Path, name: str, content: bytes | None, message: str
) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match=message):
        embed(str(model_folder), tmp_path / "out.npy", texts=tmp_path / name)
    assert not (tmp_path / "out.npy").exists()


def test_embed_takes_one_kind(phantom: Phantom, model_folder: Path, tmp_path: Path) -> None:
    for given in ({}, {"texts": tmp_path / "a.txt", "images": phantom.pack}):
        with pytest.raises(UserError, match="either --texts FILE or --images PACK"):
            embed(str(model_folder), tmp_path / "out.npy", **given)
    pl.DataFrame({"text": [1]}).write_parquet(tmp_path / "a.parquet")
    with pytest.raises(UserError, match="column 'text' is Int64, expected text"):
        embed(str(model_folder), tmp_path / "out.npy", texts=tmp_path / "a.parquet")


def test_two_benchmarks_of_one_split_are_named(phantom: Phantom, model_folder: Path, tmp_path: Path) -> None:
    files = [tmp_path / "one.json", tmp_path / "two.json"]
    for file in files:
        write_benchmark(phantom.benchmarks["test"], file)
    arguments = ["evaluate", model_folder, "--task", "text", "--packs", "", "-o", tmp_path / "m.json"]
    once = CliRunner().invoke(app, [str(part) for part in (*arguments, "--data", files[0])])
    assert once.exit_code == 0, once.output
    twice = CliRunner().invoke(app, [str(part) for part in (*arguments, "--data", f"{files[0]} {files[1]}")])
    assert isinstance(twice.exception, UserError)
    assert str(twice.exception).startswith(f"--data: {files[0]} and {files[1]} are both of split 'test'")


@pytest.mark.parametrize("size", [32, 48])
def test_images_that_are_enlarged_are_said_to_be_once(
    phantom: Phantom, settings: EvaluateSettings, model_folder: Path, tmp_path: Path, size: int,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    model = DualEncoder.from_pretrained(model_folder)
    image = model.settings.image.model_copy(update={"size": size})
    model.settings = model.settings.model_copy(update={"image": image})
    model.save_pretrained(tmp_path / "model")
    run(phantom, tmp_path / "model", settings, "retrieval", tmp_path)
    said = [record for record in caplog.messages if "enlarged" in record]
    assert said == ([] if size == 32 else [
        "phantom: its images are packed at 32 px and enlarged to the model's 48; pack at 48 or more to compare models"
    ])  # fmt: skip


def test_fine_tuning_that_diverges_is_no_result(
    phantom: Phantom, settings: EvaluateSettings, model_folder: Path, tmp_path: Path
) -> None:
    wild = settings.model_copy(update={"tune_rate": 1e30, "tune_epochs": 3})
    with pytest.raises(UserError, match=r"evaluate\.tune_rate: fine-tuning of .* diverged at 1e\+30; lower it"):
        run(phantom, model_folder, wild, "fine_tune", tmp_path)
    assert not (tmp_path / "metrics.json").exists()
