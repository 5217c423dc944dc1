"""Figures that matplotlib draws: SVG whose colours are the page's own, so that they follow light and dark."""

from __future__ import annotations

import io
import math
import re
from collections.abc import Sequence
from typing import Any

import matplotlib
from markupsafe import Markup
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

Row = dict[str, float]

PAGE_COLOURS = {
    "#010101": "var(--ink)",
    "#020202": "var(--muted)",
    "#030303": "var(--line)",
    "#040404": "var(--method)",
    "#050505": "var(--baseline)",
    "#060606": "var(--fill)",
}
"""Colours that stand for the page's custom properties in what matplotlib writes."""

INK, MUTED, LINE, METHOD, BASELINE, FILL = PAGE_COLOURS

_STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",
    "font.family": "DejaVu Sans",
    "font.size": 9,
    "text.color": INK,
    "axes.labelcolor": MUTED,
    "axes.edgecolor": LINE,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 1,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.major.size": 0,
    "ytick.major.size": 0,
    "grid.color": LINE,
    "grid.linewidth": 0.8,
}


def curve_figure(rows: Sequence[Row], name: str) -> Markup:
    """A training curve: the loss of training and validation batches over steps, above its floor.

    The floor is the entropy of the soft targets, below which no model can bring the loss; the shaded part is what is
    left to learn. Without soft targets it is 0 and not drawn.

    Args:
        rows: of training_curve.json.
        name: of the experiment; makes the ids in the SVG differ from other figures' ids.
    """
    with matplotlib.rc_context({**_STYLE, "svg.hashsalt": name}):
        figure = Figure(figsize=(4.2, 2.5), layout="constrained")
        axes = figure.add_subplot()
        train = [row for row in rows if "loss" in row]
        steps, losses = [row["step"] for row in train], [row["loss"] for row in train]
        floors = [floor(row) for row in train]
        if floors and all(value is not None for value in floors) and max(filter(None, floors), default=0) > 0:
            lowest = [value or 0.0 for value in floors]
            axes.fill_between(steps, lowest, losses, color=FILL, linewidth=0)
            axes.plot(steps, lowest, color=MUTED, linewidth=1.2, linestyle=(0, (3, 2)))
        axes.plot(steps, losses, color=METHOD, linewidth=1.8)
        validated = [(row["step"], total) for row in rows if (total := validation_loss(row)) is not None]
        if validated:
            axes.plot(*zip(*validated, strict=True), color=BASELINE, marker="o", markersize=4, linewidth=1.2)
        axes.set_xlabel("step")
        axes.set_ylabel("loss")
        axes.grid(axis="y")
        axes.xaxis.set_major_locator(MaxNLocator(4, integer=True))
        axes.yaxis.set_major_locator(MaxNLocator(4))
        return to_svg(figure, f"Training curve of {name}")


def floor(row: Row) -> float | None:
    """The floor of a row's loss: the sum of the objectives' floors, each with its weight; None where one has none.

    An objective's weight is what its weighted loss (``<name>_loss``) is of its own (``<name>/contrastive``).
    """
    total = 0.0
    for name in [key.removesuffix("_loss") for key in row if key.endswith("_loss") and "/" not in key]:
        own, lowest = row.get(f"{name}/contrastive"), row.get(f"{name}/floor")
        if not own or lowest is None:
            return None
        total += row[f"{name}_loss"] / own * lowest
    return total


def validation_loss(row: Row) -> float | None:
    """The sum of a row's ``val/<objective>_loss``; None where it has none or it is no number."""
    parts = [value for key, value in row.items() if key.startswith("val/") and key.endswith("_loss")]
    return sum(parts) if parts and math.isfinite(sum(parts)) else None


def to_svg(figure: Figure, title: str) -> Markup:
    """The figure as an SVG element to be put into the page, with its title for screen readers."""
    out = io.StringIO()
    figure.savefig(out, format="svg", transparent=True, metadata={"Date": None})
    svg = out.getvalue()[out.getvalue().index("<svg") :]
    for stand_in, colour in PAGE_COLOURS.items():
        svg = svg.replace(stand_in, colour)
    svg = re.sub(r'(<svg[^>]*?) width="[^"]*"', r"\1", svg, count=1)
    svg = re.sub(r'(<svg[^>]*?) height="[^"]*"', r"\1", svg, count=1)
    svg = re.sub(r"font: ([\d.]+)px '[^']*'(?:, sans-serif)?", r"font-size: \1px", svg)
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    label = Markup.escape(title)
    return Markup(svg.replace("<svg", f'<svg role="img" aria-label="{label}"', 1))
