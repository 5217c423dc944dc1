"""Checkpoints: whole directories written atomically, the latest named by a manifest, safetensors and JSON only.

    <checkpoints>/<digest>/manifest.json                 steps, files and their sha256
    <checkpoints>/<digest>/step-000000500/model.safetensors, optimiser.safetensors, state.json, and average.safetensors
                                          where the weights are averaged

The digest is of the settings, the inputs and the code, so a changed experiment never resumes from another's weights.
There is no random state to save: every draw is a function of seed and step (:mod:`mmclip.data.randomness`).
"""

from __future__ import annotations

import fcntl
import hashlib
import importlib
import json
import logging
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import nn

from mmclip.config.training import ExperimentSettings
from mmclip.errors import UserError
from mmclip.models.weights import load_weights, read_tensors, save_weights
from mmclip.tables.files import atomic, write_json
from mmclip.training.averaging import Average
from mmclip.training.distributed import World, largest

log = logging.getLogger("mmclip.training")

MODEL, OPTIMISER, AVERAGE = "model.safetensors", "optimiser.safetensors", "average.safetensors"
STATE, MANIFEST = "state.json", "manifest.json"

STAGES = {"align": "pretrain", "text": "pretrain_text", "classify": "predict_labels"}
"""The stage whose code trains each task."""


def run_digest(settings: ExperimentSettings, inputs: Sequence[Path], part: str = "") -> str:
    """Names a run: sha256 of what decides its result, the code of its stage and objectives included.

    Settings that only say when to write and how fast to read are left out.

    Args:
        inputs: files whose content counts.
        part: which of several trainings of one experiment (a fold).
    """
    values = settings.model_dump(mode="json", exclude={"saving": True, "optimisation": {"workers", "threads"}})
    digest = hashlib.sha256(json.dumps([values, part, _code_digest(settings)], sort_keys=True).encode())
    for path in inputs:
        digest.update(_sha256(path).encode())
    return digest.hexdigest()


class Checkpoints:
    """The checkpoints of one run.

    Args:
        folder: of all runs.
        digest: of this run.
        keep: how many checkpoints stay.
    """

    def __init__(self, folder: Path, digest: str, keep: int = 2) -> None:
        self.folder = folder / digest[:16]
        self.keep = keep

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the run; the lock goes with the process, whatever ends it.

        Raises:
            UserError: another process trains it.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / "lock").open("w") as handle:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                raise UserError(f"{self.folder}: another process trains this run; wait for it or stop it") from error
            yield

    def save(
        self,
        step: int,
        module: nn.Module,
        optimiser: torch.optim.Optimizer,
        log_state: dict[str, Any],
        average: Average | None = None,
    ) -> None:
        """Write the state after `step` optimiser steps, then name it in the manifest, then delete what it leaves out.

        Checkpoints of later steps are left out too: who is at this step found them damaged.

        Args:
            log_state: of the training curve, JSON.
            average: of the weights, where there is one.

        Raises:
            UserError: the disk is full; the manifest and what it names stay as they are.
        """
        path = self.folder / f"step-{step:09d}"
        with atomic(path) as temporary:
            temporary.mkdir()
            save_weights(module, temporary / MODEL)
            save_file(_optimiser_tensors(module, optimiser), temporary / OPTIMISER)
            if average is not None:
                save_file(_on_host(average.tensors), temporary / AVERAGE)
            (temporary / STATE).write_text(json.dumps({"step": step, "log": log_state}) + "\n", encoding="utf-8")
        digests = {file.name: _sha256(file) for file in sorted(path.iterdir())}
        earlier = [entry for entry in self._manifest() if entry["step"] < step]
        earlier.sort(key=lambda entry: entry["step"])
        entries = [*earlier, {"step": step, "folder": path.name, "sha256": digests}][-self.keep :]
        write_json({"checkpoints": entries}, self.folder / MANIFEST)
        kept = {entry["folder"] for entry in entries}
        for folder in self.folder.glob("step-*"):  # older ones, and any whose writer was killed before naming it
            if folder.name not in kept:
                shutil.rmtree(folder, ignore_errors=True)

    def latest(self) -> Path | None:
        """The newest checkpoint in the manifest whose files are whole; None before the first."""
        for entry in sorted(self._manifest(), key=lambda entry: -int(entry["step"])):
            path = self.folder / str(entry["folder"])
            if all((path / name).exists() and _sha256(path / name) == sha for name, sha in entry["sha256"].items()):
                return path
            log.warning("%s: damaged, an older checkpoint is used", path)
        return None

    def latest_of_all(self, world: World) -> Path | None:
        """:meth:`latest` as rank 0 finds it, for every rank.

        Raises:
            UserError: a rank does not see it.
        """
        found = self.latest() if world.rank == 0 else None
        step = largest(-1 if found is None else int(found.name.removeprefix("step-")))
        path = self.folder / f"step-{step:09d}"
        if step >= 0 and not path.is_dir():
            raise UserError(f"{path}: rank {world.rank} does not see it; checkpoints must lie where all ranks can read")
        return path if step >= 0 else None

    def _manifest(self) -> list[dict[str, Any]]:
        path = self.folder / MANIFEST
        if not path.exists():
            return []
        entries: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))["checkpoints"]
        return entries


def restore(
    path: Path, module: nn.Module, optimiser: torch.optim.Optimizer, average: Average | None = None
) -> tuple[int, dict[str, Any]]:
    """Put a checkpoint's state into module, optimiser and average.

    Returns:
        steps done, and the state of the training curve.
    """
    load_weights(module, path / MODEL)
    tensors = read_tensors(path / OPTIMISER)
    names = _names(module)
    for group in optimiser.param_groups:
        for parameter in group["params"]:
            prefix = f"{names[parameter]}:"
            state = {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}
            optimiser.state[parameter] = {name: _placed(name, value, parameter) for name, value in state.items()}
    if average is not None:
        average.restore(read_tensors(path / AVERAGE))
    state = json.loads((path / STATE).read_text(encoding="utf-8"))
    return int(state["step"]), dict(state["log"])


def _placed(name: str, value: torch.Tensor, parameter: torch.Tensor) -> torch.Tensor:
    """Moments lie where the parameter lies; memory format included, since the order of sums decides the last bits."""
    if name == "step":
        return value.to(parameter.device)
    return torch.empty_like(parameter, requires_grad=False).copy_(value)


def _names(module: nn.Module) -> dict[nn.Parameter, str]:
    return {parameter: name for name, parameter in module.named_parameters()}


def _optimiser_tensors(module: nn.Module, optimiser: torch.optim.Optimizer) -> dict[str, torch.Tensor]:
    states = (
        (name, optimiser.state[parameter]) for parameter, name in _names(module).items() if parameter.requires_grad
    )
    return _on_host({f"{name}:{key}": value for name, state in states for key, value in state.items()})


def _on_host(tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}


def _code_digest(settings: ExperimentSettings) -> str:
    """The digest of the code of the experiment's stage and objectives."""
    provenance: Any = importlib.import_module("mmclip.provenance")  # by name: an edit to it retrains nothing
    objectives = tuple(f"mmclip.objectives.{entry.name}" for entry in settings.objectives)
    return str(provenance.digest(STAGES[settings.task], objectives))


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
