"""Rendering: the page's figures and tables into one HTML file that needs nothing else."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

TEMPLATES = Path(__file__).parent / "templates"

CONTENTS = (
    ("result", "Result"),
    ("data", "Data and filter"),
    ("languages", "Languages"),
    ("examples", "Examples"),
    ("experiments", "Experiments"),
    ("origin", "Origin"),
)
"""Id and name of each section."""


def render(values: dict[str, Any]) -> str:
    """The page. Every text is escaped; only figures that were drawn here are markup."""
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=False,
        keep_trailing_newline=True,
    )
    environment.globals.update(nice_top=nice_top, ticks=ticks, duration=duration)
    style = Markup((TEMPLATES / "style.css").read_text(encoding="utf-8"))
    return environment.get_template("report.html.j2").render(style=style, contents=CONTENTS, **values)


def nice_top(highest: float) -> float:
    """The end of an axis that starts at 0: the next tenth above the highest value, between 0.2 and 1."""
    return min(1.0, max(0.2, math.ceil(highest * 10 - 1e-9) / 10))


def ticks(top: float) -> list[float]:
    """Tick marks from 0 to `top`, a fifth or a tenth apart."""
    step = 0.2 if top > 0.5 else 0.1
    return [round(number * step, 1) for number in range(math.floor(top / step + 1e-9) + 1)]


def duration(seconds: float) -> str:
    """Seconds in words: 12 s, 3 min, 2 h 5 min."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"
