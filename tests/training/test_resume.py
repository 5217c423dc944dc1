"""A run that is killed and started again ends with the same bits as one that never was."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from mmclip import provenance
from mmclip.config.training import ExperimentSettings
from mmclip.errors import UserError
from mmclip.training.align import Aligner
from mmclip.training.checkpoint import Checkpoints, run_digest
from mmclip.training.classify_stage import predict_labels
from mmclip.training.loop import Interrupted
from mmclip.training.sources import tower_files
from mmclip.training.stage import pretrain
from mmclip.training.text_stage import pretrain_text
from tests.training.conftest import SmallData, experiment

DROPOUT = {
    "text": {
        "kind": "scratch",
        "layers": 1,
        "width": 16,
        "heads": 2,
        "feedforward": 32,
        "max_tokens": 40,
        "dropout": 0.2,
    }
}


def settings_of(task: str, **optimisation: Any) -> ExperimentSettings:
    """Batch norm, dropout and augmentation, and a moving average: everything that has a state or draws numbers."""
    image = {"name": "test_resnet", "size": 32}
    return experiment(
        task,
        model={"image": image, "projection": 8, **DROPOUT},
        classify={"folds": 2},
        optimisation={"ema": 0.9, **optimisation},
    )


def run(task: str, data: SmallData, root: Path, **optimisation: Any) -> Path:
    """Train `task` with checkpoints and output below `root`; returns the output."""
    settings, common = settings_of(task, **optimisation), {"ingest": data.ingest, "checkpoints": root / "checkpoints"}
    if task == "align":
        files = {"packs": data.packs, "corpus": data.corpus, "targets": data.targets}
        pretrain(settings, output=root / "out", **common, **files)  # type: ignore[arg-type]
        return root / "out" / "model" / "model.safetensors"
    if task == "text":
        pretrain_text(settings, output=root / "out", corpus=data.corpus, **common)  # type: ignore[arg-type]
        return root / "out" / "model" / "model.safetensors"
    predict_labels(settings, output=root / "out.parquet", packs=data.packs, labels=data.labels, **common)  # type: ignore[arg-type]
    return root / "out.parquet"


CHILD = """
import os, signal, sys
sys.path[:0] = {path!r}
from pathlib import Path
from tests.training import test_resume
from tests.training.conftest import SmallData
from mmclip.training import loop
save = loop.Checkpoints.save
def save_and_die(self, step, *rest):
    if step > {die_at}:  # the run is somewhere after its checkpoint of step 10
        os.kill(os.getpid(), signal.SIGKILL)
    save(self, step, *rest)
step = loop._Trainer.step
def step_and_die(self, batch, number):
    if number == {die_at} + 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return step(self, batch, number)
