"""What is told while training runs: TensorBoard's file, wandb, plain lines, a bar."""

from __future__ import annotations

import io
import json
import logging
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from mmclip.errors import UserError
from mmclip.training import progress
from mmclip.training.progress import Curve, Reporter, Row


def reporter(folder: Path | None, rows: list[Row] | None = None, start: int = 0, wandb: bool = False) -> Reporter:
    return Reporter(folder, "a task", start, 100, 8, rows or [], wandb)


def scalars(folder: Path) -> dict[str, list[tuple[int, float]]]:
    events = EventAccumulator(str(folder / "tensorboard"))
    events.Reload()
    return {tag: [(event.step, event.value) for event in events.Scalars(tag)] for tag in events.Tags()["scalars"]}


def test_tensorboard_reads_the_rows_once_also_after_a_resume(tmp_path: Path) -> None:
    rows: list[Row] = [{"step": 10, "loss": 0.5}, {"step": 20, "loss": 0.25, "val/loss": 1.5}]
    with reporter(tmp_path) as first:
        for row in [*rows, {"step": 30, "loss": 7.0}]:
            first.add(row)
        assert scalars(tmp_path)["loss"][-1] == (30, 7.0), "it can be read while it grows"
    with reporter(tmp_path, rows, start=20) as second:  # the checkpoint was of step 20
        second.add({"step": 30, "loss": 0.125})
    assert scalars(tmp_path) == {"loss": [(10, 0.5), (20, 0.25), (30, 0.125)], "val/loss": [(20, 1.5)]}
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert lines == [*rows, {"step": 30, "loss": 0.125}]


def test_other_ranks_write_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with reporter(None, wandb=True) as silent:
        silent.add({"step": 1, "loss": 1.0})
        silent.tell(1, 1.0)
    assert not list(tmp_path.iterdir())


def test_plain_lines_say_throughput_and_time_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    now = [1000.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    with caplog.at_level(logging.INFO), reporter(tmp_path, start=40) as told:
        for step in range(41, 101):
            now[0] += 2.0
            told.tell(step, 0.5)
    lines = [record.getMessage() for record in caplog.records]
    assert len(lines) == 8 and lines[0] == "a task: step 48 of 100, loss 0.5000, 4 samples/s, 1:44 left"
    assert lines[-1] == "a task: step 100 of 100, loss 0.5000, 4 samples/s, 0:00 left"


def test_a_terminal_gets_a_bar(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    screen = Terminal()
    monkeypatch.setattr(sys, "stderr", screen)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "120")
    with caplog.at_level(logging.INFO), reporter(tmp_path) as told:
        told.tell(50, 0.5)
    assert "50/100" in screen.getvalue() and "loss 0.5000" in screen.getvalue() and not caplog.records


def test_wandb_is_asked_for_by_name_and_gets_numbers_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "wandb", None)
    (tmp_path / "digest").mkdir()
    with pytest.raises(UserError, match=r"saving\.wandb: wandb is not installed; `pip install wandb`"):
        reporter(tmp_path / "digest", wandb=True)
    calls: list[Any] = []
    run = SimpleNamespace(
        log=lambda values, step: calls.append((step, values)), finish=lambda exit_code: calls.append(exit_code)
    )
    fake = SimpleNamespace(init=lambda **settings: calls.append(settings) or run, Settings=dict)
    monkeypatch.setitem(sys.modules, "wandb", fake)
    monkeypatch.delenv("WANDB_MODE", raising=False)
    with reporter(tmp_path / "digest", [{"step": 3, "loss": 2.0}], wandb=True) as told:
        told.add({"step": 4, "loss": 1.0})
    assert calls[0]["mode"] == "offline" and calls[0]["id"] == "digest" and calls[0]["resume"] == "allow"
    assert calls[0]["settings"]["console"] == "off" and calls[0]["settings"]["x_disable_meta"]
    assert calls[1:] == [(4, {"loss": 1.0}), 0]


def test_a_row_is_the_mean_of_the_steps_that_give_a_value() -> None:
    curve = Curve({"rows": [{"step": 1, "loss": 9.0}], "pending": [{"loss": 1.0, "mlm_loss": 1.0}]})
    curve.pending += [{"loss": 2.0, "tlm_loss": 2.0}, {"loss": 6.0, "mlm_loss": 4.0}]
    assert curve.close_row(4) == {"step": 4, "loss": 3.0, "mlm_loss": 2.5, "tlm_loss": 2.0}
    assert curve.state() == {"rows": curve.rows, "pending": []} and len(curve.rows) == 2
