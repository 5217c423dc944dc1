"""What becomes of uncertain labels (Irvin et al. 2019, section 4)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from mmclip.config.labeling import DisambiguateSettings
from mmclip.observations import OBSERVATIONS, UNCERTAIN

States = npt.NDArray[np.int8]
Floats = npt.NDArray[np.float32]

PREDICTED = frozenset({"U-SelfTrained", "U-MultiClass"})
"""Policies that replace an uncertain label by a classifier's probability that the observation is present: a sigmoid
trained on certain labels only, or p1 / (p0 + p1) of a classifier with the three classes absent, present, uncertain.
How 3M-CLIP puts U-MultiClass into a label vector is not published; this probability keeps the vector 14 long."""


def settle(states: States, predictions: Floats, settings: DisambiguateSettings) -> Floats:
    """Soft label vectors: present 1, absent and not mentioned 0, uncertain by the observation's policy.

    U-Ones gives 1. U-Zeros gives 0, and so does U-Ignore: in a similarity of label vectors an entry that is left out
    and one that is 0 are the same (they differ for a classifier, which reads the labels themselves). U-SelfTrained and
    U-MultiClass give the prediction, or the fallback where there is none. Only uncertain entries are replaced.

    Args:
        states: [N, 14] of 1, 0, -1; not mentioned is 0.
        predictions: [N, 14] probabilities, NaN where there is none.

    Returns:
        [N, 14] in [0, 1].
    """
    vectors: Floats = (states == 1).astype(np.float32)
    for k, name in enumerate(OBSERVATIONS):
        uncertain = states[:, k] == UNCERTAIN
        policy = settings.policy(name)
        value: Floats | float = float(policy == "U-Ones")
        if policy in PREDICTED:
            fallback = np.float32(settings.without_prediction(name) == "U-Ones")
            predicted = predictions[uncertain, k]
            value = np.where(np.isnan(predicted), fallback, np.clip(predicted, 0, 1))
        vectors[uncertain, k] = value
    return vectors


def describe(states: States, predictions: Floats, settings: DisambiguateSettings) -> list[str]:
    """For each row how its uncertain entries were settled: ``Edema: U-Ones; Consolidation: U-SelfTrained``.

    Where a prediction was missing the fallback follows: ``Consolidation: U-SelfTrained, U-Zeros``. Rows without
    uncertain entries have "".
    """
    uncertain = states == UNCERTAIN
    codes = uncertain + (uncertain & np.isnan(predictions)).astype(np.int8)
    distinct, rows = np.unique(codes, axis=0, return_inverse=True)
    texts = [_described(code, settings) for code in distinct.tolist()]
    return [texts[row] for row in rows.ravel().tolist()]


def _described(codes: Sequence[int], settings: DisambiguateSettings) -> str:
    """`codes`: 0 certain, 1 uncertain with a prediction, 2 uncertain without."""
    parts = []
    for name, code in zip(OBSERVATIONS, codes, strict=True):
        if code:
            policy = settings.policy(name)
            missing = code == 2 and policy in PREDICTED
            parts.append(f"{name}: {policy}{', ' + settings.without_prediction(name) if missing else ''}")
    return "; ".join(parts)
