"""The training loop, one for all tasks and for one process or many."""

from __future__ import annotations

import logging
from contextlib import nullcontext
from typing import Any

import cv2
import torch
from torch import Tensor, nn

from mmclip.config.training import Optimisation, Saving
from mmclip.data.prefetch import prefetch
from mmclip.data.randomness import generator
from mmclip.errors import UserError
from mmclip.tables.files import PRIVATE, write_json
from mmclip.training.averaging import Average
from mmclip.training.checkpoint import Checkpoints, restore
from mmclip.training.distributed import (
    World,
    any_rank,
    barrier,
    sum_gradients,
    synchronise_norms,
    take_buffers_of_first,
    take_weights_of_first,
)
from mmclip.training.optimiser import learning_rate, make_optimiser
from mmclip.training.progress import Curve, Reporter, Row
from mmclip.training.stopping import Abandoned, heed_sigterm, requested
from mmclip.training.task import Task, total_loss

log = logging.getLogger("mmclip.training")


class Interrupted(UserError):
    """Training saved its state and stopped because it was asked to."""


def train(
    task: Task, settings: Optimisation, saving: Saving, steps: int, seed: int, store: Checkpoints, world: World
) -> list[Row]:
    """Train a task, from its latest checkpoint if there is one.

    A run that was stopped at any moment and started again ends with the same weights, to the bit on a CPU with the
    same number of threads, since batches, augmentation and dropout depend on seed and step alone. At the end the
    module has the trained weights, or with `settings.ema` their moving average.

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
    with store.locked() if world.rank == 0 else nullcontext(), heed_sigterm():
        barrier()
        trainer = _Trainer(task, settings, steps, seed, store, world)
        done, curve = trainer.resume()
        folder = store.folder if world.rank == 0 else None
        with Reporter(folder, task.name, done, steps, settings.batch_size, curve.rows, saving.wandb) as reporter:
            for batch in prefetch(task.batch, done, steps, settings.workers):
                row = trainer.step(batch, done)
                if row is not None:
                    done += 1
                    curve.pending.append(row)
                    if done % saving.log_every == 0 or done == steps:
                        reporter.add(curve.close_row(done))
                    reporter.tell(done, row["loss"])
                    if done == steps or (saving.validate_every and done % saving.validate_every == 0):
                        for measures in trainer.validate(done):
                            curve.rows.append(measures)
                            reporter.add(measures)
                stop = row is None or any_rank(requested())
                if world.rank == 0 and (stop or done == steps or done % saving.every == 0):
                    store.save(done, task.module, trainer.optimiser, curve.state(), trainer.average)
                if stop and done < steps:
                    barrier()
                    raise Interrupted(f"{task.name}: stopped after step {done} of {steps}; start it again to go on")
        barrier()
        if trainer.average is not None:
            trainer.average.swap()
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
            task.module = synchronise_norms(task.module)
        self.optimiser = make_optimiser(task.module, settings)
        take_weights_of_first(task.module)
        self.average = Average(task.module, settings.ema) if settings.ema else None

    def resume(self) -> tuple[int, Curve]:
        """Load the latest checkpoint, as rank 0 sees it; returns the steps done and the curve so far."""
        latest = self.store.latest_of_all(self.world)
        if latest is None:
            return 0, Curve()
        done, log_state = restore(latest, self.task.module, self.optimiser, self.average)
        log.info("%s: resumes after step %d of %d", self.task.name, done, self.steps)
        return done, Curve(log_state)

    def step(self, batch: Any, step: int) -> Row | None:
        """One optimiser step; returns its values, or None where SIGTERM came while its gradient was being made."""
        module = self.task.module
        torch.manual_seed(int(generator(self.seed, "step", step, self.world.rank).integers(2**62)))  # dropout
        rate = learning_rate(step, self.steps, self.settings)
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        module.train()
        try:
            losses: dict[str, Tensor] = module(batch.to(self.world.device), step)
            loss = total_loss(losses)
            torch.autograd.backward(loss)
        except Abandoned:
            self.optimiser.zero_grad(set_to_none=True)
            return None
        sum_gradients(module)
        take_buffers_of_first(module)
        norm = nn.utils.clip_grad_norm_(module.parameters(), self.settings.clip or float("inf"))
        row = {"loss": loss, **losses, "gradient_norm": norm}
        values = {name: float(value.detach()) for name, value in row.items()}
        if not torch.isfinite(loss.detach() + norm):
            self._stop(batch, step, values)
        self.optimiser.step()
        self.optimiser.zero_grad(set_to_none=True)
        self.task.after_step()
        if self.average is not None:
            self.average.update(step + 1)
        return values | {"learning_rate": rate}

    def validate(self, done: int) -> list[Row]:
        """The row of validation measures after `done` steps, if the task has any."""
        self.task.module.eval()
        with torch.no_grad(), self.average.in_place() if self.average is not None else nullcontext():
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
