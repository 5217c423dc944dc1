"""Findings within the lung: oedema, consolidation, atelectasis, a nodule."""

from __future__ import annotations

import numpy as np

from mmclip.phantom.anatomy import FIELD_MM, HILA, SIDES
from mmclip.phantom.chest import Chest, Mask
from mmclip.phantom.drawing import Layer, Points, blank, blur, clouds, disc, fill, grid, layer, stroke
from mmclip.phantom.truth import Finding
from mmclip.phantom.vessels import draw_tree

_ZONE_V = {"upper": (0.10, 0.36), "middle": (0.38, 0.58), "lower": (0.62, 0.84)}
"""The lung zones as ranges of v."""

_HAZE = {"mild": 0.065, "moderate": 0.115, "severe": 0.175}
"""Density of the haze of an oedema."""
_AIRSPACE = {"mild": (0.068, 0.15), "moderate": (0.100, 0.23), "severe": (0.140, 0.31)}
"""Radius and density of a consolidation."""
_PLATES = {"mild": (1, 0.12), "moderate": (2, 0.15), "severe": (3, 0.19)}
"""Number and density of the bands of an atelectasis."""
_NODULE = {"mild": 0.19, "moderate": 0.24, "severe": 0.29}
"""Density of a nodule."""


def _spot(chest: Chest, finding: Finding, rng: np.random.Generator) -> tuple[float, float]:
    """The point of clear lung, away from heart, mediastinum and chest wall, nearest to one drawn in the zone."""
    x, y = grid(chest.size)
    off_centre = np.abs(x - np.float32(chest.anatomy.midline)) / np.float32(chest.anatomy.half_width)
    clear = blur(chest.lungs[finding.side], 0.02) * (1 - chest.heart) * np.clip(off_centre / np.float32(0.27), 0, 1)
    # A large heart, fluid and air may together leave no such place: then the clearest there is.
    free = np.flatnonzero(clear >= min(0.93, 0.95 * float(clear.max())))
    wanted = (SIDES[finding.side] * rng.uniform(0.30, 0.85), rng.uniform(*_ZONE_V[finding.zone]))
    wanted_x, wanted_y = chest.anatomy.point(*wanted)
    # Rather to another place in the zone than to another zone.
    away = (x.ravel()[free] - wanted_x) ** 2 + (3 * (y.ravel()[free] - wanted_y)) ** 2
    row, column = divmod(int(free[np.argmin(away)]), chest.size)
    return (column + 0.5) / chest.size, (row + 0.5) / chest.size


def _visible(chest: Chest, side: str) -> Layer:
    """How much an opacity of this lung shows: it adds little where the heart already whitens the film."""
    return chest.lungs[side] * (1 - 0.65 * chest.heart)


def paint_edema(chest: Chest, finding: Finding, rng: np.random.Generator) -> list[Mask]:
    """Haze around both hila, swollen vessels, and septal lines at the lower chest wall."""
    amount, parts = _HAZE[finding.severity], []
    x, y = grid(chest.size)
    patchy = np.clip(1 + 0.30 * clouds(rng, 12, chest.size), 0.4, 1.6)
    vessels, lines = blank(chest.size), blank(chest.size)
    for side, (u, v) in HILA.items():
        centre_x, centre_y = chest.anatomy.point(1.75 * u, v + 0.09)
        across = (x - np.float32(centre_x)) / np.float32(0.66 * chest.anatomy.half_width)
        along = (y - np.float32(centre_y)) / np.float32(0.40 * chest.anatomy.lung_height)
        wing = np.exp(-((across**2 + along**2) ** np.float32(1.3)))
        visible = _visible(chest, side)
        chest.parenchyma += amount * wing * patchy * visible
        parts.append((wing > 0.3) & (chest.lungs[side] > 0.5))
        draw_tree(vessels, chest.trees[side], swelling=1.5)
        stroke(lines, _septal_lines(chest, side, rng), 0.0042)
    both = _visible(chest, "right") + _visible(chest, "left")
    chest.parenchyma += (0.03 + 0.2 * amount) * blur(layer(vessels), 0.003) * both
    chest.parenchyma += (0.03 + 0.35 * amount) * blur(layer(lines), 0.0015) * both
    return parts


