"""Settings of the random changes of training images, and the sets of them that have a name."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import ConfigDict, Field, field_validator, model_validator

from mmclip.config.base import Settings, left_out

_SETS: dict[str, dict[str, Any]] = {
    "chest": {},
    # 3M-CLIP's authors name flips, colour jitter and random affine, and no sizes; these are of MedCLIP's script, which
    # resizes to 256 and cuts out a square of 224.
    "paper": {"flip": True, "crop": 224 / 256},
    "none": {"rotate": 0.0, "scale": (1.0, 1.0), "translate": 0.0, "brightness": 0.0, "contrast": 0.0},
}


def _only_the_name(schema: dict[str, Any]) -> None:
    """Of the schema, no default but the set's name: the others come from the set."""
    for name, field in schema["properties"].items():
        if name != "name":
            left_out(field)


class Augmentation(Settings):
    """Random changes of a training image; 0 switches one off. The defaults are MedCLIP's, without its flip and crop."""

    model_config = ConfigDict(json_schema_extra=_only_the_name)

    name: Literal["chest", "paper", "none"] = Field(
        "chest", description="the set that what is not given comes from: these defaults, the paper's, or no change"
    )
    rotate: float = Field(10.0, ge=0, le=180, description="largest rotation in degrees")
    scale: tuple[float, float] = Field((0.8, 1.1), description="range of the zoom")
    translate: float = Field(0.0625, ge=0, le=0.5, description="largest shift, as a share of the edge")
    shear: float = Field(0.0, ge=0, le=45, description="largest slant in degrees")
    crop: float = Field(1.0, gt=0, le=1, description="edge of the square cut out at a random place, as a share")
    brightness: float = Field(0.2, ge=0, lt=1, description="largest change of the grey levels, as a share of them")
    contrast: float = Field(0.2, ge=0, lt=1, description="largest change of their distance from the middle, as a share")
    gamma: float = Field(0.0, ge=0, lt=1, description="exponent drawn from 1 - gamma to 1 + gamma")
    noise: float = Field(
        0.0, ge=0, le=0.5, description="largest standard deviation of film noise, in grey levels of 0..1"
    )
    flip: bool = Field(False, description="mirror half of the images; makes left and right in reports wrong")

    @model_validator(mode="before")
    @classmethod
    def _of_the_set(cls, values: Any) -> Any:
        """What is not given comes from the named set."""
        return {**_SETS.get(str(values.get("name")), {}), **values} if isinstance(values, dict) else values

    @field_validator("scale")
    @classmethod
    def _ordered(cls, value: tuple[float, float]) -> tuple[float, float]:
        if not 0 < value[0] <= value[1]:
            raise ValueError(f"expected 0 < low <= high, found {value}")
        return value
