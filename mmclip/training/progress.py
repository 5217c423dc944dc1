"""The training curve: rows for the report, TensorBoard, and what the user sees while it grows."""

from __future__ import annotations

import importlib
import json
import logging
import os
import shutil
import sys
import time
from pathlib import Path
from types import ModuleType, TracebackType
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from mmclip.errors import UserError
from mmclip.training.event_file import EventFile

log = logging.getLogger("mmclip.training")

LINE_EVERY_SECONDS = 15.0

Row = dict[str, float]


class Curve:
    """Rows of means over the steps between them.

    Attributes:
        rows: each with `step`, the number of steps done, and the mean of every value that a step since the last row
            gave; a value that only some steps give (alternating losses) is averaged over those.
        pending: values of the steps since the last row.
    """

    def __init__(self, state: dict[str, Any] | None = None) -> None:
        self.rows: list[Row] = list(state["rows"]) if state else []
        self.pending: list[Row] = list(state["pending"]) if state else []

    def state(self) -> dict[str, Any]:
        """What a checkpoint keeps, as JSON."""
        return {"rows": self.rows, "pending": self.pending}

    def close_row(self, step: int) -> Row:
        """End a row at this step and return it."""
        names = dict.fromkeys(name for values in self.pending for name in values)
        row: Row = {"step": step}
        for name in names:
            given = [values[name] for values in self.pending if name in values]
            row[name] = sum(given) / len(given)
        self.pending = []
        self.rows.append(row)
        return row


class Reporter:
    """Tells how far training is: a bar on a terminal, plain lines elsewhere, and files that grow.

    Rows go to metrics.jsonl and to TensorBoard's file, both in `folder`; a resumed run writes the rows of its
    checkpoint anew, so that nothing is there twice. Weights & Biases gets them too if asked for.

    Args:
        folder: of the run's checkpoints; None reports nothing (ranks but the first).
        name: of the task.
        start, steps: steps done before, and in all.
        batch_size: samples a step, for the throughput.
        rows: of the curve so far.
        wandb: also log to Weights & Biases.

    Raises:
        UserError: wandb is asked for and not installed.
    """

    def __init__(
        self,
        folder: Path | None,
        name: str,
        start: int,
        steps: int,
        batch_size: int,
        rows: list[Row],
        wandb: bool,
    ) -> None:
        self._name, self._start, self._steps, self._batch_size = name, start, steps, batch_size
        self._began = self._told = time.monotonic()
        self._lines = None if folder is None else (folder / "metrics.jsonl").open("w", encoding="utf-8")
        self._board = None if folder is None else _new_board(folder / "tensorboard")
        self._wandb = _wandb_run(folder, name) if wandb and folder is not None else None
        self._bar: Progress | None = None
        if folder is not None and sys.stderr.isatty():
            columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
            console = Console(stderr=True)
            self._bar = Progress(*columns, TextColumn("{task.fields[note]}"), console=console, transient=True)
            self._bar.start()
            self._bar.add_task(name, total=steps, completed=start, note="")
        for row in rows:
            self._write(row)

    def add(self, row: Row) -> None:
        """Report a row of the curve."""
        self._write(row)
        if self._wandb is not None:
            self._wandb.log({name: value for name, value in row.items() if name != "step"}, step=int(row["step"]))

    def tell(self, step: int, loss: float) -> None:
        """Tell how far the run is, where somebody looks."""
        if self._lines is None:
            return
        now = time.monotonic()
        rate = (step - self._start) / max(now - self._began, 1e-9)
        note = f"loss {loss:.4f}, {rate * self._batch_size:.0f} samples/s"
        if self._bar is not None:
            self._bar.update(self._bar.task_ids[0], completed=step, note=note)
        elif now - self._told >= LINE_EVERY_SECONDS or step == self._steps:
            self._told = now
            left = divmod(round((self._steps - step) / max(rate, 1e-9)), 60)
            log.info("%s: step %d of %d, %s, %d:%02d left", self._name, step, self._steps, note, *left)

    def __enter__(self) -> Reporter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for part in (self._lines, self._board):
            if part is not None:
                part.close()
        if self._bar is not None:
            self._bar.stop()
        if self._wandb is not None:
            self._wandb.finish(exit_code=0 if kind is None else 1)

    def _write(self, row: Row) -> None:
        if self._lines is not None:
            self._lines.write(json.dumps(row) + "\n")
            self._lines.flush()
        if self._board is not None:
            self._board.add({name: value for name, value in row.items() if name != "step"}, int(row["step"]))


def _new_board(folder: Path) -> EventFile:
    shutil.rmtree(folder, ignore_errors=True)
    return EventFile(folder)


def _wandb_run(folder: Path, name: str) -> Any:
    """A run of Weights & Biases, the same again for a run that is resumed. It gets numbers, and no ids or texts."""
    try:
        wandb: ModuleType = importlib.import_module("wandb")
    except ImportError as error:
        raise UserError("saving.wandb: wandb is not installed; `pip install wandb`, or set it to false") from error
    mode = os.environ.get("WANDB_MODE", "offline")
    # what a program prints may name ids, and its arguments name paths; both would go along by default
    private = wandb.Settings(console="off", disable_code=True, disable_git=True, x_disable_meta=True)
    return wandb.init(
        project="mmclip", name=name, id=folder.name, resume="allow", dir=str(folder), mode=mode, settings=private
    )