def _septal_lines(chest: Chest, side: str, rng: np.random.Generator) -> list[Points]:
    heights = np.linspace(0.58, 0.86, 8) + rng.uniform(-0.008, 0.008, 8)
    inner = rng.uniform(0.80, 0.88, 8)
    sign = SIDES[side]
    return [chest.anatomy.place([(sign * 0.97, v), (sign * u, v - 0.004)]) for v, u in zip(heights, inner, strict=True)]


def paint_consolidation(chest: Chest, finding: Finding, rng: np.random.Generator) -> list[Mask]:
    """A dense patch with a fuzzy border, through which the air-filled bronchi show as dark branches."""
    radius, amount = _AIRSPACE[finding.severity]
    radius *= rng.uniform(0.9, 1.1)
    centre = _spot(chest, finding, rng)
    x, y = grid(chest.size)
    stretch = rng.uniform(0.8, 1.25)
    across = (x - np.float32(centre[0])) / np.float32(radius * stretch)
    along = (y - np.float32(centre[1])) / np.float32(radius / stretch)
    ragged = across**2 + along**2 + np.float32(0.38) * clouds(rng, 14, chest.size)
    patch = 1 / (1 + np.exp(np.minimum(np.float32(5) * (ragged - 1), 30)))
    bronchi = blank(chest.size)
    draw_tree(bronchi, chest.trees[finding.side][:2], swelling=0.9)
    patch = patch * chest.lungs[finding.side]
    filled = amount * patch * np.clip(1 + 0.12 * clouds(rng, 28, chest.size), 0.6, 1.4)
    chest.parenchyma += (filled - 0.75 * amount * patch * blur(layer(bronchi), 0.0015)) * (1 - 0.65 * chest.heart)
    return [patch > 0.4]


def paint_atelectasis(chest: Chest, finding: Finding, rng: np.random.Generator) -> list[Mask]:
    """Plates of collapsed lung: thin dense bands, a small wedge behind them when severe.

    The loss of volume, a raised half of the diaphragm, belongs to the anatomy that the chest was drawn from.
    """
    plates, amount = _PLATES[finding.severity]
    x, y = _spot(chest, finding, rng)
    tilt = rng.uniform(-0.35, 0.25) * SIDES[finding.side]
    canvas = blank(chest.size)
    for number in range(plates):
        turn, half = tilt + rng.uniform(-0.12, 0.12), rng.uniform(0.09, 0.13)
        along = np.linspace(-1, 1, 13)
        sag = 0.010 * along**2 - number * 0.034
        line = np.stack([x + half * along * np.cos(turn), y + half * along * np.sin(turn) + sag], axis=1)
        width = rng.uniform(0.010, 0.015)
        stroke(canvas, [line], 0.6 * width, 0.6)
        stroke(canvas, [line[2:-2]], width, 1.0)
    bands = layer(canvas)
    if finding.severity == "severe":
        wedge = fill([np.array([[x - 0.07, y + 0.012], [x + 0.07, y + 0.012], [x, y + 0.06]])], chest.size)
        bands = np.maximum(bands, 0.6 * wedge)
    bands = bands * chest.lungs[finding.side]
    chest.parenchyma += amount * blur(bands, 0.003) * (1 - 0.5 * chest.heart)
    return [bands > 0.3]


def paint_lesion(chest: Chest, finding: Finding, rng: np.random.Generator) -> list[Mask]:
    """A round, well defined nodule of `size_mm` across."""
    centre = _spot(chest, finding, rng)
    radius = finding.size_mm / FIELD_MM / 2
    outline = disc(centre, radius, radius)
    # Slightly lobulated: no nodule is a perfect circle.
    angle = np.linspace(0, 2 * np.pi, len(outline), endpoint=False)
    lobes = 1 + 0.07 * np.sin(3 * angle + rng.uniform(0, 6.3)) + 0.04 * np.sin(5 * angle + rng.uniform(0, 6.3))
    nodule = fill([np.asarray(centre) + (outline - np.asarray(centre)) * lobes[:, None]], chest.size)
    chest.parenchyma += _NODULE[finding.severity] * blur(nodule, 0.0022)
    return [nodule > 0.5]
