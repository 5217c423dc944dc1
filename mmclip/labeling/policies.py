"""What becomes of uncertain labels (Irvin et al. 2019, section 4)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from mmclip.config.labeling import Treatment
from mmclip.observations import ABSENT, OBSERVATIONS, PRESENT, UNCERTAIN

States = npt.NDArray[np.int8]
Floats = npt.NDArray[np.float32]

NOT_MENTIONED = -2
"""In arrays of states, what is null in tables."""


def settle(
    states: States, predictions: Floats, treatments: Sequence[Treatment], draws: npt.NDArray[np.float64]
) -> Floats:
    """Soft label vectors: present 1, absent and not mentioned 0, uncertain by the observation's policy.

    U-Ones gives 1. U-Zeros gives 0, and so does U-Ignore: in a similarity of label vectors an entry that is left out
    and one that is 0 are the same (they differ for a classifier, which reads the labels themselves). With smoothing,
    U-Ones and U-Zeros give a number from a range instead (Pham et al. 2021). U-SelfTrained and U-MultiClass give the
    prediction, or the fallback where there is none: of a sigmoid trained on certain labels only, or p1 / (p0 + p1) of
    a classifier with the three classes absent, present, uncertain. How 3M-CLIP puts U-MultiClass into a label vector
    is not published; this probability keeps the vector 14 long. Only uncertain entries are replaced.

    Args:
        states: [N, 14] of 1, 0, -1 and NOT_MENTIONED.
        predictions: [N, 14] probabilities, NaN where there is none.
        treatments: of the 14 observations.
        draws: [N, 14] numbers from 0 to 1 that say where in its range a smoothed value lies.

    Returns:
        [N, 14] in [0, 1].
    """
    vectors: Floats = (states == PRESENT).astype(np.float32)
    for k, treatment in enumerate(treatments):
        uncertain = states[:, k] == UNCERTAIN
        value: Floats | npt.NDArray[np.float64] | float = float(treatment.policy == "U-Ones")
        if treatment.smoothing is not None:
            low, high = treatment.smoothing
            value = low + (high - low) * draws[uncertain, k]
        elif treatment.predicted:
            predicted = predictions[uncertain, k]
            value = np.where(np.isnan(predicted), float(treatment.fallback == "U-Ones"), np.clip(predicted, 0, 1))
        vectors[uncertain, k] = value
    return vectors


def one_hot(states: States, settled: Floats, treatments: Sequence[Treatment]) -> Floats:
    """Vectors with three slots an observation: the 14 of present, then of absent, then of uncertain.

    Present is (1, 0, 0), absent (0, 1, 0), not mentioned (0, 0, 0). An uncertain label of policy U-MultiClass is a
    class of its own, (0, 0, 1); of any other policy it is (v, 1 - v, 0) with the policy's value v.

    Args:
        states: [N, 14] as for :func:`settle`.
        settled: [N, 14], what that function gave.

    Returns:
        [N, 42] in [0, 1].
    """
    own_class = np.array([treatment.policy == "U-MultiClass" for treatment in treatments])
    doubt = (states == UNCERTAIN) & own_class
    settled_doubt = (states == UNCERTAIN) & ~own_class
    present = np.where(doubt, np.float32(0), settled)
    absent = np.where((states == ABSENT) | settled_doubt, 1 - present, np.float32(0))
    return np.concatenate([present, absent, doubt.astype(np.float32)], axis=1)


def describe(states: States, predictions: Floats, treatments: Sequence[Treatment]) -> list[str]:
    """For each row how its uncertain entries were settled: ``Edema: U-Ones; Consolidation: U-SelfTrained``.

    Where a prediction was missing the fallback follows: ``Consolidation: U-SelfTrained, U-Zeros``; where a value was
    drawn, its range: ``Edema: U-Ones 0.55-0.85``. Rows without uncertain entries have "".
    """
    uncertain = states == UNCERTAIN
    codes = uncertain + (uncertain & np.isnan(predictions)).astype(np.int8)
    distinct, rows = np.unique(codes, axis=0, return_inverse=True)
    texts = [_described(code, treatments) for code in distinct.tolist()]
    return [texts[row] for row in rows.ravel().tolist()]


def _described(codes: Sequence[int], treatments: Sequence[Treatment]) -> str:
    """`codes`: 0 certain, 1 uncertain with a prediction, 2 uncertain without."""
    parts = []
    for name, code, treatment in zip(OBSERVATIONS, codes, treatments, strict=True):
        if code:
            drawn = " {:g}-{:g}".format(*treatment.smoothing) if treatment.smoothing else ""
            missing = f", {treatment.fallback}" if code == 2 and treatment.predicted else ""
            parts.append(f"{name}: {treatment.policy}{drawn}{missing}")
    return "; ".join(parts)
