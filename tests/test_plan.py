"""Predicted costs: known answers for the arithmetic, and what a config asks for."""

from __future__ import annotations

from pathlib import Path

import pytest

from mmclip.config.base import parse
from mmclip.config.ingest import FOLDER_SOURCES
from mmclip.config.root import Config, read_run
from mmclip.config.training import ExperimentSettings
from mmclip.plan import A100_PAIRS_PER_SECOND, PUBLISHED, plan, plan_run, sizes, table
from mmclip.provenance import ROOT
from mmclip.tables.files import write_table
from mmclip.tables.ingest import IMAGES, STUDIES


def test_hours_are_work_by_rate_and_machines() -> None:
    one = {line.stage: line for line in plan(1000, 3600 * 400, 20, 256, 10, cores=1, gpus=1)}
    four = {line.stage: line for line in plan(1000, 3600 * 400, 20, 256, 10, cores=4, gpus=2)}
    assert one["pretrain"].gpu_hours == pytest.approx(10) and four["pretrain"].gpu_hours == pytest.approx(5)
    assert one["pack"].cpu_hours == pytest.approx(4 * four["pack"].cpu_hours)
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
    assert lines["pretrain clip"].gpu_hours == pytest.approx(200 * trained / A100_PAIRS_PER_SECOND / 3600 / 2)
    assert lines["pretrain clip"].gpu_hours == lines["pretrain medclip"].gpu_hours
    everything = sum(PUBLISHED[source.kind].images for source in config.datasets.values())
    assert lines["pack"].gigabytes == pytest.approx(everything * 256**2 / 1e9)
    text = table(lines.values())
    assert text.startswith("predicted, not measured") and len(text.splitlines()) == 1 + len(lines)


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
    assert by_steps.gpu_hours == pytest.approx(4) and by_epochs.gpu_hours == pytest.approx(2)