loop._Trainer.step = step_and_die
loop.Checkpoints.save = save_and_die
test_resume.run({task!r}, {data!r}, Path({root!r}))
"""


def killed(task: str, data: SmallData, root: Path, die_at: int = 10) -> None:
    """Run `task` in a process of its own that is killed with SIGKILL three steps after its first checkpoint."""
    script = CHILD.format(path=[str(Path(__file__).parents[2])], die_at=die_at, task=task, data=data, root=str(root))
    script = script.replace("PosixPath", "Path")
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert result.returncode == -signal.SIGKILL, result.stderr


@pytest.mark.parametrize("task", ["align", "text", "classify"])
def test_a_killed_run_goes_on_to_the_same_bits(task: str, small: SmallData, tmp_path: Path) -> None:
    whole = run(task, small, tmp_path / "whole")
    killed(task, small, tmp_path / "killed")
    assert not (tmp_path / "killed" / "out").exists()
    steps = [
        entry["step"]
        for path in (tmp_path / "killed").glob("checkpoints/*/manifest.json")
        for entry in json.loads(path.read_text())["checkpoints"]
    ]
    assert steps == [10], "it died after the checkpoint of step 10 and before that of step 20"
    resumed = run(task, small, tmp_path / "killed")
    assert resumed.read_bytes() == whole.read_bytes()
    if task != "classify":
        curves = [path.parents[1] / "training_curve.json" for path in (whole, resumed)]
        assert curves[0].read_text() == curves[1].read_text()


def test_sigterm_saves_and_leaves(small: SmallData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = run("align", small, tmp_path / "whole")
    from mmclip.data.alignment import AlignmentBatches

    make: Callable[[AlignmentBatches, int], object] = AlignmentBatches.__call__

    def interrupt(self: AlignmentBatches, step: int) -> object:
        if step == 6:
            os.kill(os.getpid(), signal.SIGTERM)
        return make(self, step)

    monkeypatch.setattr(AlignmentBatches, "__call__", interrupt)
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(Interrupted, match=r"stopped after step [67] of 20; start it again"):
        run("align", small, tmp_path / "stopped")
    assert signal.getsignal(signal.SIGTERM) is before
    monkeypatch.undo()
    assert run("align", small, tmp_path / "stopped").read_bytes() == whole.read_bytes()


@pytest.mark.parametrize("asked", [3, 25])
def test_a_long_step_is_given_up_within_the_grace(
    asked: int, small: SmallData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SIGTERM between two micro-batches, of the first step or a later one: what is saved is the state before it."""
    whole = run("align", small, tmp_path / "whole", micro_batch=5)
    embed, calls = Aligner._embed_images, []

    def embed_and_ask(self: Aligner, pixels: torch.Tensor) -> torch.Tensor:
        calls.append(torch.is_grad_enabled())
        if len(calls) == asked:
            os.kill(os.getpid(), signal.SIGTERM)
        return embed(self, pixels)

    monkeypatch.setattr(Aligner, "_embed_images", embed_and_ask)
    done = (asked - 1) // 6  # three micro-batches of 12 images, in two passes
    with pytest.raises(Interrupted, match=f"stopped after step {done} of 20; start it again"):
        run("align", small, tmp_path / "stopped", micro_batch=5)
    assert len(calls) == asked, "no micro-batch was embedded after the signal"
    monkeypatch.undo()
    assert run("align", small, tmp_path / "stopped", micro_batch=5).read_bytes() == whole.read_bytes()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 16 MiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", str(folder)], check=True)
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


