"""How far two sets of labels of the same reports agree."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from mmclip.errors import UserError
from mmclip.observations import COLUMNS, OBSERVATIONS
from mmclip.tables.user_files import read_labels

_NOT_MENTIONED = 2
STATES: dict[str, int] = {"present": 1, "absent": 0, "uncertain": -1, "not mentioned": _NOT_MENTIONED}

_NAME, _KAPPA, _CELL = 27, 7, 16
"""Widths of the table's columns, in characters."""

Codes = npt.NDArray[np.int64]


def compare_labels(labels: pl.DataFrame, other: Path, id_column: str) -> list[dict[str, Any]]:
    """F1 of each state and Cohen's kappa, observation by observation, over the reports that both have.

    Args:
        labels: `id` and the 14 observations.
        other: a file of labels, taken as the truth for F1; observations that it lacks are left out.
        id_column: the column of its ids.

    Returns:
        Rows of observation, state, n (how often the other says so), f1 (None where neither ever says so), and kappa
        over the four states (the same in each row of an observation; None where it is undefined).

    Raises:
        UserError: no report is in both.
    """
    theirs = read_labels(other, id_column)
    both = labels.join(theirs, on="id", how="inner", suffix=":other")
    if both.is_empty():
        raise UserError(
            f"{other}: none of its {theirs.height} ids in column {id_column!r} is the id of a report; "
            "name the column that holds the reports' ids"
        )
    rows = []
    for name, observation in zip(COLUMNS, OBSERVATIONS, strict=True):
        if name not in theirs.columns:
            continue
        ours, truth = _codes(both[name]), _codes(both[f"{name}:other"])
        kappa = cohen_kappa(ours, truth)
        rows += [
            {
                "observation": observation,
                "state": state,
                "n": int((truth == code).sum()),
                "f1": f1(ours == code, truth == code),
                "kappa": kappa,
            }
            for state, code in STATES.items()
        ]
    return rows


def format_comparison(rows: list[dict[str, Any]]) -> str:
    """The rows of :func:`compare_labels` as a table to read: an observation a line, F1 and number a state."""
    lines = ["F1 (number in the other labels)".rjust(_NAME + _KAPPA + 2 * _CELL)]
    lines.append("observation".ljust(_NAME) + "kappa".rjust(_KAPPA) + "".join(name.rjust(_CELL) for name in STATES))
    for at in range(0, len(rows), len(STATES)):
        states = rows[at : at + len(STATES)]
        cells = [f"{_figure(row['f1'])} ({row['n']})".rjust(_CELL) for row in states]
        lines.append(states[0]["observation"].ljust(_NAME) + _figure(states[0]["kappa"]).rjust(_KAPPA) + "".join(cells))
    return "\n".join(lines)


def _figure(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def _codes(states: pl.Series) -> Codes:
    return states.fill_null(_NOT_MENTIONED).cast(pl.Int64).to_numpy()


def f1(found: npt.NDArray[np.bool_], truth: npt.NDArray[np.bool_]) -> float | None:
    """Harmonic mean of precision and recall: 2 TP / (found + true); None where nothing is found or true."""
    total = int(found.sum()) + int(truth.sum())
    return 2 * int((found & truth).sum()) / total if total else None


def cohen_kappa(first: Codes, second: Codes) -> float | None:
    """Agreement beyond chance, (observed - expected) / (1 - expected) (Cohen 1960); None where chance is certain."""
    expected = sum(float((first == code).mean() * (second == code).mean()) for code in STATES.values())
    return (float((first == second).mean()) - expected) / (1 - expected) if expected < 1 else None
