"""Findings that change the anatomy before it is drawn: a large heart, lost lung volume, broken ribs."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from mmclip.phantom.anatomy import FIELD_MM, Anatomy
from mmclip.phantom.chest import Chest, Mask
from mmclip.phantom.drawing import disc, fill
from mmclip.phantom.skeleton import Break, draw_callus, fracture_point
from mmclip.phantom.truth import Finding

_HEART_RATIO = {"mild": (0.53, 0.56), "moderate": (0.59, 0.635), "severe": (0.65, 0.70)}
"""Cardiothoracic ratio; up to 0.5 is normal on a frontal film (Danzer 1919)."""

_RAISED = {"mild": 0.02, "moderate": 0.045, "severe": 0.08}
"""How far an atelectasis pulls up its half of the diaphragm, in v."""

_STEP_MM = {"mild": 4.5, "moderate": 6.5, "severe": 9.0}
"""How far a broken rib's fragments are displaced against each other."""

_RIBS = {"upper": (1, 2), "middle": (4, 5), "lower": (6, 7)}
"""The ribs, from 0, whose lateral part lies in each zone."""


def enlarge_heart(anatomy: Anatomy, finding: Finding, rng: np.random.Generator) -> Anatomy:
    """The anatomy with a heart as wide as the severity says; a large heart grows to the right too."""
    ratio = rng.uniform(*_HEART_RATIO[finding.severity])
    return replace(anatomy, heart_ratio=ratio, heart_tilt=min(anatomy.heart_tilt, 0.90 / (2 * ratio)))


def lose_volume(anatomy: Anatomy, finding: Finding) -> Anatomy:
    """The anatomy with the diaphragm raised on the side of an atelectasis."""
    domes = dict(anatomy.domes)
    domes[finding.side] -= _RAISED[finding.severity]
    return replace(anatomy, domes=domes)


def breathe(anatomy: Anatomy, rng: np.random.Generator) -> Anatomy:
    """The anatomy of one film: nobody breathes in as far every time."""
    return replace(anatomy, base=anatomy.base + rng.normal(0, 0.006))


def break_ribs(finding: Finding, rng: np.random.Generator) -> list[Break]:
    """One broken rib in the finding's zone, or both of the zone's when severe."""
    ribs = _RIBS[finding.zone]
    broken = ribs if finding.severity == "severe" else (int(rng.choice(ribs)),)
    at, step = rng.uniform(0.50, 0.74), _STEP_MM[finding.severity] / FIELD_MM
    return [Break(finding.side, rib, at + rng.uniform(-0.03, 0.03), step) for rib in broken]


def mask_heart(chest: Chest, finding: Finding, rng: np.random.Generator) -> list[Mask]:
    """The mask of an enlarged heart, which the chest was drawn with."""
    return [chest.heart > 0.5]


def paint_callus(chest: Chest, finding: Finding, rng: np.random.Generator) -> list[Mask]:
    """The fragments' ends at every fracture that the ribs were drawn with; one mask a fracture."""
    parts = []
    for broken in chest.breaks:
        chest.frame += draw_callus(chest.anatomy, broken, chest.size)
        parts.append(fill([disc(fracture_point(chest.anatomy, broken), 0.026, 0.026)], chest.size) > 0.5)
    return parts
