"""What a run of real data would do, by dry runs: partitions, paths, engines, and what the report is told."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.workflow.reproduction import small_config
from tests.workflow.tiny import CHECKOUT, PATIENCE, RESULTS, environment, run

NLLB = {"kind": "nllb", "model": "models/nllb", "device": "cuda"}


def planned(folder: Path, *arguments: str, **changes: Any) -> str:
    """What Snakemake says of the small reproduction, with a config that is changed; the results lie in the folder."""
    file = small_config(folder)
    config: dict[str, Any] = json.loads(file.read_text())
    file.write_text(json.dumps(config | changes))
    targets = ["reproduce_3mclip", "results/reproduce_3mclip/report/report.html"]
    command = [sys.executable, "-m", "snakemake", *targets, "--snakefile", str(CHECKOUT / "Snakefile"), "--dry-run",
               "--directory", str(folder), "--printshellcmds", "--configfile", str(file), *arguments]  # fmt: skip
    done = subprocess.run(
        command, cwd=CHECKOUT, env=environment(PYTHONPATH=str(CHECKOUT)), text=True, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, check=False, timeout=PATIENCE,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-3000:]
    return done.stdout


def jobs(told: str) -> list[tuple[str, dict[str, str]]]:
    """Rule and resources of each job."""
    found = re.findall(r"^(?:local)?rule (\w+):\n(?:    .*\n)*?    resources: (.*)$", told, re.MULTILINE)
    return [(rule, dict(pair.split("=", 1) for pair in text.split(", "))) for rule, text in found]


def test_jobs_with_a_gpu_go_to_its_partition_on_slurm(tmp_path: Path) -> None:
    profile = yaml.safe_load((CHECKOUT / "profiles/slurm/config.yaml").read_text())
    assert profile["executor"] == "slurm" and profile["use-conda"]
    profile.pop("use-conda")  # conda itself is not here
    (tmp_path / "profile").mkdir()
    (tmp_path / "profile/config.yaml").write_text(yaml.safe_dump(profile))
    engines = {"engine": "nllb", "engines": {"nllb": NLLB}}
    told = planned(tmp_path, "--workflow-profile", str(tmp_path / "profile"), gpus=2, translate=engines)
    found = jobs(told)
    with_gpu = {rule for rule, resources in found if int(resources.get("gpu", 0))}
    assert with_gpu == {"translate", "pretrain_text", "pretrain", "predict_labels", "evaluate"}
    wrong = {rule for rule, resources in found if rule in with_gpu and resources["slurm_partition"] != "gpu"}
    assert not wrong, f"profiles/slurm/config.yaml: set-resources: {sorted(wrong)} ask for a GPU in the wrong partition"
    assert {resources["slurm_partition"] for rule, resources in found if rule not in with_gpu} == {"cpu"}


def test_every_language_has_its_own_engine_in_the_metrics(tmp_path: Path) -> None:
    engines = {"nllb": NLLB, "known": {"kind": "memory", "file": "known.tsv", "fallback": "nllb"}}
    (tmp_path / "known.tsv").touch()
    chosen = {"engine": "nllb", "engines_by_language": {"spa_Latn": "known"}, "engines": engines}
    told = planned(tmp_path, translate=chosen)
    assert set(re.findall(r"--engine '([^']*)'", told)) == {"eng_Latn=nllb spa_Latn=known/nllb"}


def test_prompts_are_found_in_the_checkout_from_another_directory(tmp_path: Path) -> None:
    told = planned(tmp_path)
    inputs = re.findall(r"^rule benchmark:\n    input: (.*)$", told, re.MULTILINE)
    assert len(inputs) == 4 and all(str(CHECKOUT / "config/prompts/classes.yaml") in line for line in inputs)


@pytest.mark.parametrize("cores", [1, 2])
def test_the_cost_is_that_of_the_cores_that_the_run_has(tmp_path: Path, cores: int) -> None:
    told = planned(tmp_path, "--cores", str(cores))
    assert re.findall(r"mmclip plan .* --cores (\d+) ", told) == [str(min(cores, os.cpu_count() or 1))]


def parts(told: str) -> dict[str, Any]:
    """What the report is told that the run consists of."""
    found = re.search(r"mmclip report \S+ --parts '([^']*)'", told)
    assert found is not None
    return dict(json.loads(found[1]))


@pytest.mark.parametrize("marked", [False, True])
def test_the_report_waits_for_the_marks_that_there_are(tmp_path: Path, marked: bool) -> None:
    folder = tmp_path / RESULTS / "validate/judged"
    folder.mkdir(parents=True)
    if marked:
        (folder / "anna.csv").touch()
    done = run(tmp_path, "--dry-run", "--printshellcmds")
    assert done.returncode == 0, done.stdout[-3000:]
    assert ("rule agreement:" in done.stdout) is marked and "rule judge:" not in done.stdout
    told = parts(done.stdout)
    assert told["judged"] is marked
    assert told["shards"] == ["phantom-000", "phantom-001"] and told["languages"] == ["eng_Latn", "spa_Latn"]
    assert told["experiments"] == ["text", "classifier", "clip", "three_m_clip"] and told["benchmarks"] == ["phantom"]


def test_the_report_asks_no_model_that_has_not_marked(tmp_path: Path) -> None:
    config = yaml.safe_load((CHECKOUT / "tests/config/tiny.yaml").read_text())
    config["validate"] = {"judge": {"url": "http://localhost:9"}}
    file = tmp_path / "config.yaml"
    file.write_text(yaml.safe_dump(config))
    judged = tmp_path / RESULTS / "validate/judged"
    judged.mkdir(parents=True)
    (judged / "anna.csv").touch()
    done = run(tmp_path, "--dry-run", "--configfile", str(file))
    assert done.returncode == 0, done.stdout[-3000:]
    assert "rule report:" in done.stdout and "rule judge:" not in done.stdout
