"""A file that is new in a data set's folder: the ingest runs again, and only what follows from it."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.ingest.trees import Tree
from tests.workflow.tiny import CHECKOUT, PATIENCE, environment

REPORT = (
    "<eCitation><uId id='CXR{0}'/><MedlineCitation><Article><Abstract>"
    "<AbstractText Label='FINDINGS'>No effusion, study {0}.</AbstractText>"
    "</Abstract></Article></MedlineCitation><parentImage id='CXR{0}_1'/></eCitation>"
)


def add(tree: Tree, number: int) -> None:
    """A report with its image, in Open-I's layout."""
    tree.write(f"ecgen-radiology/{number}.xml", REPORT.format(number))
    tree.image(f"NLMCXR_png/CXR{number}_1.png")


def run(directory: Path, *arguments: str) -> str:
    targets = [f"results/new/pack/{name}" for name in ("openi", "ours", "phantom")]
    command = [sys.executable, "-m", "mmclip", "run", "--directory", str(directory), "--configfile"]
    done = subprocess.run(
        [*command, str(directory / "config.yaml"), *arguments, *targets],
        cwd=CHECKOUT, env=environment(), text=True, check=False, timeout=PATIENCE,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-3000:]
    return done.stdout


def planned(directory: Path) -> list[tuple[str, str]]:
    """Rule and data set of every job that a run would start."""
    said = run(directory, "--dry-run")
    return sorted(re.findall(r"^rule (\w+):\n(?:    .*\n)*?    wildcards: dataset=(\w+)$", said, re.MULTILINE))


@pytest.mark.slow
def test_a_new_report_and_image_are_read_and_packed(tmp_path: Path) -> None:
    tree, ours = Tree(tmp_path / "openi"), Tree(tmp_path / "ours")
    for number in (1, 2):
        add(tree, number)
    table = ours.table("studies.csv", ["id", "image"], [["a", "a.png"], ["b", "b.png"]])
    ours.image("a.png")
    datasets = {
        "openi": {"kind": "open_i", "root": str(tree.root)},
        "ours": {"kind": "table", "file": str(table), "columns": {"id": "id", "image": "image"}, "error_budget": 0.5},
        "phantom": {"kind": "phantom", "n": 5, "size": 64},
    }
    (tmp_path / "config.yaml").write_text(json.dumps({"run": "new", "datasets": datasets, "pack": {"size": 32}}))
    run(tmp_path, "--quiet=rules")
    assert planned(tmp_path) == []

    ours.image("b.png")
    assert planned(tmp_path) == [("ingest", "ours"), ("pack", "ours")]
    run(tmp_path, "--quiet=rules")
    assert planned(tmp_path) == []

    add(tree, 3)
    assert planned(tmp_path) == [("ingest", "openi"), ("pack", "openi")]
    run(tmp_path, "--quiet=rules")
    assert json.loads((tmp_path / "results/new/ingest/openi/counts.json").read_text())["studies"] == 3
    assert planned(tmp_path) == []
