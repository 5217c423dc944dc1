"""Predicted costs: known answers for the arithmetic, and what a config asks for."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mmclip.config.base import parse
from mmclip.config.ingest import FOLDER_SOURCES
from mmclip.config.root import Config, read_run
from mmclip.config.training import ExperimentSettings
from mmclip.plan import (
    A100_PAIRS_PER_SECOND,
    CPU_TOKENS_PER_SECOND,
    DISTINCT_SHARE,
    DISTINCT_SHARE_OF_TOKENS,
    PUBLISHED,
    WRITTEN_TOKENS_PER_REPORT,
    plan,
    plan_run,
    sizes,
    table,
    total,
)
from mmclip.provenance import ROOT
from mmclip.tables.files import write_table
from mmclip.tables.ingest import IMAGES, STUDIES


def test_hours_are_work_by_rate_and_machines() -> None:
    one = {line.stage: line for line in plan(1000, 3600 * 400, 20, 256, 10, cores=1, gpus=1)}
    four = {line.stage: line for line in plan(1000, 3600 * 400, 20, 256, 10, cores=4, gpus=2)}
    assert one["pretrain"].hours == pytest.approx(10) and four["pretrain"].hours == pytest.approx(5)
    assert (four["pretrain"].machines, four["pretrain"].unit) == (2, "GPU")
    assert one["pack"].hours == pytest.approx(4 * four["pack"].hours)
    assert (four["pack"].machines, four["pack"].unit) == (4, "core")
    assert one["pack"].gigabytes == pytest.approx(3600 * 400 * 256 * 256 / 1e9)


def test_every_published_data_set_has_a_size() -> None:
    assert set(PUBLISHED) == {source.model_fields["kind"].default for source in FOLDER_SOURCES}


def test_a_run_is_planned_by_its_data_sets_and_experiments() -> None:
    config, experiments = read_run(str(ROOT / "config/reproduce_3mclip.yaml"), ROOT)
    lines = {line.stage: line for line in plan_run(config, experiments, cores=16)}
    assert [name for name in lines if name.startswith("pre")] == [
        "pretrain-text text", "predict-labels classify", "pretrain clip", "pretrain medclip", "pretrain three_m_clip"
    ]  # fmt: skip
    trained = PUBLISHED["mimic_cxr"].studies + PUBLISHED["chexpert"].studies
    assert lines["pretrain clip"].hours == pytest.approx(200 * trained / A100_PAIRS_PER_SECOND / 3600 / 2)
    assert lines["pretrain clip"].hours == lines["pretrain medclip"].hours
    everything = sum(PUBLISHED[source.kind].images for source in config.datasets.values())
    assert lines["pack"].gigabytes == pytest.approx(everything * 256**2 / 1e9)
    text = table(lines.values())
    assert text.startswith("predicted, not measured") and len(text.splitlines()) == 2 + len(lines)
    assert "28.9 h on 2 GPUs" in text and "5.8 h on 1 GPU " in text and "h on 16 cores" in text


def test_the_document_has_the_plans_sum() -> None:
    lines = plan_run(*read_run(str(ROOT / "config/reproduce_3mclip.yaml"), ROOT), cores=16)
    hours, gigabytes = total(lines)
    aligned = sum(line.hours for line in lines if line.stage.startswith("pretrain "))
    told = (
        f"With the four data sets, two A100s and 16 cores it comes to {hours:.0f} hours, {aligned:.0f} of them for the "
        f"three alignments, and {gigabytes:.0f} GB"
    )
    assert told in " ".join((ROOT / "docs/reproduce.md").read_text().split())


def test_translation_is_planned_by_what_was_measured() -> None:
    measured = json.loads((ROOT / "docs/results/translation.json").read_text())
    once = measured["rows"][-1]
    assert pytest.approx(measured["tokens_a_report"], abs=0.05) == WRITTEN_TOKENS_PER_REPORT
    assert pytest.approx(measured["distinct_share_of_tokens"], abs=0.0005) == DISTINCT_SHARE_OF_TOKENS
    assert pytest.approx(measured["distinct_share_of_sentences"], abs=0.005) == DISTINCT_SHARE
    assert pytest.approx(once["tokens_per_second"] / measured["cores"], abs=0.05) == CPU_TOKENS_PER_SECOND
    lines = {line.stage: line for line in plan(216_000, 0, 20, 256, 0, cores=measured["cores"], gpus=1)}
    assert lines["translate (CPU)"].hours == pytest.approx(once["hours"], rel=0.01)
    assert lines["translate (A100)"].hours == pytest.approx(measured["a100_hours_estimate"], rel=0.05)
    page = (ROOT / "docs/translation.md").read_text()
    assert f"**{lines['translate (CPU)'].hours:.0f}**" in page
    assert f"{2 * once['hours']:,.0f} core-hours" in page


def test_a_sum_counts_one_way_to_translate() -> None:
    values = {"datasets": {"mimic": {"kind": "mimic_cxr", "root": "x"}}, "gpus": 2}
    nllb = {"engines": {"n": {"kind": "nllb", "model": "m", "device": "cuda"}}, "engine": "n"}
    engines = nllb["engines"] | {"known": {"kind": "memory", "fallback": "n"}, "cpu": {"kind": "memory"}}  # type: ignore[operator]
    for engine, counted in (("n", "A100"), ("known", "A100"), ("cpu", "CPU")):
        config = parse(Config, values | {"translate": {"engines": engines, "engine": engine}})
        lines = plan_run(config, {}, cores=16)
        assert [line.stage for line in lines if "translate" in line.stage and not line.instead] == [
            f"translate ({counted})"
        ]
        assert total(lines)[0] == pytest.approx(sum(line.hours for line in lines if not line.instead))


def test_what_was_ingested_is_counted(tmp_path: Path) -> None:
    config = parse(Config, {"results": str(tmp_path), "run": "r", "datasets": {
        "mine": {"kind": "table", "file": "x.csv", "columns": {"text": "t"}}, "simulated": {"kind": "phantom", "n": 7},
    }})  # fmt: skip
    assert sizes(config) == {"mine": (0, 0, 0), "simulated": (7, 7, 7)}
    write_table(STUDIES.empty(), tmp_path / "r/ingest/simulated/studies.parquet", STUDIES)
    seen = [("one", "PA"), ("one", "AP"), ("one", "LATERAL"), ("two", "LATERAL"), ("three", "UNKNOWN")]
    rows: list[dict[str, object]] = [
        {"image_id": str(number), "study_id": study, "patient_id": study, "path": f"{number}.png", "view": view,
         "width": 1, "height": 1, "split": "train", "sha256": str(number)}
        for number, (study, view) in enumerate(seen)
    ]  # fmt: skip
    write_table(IMAGES.frame(rows), tmp_path / "r/ingest/simulated/images.parquet", IMAGES)
    assert sizes(config)["simulated"] == (0, 5, 2)


def test_steps_count_as_they_are_and_epochs_by_the_data() -> None:
    config = parse(Config, {"datasets": {"simulated": {"kind": "phantom", "n": 3600}}, "gpus": 1})
    values = {"objectives": [{"name": "clip"}], "optimisation": {"steps": 4, "batch_size": 3600 * 400}}
    by_steps = plan_run(config, {"a": parse(ExperimentSettings, values)}, 1)[-1]
    by_epochs = plan_run(config, {"a": parse(ExperimentSettings, values | {"optimisation": {"epochs": 800}})}, 1)[-1]
    assert by_steps.hours == pytest.approx(4) and by_epochs.hours == pytest.approx(2)
