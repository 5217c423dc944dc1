"""Views of an image from what sources write."""

from __future__ import annotations

_VIEWS = {
    "AP": "AP",
    "PA": "PA",
    "ANTEROPOSTERIOR": "AP",
    "POSTEROANTERIOR": "PA",
    "FRONTAL": "FRONTAL",
    "L": "LATERAL",
    "LL": "LATERAL",
    "RL": "LATERAL",
    "LAT": "LATERAL",
}

_UNUSUAL = {"LLD", "RLD", "AXIAL", "DECUBITUS", "LORDOTIC", "OBLIQUE"}
"""Lying on a side, tilted or oblique: no frontal view to train on, though it begins with AP or PA (MIMIC-CXR)."""


def view_of(value: str) -> str:
    """One of the views of the `images` table: by the first word (``AP Supine``), unless another one says otherwise."""
    words = value.upper().replace("_", " ").split()
    if not words:
        return "UNKNOWN"
    if _UNUSUAL & {*words}:
        return "OTHER"
    if "LATERAL" in words:
        return "LATERAL"
    return _VIEWS.get(words[0], "OTHER")


def frontal_or_lateral(kind: str, projection: str) -> str:
    """The view from CheXpert's two columns: Frontal or Lateral, and of frontal images AP or PA (rarely LL or RL)."""
    if kind.lower() == "lateral":
        return "LATERAL"
    view = view_of(projection)
    return view if view in ("AP", "PA") else "FRONTAL"
