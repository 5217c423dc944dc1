"""Settings of the image tower, the text tower and the space they meet in."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from mmclip.config.base import Settings

Option = int | float | str | bool | tuple[int, ...]


class ImageTower(Settings):
    """An image encoder of timm or of Hugging Face, for grey images."""

    library: Literal["timm", "hugging_face"] = Field("timm", description="whose model `name` is")
    name: str = Field(
        "swin_tiny_patch4_window7_224",
        description="a timm model name; or a hub name (in the local cache) or folder of Hugging Face",
    )
    size: int = Field(224, ge=16, le=1024, description="edge of the square input in pixels")
    pretrained: bool = Field(False, description="start from its published weights, which must be in the local cache")
    options: dict[str, Option] = Field({}, description="further arguments of the model, as channels or drop rates")
    mean: float = Field(0.5863, description="mean grey level in 0..1 that is subtracted (MedCLIP's)")
    std: float = Field(0.2795, gt=0, description="standard deviation that is divided by (MedCLIP's)")
    frozen_layers: int = Field(
        0, ge=0, description="so many layers stay as they are, with the stem, counted from the input; 0 trains all"
    )
    checkpointing: bool = Field(False, description="compute activations again in the backward pass: less memory")


class TextTower(Settings):
    """A text encoder: a Hugging Face model, a small transformer from scratch, or a bag of words as a control."""

    kind: Literal["pretrained", "scratch", "bag_of_words"] = Field(
        "pretrained",
        description="pretrained: `name`; scratch: an XLM-R of the sizes below; bag_of_words: mean of word vectors",
    )
    name: str = Field(
        "FacebookAI/xlm-roberta-base", description="hub name (in the local cache) or folder, for kind pretrained"
    )
    max_tokens: int = Field(128, ge=4, le=8192, description="longer texts are cut")
    layers: int = Field(2, ge=1, description="of a scratch tower")
    width: int = Field(128, ge=8, description="of a scratch tower or a bag of words")
    heads: int = Field(4, ge=1, description="of a scratch tower")
    feedforward: int = Field(512, ge=8, description="of a scratch tower")
    dropout: float = Field(0.1, ge=0, lt=1, description="of a scratch or pretrained tower")
    attention: Literal["auto", "sdpa", "eager"] = Field(
        "auto", description="sdpa: torch's fused attention; eager: written out; auto: sdpa on a GPU, eager on a CPU"
    )
    frozen_layers: int = Field(
        0, ge=0, description="so many layers stay as they are, with the word vectors, counted from the input"
    )
    checkpointing: bool = Field(False, description="compute activations again in the backward pass: less memory")

    @model_validator(mode="after")
    def _fits_the_kind(self) -> TextTower:
        if self.width % self.heads:
            raise ValueError(f"width {self.width} must be a multiple of heads {self.heads}")
        if self.kind == "bag_of_words" and (self.frozen_layers or self.checkpointing):
            raise ValueError("a bag of words has no layers for frozen_layers or checkpointing")
        return self


class ModelSettings(Settings):
    """A dual encoder. The defaults are the scale of the 3M-CLIP paper's code: Swin-T, XLM-R base, 512 dimensions."""

    image: ImageTower = ImageTower()
    text: TextTower = TextTower()
    projection: int = Field(512, ge=2, description="dimensions of the shared space")
    logit_scale: float = Field(
        1 / 0.07, ge=1, le=100, description="initial multiplier of cosines; learned, kept in [1, 100]"
    )
