"""Ribs, spine, clavicles and shoulders, and how a rib breaks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mmclip.phantom.anatomy import SIDES, Anatomy, wall_u
from mmclip.phantom.drawing import Canvas, Layer, Points, blank, blur, disc, fill, layer, smooth, stroke

RIBS = 10
"""The ribs that a frontal film shows above the diaphragm."""

_POSTERIOR_WIDTH, _ANTERIOR_WIDTH = 0.021, 0.026


@dataclass(frozen=True)
class Break:
    """A fracture of a posterior rib.

    Attributes:
        side, rib: which rib, from 0 at the top.
        at: where along the rib, 0 at the spine and 1 at the lateral wall.
        step: how far the lateral fragment is displaced downwards across the rib, in unit coordinates.
    """

    side: str
    rib: int
    at: float
    step: float


def posterior_rib(anatomy: Anatomy, side: str, rib: int) -> Points:
    """The course of a rib from the spine to the lateral chest wall."""
    start = 0.02 + rib * anatomy.rib_spacing
    drop = anatomy.rib_slope * (0.75 + 0.05 * rib)
    reach = wall_u(start + drop) + 0.015
    along = np.array([0.0, 0.16, 0.38, 0.62, 0.82, 0.95, 1.0])
    fall = np.array([0.0, -0.16, -0.16, 0.06, 0.38, 0.74, 1.0])
    u = SIDES[side] * (0.08 + (reach - 0.08) * along)
    return anatomy.place(smooth(np.stack([u, start + drop * fall], axis=1)))


def anterior_rib(anatomy: Anatomy, side: str, rib: int) -> Points:
    """The course of a rib from the lateral chest wall to its cartilage in front."""
    start = 0.02 + rib * anatomy.rib_spacing + anatomy.rib_slope * (0.75 + 0.05 * rib)
    reach = wall_u(start) + 0.015
    along = np.array([1.0, 0.985, 0.90, 0.76, 0.60, 0.46])
    fall = np.array([0.0, 0.30, 0.68, 0.95, 1.08, 1.10])
    v = start + 0.17 * fall
    return anatomy.place(smooth(np.stack([SIDES[side] * reach * along, v], axis=1)))


def fragments(course: Points, broken: Break) -> tuple[Points, Points]:
    """A rib's two fragments: a gap between them, the lateral one displaced across the rib's course."""
    cut = round(broken.at * (len(course) - 1))
    forward = course[cut + 1] - course[cut - 1]
    across = np.array([-forward[1], forward[0]]) / np.hypot(*forward)
    if across[1] < 0:
        across = -across
    # The lateral fragment hinges on its far end, which the muscles hold.
    hinge = np.linspace(1, 0.2, len(course) - cut - 2)[:, None]
    return course[: cut + 1], course[cut + 2 :] + broken.step * hinge * across


def draw_ribs(anatomy: Anatomy, breaks: list[Break], size: int) -> Layer:
    """The density of both sides' ribs: cortex brighter than marrow, the front fainter than the back."""
    back, front = blank(size), blank(size)
    broken = {(one.side, one.rib): one for one in breaks}
    posterior: list[Points] = []
    anterior: list[Points] = []
    for side in SIDES:
        for rib in range(RIBS):
            course = posterior_rib(anatomy, side, rib)
            one = broken.get((side, rib))
            posterior += fragments(course, one) if one else [course]
            if rib < RIBS - 2:
                anterior.append(anterior_rib(anatomy, side, rib))
    _draw_bone(back, posterior, _POSTERIOR_WIDTH)
    _draw_bone(front, anterior, _ANTERIOR_WIDTH)
    return 0.125 * layer(back) + 0.07 * layer(front)


def _draw_bone(canvas: Canvas, courses: list[Points], width: float) -> None:
    stroke(canvas, courses, width, 1.0)
    stroke(canvas, courses, 0.55 * width, 0.66)


def draw_callus(anatomy: Anatomy, broken: Break, size: int) -> Layer:
    """The density of new bone around the ends of a fracture's fragments, less the gap between them."""
    near, far = fragments(posterior_rib(anatomy, broken.side, broken.rib), broken)
    bone, gap = blank(size), blank(size)
    stroke(bone, [near[-4:], far[:4]], 1.1 * _POSTERIOR_WIDTH)
    along = (near[-1] - near[-4]) / np.hypot(*(near[-1] - near[-4]))
    middle, half = (near[-1] + far[0]) / 2, 0.7 * _POSTERIOR_WIDTH * np.array([-along[1], along[0]])
    stroke(gap, [np.array([middle - half, middle + half])], 0.006)
    return 0.075 * blur(layer(bone), 0.005) - 0.12 * layer(gap)


def fracture_point(anatomy: Anatomy, broken: Break) -> tuple[float, float]:
    """Where a fracture lies, between its fragments."""
    near, far = fragments(posterior_rib(anatomy, broken.side, broken.rib), broken)
    x, y = (near[-1] + far[0]) / 2
    return float(x), float(y)


def draw_girdle(anatomy: Anatomy, size: int) -> Layer:
    """The density of clavicles, scapulae and humeral heads."""
    canvas, soft = blank(size), []
    v = anatomy.clavicle
    for sign in SIDES.values():
        bone = [(0.10, v + 0.07), (0.30, v + 0.03), (0.55, v + 0.01), (0.80, v - 0.045), (1.02, v - 0.075)]
        _draw_bone(canvas, [anatomy.place(smooth([(sign * u, w) for u, w in bone]))], 0.026)
        edge = [
            (0.80, v + 0.02),
            (0.99, v + 0.10),
            (1.10, v + 0.25),
            (1.02, v + 0.52),
            (0.92, v + 0.34),
            (0.82, v + 0.16),
        ]
        soft.append(anatomy.place(smooth([(sign * u, w) for u, w in edge], closed=True)))
        x, y = anatomy.point(sign * 1.24, v + 0.04)
        shaft = np.array([[x - 0.03 * sign, y], [x + 0.2 * sign, y + 0.30], [x + 0.3 * sign, y + 0.24], [x, y]])
        soft += [disc((x, y), 0.058, 0.062), shaft]
    return 0.15 * layer(canvas) + 0.06 * fill(soft, size)


def draw_spine(anatomy: Anatomy, size: int) -> Layer:
    """The density of the vertebral column: bodies, the spaces between them, pedicles."""
    x = anatomy.midline
    spacing = 0.062
    levels = np.arange(-0.02, 1.05, spacing)
    column = fill([np.array([[x - 0.038, -0.1], [x + 0.038, -0.1], [x + 0.045, 1.1], [x - 0.045, 1.1]])], size)
    spaces, processes = blank(size), blank(size)
    stroke(spaces, [np.array([[x - 0.036, y], [x + 0.036, y]]) for y in levels], 0.009)
    pedicles = [np.array([[x + dx, y + 0.022], [x + dx, y + 0.030]]) for y in levels for dx in (-0.026, 0.026)]
    spinous = [np.array([[x, y + 0.034], [x, y + 0.052]]) for y in levels]
    stroke(processes, pedicles + spinous, 0.010)
    density: Layer = 0.10 * column - 0.05 * layer(spaces) + 0.05 * layer(processes)
    return density
