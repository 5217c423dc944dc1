"""3M-CLIP: the similarity of images and texts follows the cosine of their label vectors."""

from __future__ import annotations

from pydantic import BaseModel, Field
from torch import Tensor

from mmclip.data.batch import Batch
from mmclip.objectives import protocol
from mmclip.objectives.protocol import Features, Objective
from mmclip.ops.distributed import active_group
from mmclip.ops.soft_contrastive import soft_contrastive_loss


class ThreeMClip(Objective):
    r"""Soft targets from cosines of labels; images and texts need not be pairs.

    .. math:: T_{ij} = \tau \cos(a_i, b_j), \quad
              L = \frac12 \big[\mathrm{CE}_j(\mathrm{softmax}\,T, \mathrm{softmax}\,s\,v_i \cdot t_j)
                             + \mathrm{CE}_i(\mathrm{softmax}\,T, \mathrm{softmax}\,s\,v_i \cdot t_j) \big]

    Where: a, b are the label vectors of the images and of the sampled texts. The published form has :math:`\tau = 1`
    (`label_scale`), at which a target hardly differs from uniform in a batch of a hundred: the largest ratio of two
    probabilities is e. A larger scale sharpens the targets.
    """

    decoupled = True

    class Settings(protocol.Settings):
        """`label_scale`: the multiplier of the cosines, 1 as published."""

        label_scale: float = Field(default=1.0, gt=0, allow_inf_nan=False)

    def __init__(self, settings: BaseModel) -> None:
        super().__init__(settings)
        self.label_scale = self.Settings.model_validate(settings).label_scale

    def forward(self, batch: Batch, features: Features, step: int) -> dict[str, Tensor]:
        loss, floor = soft_contrastive_loss(
            features.image,
            features.text,
            batch.image_targets,
            batch.text_targets,
            features.logit_scale,
            label_scale=self.label_scale,
            similarity="cosine",
            group=active_group(),
            return_floor=True,
        )
        return {"contrastive_loss": loss, "floor": floor, "kl": loss.detach() - floor}
