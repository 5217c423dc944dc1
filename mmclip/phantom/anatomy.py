"""The healthy chest of a patient: a few measures, and the outlines that follow from them.

Outlines are computed in chest coordinates (u, v): u is 0 at the midline, +1 at the inner chest wall on the patient's
left (the image's right) and -1 on the right; v is 0 at the lung apices and 1 at the costophrenic angles.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np

from mmclip.phantom.drawing import Points, disc, smooth

SIDES: dict[str, int] = {"right": -1, "left": 1}
"""The sign of u on each of the patient's sides."""

FIELD_MM = 360.0
"""What the image's edge measures in the patient: a 36 cm detector."""

CARINA = (0.01, 0.34)
"""Where the trachea divides, in chest coordinates."""

HILA: dict[str, tuple[float, float]] = {"right": (-0.20, 0.45), "left": (0.22, 0.41)}

_WALL_V = np.array([-0.05, 0.0, 0.045, 0.14, 0.30, 0.50, 0.70, 0.86, 1.0, 1.2])
_WALL_U = np.array([0.30, 0.42, 0.60, 0.755, 0.875, 0.955, 0.99, 1.0, 0.985, 0.97])


@dataclass(frozen=True)
class Anatomy:
    """The measures of a chest, as fractions of the image's edge unless said otherwise.

    Attributes:
        midline: x of the spine.
        half_width: half the inner width of the thorax, its widest.
        apex, base: y of the lung apices and of the costophrenic angles.
        domes: v of the top of each half of the diaphragm, by side.
        heart_ratio: the cardiothoracic ratio, heart width over inner thoracic width.
        heart_tilt: how much of the heart lies left of the midline, 0 to 1.
        aorta: radius of the aortic knob in u.
        rib_spacing, rib_slope: distance between ribs, and a rib's descent to the lateral wall, in v.
        clavicle: v of the clavicles' middle.
        wall: soft tissue outside the ribs.
        breast: density of the breast shadow, 0 for none.
        neck: half the width of the neck.
        seed: of everything too small to be a measure: the vessels' branching, the lungs' texture.
    """

    midline: float
    half_width: float
    apex: float
    base: float
    domes: dict[str, float]
    heart_ratio: float
    heart_tilt: float
    aorta: float
    rib_spacing: float
    rib_slope: float
    clavicle: float
    wall: float
    breast: float
    neck: float
    seed: int

    def place(self, points: Points | list[tuple[float, float]]) -> Points:
        """Chest coordinates [n, 2] as image coordinates."""
        uv = np.asarray(points, dtype=np.float64)
        x = self.midline + uv[:, 0] * self.half_width
        return np.stack([x, self.apex + uv[:, 1] * (self.base - self.apex)], axis=1)

    def point(self, u: float, v: float) -> tuple[float, float]:
        """One point in chest coordinates as (x, y)."""
        ((x, y),) = self.place([(u, v)])
        return float(x), float(y)

    @property
    def lung_height(self) -> float:
        """From the apices to the costophrenic angles, as a fraction of the image's edge."""
        return self.base - self.apex


def anatomy_of(patient_id: str) -> Anatomy:
    """The chest of a patient, a pure function of the id."""
    seed = int.from_bytes(hashlib.sha256(patient_id.encode()).digest()[:8], "little")
    rng = np.random.default_rng(seed)
    apex = rng.uniform(0.12, 0.165)
    dome = rng.uniform(0.80, 0.86)
    return Anatomy(
        midline=0.5 + rng.uniform(-0.012, 0.012),
        half_width=rng.uniform(0.355, 0.41),
        apex=apex,
        base=apex + rng.uniform(0.64, 0.73),
        domes={"right": dome, "left": dome + rng.uniform(0.02, 0.045)},
        heart_ratio=rng.uniform(0.39, 0.475),
        heart_tilt=rng.uniform(0.64, 0.71),
        aorta=rng.uniform(0.06, 0.10),
        rib_spacing=rng.uniform(0.088, 0.104),
        rib_slope=rng.uniform(0.13, 0.20),
        clavicle=rng.uniform(0.045, 0.10),
        wall=rng.uniform(0.035, 0.09),
        breast=rng.uniform(0.05, 0.11) if rng.random() < 0.5 else 0.0,
        neck=rng.uniform(0.105, 0.135),
        seed=seed,
    )


