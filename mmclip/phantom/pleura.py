"""Findings of the pleural space: fluid and air."""

from __future__ import annotations

import numpy as np

from mmclip.phantom.anatomy import SIDES, Anatomy, lung, lung_wall
from mmclip.phantom.chest import ABDOMEN, Chest, Mask, settle
from mmclip.phantom.drawing import Points, blank, blur, fill, layer, smooth, stroke
from mmclip.phantom.truth import Finding

_FLUID_HEIGHT = {"mild": (0.08, 0.14), "moderate": (0.24, 0.34), "severe": (0.42, 0.60)}
"""Height of the meniscus at the chest wall above the costophrenic angle, as a share of the lung's height."""

_LUNG_RETRACTION = {"mild": (0.08, 0.11), "moderate": (0.14, 0.20), "severe": (0.28, 0.42)}
"""How far the lung has left the chest wall at the apex, in half widths of the thorax."""


def paint_effusion(chest: Chest, finding: Finding, rng: np.random.Generator) -> list[Mask]:
    """Fluid in the costophrenic angle, its upper border a meniscus that rises along the chest wall."""
    parts = []
    for side in SIDES:
        if finding.side not in (side, "both"):
            continue
        height = rng.uniform(*_FLUID_HEIGHT[finding.severity])
        outline = fill([_fluid(chest, side, height)], chest.size) * chest.lungs[side]
        fluid = blur(outline, 0.008)
        settle(chest.frame, 0.88 * fluid, 0.97 * ABDOMEN)
        chest.parenchyma *= 1 - 0.9 * fluid
        chest.lungs[side] = chest.lungs[side] * (1 - outline)
        parts.append(outline > 0.5)
    return parts


def _fluid(chest: Chest, side: str, height: float) -> Points:
    """The outline of what lies below the meniscus, over the diaphragm."""
    top, sign = 1 - height, SIDES[side]
    sink = min(0.55 * height, 0.16)
    curve = [(1.05, top - 0.02), (0.96, top + 0.25 * sink), (0.82, top + 0.70 * sink), (0.62, top + 0.95 * sink)]
    curve += [(0.40, top + sink), (0.10, top + 0.92 * sink)]
    floor = [(0.10, 1.2), (1.05, 1.2)]
    return chest.anatomy.place(np.concatenate([smooth(curve), floor]) * np.array([sign, 1.0]))


def paint_pneumothorax(chest: Chest, finding: Finding, rng: np.random.Generator) -> list[Mask]:
    """Air between lung and chest wall, widest at the apex: darker, without markings, behind a thin pleural line."""
    side, anatomy = finding.side, chest.anatomy
    gap = rng.uniform(*_LUNG_RETRACTION[finding.severity])
    inside = fill([_retracted(anatomy, side, lung(anatomy, side), gap)], chest.size)
    collapsed = inside * chest.lungs[side]
    air = chest.lungs[side] - collapsed
    line = blank(chest.size)
    stroke(line, [_retracted(anatomy, side, lung_wall(anatomy, side), gap)], 0.0045)
    chest.parenchyma *= 1 - air
    chest.parenchyma += 0.035 * collapsed * (1 - chest.heart)
    chest.frame -= 0.075 * air
    chest.frame += 0.14 * layer(line) * chest.lungs[side] * (1 - chest.heart)
    chest.lungs[side] = collapsed
    return [air > 0.5]


def _retracted(anatomy: Anatomy, side: str, outline: Points, gap: float) -> Points:
    """An outline drawn back from the chest wall by `gap` half widths at the apex, less towards the base."""
    u = (outline[:, 0] - anatomy.midline) / anatomy.half_width
    v = (outline[:, 1] - anatomy.apex) / anatomy.lung_height
    share = np.clip((np.abs(u) - 0.13) / 0.6, 0, 1) * (1 - 0.75 * np.clip(v, 0, 1))
    lower = 0.75 * gap * np.clip(1 - v / 0.6, 0, 1)
    return anatomy.place(np.stack([u - SIDES[side] * gap * share, v + lower], axis=1))
