"""The published table beside ours: what stands in it, and that no deviation is left out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from mmclip.config.documents import read_yaml
from mmclip.config.root import read_run
from mmclip.provenance import ROOT
from mmclip.report.reproduction import PUBLISHED, reproduce
from mmclip.tables.evaluation import Metric, write_metrics


def metric(experiment: str, dataset: str, value: float, **more: Any) -> Metric:
    fields: dict[str, Any] = {
        "experiment": experiment, "task": "zero_shot", "dataset": dataset, "test_text": "native", "split": "test",
        "language": "eng_Latn", "metric": "accuracy", "value": value, "low": value - 0.02, "high": value + 0.02,
        "interval": "patients", "n": 1000, "seed": 0, "split_hash": "0", "model_digest": "0", "config_digest": "0",
    }  # fmt: skip
    return Metric.model_validate(fields | more)


@pytest.fixture
def written(tmp_path: Path) -> tuple[str, dict[str, Any]]:
    """The table of the shipped config, of a run that was scored on two benchmarks."""
    config, experiments = read_run(str(ROOT / "config/reproduce_3mclip.yaml"), ROOT)
    for name, value in (("clip", 0.5), ("three_m_clip", 0.61234)):
        for dataset in ("mimic", "chexpert"):
            rows = [metric(name, dataset, value), metric(name, dataset, value - 0.1, language="mean")]
            write_metrics(rows, tmp_path / "evaluate" / name / "zero_shot" / dataset / "metrics.json")
    summary = reproduce(config, experiments, tmp_path, tmp_path / "out/table.md")
    assert (summary["measured"], summary["of"]) == (2, 6)
    return (tmp_path / "out/table.md").read_text(), json.loads((tmp_path / "out/table.json").read_text())


def test_published_values_stand_beside_ours(written: tuple[str, dict[str, Any]]) -> None:
    page, found = written
    lines = page.splitlines()
    names = ["benchmark", "3M-CLIP, published", "best before, as published"]
    assert f"| {' | '.join([*names, 'clip, ours', 'medclip, ours', 'three_m_clip, ours'])} |" in lines
    ours = "0.5000 (0.4800 to 0.5200) | - | 0.6123 (0.5923 to 0.6323) |"
    assert (
        f"| CheXpert-5x200 | 0.6402 | 0.5943 | {ours}" in lines and f"| MIMIC-5x200 | 0.5788 | 0.4856 | {ours}" in lines
    )
    assert "| RSNA | 0.8218 | - | - | - | - |" in lines
    assert [(row["dataset"], row["experiment"]) for row in found["languages"]] == [
        ("mimic", "clip"), ("mimic", "three_m_clip"), ("chexpert", "clip"), ("chexpert", "three_m_clip")
    ]  # fmt: skip
    assert [row["name"] for row in found["hold_out"]] == ["mimic_5x200", "chexpert_5x200", "covid", "rsna"]


def test_a_setting_that_is_not_the_papers_is_a_deviation(written: tuple[str, dict[str, Any]]) -> None:
    whats = {row["what"]: row for row in written[1]["deviations"]}
    projection = whats["model.projection (clip, medclip, three_m_clip)"]
    assert projection["paper"] == "514" and projection["here"].startswith("512: ")
    assert "data.augmentation.flip (clip, medclip, three_m_clip)" in whats
    assert not any(what.startswith(("optimisation.epochs (c", "model.image", "model.text.name")) for what in whats)
    assert not {"pairs", "images without reports", "number of languages", "translation"} & set(whats)


def test_data_that_are_not_the_papers_are_deviations(tmp_path: Path) -> None:
    config, experiments = read_run(str(ROOT / "tests/config/tiny.yaml"), ROOT)
    reproduce(config, experiments, tmp_path, tmp_path / "table.md")
    found = json.loads((tmp_path / "table.json").read_text())
    assert {"pairs", "images without reports", "number of languages", "translation"} <= {
        row["what"] for row in found["deviations"]
    }
    assert (
        all(not row["ours"] for row in found["benchmarks"])
        and "Nothing was measured." in (tmp_path / "table.md").read_text()
    )


def test_the_documents_list_every_deviation() -> None:
    page = (ROOT / "docs/reproduce.md").read_text()
    for row in read_yaml(PUBLISHED)["deviations"]:
        assert f"| {row['what']} | {row['paper']} | {row['here']} |" in page


def test_every_setting_that_is_compared_exists() -> None:
    _, experiments = read_run(str(ROOT / "config/reproduce_3mclip.yaml"), ROOT)
    for entry in read_yaml(PUBLISHED)["settings"]:
        values: Any = next(one for one in experiments.values() if one.task == entry["task"]).model_dump()
        for part in entry["key"].split("."):
            values = values[part]
