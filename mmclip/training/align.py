"""Image-text alignment: a dual encoder under the weighted sum of its objectives."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
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
from mmclip.training.cached import Part, embed_in_parts
from mmclip.training.distributed import largest

SUPPORTED_NEEDS = frozenset({"image_tokens", "text_tokens", "pixels"})
VALIDATION_BATCHES = 4
LENGTH_GROUPS = 4
"""Parts of a batch's texts, by length; each is padded for itself."""


class Aligner(nn.Module):
    """The model with its objectives: what is trained, and what a step computes.

    Args:
        model: the dual encoder.
        objectives: with their weights.
        bf16: run the towers in bfloat16 where that is safe (autocast); embeddings and losses are float32.
        micro_batch: images, and texts, that are embedded at once (:mod:`mmclip.training.cached`); None: all.
    """

    def __init__(
        self,
        model: DualEncoder,
        objectives: Sequence[tuple[str, float, Objective]],
        bf16: bool,
        micro_batch: int | None = None,
    ) -> None:
        super().__init__()
        self.model = model
        self.objectives = nn.ModuleDict({name: objective for name, _, objective in objectives})
        self.weights = {name: weight for name, weight, _ in objectives}
        self.needs = frozenset().union(*(objective.needs for _, _, objective in objectives))
        self.bf16 = bf16
        self.micro_batch = micro_batch

    def forward(self, batch: Batch, step: int) -> dict[str, Tensor]:
        """Each objective's weighted loss as ``<objective>_loss``, and its entries as ``<objective>/<entry>``."""
        if self.micro_batch is None:
            batch = self.standardised(batch)
            features = self.features(batch)
        else:
            features = self.cached_features(batch, self.micro_batch)
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

    def cached_features(self, batch: Batch, micro_batch: int) -> Features:
        """Embeddings of a batch of grey levels, whose graph is made again a micro-batch at a time.

        The pixels may lie on the host: only those of a micro-batch move to where the model is.
        """
        count = math.ceil(largest(len(batch.pixels)) / micro_batch)  # as many on every rank
        images = [partial(self._embed_images, pixels) for pixels in batch.pixels.tensor_split(count)]
        texts, places = self._texts_by_length(batch.input_ids, batch.attention_mask, micro_batch)
        return Features(
            image=embed_in_parts(images, self.model.image, stoppable=True),
            text=embed_in_parts(texts, self.model.text)[places],
            logit_scale=self.model.logit_scale,
        )

    def _embed_images(self, pixels: Tensor) -> Tensor:
        device = self.model.log_logit_scale.device
        with torch.autocast(device.type, torch.bfloat16, enabled=self.bf16):
            return self.model.embed_pixels(standardise(pixels.to(device), self.model.settings.image))[0]

    def _embed_texts(self, input_ids: Tensor, mask: Tensor) -> Tensor:
        """Embeddings [M, D], each distinct text encoded once and beside texts of like length."""
        parts, places = self._texts_by_length(input_ids, mask)
        return torch.cat([part() for part in parts])[places]

    def _texts_by_length(
        self, input_ids: Tensor, mask: Tensor, micro_batch: int | None = None
    ) -> tuple[list[Part], Tensor]:
        """Parts that embed each distinct text once, beside texts of like length, and where each row is in them.

        Half of the texts are single sentences and some are whole reports: padded to the longest, most of the work
        would be on padding.
        """
        ids, mask, places = distinct_rows(input_ids, mask)
        lengths = mask.sum(dim=1)
        order = lengths.argsort()
        groups = LENGTH_GROUPS if micro_batch is None else math.ceil(len(order) / micro_batch)
        parts: list[Part] = [
            partial(self._embed_ids, ids[rows, :width], mask[rows, :width])
            for rows in order.tensor_split(groups)
            if len(rows) and (width := int(lengths[rows[-1]]))
        ]
        back = torch.empty_like(order)
        back[order] = torch.arange(len(order), device=order.device)
        return parts, back[places]

    def _embed_ids(self, ids: Tensor, mask: Tensor) -> Tensor:
        with torch.autocast(ids.device.type, torch.bfloat16, enabled=self.bf16):
            return self.model.embed_ids(ids, mask)[0]


def distinct_rows(input_ids: Tensor, mask: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The distinct rows of token ids, their mask, and which of them each row is."""
    rows, places = torch.unique(input_ids, dim=0, return_inverse=True)
    first = torch.empty(len(rows), dtype=torch.int64, device=places.device)
    first[places] = torch.arange(len(places), device=places.device)
    return rows, mask[first], places


@dataclass(frozen=True)
class HostPixels(Batch):
    """A batch whose pixels stay on the host, to be moved a micro-batch at a time."""

    def to(self, device: torch.device | str) -> Batch:
        """The same batch with its tensors but the pixels on `device`."""
        rest = replace(self, pixels=self.pixels[:0])
        return replace(Batch.to(rest, device), pixels=self.pixels)


class AlignTask:
    """Alignment as the training loop sees it."""

    name = "pretrain"

    def __init__(self, module: Aligner, batches: AlignmentBatches, validation: AlignmentBatches | None) -> None:
        self.module: Any = module
        self._batches, self._validation = batches, validation

    def batch(self, step: int) -> Batch:
        """This rank's part of the batch of a step."""
        batch = self._batches(step)
        return batch if self.module.micro_batch is None else HostPixels(**vars(batch))

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
        UserError: an unknown name or setting, a name given twice, or a need that training does not serve: with
            micro-batches any, since only one embedding of each image and each text is cached.
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
        if objective.needs and settings.optimisation.micro_batch is not None:
            raise UserError(
                f"optimisation.micro_batch: objective {name} needs {', '.join(sorted(objective.needs))}, which cached "
                "embeddings do not hold; leave micro_batch out"
            )
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
