"""The dual encoder: an image tower and a text tower whose unit vectors meet in one space."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from transformers import AutoModel, PreTrainedTokenizerFast

from mmclip.config.models import ModelSettings
from mmclip.models import folder
from mmclip.models.card import ModelCard
from mmclip.models.image_encoder import ImageEncoder, standardise
from mmclip.models.projection import Projection
from mmclip.models.text_encoder import (
    BagOfWords,
    TextEncoder,
    backbone_from_config,
    load_pretrained,
    scratch_config,
)
from mmclip.models.tokenizer import framed, plain_ids
from mmclip.models.weights import WEIGHTS, load_weights

LOGIT_SCALE_MAX = 100.0
"""CLIP's bound (Radford et al. 2021, section 2.5); MedCLIP keeps the scale in [1, 100] too."""


class DualEncoder(nn.Module):
    """An image encoder and a text encoder with a shared space and a learned logit scale.

    Args:
        settings: sizes and preprocessing.
        image: the image tower.
        text: the text tower.
        tokenizer: of the text tower.
    """

    def __init__(
        self,
        settings: ModelSettings,
        image: ImageEncoder,
        text: TextEncoder | BagOfWords,
        tokenizer: PreTrainedTokenizerFast,
    ) -> None:
        super().__init__()
        self.settings = settings
        self.tokenizer = tokenizer
        self.image = image
        self.text = text
        self.image_projection = Projection(image.width, settings.projection)
        self.text_projection = Projection(text.width, settings.projection)
        self.log_logit_scale = nn.Parameter(torch.tensor(math.log(settings.logit_scale)))

    @classmethod
    def create(
        cls, settings: ModelSettings, tokenizer: PreTrainedTokenizerFast, text_model: Path | None = None
    ) -> DualEncoder:
        """A model to be trained: fresh or pretrained towers, as the settings say.

        Args:
            text_model: a Hugging Face folder (of `mmclip pretrain-text`) that replaces the settings' text tower; a
                bag of words takes only its tokenizer.
        """
        if settings.text.kind == "bag_of_words":
            text: TextEncoder | BagOfWords = BagOfWords(len(tokenizer), settings.text.width, tokenizer.pad_token_id)
        elif text_model is None and settings.text.kind == "scratch":
            text = TextEncoder(backbone_from_config(scratch_config(settings.text, tokenizer).to_dict(), settings.text))
        else:
            text = TextEncoder(load_pretrained(AutoModel, text_model or settings.text.name, settings.text))
        image = ImageEncoder(settings.image)
        image.prepare_training()
        if isinstance(text, TextEncoder):
            text.prepare_training(settings.text)
        return cls(settings, image, text, tokenizer)

    @classmethod
    def from_pretrained(cls, path: str | Path) -> DualEncoder:
        """The model in a folder that :meth:`save_pretrained` wrote; needs no network.

        Raises:
            UserError: no such model, another format, pickled weights, or tensors that do not fit, by name.
        """
        saved = folder.read(Path(path))
        settings, tokenizer = saved.settings, saved.tokenizer
        text: TextEncoder | BagOfWords
        if saved.text_config is None:
            text = BagOfWords(len(tokenizer), settings.text.width, tokenizer.pad_token_id)
        else:
            text = TextEncoder(backbone_from_config(saved.text_config, settings.text))
        image = ImageEncoder(settings.image, initialise=False, config=saved.image_config)
        model = cls(settings, image, text, tokenizer)
        load_weights(model, Path(path) / WEIGHTS)
        return model.eval()

    def save_pretrained(self, path: str | Path, card: ModelCard | str = "") -> None:
        """Write the model's folder atomically: config.json, model.safetensors, the tokenizer, the card, and the towers
        alone: ``text/`` for ``AutoModel``, ``image/`` for timm.

        Args:
            card: what is known of its data, languages and terms; or a few words about it.
        """
        known = card if isinstance(card, ModelCard) else ModelCard(notes=(card,) if card else ())
        folder.write(self, Path(path), known)

    @property
    def logit_scale(self) -> Tensor:
        """The multiplier of cosines, a scalar in [1, 100]."""
        return self.log_logit_scale.exp()

    @torch.no_grad()
    def constrain(self) -> None:
        """Move the logit scale back into [1, 100]; called after each optimiser step.

        Bounding the parameter rather than its use keeps the gradient alive at the bounds.
        """
        self.log_logit_scale.clamp_(0.0, math.log(LOGIT_SCALE_MAX))

    def embed_pixels(self, pixels: Tensor, tokens: bool = False) -> tuple[Tensor, Tensor | None]:
        """Unit vectors [N, D] of standardised images, and of their regions [N, R, D] where asked for."""
        features, regions = self.image(pixels, tokens)
        return self.image_projection(features), None if regions is None else self.image_projection(regions)

    def embed_ids(self, input_ids: Tensor, mask: Tensor, tokens: bool = False) -> tuple[Tensor, Tensor | None]:
        """Unit vectors [M, D] of token ids, and of each token [M, W, D] where asked for."""
        features, states = self.text(input_ids, mask)
        return self.text_projection(features), self.text_projection(states) if tokens else None

    def encode_image(self, pixels: Tensor | np.ndarray, batch_size: int = 256) -> Tensor:
        """Unit vectors of images.

        Args:
            pixels: uint8 [N, H, W] or [N, 1, H, W] grey levels of any size, or standardised floats.

        Returns:
            float32 [N, D] on the CPU.
        """
        images = torch.as_tensor(pixels)
        with self._inference() as device:
            parts = [
                self.embed_pixels(standardise(part.to(device), self.settings.image))[0].cpu()
                for part in torch.split(images, batch_size)
            ]
        return torch.cat(parts) if len(images) else torch.empty(0, self.settings.projection)

    def encode_text(self, texts: Sequence[str], batch_size: int = 256) -> Tensor:
        """Unit vectors of texts, in any language the model was trained on.

        Equal texts are encoded once, and texts of like length together.

        Returns:
            float32 [M, D] on the CPU.
        """
        if isinstance(texts, str):
            raise ValueError("encode_text takes a list of texts, not one string; write [text]")
        distinct = {text: number for number, text in enumerate(dict.fromkeys(texts))}
        ids = plain_ids(self.tokenizer, list(distinct))
        order = sorted(range(len(ids)), key=lambda number: len(ids[number]))
        out = torch.empty(len(ids), self.settings.projection)
        with self._inference() as device:
            for start in range(0, len(order), batch_size):
                rows = order[start : start + batch_size]
                batch = framed(self.tokenizer, [ids[row] for row in rows], self.settings.text.max_tokens)
                out[rows] = self.embed_ids(batch[0].to(device), batch[1].to(device))[0].cpu()
        return out[[distinct[text] for text in texts]]

    def zero_shot(self, images: Tensor | np.ndarray, prompts: Mapping[str, Sequence[str]]) -> Tensor:
        """Probabilities of classes that are described by texts.

        A class's score is the mean of the image's cosines to its prompts (MedCLIP's ensemble); the probabilities are
        the softmax of the scores times the logit scale.

        Args:
            images: as in :meth:`encode_image`.
            prompts: class -> its prompts, at least one each.

        Returns:
            float32 [N, classes], in the order of `prompts`.
        """
        empty = [name for name, texts in prompts.items() if not len(texts)]
        if empty or not prompts:
            raise ValueError(f"class {empty[0]!r} has no prompt" if empty else "there are no classes")
        classes = torch.stack([self.encode_text(texts).mean(dim=0) for texts in prompts.values()])
        scores = self.encode_image(images) @ classes.T
        return (scores * self.logit_scale.detach().cpu()).softmax(dim=1)

    @contextmanager
    def _inference(self) -> Iterator[torch.device]:
        """Evaluation mode without gradients; the training mode comes back afterwards."""
        training = self.training
        self.eval()
        try:
            with torch.inference_mode():
                yield self.log_logit_scale.device
        finally:
            self.train(training)
