"""Settings of decoding and resizing every image once."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from mmclip.config.base import Settings


class PackSettings(Settings):
    """How images become arrays of small squares."""

    size: int = Field(256, ge=16, le=2048, description="edge of the packed squares in pixels: training size and margin")
    shard: int = Field(8192, ge=1, description="images an array file holds; a stopped run goes on with the next one")
    burned_in: Literal["skip", "keep"] = Field(
        "skip", description="DICOM files that say that their pixels hold text about the patient"
    )
    multi_frame: Literal["first", "skip"] = Field(
        "first", description="DICOM files of several frames: their first is packed, or none"
    )
    error_budget: float = Field(0.001, ge=0, le=1, description="share of images that may be skipped")
    pixel_limit: int = Field(
        128_000_000, ge=1, description="larger images (rows x columns x frames) are skipped before decoding"
    )
    workers: int = Field(1, ge=1, description="processes; the result does not depend on it")
