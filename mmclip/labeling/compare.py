"""How far two sets of labels of the same reports agree."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from mmclip.errors import UserError
from mmclip.labeling.files import read_labels
from mmclip.observations import COLUMNS, OBSERVATIONS

_NOT_MENTIONED = 2
STATES: dict[str, int] = {"present": 1, "absent": 0, "uncertain": -1, "not mentioned": _NOT_MENTIONED}

Codes = npt.NDArray[np.int64]


def compare_labels(labels: pl.DataFrame, other: Path, id_column: str) -> list[dict[str, Any]]:
    """F1 of each state and Cohen's kappa, observation by observation, over the reports that both have.

    Args:
        labels: `id` and the 14 observations.
        other: a file of labels, taken as the truth for F1; observations that it lacks are left out.

    Returns:
        Rows of observation, state, n (how often the other says so), f1 (None where neither ever says so), and kappa
        over the four states (the same in each row of an observation; None where it is undefined).

    Raises:
        UserError: no report is in both.
    """
    theirs = read_labels(other, id_column)
    both = labels.join(theirs, on="id", how="inner", suffix=":other")
    if both.is_empty():
        raise UserError(f"{other}: none of its {theirs.height} ids is among the reports' ids")
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
