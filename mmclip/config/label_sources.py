"""Where labels come from, and whose count first."""

from __future__ import annotations

from typing import Literal

LabelSource = Literal["rules", "official:chexpert", "official:negbio", "file", "truth"]

DEFAULT_SOURCES: tuple[LabelSource, ...] = ("rules", "official:chexpert", "official:negbio", "file")
"""Rules first, so that images and their texts are labelled alike; official labels for images without a report."""
