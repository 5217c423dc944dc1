"""`snakemake reproduce_3mclip`: planned on small trees in the published layouts, and run on two of them."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.workflow.reproduction import small_config
from tests.workflow.tiny import CHECKOUT, PATIENCE, copy_checkout, environment


def run(directory: Path, *arguments: str, checkout: Path = CHECKOUT) -> subprocess.CompletedProcess[str]:
    """``mmclip run reproduce_3mclip`` in a directory."""
    command = [sys.executable, "-m", "mmclip", "run", "reproduce_3mclip", "--directory", str(directory), *arguments]
    return subprocess.run(
        command, cwd=checkout, env=environment(), text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        check=False, timeout=PATIENCE,
    )  # fmt: skip


def test_it_is_planned_from_the_cost_to_the_table(tmp_path: Path) -> None:
    done = run(tmp_path, "--dry-run", "--configfile", str(small_config(tmp_path)))
    assert done.returncode == 0, done.stdout[-3000:]
    jobs = re.findall(r"^rule (\w+):", done.stdout, re.MULTILINE)
    assert jobs.index("plan") < min(number for number, job in enumerate(jobs) if job != "plan" and job != "build")
    assert jobs[-1] == "reproduce_3mclip"
    counts = {name: jobs.count(name) for name in ("ingest", "pretrain_text", "predict_labels", "pretrain", "evaluate")}
    assert counts == {"ingest": 4, "pretrain_text": 1, "predict_labels": 1, "pretrain": 2, "evaluate": 2 * 2 * 4}
    trained = re.search(r"^rule pretrain:.*?input: (.*?)$", done.stdout, re.MULTILINE | re.DOTALL)
    assert trained and "ingest/chexpert" in trained[1] and "ingest/covid" not in trained[1]
    assert "mmclip pretrain " not in done.stdout or "torch.distributed" not in done.stdout


def test_other_configs_are_refused_with_what_to_do(tmp_path: Path) -> None:
    done = run(tmp_path, "--dry-run", "--configfile", str(CHECKOUT / "tests/config/tiny.yaml"))
    assert done.returncode != 0 and "add --configfile config/reproduce_3mclip.yaml" in done.stdout


def test_with_two_gpus_training_has_a_process_for_each(tmp_path: Path) -> None:
    file = small_config(tmp_path, ("chexpert", "covid", "rsna"))
    file.write_text(json.dumps(json.loads(file.read_text()) | {"gpus": 2}))
    done = run(tmp_path, "--dry-run", "--printshellcmds", "--configfile", str(file))
    assert done.returncode == 0, done.stdout[-3000:]
    launched = re.findall(
        r"python -m torch\.distributed\.run --standalone --nproc-per-node 2 -m mmclip ([\w-]+)", done.stdout
    )
    assert sorted(launched) == ["pretrain", "pretrain", "pretrain-text"]


@pytest.mark.slow
def test_it_runs_from_mimics_path_to_the_table(tmp_path: Path) -> None:
    file = small_config(tmp_path, ("rsna",))
    copy_checkout(tmp_path / "checkout")
    done = run(tmp_path, "--cores", "2", "--configfile", str(file), checkout=tmp_path / "checkout")
    assert done.returncode == 0, done.stdout[-5000:]
    shown = done.stdout
    assert (
        shown.index("predicted, not measured")
        < shown.index("rule ingest:")
        < shown.index("# 3M-CLIP, published and ours")
    )
    folder = tmp_path / "results/reproduce_3mclip/reproduce_3mclip"
    table = (folder / "table.md").read_text()
    assert re.search(r"^\| CheXpert-5x200 \| 0\.6402 \| 0\.5943 \| [01]\.\d{4} \(", table, re.MULTILINE)
    assert re.search(r"^\| RSNA \| 0\.\d{4} \| - \| - \| - \|$", table, re.MULTILINE)
    found = json.loads((folder / "table.json").read_text())
    measured = {row["name"]: set(row["ours"]) for row in found["benchmarks"]}
    assert measured["MIMIC-5x200"] == measured["CheXpert-5x200"] == measured["COVID"] == {"clip", "three_m_clip"}
    assert [row["ours"]["clip"]["n"] for row in found["benchmarks"] if row["ours"]] == [10, 10, 4]
    whats = [row["what"] for row in found["deviations"]]
    assert {"number of languages", "translation", "languages"} <= set(whats)
    assert any(what.startswith("optimisation.epochs (clip") for what in whats)
    again = run(tmp_path, "--dry-run", "--configfile", str(file), checkout=tmp_path / "checkout")
    assert "Nothing to be done" in again.stdout, again.stdout[-3000:]
