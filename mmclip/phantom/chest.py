"""The healthy chest as density: what the beam meets, before any finding is added and before the film is exposed.

Density is in arbitrary units in which air outside the body is 0, aerated lung about 0.3 and the abdomen about 1.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mmclip.phantom.anatomy import CARINA, HILA, SIDES, Anatomy, body, diaphragm, heart, lung, mediastinum
from mmclip.phantom.drawing import Layer, Points, blank, blur, clouds, disc, fill, grid, layer, smooth, stroke
from mmclip.phantom.skeleton import Break, draw_girdle, draw_ribs, draw_spine
from mmclip.phantom.vessels import draw_tree, tree

Mask = NDArray[np.bool_]
"""[size, size], true where a finding is."""

_SOFT_TISSUE, _LUNG, _HEART, _GREAT_VESSELS, ABDOMEN = 0.52, 0.25, 0.75, 0.73, 0.90
_VESSELS = 0.19


@dataclass
class Chest:
    """A chest that findings are painted into.

    Attributes:
        anatomy: its measures.
        size: pixels along an edge.
        frame: density of everything but what lies in the lungs [size, size].
        parenchyma: density of what lies in the lungs [size, size]: vessels, texture, opacities.
        lungs: coverage by aerated lung, by side; a pneumothorax or an effusion takes its share away.
        heart: coverage by the heart.
        trees: the vessels of each lung.
        breaks: the fractures that the ribs were drawn with.
    """

    anatomy: Anatomy
    size: int
    frame: Layer
    parenchyma: Layer
    lungs: dict[str, Layer]
    heart: Layer
    trees: dict[str, list[Points]]
    breaks: list[Break]

    @property
    def density(self) -> Layer:
        """The density that the film sees."""
        return self.frame + self.parenchyma


def draw_chest(anatomy: Anatomy, breaks: list[Break], size: int) -> Chest:
    """Draws the chest of `anatomy`, its ribs broken where `breaks` says."""
    lungs = {side: fill([lung(anatomy, side)], size) for side in SIDES}
    aerated = lungs["right"] + lungs["left"]
    cardiac = fill([heart(anatomy)], size)
    vascular = fill(mediastinum(anatomy), size)
    frame = _soft_tissue(anatomy, size)
    settle(frame, aerated, _LUNG)
    if anatomy.breast:
        frame += anatomy.breast * _breasts(anatomy, size)
    # Above the lungs the great vessels part and lie in the neck's soft tissue.
    _, y = grid(size)
    thoracic = np.clip((y - np.float32(anatomy.apex - 0.10)) / np.float32(0.22), 0.15, 1)
    settle(frame, blur(vascular, 0.005) * thoracic, _GREAT_VESSELS)
    settle(frame, cardiac, _HEART)
    settle(frame, _below_diaphragm(anatomy, size), ABDOMEN)
    solid: Layer = np.maximum(cardiac, vascular)
    contrast = np.asarray(0.3 + 0.7 * aerated * (1 - 0.6 * solid), dtype=np.float32)
    bones = draw_ribs(anatomy, breaks, size) * contrast
    bones += draw_girdle(anatomy, size) + draw_spine(anatomy, size)
    frame += blur(bones, 0.0024) - 0.17 * _airways(anatomy, size)
    trees = {side: tree(anatomy, side) for side in SIDES}
    parenchyma: Layer = _parenchyma(anatomy, trees, size) * aerated * (1 - 0.6 * solid)
    return Chest(anatomy, size, frame, parenchyma, lungs, cardiac, trees, breaks)


def settle(frame: Layer, coverage: Layer, level: float) -> None:
    """Gives a layer the density `level` where it is covered, in place."""
    frame += coverage * (np.float32(level) - frame)


def _soft_tissue(anatomy: Anatomy, size: int) -> Layer:
    x, y = grid(size)
    outline = fill([body(anatomy)], size)
    thick = 0.78 * blur(outline, 0.006) + 0.22 * blur(outline, 0.05)
    centre = np.exp(-(((x - np.float32(anatomy.midline)) / np.float32(0.30)) ** 2))
    return np.asarray(thick * (_SOFT_TISSUE + 0.10 * centre + 0.08 * (y - 0.5)), dtype=np.float32)


def _below_diaphragm(anatomy: Anatomy, size: int) -> Layer:
    """The abdomen: below both domes, fading towards the flanks, with the stomach's air under the left dome."""
    right = smooth(diaphragm(anatomy, "right"))
    left = smooth(diaphragm(anatomy, "left"))[::-1]
    flank = [(1.04, 1.05), (1.08, 1.6), (-1.08, 1.6), (-1.04, 1.05)]
    outline = anatomy.place(np.concatenate([right, left, np.array(flank)]))
    x, _ = grid(size)
    flank_ward = np.abs(x - np.float32(anatomy.midline)) / np.float32(anatomy.half_width)
    bubble = disc(anatomy.point(0.50, anatomy.domes["left"] + 0.10), 0.055, 0.030)
    thick = 1 - 0.35 * np.clip(flank_ward - 0.55, 0, 0.6) - 0.22 * blur(fill([bubble], size), 0.008)
    abdomen: Layer = fill([outline], size) * np.minimum(thick, 1)
    return abdomen


def _breasts(anatomy: Anatomy, size: int) -> Layer:
    radius = 0.43 * anatomy.half_width
    pair = [disc(anatomy.point(0.60 * sign, 0.74), radius, 0.75 * radius) for sign in SIDES.values()]
    _, y = grid(size)
    # Tissue gathers towards the lower edge, which is the one that shows.
    below = np.clip((y - np.float32(anatomy.point(0, 0.45)[1])) / np.float32(0.25), 0, 1)
    breasts: Layer = blur(fill(pair, size), 0.006) * below
    return breasts


def _airways(anatomy: Anatomy, size: int) -> Layer:
    """The air in the trachea and the main bronchi, which is dark."""
    canvas = blank(size)
    for side, (u, v) in HILA.items():
        bronchus = smooth([CARINA, (0.45 * u, CARINA[1] + 0.03), (0.9 * u, v)])
        stroke(canvas, [anatomy.place(bronchus)], 0.022, 0.7)
        stroke(canvas, [anatomy.place([CARINA, (0.10 * SIDES[side], CARINA[1] + 0.035)])], 0.030, 0.8)
    stroke(canvas, [anatomy.place(smooth([(0.0, -0.35), (0.0, 0.0), (-0.01, 0.20), CARINA]))], 0.042, 1.0)
    return blur(layer(canvas), 0.006)


def _parenchyma(anatomy: Anatomy, trees: dict[str, list[Points]], size: int) -> Layer:
    """Vessels, the hila's own density, and a fine texture."""
    canvas = blank(size)
    for generations in trees.values():
        draw_tree(canvas, generations)
    hila = fill([disc(anatomy.point(u, v), 0.026, 0.045) for u, v in HILA.values()], size)
    texture = clouds(np.random.default_rng((anatomy.seed, 2)), 40, size)
    density: Layer = _VESSELS * layer(canvas) + 0.10 * blur(hila, 0.012) + 0.008 * texture
    return density
