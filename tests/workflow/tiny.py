"""The tiny run of tests/config/tiny.yaml: starting it, and comparing what it leaves."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]
CONFIG = "tests/config/tiny.yaml"
RESULTS = Path("results/tiny")

STAGES = {
    "build", "ingest", "pack", "translate", "draw_thresholds", "filter", "measure_filter", "validate", "label",
    "predict_labels", "disambiguate", "pretrain_text", "pretrain", "benchmark", "evaluate", "release",
    "report", "search",
}  # fmt: skip
"""Every rule but `all` that the tiny run uses."""

ON_REQUEST = {"judge", "agreement", "plan", "reproduce_3mclip"}
"""Rules for a target that has to be named."""

UNSTEADY = ("logs/", "translate/store/", "report/", "build/", "checkpoints/")
"""Below the results: what holds times, paths, or the order in which jobs came; and Snakemake's timings (.tsv)."""


PATIENCE = 500.0
"""Seconds that any one run may take, on a busy machine; then the test fails instead of waiting."""


def environment(**more: str) -> dict[str, str]:
    """The environment of a run: no network, the extension of the checkout, nothing of a surrounding workflow."""
    kept = {name: value for name, value in os.environ.items() if name not in ("MMCLIP_CONTROLLER", "PYTHONPATH")}
    extension = kept.get("MMCLIP_EXTENSION_DIR", str(CHECKOUT / ".build"))
    return {
        **kept,
        "HF_HUB_OFFLINE": "1",
        "MMCLIP_CUDA": "0",
        "MMCLIP_EXTENSION_DIR": extension,
        "OMP_NUM_THREADS": "1",
        **more,
    }


def copy_checkout(folder: Path) -> None:
    """Copy the checkout as git would carry it, files that are new included; `folder` is replaced."""
    shutil.rmtree(folder, ignore_errors=True)
    names = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    listed = subprocess.run(names, cwd=CHECKOUT, capture_output=True, text=True, check=True, timeout=60).stdout
    for name in filter(None, listed.split("\0")):
        if (CHECKOUT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(CHECKOUT / name, folder / name)


def command(directory: Path, *arguments: str, checkout: Path = CHECKOUT) -> list[str]:
    """``mmclip run`` of the tiny config in a directory."""
    config = ["--configfile", str(checkout / CONFIG)]
    return [sys.executable, "-m", "mmclip", "run", "--directory", str(directory), *config, *arguments]


def run(
    directory: Path, *arguments: str, checkout: Path = CHECKOUT, variables: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run it to its end, with further environment variables; the process's output is one text."""
    return subprocess.run(
        command(directory, *arguments, checkout=checkout),
        cwd=checkout,
        env=environment(**variables or {}),
        umask=0o022,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
        timeout=PATIENCE,
    )


def steady_files(directory: Path) -> dict[str, str]:
    """Path below the results -> sha256, of every file that must be the same in any run."""
    root = directory / RESULTS
    files = {file.relative_to(root).as_posix(): file for file in sorted(root.rglob("*")) if file.is_file()}
    return {
        name: hashlib.sha256(file.read_bytes()).hexdigest()
        for name, file in files.items()
        if not name.startswith(UNSTEADY) and not name.endswith(".tsv")
    }


def leftovers(directory: Path) -> list[str]:
    """Temporary files and locks below the results."""
    files = (directory / RESULTS).rglob(".*")
    return sorted(str(file) for file in files if file.name.endswith((".tmp", ".lock")))
