"""The truth of a simulated study: what is in the image, before anyone writes about it.

The image simulator draws it, the report writer describes it (with a known rate of uncertain and of wrong statements),
and every stage that reads a report or an image is scored against it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from mmclip.observations import FIVE

FINDINGS: tuple[str, ...] = (
    "Cardiomegaly",
    "Pleural Effusion",
    "Consolidation",
    "Edema",
    "Atelectasis",
    "Pneumothorax",
    "Lung Lesion",
    "Fracture",
    "Support Devices",
)
"""The findings that the phantom can show, as CheXpert observations."""

SEVERITIES: tuple[str, ...] = ("mild", "moderate", "severe")
ZONES: tuple[str, ...] = ("upper", "middle", "lower")
SIDED: frozenset[str] = frozenset(FINDINGS) - {"Cardiomegaly", "Edema"}
"""Findings that lie on a side; the other two concern the whole chest (side ``both``)."""


@dataclass(frozen=True)
class Finding:
    """One finding as it is drawn.

    Attributes:
        observation: one of :data:`FINDINGS`.
        side: ``left`` or ``right`` of the **patient** (the image's right and left), or ``both``.
        zone: ``upper``, ``middle`` or ``lower`` lung zone (consolidation, atelectasis, lesion, fracture), else ``""``.
        severity: ``mild``, ``moderate`` or ``severe``.
        size_mm: diameter of a lesion, or distance of a tube's tip above the carina, in millimetres; 0 where unused.
        change: ``new``, ``unchanged``, ``increased`` or ``decreased`` against an earlier film, or ``""``.
    """

    observation: str
    side: str
    zone: str
    severity: str
    size_mm: int = 0
    change: str = ""


@dataclass(frozen=True)
class Truth:
    """The whole truth of a study.

    Attributes:
        study_id, patient_id: ids, made from the data set's seed and the study's number.
        seed: seed of everything random about this study's image and report.
        findings: what is shown; empty for a normal film. At most one finding an observation.
    """

    study_id: str
    patient_id: str
    seed: int
    findings: tuple[Finding, ...] = field(default_factory=tuple)

    @property
    def observations(self) -> frozenset[str]:
        """The observations that the image shows."""
        return frozenset(finding.observation for finding in self.findings)

    def only_of_five(self) -> str | None:
        """The one of CheXpert's five observations that the study shows, or None if it shows none or several."""
        shown = self.observations & set(FIVE)
        return next(iter(shown)) if len(shown) == 1 else None


COUNTS: tuple[tuple[int, float], ...] = ((0, 0.22), (1, 0.53), (2, 0.20), (3, 0.05))
"""Share of studies by number of findings: most films of the phantom show exactly one."""

WEIGHTS: dict[str, float] = {name: (2.0 if name in FIVE else 1.0) for name in FINDINGS}
"""How often a finding is drawn, relative to the others: the five scored classes twice as often."""


def draw(n: int, seed: int) -> Iterator[Truth]:
    """The truths of `n` studies, a pure function of (`seed`, number): more studies never change earlier ones.

    About two thirds of the patients have one study, the rest two or three in a row.
    """
    patient, left_of_patient = -1, 0
    for number in range(n):
        rng = np.random.default_rng((seed, number))
        if left_of_patient == 0:
            patient += 1
            left_of_patient = int(rng.choice([1, 2, 3], p=[0.66, 0.24, 0.10]))
        left_of_patient -= 1
        yield Truth(
            study_id=f"ph{seed}-s{number:06d}",
            patient_id=f"ph{seed}-p{patient:06d}",
            seed=int(rng.integers(2**31)),
            findings=tuple(_draw_findings(rng)),
        )


def _draw_findings(rng: np.random.Generator) -> Iterator[Finding]:
    counts, shares = zip(*COUNTS, strict=True)
    weights = np.array([WEIGHTS[name] for name in FINDINGS])
    chosen = rng.choice(len(FINDINGS), size=int(rng.choice(counts, p=shares)), replace=False, p=weights / weights.sum())
    for index in sorted(int(i) for i in chosen):
        name = FINDINGS[index]
        yield Finding(
            observation=name,
            side=_side(name, rng),
            zone=_zone(name, rng),
            severity=str(rng.choice(SEVERITIES, p=[0.3, 0.45, 0.25])),
            size_mm=_size_mm(name, rng),
            change=str(rng.choice(["", "new", "unchanged", "increased", "decreased"], p=[0.6, 0.1, 0.1, 0.1, 0.1])),
        )


def _side(name: str, rng: np.random.Generator) -> str:
    if name not in SIDED:
        return "both"
    if name == "Pleural Effusion":
        return str(rng.choice(["left", "right", "both"], p=[0.4, 0.4, 0.2]))
    return str(rng.choice(["left", "right"]))


def _zone(name: str, rng: np.random.Generator) -> str:
    if name in ("Consolidation", "Lung Lesion", "Fracture"):
        return str(rng.choice(ZONES))
    if name == "Atelectasis":
        return str(rng.choice(["lower", "middle"], p=[0.8, 0.2]))
    return ""


def _size_mm(name: str, rng: np.random.Generator) -> int:
    if name == "Lung Lesion":
        return int(rng.integers(9, 36))
    if name == "Support Devices":
        return int(rng.integers(20, 70))
    return 0
