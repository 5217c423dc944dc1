"""CLIP-like models of transformers: CLIP, SigLIP, Chinese-CLIP, AltCLIP and what else has image and text features."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from transformers import AutoModel, AutoProcessor

from mmclip.errors import UserError
from mmclip.evaluation.encoders.batches import (
    Embeddings,
    batches,
    device,
    edge,
    first_line,
    learned_scale,
    pictures,
    unit,
)
from mmclip.models.digest import weights_digest
from mmclip.models.text_encoder import positions


class HuggingFaceModel:
    """A folder of a model with its processor; it computes in float32, and Python files in the folder are never run."""

    def __init__(self, folder: Path) -> None:
        processors: Any = AutoProcessor
        if not folder.is_dir():
            raise UserError(f"hf:{folder}: no such folder; save the model there with save_pretrained()")
        self.device = device()
        try:
            model: Any = AutoModel.from_pretrained(
                folder, use_safetensors=True, local_files_only=True, trust_remote_code=False, dtype=torch.float32
            )
            self.processor = processors.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
        except (OSError, ValueError) as error:
            own_code = "trust_remote_code" in str(error)
            reason = "it needs Python code of its own, and mmclip runs none" if own_code else first_line(error)
            raise UserError(f"hf:{folder}: transformers cannot load it ({reason})") from error
        if not (hasattr(model, "get_image_features") and hasattr(self.processor, "image_processor")):
            raise UserError(
                f"hf:{folder}: {type(model).__name__} with {type(self.processor).__name__} is no model of images and "
                "texts; give a CLIP-like model with its processor"
            )
        self.model = model.to(self.device).eval()
        self.digest = weights_digest(folder)
        self.logit_scale = learned_scale(self.model)
        self.size = edge(getattr(getattr(model.config, "vision_config", None), "image_size", 0))

    def images(self, pixels: NDArray[np.uint8]) -> Embeddings:
        """[n, H, W] grey images, repeated in three channels -> [n, D] embeddings of length 1."""
        with torch.inference_mode():
            parts = []
            for part in batches(pixels):
                inputs = self.processor(images=pictures(part), return_tensors="pt")
                parts.append(_features(self.model.get_image_features(**inputs.to(self.device))))
        return unit(parts)

    def texts(self, sentences: Sequence[str]) -> Embeddings:
        """n sentences -> [n, D] embeddings of length 1; longer texts are cut to the model's positions."""
        config = self.model.config
        longest = min(positions(getattr(config, "text_config", config)), self.processor.tokenizer.model_max_length)
        # SigLIP's text tower was trained on texts padded to full length, and its last position is the feature
        padding = "max_length" if config.model_type.startswith("siglip") else "longest"
        with torch.inference_mode():
            parts = []
            for part in batches(sentences):
                inputs = self.processor(
                    text=list(part), return_tensors="pt", padding=padding, truncation=True, max_length=longest
                )
                parts.append(_features(self.model.get_text_features(**inputs.to(self.device))))
        return unit(parts)


def _features(output: Any) -> Tensor:
    """The feature tensor: newer transformers wrap it."""
    return output if not hasattr(output, "pooler_output") else output.pooler_output  # type: ignore[no-any-return]