@pytest.mark.needs("root")
def test_a_full_disk_leaves_the_checkpoint_before(
    small: SmallData, tmp_path: Path, small_disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = run("align", small, tmp_path / "whole")
    save, filler = Checkpoints.save, small_disk / "filler"

    def fill_and_save(self: Checkpoints, step: int, *rest: Any) -> None:
        if step == 20:
            free = os.statvfs(small_disk).f_bavail * os.statvfs(small_disk).f_frsize
            filler.write_bytes(b"x" * (free - 2**17))
        save(self, step, *rest)

    monkeypatch.setattr(Checkpoints, "save", fill_and_save)
    with pytest.raises(UserError, match=r"step-000000020: cannot write it \(No space left on device\)"):
        run("align", small, small_disk)
    monkeypatch.undo()
    store = next((small_disk / "checkpoints").iterdir())
    assert [folder.name for folder in store.glob("*step-*")] == ["step-000000010"], "and nothing half-written"
    with pytest.raises(UserError, match="No space left on device"):
        run("align", small, small_disk)
    filler.unlink()
    assert run("align", small, small_disk).read_bytes() == whole.read_bytes()


def test_a_damaged_checkpoint_falls_back_to_the_one_before(small: SmallData, tmp_path: Path) -> None:
    whole = run("align", small, tmp_path / "whole")
    newest = next((tmp_path / "whole" / "checkpoints").glob("*/step-000000020"))
    with (newest / "model.safetensors").open("r+b") as file:
        file.seek(-4, os.SEEK_END)
        file.write(b"\x00\x00\x00\x01")
    expected = whole.read_bytes()
    assert run("align", small, tmp_path / "whole").read_bytes() == expected


def test_two_trainers_of_one_run_exclude_each_other(tmp_path: Path) -> None:
    store, other = Checkpoints(tmp_path, "d" * 64), Checkpoints(tmp_path, "d" * 64)
    with store.locked():
        with pytest.raises(UserError, match="another process trains this run"), other.locked():
            pass
        with Checkpoints(tmp_path, "e" * 64).locked():
            pass
    with other.locked():
        pass


def test_the_lock_of_a_dead_trainer_is_free(tmp_path: Path) -> None:
    script = (
        "import sys, time; from pathlib import Path; from mmclip.training.checkpoint import Checkpoints\n"
        f"with Checkpoints(Path({str(tmp_path)!r}), 'd' * 64).locked(): print('held', flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None and child.stdout.readline() == "held\n"
        with pytest.raises(UserError), Checkpoints(tmp_path, "d" * 64).locked():
            pass
        child.kill()
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        try:
            with Checkpoints(tmp_path, "d" * 64).locked():
                return
        except UserError:
            time.sleep(0.05)
    raise AssertionError("the lock outlived its holder")


def test_the_digest_is_of_what_decides_the_result(small: SmallData, monkeypatch: pytest.MonkeyPatch) -> None:
    base = run_digest(experiment("align"), small.corpus)
    assert base == run_digest(experiment("align", saving={"every": 3}, optimisation={"workers": 3}), small.corpus)
    others = {
        run_digest(experiment("align", seed=1), small.corpus),
        run_digest(experiment("align", optimisation={"learning_rate": 0.5}), small.corpus),
        run_digest(experiment("align"), small.corpus[:2]),
        run_digest(experiment("align"), small.corpus, "fold 1"),
    }
    assert len(others) == 4 and base not in others
    asked: list[tuple[str, tuple[str, ...]]] = []
    monkeypatch.setattr(provenance, "digest", lambda *names: asked.append(names) or "another code")
    assert run_digest(experiment("align"), small.corpus) not in {base, *others}
    run_digest(experiment("text"), [])
    assert asked == [("pretrain", ("mmclip.objectives.three_m_clip",)), ("pretrain_text", ())]


def test_a_run_that_lost_its_newest_checkpoints_keeps_what_it_saves(tmp_path: Path) -> None:
    store = Checkpoints(tmp_path, "d" * 64, keep=2)
    module = torch.nn.Linear(2, 1)
    optimiser = torch.optim.AdamW(module.parameters())
    for step in (10, 20):
        store.save(step, module, optimiser, {})
    for name in ("step-000000010", "step-000000020"):
        (store.folder / name / "model.safetensors").write_bytes(b"damaged")
    assert store.latest() is None
    for step in (5, 15):
        store.save(step, module, optimiser, {})
        assert store.latest() == store.folder / f"step-{step:09d}"
    assert sorted(folder.name for folder in store.folder.glob("step-*")) == ["step-000000005", "step-000000015"]


def test_a_towers_folder_counts_in_the_digest(small: SmallData, tmp_path: Path) -> None:
    folder = tmp_path / "tower"
    folder.mkdir()
    for name in ("config.json", "model-00001-of-00001.safetensors", "sentencepiece.bpe.model", "README.md", ".hidden"):
        (folder / name).write_text("one")
    text = {"kind": "pretrained", "name": str(folder)}
    image = {"library": "hugging_face", "name": str(folder)}
    towers = [
        experiment("align", model={"text": text}).model,
        experiment("align", model={"image": image}).model,
    ]
    names = ["config.json", "model-00001-of-00001.safetensors", "sentencepiece.bpe.model"]
    for model in towers:
        assert [file.name for file in tower_files(model)] == names
    assert [file.name for file in tower_files(experiment("align").model, folder)] == names
    assert tower_files(experiment("align").model) == []
    before = run_digest(experiment("align"), tower_files(towers[0]))
    (folder / "README.md").write_text("two")
    assert run_digest(experiment("align"), tower_files(towers[0])) == before
    (folder / "sentencepiece.bpe.model").write_text("two")
    assert run_digest(experiment("align"), tower_files(towers[0])) != before
