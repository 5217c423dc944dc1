"""Label classifiers whose process is killed while it trains the second of three folds."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from mmclip.training.classify_stage import predict_labels
from mmclip.training.loop import _Trainer
from tests.training.conftest import SmallData, experiment

CHILD = """
import os, signal, sys
sys.path[:0] = {path!r}
from pathlib import Path, PosixPath
from tests.training import test_classify_resume
from tests.training.conftest import SmallData
from mmclip.training import loop
step = loop._Trainer.step
def step_or_die(self, batch, number):
    if self.task.name == "classify fold 2" and number == 13:
        os.kill(os.getpid(), signal.SIGKILL)
    return step(self, batch, number)
loop._Trainer.step = step_or_die
test_classify_resume.run({data!r}, Path({root!r}))
"""


def run(data: SmallData, root: Path) -> Path:
    """Train and predict below `root`; returns the predictions."""
    settings = experiment("classify", model={"image": {"name": "test_resnet", "size": 32}}, classify={"folds": 3})
    out = root / "predictions.parquet"
    predict_labels(settings, data.ingest, data.packs, data.labels, out, root / "checkpoints")
    return out


def test_a_run_killed_in_its_second_fold_ends_with_the_same_bytes(
    small: SmallData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = run(small, tmp_path / "whole").read_bytes()
    script = CHILD.format(path=[str(Path(__file__).parents[2])], data=small, root=str(tmp_path / "killed"))
    died = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False, timeout=300)
    assert died.returncode == -signal.SIGKILL, died.stderr
    assert not (tmp_path / "killed/predictions.parquet").exists()
    manifests = (tmp_path / "killed/checkpoints").glob("*/manifest.json")
    last = sorted(max(entry["step"] for entry in json.loads(path.read_text())["checkpoints"]) for path in manifests)
    assert last == [10, 20], "the first fold is finished, the second has its checkpoint of step 10"
    steps: list[tuple[str, int]] = []
    step = _Trainer.step

    def count(self: _Trainer, batch: object, number: int) -> dict[str, float]:
        steps.append((self.task.name, number))
        return step(self, batch, number)

    monkeypatch.setattr(_Trainer, "step", count)
    assert run(small, tmp_path / "killed").read_bytes() == whole
    assert steps[0] == ("classify fold 2", 10) and len(steps) == 10 + 20, "nothing that was finished is trained again"
