"""Support devices: a pacemaker with its leads, an endotracheal tube and a central venous line.

Every study with devices shows all three, because a finding does not say which of them it is: so whichever a report
names is there. The severity adds leads.
"""

from __future__ import annotations

import numpy as np

from mmclip.phantom.anatomy import CARINA, FIELD_MM, SIDES, Anatomy
from mmclip.phantom.chest import Chest, Mask
from mmclip.phantom.drawing import Layer, Points, blank, blur, fill, layer, smooth, stroke
from mmclip.phantom.truth import Finding

_LEADS = {"mild": 1, "moderate": 2, "severe": 3}
_CAVA = [(-0.11, 0.22), (-0.13, 0.36)]
"""The course down the superior vena cava, in chest coordinates."""


def paint_devices(chest: Chest, finding: Finding, rng: np.random.Generator) -> list[Mask]:
    """Draws the devices; one mask each for pacemaker, tube and line."""
    sign = SIDES[finding.side]
    pocket = (sign * rng.uniform(0.60, 0.70), rng.uniform(0.17, 0.23))
    generator = _generator(chest.anatomy.point(*pocket), chest.size)
    leads = _strokes(_leads(chest.anatomy, sign, pocket, _LEADS[finding.severity]), 0.0055, chest.size)
    tube = _strokes(_tube(chest.anatomy, finding.size_mm), 0.0045, chest.size)
    line = _strokes([_line(chest.anatomy, sign)], 0.0050, chest.size)
    chest.frame += 0.55 * blur(generator, 0.0015) + 0.36 * leads + 0.26 * tube + 0.26 * line
    return [np.maximum(generator, leads) > 0.3, tube > 0.3, line > 0.3]


def _strokes(lines: list[Points], width: float, size: int) -> Layer:
    canvas = blank(size)
    stroke(canvas, lines, max(width, 1 / size))
    return layer(canvas)


def _generator(centre: tuple[float, float], size: int) -> Layer:
    """The pacemaker's can, with a fainter header on top."""
    x, y = centre
    can = [(-0.034, -0.020), (0.034, -0.020), (0.046, 0.0), (0.040, 0.034)]
    can += [(0.0, 0.046), (-0.040, 0.034), (-0.046, 0.0)]
    header = np.array([[x - 0.028, y - 0.040], [x + 0.028, y - 0.040], [x + 0.036, y - 0.01], [x - 0.036, y - 0.01]])
    body = np.asarray(centre) + smooth(can, closed=True)
    generator: Layer = np.maximum(fill([body], size), 0.6 * fill([header], size))
    return generator


def _leads(anatomy: Anatomy, sign: int, pocket: tuple[float, float], count: int) -> list[Points]:
    """From the pocket under the clavicle into the vena cava, then to atrium, ventricle and coronary sinus."""
    u, v = pocket
    entry = [(u, v - 0.055), (u - 0.12 * sign, v - 0.11), (0.30 * sign, 0.075), (0.10 * sign, 0.13)]
    ends = [
        [(-0.10, 0.62), (0.12, 0.78), (0.36, 0.80)],
        [(-0.16, 0.52), (-0.20, 0.64), (-0.12, 0.66)],
        [(-0.06, 0.58), (0.20, 0.60), (0.46, 0.70)],
    ]
    return [anatomy.place(smooth(entry + _CAVA + end)) for end in ends[:count]]


def _tube(anatomy: Anatomy, tip_mm: int) -> list[Points]:
    """The two walls of an endotracheal tube whose tip lies `tip_mm` above the carina."""
    x, carina = anatomy.point(*CARINA)
    tip = carina - tip_mm / FIELD_MM
    return [np.array([[x + dx, -0.1], [x + dx, tip]]) for dx in (-0.011, 0.009)]


def _line(anatomy: Anatomy, sign: int) -> Points:
    """A jugular line from the neck to the lower vena cava."""
    neck = [(0.26 * sign, -0.30), (0.22 * sign, -0.10), (0.13 * sign, 0.06)]
    return anatomy.place(smooth([*neck, *_CAVA, (-0.135, 0.46)]))
