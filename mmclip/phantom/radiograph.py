"""Simulated frontal chest radiographs, with the mask and the boxes of every finding.

They resemble radiographs well enough to learn from and to test with; they are simulated, not clinical.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import cv2
import numpy as np

from mmclip.phantom.altered import break_ribs, breathe, enlarge_heart, lose_volume, mask_heart, paint_callus
from mmclip.phantom.anatomy import anatomy_of
from mmclip.phantom.chest import Chest, Mask, draw_chest
from mmclip.phantom.devices import paint_devices
from mmclip.phantom.film import Pixels, draw_film, expose, moved_mask
from mmclip.phantom.opacities import paint_atelectasis, paint_consolidation, paint_edema, paint_lesion
from mmclip.phantom.pleura import paint_effusion, paint_pneumothorax
from mmclip.phantom.truth import FINDINGS, Finding, Truth

Box = tuple[str, int, int, int, int]
"""An observation and its x, y, width and height in pixels."""


@dataclass(frozen=True)
class Radiograph:
    """A simulated film.

    Attributes:
        pixels: uint8 [size, size], dark where the beam passed; the patient's left is on the image's right.
        masks: for every observation shown, bool [size, size].
        boxes: one or more an observation (each lung, each fracture, each device), which together enclose its mask.
    """

    pixels: Pixels
    masks: dict[str, Mask]
    boxes: list[Box]


def render(truth: Truth, size: int = 256) -> Radiograph:
    """The film of a study, a pure function of `truth` and `size` (pixels along an edge, 64 or more).

    The chest follows from the patient's id, the film and the findings' places from the study's seed; each finding
    has its own random stream, so that adding or removing one never redraws another.
    """
    film = draw_film(np.random.default_rng((truth.seed, 0)))
    streams = {name: np.random.default_rng((truth.seed, 2 + number)) for number, name in enumerate(FINDINGS)}
    shown = {finding.observation: finding for finding in truth.findings}
    chest = _chest(truth, shown, streams, size)
    masks: dict[str, Mask] = {}
    boxes: list[Box] = []
    for name, paint in _PAINTERS.items():
        if name in shown:
            parts = [moved_mask(part, film) for part in paint(chest, shown[name], streams[name])]
            masks[name] = np.logical_or.reduce(parts)
            boxes += [_box(name, part) for part in parts]
    return Radiograph(expose(chest.density, film), masks, boxes)


def _chest(truth: Truth, shown: Mapping[str, Finding], streams: Mapping[str, np.random.Generator], size: int) -> Chest:
    """The patient's chest on this day, with the findings that change its anatomy."""
    anatomy = breathe(anatomy_of(truth.patient_id), np.random.default_rng((truth.seed, 1)))
    if large := shown.get("Cardiomegaly"):
        anatomy = enlarge_heart(anatomy, large, streams["Cardiomegaly"])
    if collapse := shown.get("Atelectasis"):
        anatomy = lose_volume(anatomy, collapse)
    broken = shown.get("Fracture")
    return draw_chest(anatomy, break_ribs(broken, streams["Fracture"]) if broken else [], size)


_PAINTERS: dict[str, Callable[[Chest, Finding, np.random.Generator], list[Mask]]] = {
    "Pleural Effusion": paint_effusion,
    "Pneumothorax": paint_pneumothorax,
    "Cardiomegaly": mask_heart,
    "Edema": paint_edema,
    "Consolidation": paint_consolidation,
    "Atelectasis": paint_atelectasis,
    "Lung Lesion": paint_lesion,
    "Fracture": paint_callus,
    "Support Devices": paint_devices,
}
"""In the order of painting: first what takes room from the lungs, then what lies in what is left of them."""


def _box(observation: str, mask: Mask) -> Box:
    """The smallest box around a mask."""
    x, y, width, height = cv2.boundingRect(mask.astype(np.uint8))
    return observation, int(x), int(y), int(width), int(height)
