"""The 14 observations of CheXpert, the four states of a label, and how labels of sentences become a text's labels.

Everything addresses an observation by name: CheXpert's own CSV and MedCLIP's code order two of them differently.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

NO_FINDING = "No Finding"
SUPPORT_DEVICES = "Support Devices"

OBSERVATIONS: tuple[str, ...] = (
    NO_FINDING,
    "Enlarged Cardiomediastinum",
    "Cardiomegaly",
    "Lung Lesion",
    "Lung Opacity",
    "Edema",
    "Consolidation",
    "Pneumonia",
    "Atelectasis",
    "Pneumothorax",
    "Pleural Effusion",
    "Pleural Other",
    "Fracture",
    SUPPORT_DEVICES,
)
"""The observations in CheXpert's order (Irvin et al. 2019, table 1)."""

FIVE: tuple[str, ...] = ("Atelectasis", "Cardiomegaly", "Consolidation", "Edema", "Pleural Effusion")
"""CheXpert's five competition observations: the classes of the 5x200 benchmarks (Huang et al. 2021)."""

PRESENT, ABSENT, UNCERTAIN = 1, 0, -1
"""The states of a label as CheXpert codes them; an observation that is not mentioned is ``None`` (null)."""

State = int | None

_STRENGTH = {PRESENT: 3, UNCERTAIN: 2, ABSENT: 1, None: 0}


def aggregate(labels: Iterable[Mapping[str, State]]) -> dict[str, State]:
    """The labels of a text from those of the sentences it contains.

    Present if any sentence says present, else uncertain if any is uncertain, else absent if any is absent, else
    null (Irvin et al. 2019, section 3). ``No Finding`` is never taken from a sentence's state: it is present when no
    other observation but Support Devices is present or uncertain and no sentence blocks it, which a sentence does by
    leaving it null; otherwise null. An empty text has no label at all.
    """
    rows = list(labels)
    out: dict[str, State] = {
        name: max((row.get(name) for row in rows), key=_STRENGTH.__getitem__, default=None) for name in OBSERVATIONS
    }
    normal = bool(rows) and all(row.get(NO_FINDING) == PRESENT for row in rows)
    out[NO_FINDING] = PRESENT if normal else None
    return out


def sentence_no_finding(labels: Mapping[str, State], other_abnormality: bool = False) -> State:
    """``No Finding`` of a single sentence: present unless it states, surely or not, something abnormal.

    `other_abnormality` is true where the sentence mentions an abnormality outside the 14 observations (emphysema,
    scoliosis, ...), which blocks ``No Finding`` too.
    """
    abnormal = other_abnormality or any(
        labels.get(name) in (PRESENT, UNCERTAIN) for name in OBSERVATIONS if name not in (NO_FINDING, SUPPORT_DEVICES)
    )
    return None if abnormal else PRESENT


def column(observation: str) -> str:
    """The observation's column name in tables: lower case with underscores (``pleural_effusion``)."""
    return observation.lower().replace(" ", "_")


COLUMNS: tuple[str, ...] = tuple(column(name) for name in OBSERVATIONS)
"""The 14 column names, in the order of :data:`OBSERVATIONS`."""
