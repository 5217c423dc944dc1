"""The training curve: rows for the report, TensorBoard, and what the user sees while it grows."""

from __future__ import annotations

import json
import logging
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Any

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

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

    Rows go to metrics.jsonl and, if asked for, to TensorBoard, both in `folder`. A resumed run writes the rows of its
    checkpoint anew, so that nothing is there twice.

    Args:
        folder: of the run's checkpoints; None reports nothing (ranks but the first).
        name: of the task.
        start, steps: steps done before, and in all.
        batch_size: samples a step, for the throughput.
    """

    def __init__(
        self,
        folder: Path | None,
        name: str,
        start: int,
        steps: int,
        batch_size: int,
        rows: list[Row],
        tensorboard: bool,
    ) -> None:
        self._name, self._start, self._steps, self._batch_size = name, start, steps, batch_size
        self._began = self._told = time.monotonic()
        self._lines = None if folder is None else (folder / "metrics.jsonl").open("w", encoding="utf-8")
        self._board = _tensorboard(folder, start) if tensorboard and folder is not None else None
        self._bar: Progress | None = None
        if folder is not None and sys.stderr.isatty():
            columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
            self._bar = Progress(*columns, TextColumn("{task.fields[note]}"), transient=True)
            self._bar.start()
            self._bar.add_task(name, total=steps, completed=start, note="")
        for row in rows:
            self._write(row)

    def add(self, row: Row) -> None:
        """Report a row of the curve."""
        self._write(row)
        if self._board is not None:
            for name, value in row.items():
                if name != "step":
                    self._board.add_scalar(name, value, row["step"])

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

    def _write(self, row: Row) -> None:
        if self._lines is not None:
            self._lines.write(json.dumps(row) + "\n")
            self._lines.flush()


def _tensorboard(folder: Path, start: int) -> Any:
    from torch.utils.tensorboard import SummaryWriter  # slow to import, and not every run wants it

    return SummaryWriter(log_dir=str(folder / "tensorboard"), purge_step=start + 1)
