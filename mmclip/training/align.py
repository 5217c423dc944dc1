"""Image-text alignment: a dual encoder under the weighted sum of its objectives."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from mmclip.config.training import ExperimentSettings
from mmclip.data.alignment import AlignmentBatches
from mmclip.data.batch import Batch
from mmclip.errors import UserError
from mmclip.models.dual_encoder import DualEncoder
from mmclip.models.image_encoder import standardise
from mmclip.objectives import registry
from mmclip.objectives.protocol import Features, Objective, total_loss

SUPPORTED_NEEDS = frozenset({"image_tokens", "text_tokens", "pixels"})
VALIDATION_BATCHES = 4
LENGTH_GROUPS = 4
"""Parts of a batch's texts, by length; each is padded for itself."""


class Aligner(nn.Module):
    """The model with its objectives: what is trained, and what one DistributedDataParallel call computes.

    Args:
        model: the dual encoder.
        objectives: with their weights.
        bf16: run the towers in bfloat16 where that is safe (autocast); embeddings and losses are float32.
    """

    def __init__(self, model: DualEncoder, objectives: Sequence[tuple[str, float, Objective]], bf16: bool) -> None:
        super().__init__()
        self.model = model
        self.objectives = nn.ModuleDict({name: objective for name, _, objective in objectives})
        self.weights = {name: weight for name, weight, _ in objectives}
        self.needs = frozenset().union(*(objective.needs for _, _, objective in objectives))
        self.bf16 = bf16

    def forward(self, batch: Batch, step: int) -> dict[str, Tensor]:
        """Each objective's weighted loss as ``<objective>_loss``, and its entries as ``<objective>/<entry>``."""
        batch = self.standardised(batch)
        features = self.features(batch)
        out: dict[str, Tensor] = {}
        for name, objective in self.objectives.items():
            entries = objective(batch, features, step)
            out[f"{name}_loss"] = self.weights[name] * total_loss(entries)
            out |= {f"{name}/{entry.removesuffix('_loss')}": value.detach() for entry, value in entries.items()}
        out["logit_scale"] = features.logit_scale.detach()
        return out

    def standardised(self, batch: Batch) -> Batch:
        """The batch with pixels as the image tower wants them, made from grey levels where it computes."""
        return replace(batch, pixels=standardise(batch.pixels, self.model.settings.image))

    def features(self, batch: Batch) -> Features:
        """Embeddings of a batch whose pixels are standardised."""
        wants_tokens = "text_tokens" in self.needs
        with torch.autocast(batch.pixels.device.type, torch.bfloat16, enabled=self.bf16):
            image, regions = self.model.embed_pixels(batch.pixels, "image_tokens" in self.needs)
            if wants_tokens:
                text, tokens = self.model.embed_ids(batch.input_ids, batch.attention_mask, tokens=True)
            else:
                text, tokens = self._embed_texts(batch.input_ids, batch.attention_mask), None
        return Features(
            image=image,
            text=text,
            logit_scale=self.model.logit_scale,
            image_tokens=regions,
            text_tokens=tokens,
            text_mask=batch.attention_mask.bool() if wants_tokens else None,
        )

    def _embed_texts(self, input_ids: Tensor, mask: Tensor) -> Tensor:
        """Embeddings [M, D], each distinct text encoded once and beside texts of like length.

        Half of the texts are single sentences and some are whole reports: padded to the longest, most of the work
        would be on padding.
        """
        ids, mask, places = distinct_rows(input_ids, mask)
        lengths = mask.sum(dim=1)
        order = lengths.argsort()
        parts = [
            self.model.embed_ids(ids[rows, :width], mask[rows, :width])[0]
            for rows in order.tensor_split(LENGTH_GROUPS)
            if len(rows) and (width := int(lengths[rows[-1]]))
        ]
        back = torch.empty_like(order)
        back[order] = torch.arange(len(order), device=order.device)
        return torch.cat(parts)[back[places]]


def distinct_rows(input_ids: Tensor, mask: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The distinct rows of token ids, their mask, and which of them each row is."""
    rows, places = torch.unique(input_ids, dim=0, return_inverse=True)
    first = torch.empty(len(rows), dtype=torch.int64, device=places.device)
    first[places] = torch.arange(len(places), device=places.device)
    return rows, mask[first], places


class AlignTask:
    """Alignment as the training loop sees it."""

    name = "pretrain"

    def __init__(self, module: Aligner, batches: AlignmentBatches, validation: AlignmentBatches | None) -> None:
        self.module: Any = module
        self._batches, self._validation = batches, validation

    def batch(self, step: int) -> Batch:
        """This rank's part of the batch of a step."""
        return self._batches(step)

    def ids(self, batch: Batch) -> list[str]:
        """The image and text ids of a batch."""
        return [*batch.image_ids, *batch.text_ids]

    def after_step(self) -> None:
        """Keep the logit scale within its bounds."""
        self.module.model.constrain()

    def validate(self) -> dict[str, float]:
        """The mean of each entry over a few fixed batches of the validation split."""
        if self._validation is None:
            return {}
        count = min(VALIDATION_BATCHES, math.ceil(self._validation.steps_per_epoch))
        device = self.module.model.log_logit_scale.device
        rows = [self.module(self._validation(step).to(device), step) for step in range(count)]
        return {name: sum(float(row[name]) for row in rows) / count for name in rows[0] if name != "logit_scale"}


def make_objectives(settings: ExperimentSettings) -> list[tuple[str, float, Objective]]:
    """The experiment's objectives with their weights.

    Raises:
        UserError: an unknown name or setting, a name given twice, or a need that training does not serve.
    """
    names = [entry.name for entry in settings.objectives]
    repeated = [name for name in names if names.count(name) > 1]
    if repeated:
        raise UserError(f"objectives: {repeated[0]!r} occurs twice; give each objective once, with its weight")
    made = [(entry.name, entry.weight, registry.create(entry.name, entry.settings)) for entry in settings.objectives]
    for name, _, objective in made:
        missing = objective.needs - SUPPORTED_NEEDS
        if missing:
            raise UserError(f"objectives: {name} needs {', '.join(sorted(missing))}, which training does not provide")
    return made


def is_decoupled(settings: ExperimentSettings, objectives: Sequence[tuple[str, float, Objective]]) -> bool:
    """Whether images and texts are drawn apart.

    Raises:
        UserError: it is asked for, but an objective needs pairs.
    """
    paired = [name for name, _, objective in objectives if not objective.decoupled]
    if settings.sampling == "decoupled" and paired:
        raise UserError(f"sampling: decoupled, but objective {paired[0]} needs pairs; use auto or paired")
    return settings.sampling != "paired" and not paired
