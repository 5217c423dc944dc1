"""What lies in a run's folder and belongs to no run of the present config: the report shows nothing of it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from mmclip.config.base import parse
from mmclip.config.report import ReportSettings, RunParts
from mmclip.config.root import Config
from mmclip.report.parts import parts_of
from mmclip.report.run import ALL, Run
from mmclip.report.stage import report
from mmclip.report.summary import summarise
from tests.report.tree import EXPERIMENTS, LANGUAGES, write_tree

PARTS = RunParts(
    datasets=("phantom",),
    languages=LANGUAGES,
    shards=("phantom-000",),
    experiments=("text", *EXPERIMENTS),
    tasks=("zero_shot", "retrieval", "text", "fine_tune"),
    benchmarks=("phantom",),
    judged=False,
)


def page(run: Path, parts: RunParts, output: Path) -> str:
    report(ReportSettings(), run, output, parts)
    return output.read_text(encoding="utf-8")


def copy(source: Path, target: Path) -> None:
    if source.is_dir():
        shutil.copytree(source, target)
    else:
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source, target)


def another_shard(run: Path) -> None:
    for file in [*run.glob("label/phantom-000.*"), *run.glob("filter/filtered/*/*/phantom-000.parquet")]:
        copy(file, file.with_name(file.name.replace("-000", "-001")))
    copy(run / "benchmarks/label.tsv", run / "benchmarks/label/phantom-001.tsv")


def another_experiment(run: Path) -> None:
    copy(run / "pretrain/clip", run / "pretrain/three_m_clip_oracle")
    copy(run / "pretrain_text/text", run / "pretrain_text/older")
    copy(run / "benchmarks/pretrain/clip.tsv", run / "benchmarks/pretrain/three_m_clip_oracle.tsv")
    for file in run.glob("evaluate/clip/*/phantom/metrics.json"):
        target = run / "evaluate/three_m_clip_oracle" / file.relative_to(run / "evaluate/clip")
        copy(file, target)
        target.write_text(target.read_text().replace('"clip"', '"three_m_clip_oracle"'))


def another_task(run: Path) -> None:
    for file in run.glob("evaluate/*/text/phantom/metrics.json"):
        target = run / "evaluate" / file.parts[-4] / "audit/phantom/metrics.json"
        copy(file, target)
        target.write_text(target.read_text().replace('"text"', '"audit"').replace("similarity", "accuracy"))


def another_language(run: Path) -> None:
    for folder in run.glob("filter/filtered/*/spa_Latn"):
        copy(folder, folder.with_name("fra_Latn"))


def another_data_set(run: Path) -> None:
    copy(run / "ingest/phantom", run / "ingest/clinic")
    card = run / "ingest/clinic/card.json"
    card.write_text(json.dumps({**json.loads(card.read_text()), "name": "clinic", "share": "restricted"}))
    for file in run.glob("evaluate/*/*/phantom/metrics.json"):
        target = file.parents[1] / "clinic/metrics.json"
        copy(file, target)
        target.write_text(target.read_text().replace('"phantom"', '"clinic"'))


def marks(run: Path) -> None:
    (run / "validate").mkdir(exist_ok=True)
    (run / "validate/agreement.json").write_text('{"judges": ["a", "b"], "items_judged": 40, "items_in_sample": 50}')


@pytest.mark.parametrize(
    "leave",
    [another_shard, another_experiment, another_task, another_language, another_data_set, marks],
    ids=lambda function: function.__name__,
)
def test_what_is_left_from_another_config_is_not_shown(tmp_path: Path, leave: object) -> None:
    run = write_tree(tmp_path / "demo")
    before = page(run, PARTS, tmp_path / "before.html")
    assert before == page(run, ALL, tmp_path / "all.html"), "the parts are all that lies there"
    leave(run)  # type: ignore[operator]
    assert page(run, ALL, tmp_path / "more.html") != before, "without the parts, what is left shows"
    assert page(run, PARTS, tmp_path / "after.html") == before


def test_marks_count_where_the_run_has_them(tmp_path: Path) -> None:
    run = write_tree(tmp_path / "demo")
    marks(run)
    told = page(run, PARTS.model_copy(update={"judged": True}), tmp_path / "report.html")
    assert "2 judges have marked 40 of 50 sentences" in told and "Nobody has judged" not in told
    assert "Nobody has judged" in page(run, PARTS, tmp_path / "report.html")


def test_a_data_set_of_the_run_that_was_not_ingested_counts_as_restricted(tmp_path: Path) -> None:
    run = write_tree(tmp_path / "demo")
    parts = PARTS.model_copy(update={"datasets": ("phantom", "to_come")})
    assert Run(run, parts).datasets() == ["phantom", "to_come"]
    assert "data:image" in page(run, PARTS, tmp_path / "public.html")
    report(ReportSettings(), run, tmp_path / "out/report.html", parts)
    assert (tmp_path / "out/private/report_internal.html").is_file()


def test_the_parts_of_a_config_are_those_that_the_workflow_names() -> None:
    config = parse(Config, {
        "datasets": {"phantom": {"kind": "phantom"}, "other": {"kind": "chexpert", "root": "x"}}, "shards": 2,
        "experiments": {"clip": "x.yaml"}, "languages": ["eng_Latn"],
        "evaluate": {"tasks": ["zero_shot"], "benchmarks": {"phantom": {"kind": "phantom"}}},
    })  # fmt: skip
    assert parts_of(config) == RunParts(
        datasets=("phantom", "other"), languages=("eng_Latn",), experiments=("clip",), tasks=("zero_shot",),
        shards=("phantom-000", "phantom-001", "other-000"), benchmarks=("phantom",),
    )  # fmt: skip


def test_the_summary_names_experiments_of_the_run_only(tmp_path: Path) -> None:
    run = write_tree(tmp_path / "demo")
    before = summarise(run, PARTS)
    another_experiment(run)
    assert summarise(run, PARTS) == before and "three_m_clip_oracle" in summarise(run)
