"""The training loop, one for all tasks and for one process or many."""

from __future__ import annotations

import logging
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import cv2
import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from mmclip.config.training import Optimisation, Saving
from mmclip.data.prefetch import prefetch
from mmclip.data.randomness import generator
from mmclip.errors import UserError
from mmclip.tables.files import PRIVATE, write_json
from mmclip.training.checkpoint import Checkpoints, restore
from mmclip.training.distributed import World, any_rank, barrier
from mmclip.training.optimiser import learning_rate, make_optimiser
from mmclip.training.progress import Curve, Reporter, Row
from mmclip.training.task import Task, total_loss

log = logging.getLogger("mmclip.training")


class Interrupted(UserError):
    """Training saved its state and stopped because it was asked to."""


def train(
    task: Task, settings: Optimisation, saving: Saving, steps: int, seed: int, store: Checkpoints, world: World
) -> list[Row]:
    """Train a task, from its latest checkpoint if there is one.

    A run that was stopped at any moment and started again ends with the same weights, to the bit on a CPU with the
    same number of threads, since batches, augmentation and dropout depend on seed and step alone.

    Args:
        steps: optimiser steps in all.
        store: where checkpoints lie; rank 0 writes them.

    Returns:
        the training curve: rows with step, loss, each part of the loss, learning rate and gradient norm; where the
        task validates, also its measures as ``val/<name>``.

    Raises:
        UserError: the loss or the gradient is not finite, or another process trains this run.
        Interrupted: SIGTERM came; a checkpoint was saved.
    """
    if settings.threads is not None:
        torch.set_num_threads(settings.threads)
    cv2.setNumThreads(1)  # images are warped in our own threads
    with store.locked() if world.rank == 0 else nullcontext(), _sigterm() as stopping:
        barrier()
        trainer = _Trainer(task, settings, steps, seed, store, world)
        start, curve = trainer.resume()
        folder = store.folder if world.rank == 0 else None
        with Reporter(folder, task.name, start, steps, settings.batch_size, curve.rows, saving.tensorboard) as reporter:
            batches = prefetch(task.batch, start, steps, settings.workers)
            for done, batch in enumerate(batches, start=start + 1):
                row = trainer.step(batch, done - 1)
                curve.pending.append(row)
                if done % saving.log_every == 0 or done == steps:
                    reporter.add(curve.close_row(done))
                reporter.tell(done, row["loss"])
                if done == steps or (saving.validate_every and done % saving.validate_every == 0):
                    for measures in trainer.validate(done):
                        curve.rows.append(measures)
                        reporter.add(measures)
                stop = any_rank(stopping.is_set(), world.device)
                if world.rank == 0 and (stop or done == steps or done % saving.every == 0):
                    store.save(done, task.module, trainer.optimiser, curve.state())
                if stop and done < steps:
                    barrier()
                    raise Interrupted(f"{task.name}: stopped after step {done} of {steps}; start it again to go on")
        barrier()
        return curve.rows


class _Trainer:
    """The parts of a run that a step needs."""

    def __init__(
        self, task: Task, settings: Optimisation, steps: int, seed: int, store: Checkpoints, world: World
    ) -> None:
        self.task, self.settings, self.steps, self.seed = task, settings, steps, seed
        self.store, self.world = store, world
        task.module.to(world.device)
        if world.size > 1 and world.device.type == "cuda":
            convert: Any = nn.SyncBatchNorm.convert_sync_batchnorm
            task.module = convert(task.module)
        self.optimiser = make_optimiser(task.module, settings)
        self.run: nn.Module = task.module

    def resume(self) -> tuple[int, Curve]:
        """Load the latest checkpoint; returns the steps done and the curve so far."""
        latest = self.store.latest()
        start, curve = 0, Curve()
        if latest is not None:
            start, log_state = restore(latest, self.task.module, self.optimiser)
            curve = Curve(log_state)
            log.info("%s: resumes after step %d of %d", self.task.name, start, self.steps)
        if self.world.size > 1:
            devices = [self.world.device.index] if self.world.device.type == "cuda" else None
            self.run = DistributedDataParallel(self.task.module, device_ids=devices)
        return start, curve

    def step(self, batch: Any, step: int) -> Row:
        """One optimiser step; returns its values."""
        torch.manual_seed(int(generator(self.seed, "step", step, self.world.rank).integers(2**62)))  # dropout
        rate = learning_rate(step, self.steps, self.settings)
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        self.run.train()
        losses: dict[str, Tensor] = self.run(batch.to(self.world.device), step)
        loss = total_loss(losses)
        # DistributedDataParallel divides the sum of the ranks' gradients by their number
        torch.autograd.backward(loss * self.world.size)
        norm = nn.utils.clip_grad_norm_(self.task.module.parameters(), self.settings.clip or float("inf"))
        row = {"loss": loss, **losses, "gradient_norm": norm}
        values = {name: float(value.detach()) for name, value in row.items()}
        if not torch.isfinite(loss.detach() + norm):
            self._stop(batch, step, values)
        self.optimiser.step()
        self.optimiser.zero_grad(set_to_none=True)
        self.task.after_step()
        return values | {"learning_rate": rate}

    def validate(self, done: int) -> list[Row]:
        """The row of validation measures after `done` steps, if the task has any."""
        self.task.module.eval()
        with torch.no_grad():
            measures = self.task.validate()
        return [{"step": done} | {f"val/{name}": value for name, value in measures.items()}] if measures else []

    def _stop(self, batch: Any, step: int, values: Row) -> None:
        """End a run that has diverged; the last checkpoint stays as it is."""
        ids = self.task.ids(batch)
        path = self.store.folder / f"not-finite-rank{self.world.rank}.json"
        found = {"step": step + 1, "values": {name: str(value) for name, value in values.items()}, "ids": ids}
        write_json(found, path, mode=PRIVATE)
        raise UserError(
            f"{self.task.name}: loss {values['loss']}, gradient norm {values['gradient_norm']} at step {step + 1} "
            f"(ids {', '.join(ids[:3])}, ...; all in {path}); lower optimisation.learning_rate or check these samples"
        )


@contextmanager
def _sigterm() -> Iterator[threading.Event]:
    """An event that SIGTERM sets, so that the loop ends after the step it is in; SLURM and Snakemake send it."""
    event = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield event
        return
    before = signal.signal(signal.SIGTERM, lambda *_: event.set())
    try:
        yield event
    finally:
        signal.signal(signal.SIGTERM, before)