def wall_u(v: float) -> float:
    """|u| of the inner chest wall at height v."""
    return float(np.interp(v, _WALL_V, _WALL_U))


def diaphragm(anatomy: Anatomy, side: str) -> list[tuple[float, float]]:
    """The half of the diaphragm from the costophrenic angle to the midline, in chest coordinates."""
    dome, sign = anatomy.domes[side], SIDES[side]
    fall = 1 - dome
    curve = [(0.985, 1.0), (0.95, dome + 0.60 * fall), (0.86, dome + 0.27 * fall), (0.70, dome + 0.06 * fall)]
    curve += [(0.50, dome), (0.30, dome + 0.10 * fall), (0.12, dome + 0.30 * fall)]
    return [(sign * u, v) for u, v in curve]


def lung_wall(anatomy: Anatomy, side: str) -> Points:
    """Where a lung meets the chest wall, from the apex down to the costophrenic angle."""
    wall = np.stack([SIDES[side] * _WALL_U[1:-1], _WALL_V[1:-1]], axis=1)
    return anatomy.place(smooth(wall))


def lung(anatomy: Anatomy, side: str) -> Points:
    """The outline of a lung: down the chest wall, along the diaphragm, back up the mediastinum."""
    medial = [(0.13, 0.70), (0.13, 0.45), (0.13, 0.30), (0.15, 0.16), (0.20, 0.06), (0.30, 0.005)]
    up = smooth([(SIDES[side] * u, v) for u, v in medial])
    inside = anatomy.place(np.concatenate([smooth(diaphragm(anatomy, side)), up]))
    return np.concatenate([lung_wall(anatomy, side), inside])


def heart(anatomy: Anatomy) -> Points:
    """The outline of the heart, its apex to the patient's left, as wide as the cardiothoracic ratio says."""
    width = 2 * anatomy.heart_ratio
    left, right = width * anatomy.heart_tilt, -width * (1 - anatomy.heart_tilt)
    floor = anatomy.domes["left"]
    outline = [(-0.12, 0.34), (0.80 * right, 0.50), (right, 0.65), (0.95 * right, 0.78), (0.60 * right, floor + 0.05)]
    outline += [(0.10, floor + 0.10), (0.60 * left, floor + 0.09), (0.88 * left, floor + 0.03), (left, floor - 0.07)]
    outline += [(0.95 * left, floor - 0.18), (0.75 * left, 0.55), (0.25 + 0.20 * left, 0.44), (0.18, 0.34)]
    return anatomy.place(smooth(outline, closed=True))


def mediastinum(anatomy: Anatomy) -> list[Points]:
    """The great vessels: the central column, the aortic knob, the pulmonary trunk and the vena cava's edge."""
    column = [(-0.24, -0.3), (-0.19, 0.0), (-0.155, 0.15), (-0.15, 0.4), (-0.16, 0.6), (-0.13, 1.4), (0.13, 1.4)]
    column += [(0.15, 0.6), (0.15, 0.4), (0.15, 0.2), (0.18, 0.06), (0.24, -0.3)]
    knob = disc(anatomy.point(0.125, 0.26), anatomy.aorta * anatomy.half_width, 0.055 * anatomy.lung_height)
    trunk = disc(anatomy.point(0.13, 0.385), 0.085 * anatomy.half_width, 0.06 * anatomy.lung_height)
    return [anatomy.place(column), knob, trunk]


def body(anatomy: Anatomy) -> Points:
    """The outline of neck, shoulders and trunk; it leaves the image at the sides and below."""
    trunk = anatomy.half_width + anatomy.wall
    half = [(anatomy.neck, -0.2), (anatomy.neck, 0.0), (anatomy.neck + 0.05, 0.045), (0.30, 0.085), (0.44, 0.12)]
    half += [(0.56, 0.22), (0.60, 0.40), (trunk + 0.05, 0.44), (trunk + 0.012, 0.50), (trunk, 0.62)]
    half += [(trunk, 0.85), (trunk + 0.01, 1.2)]
    outline = smooth(half)
    mirrored = outline[::-1] * np.array([-1.0, 1.0])
    whole: Points = np.concatenate([outline, mirrored]) + np.array([anatomy.midline, 0.0])
    return whole
