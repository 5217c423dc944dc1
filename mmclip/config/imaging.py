"""Settings of decoding and resizing every image once."""

from __future__ import annotations

from pydantic import Field

from mmclip.config.base import Settings


class PackSettings(Settings):
    """How images become one array of small squares."""

    size: int = Field(256, ge=16, le=2048, description="edge of the packed squares in pixels")
    error_budget: float = Field(0.001, ge=0, le=1, description="share of images that may be skipped")
    pixel_limit: int = Field(128_000_000, ge=1, description="larger images are skipped before decoding")
    workers: int = Field(1, ge=1, description="processes; the result does not depend on it")
