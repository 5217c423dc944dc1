"""MedCLIP as its authors' code has it: soft targets from the plain dot product of label vectors (Wang et al. 2022)."""

from __future__ import annotations

from torch import Tensor

from mmclip.data.batch import Batch
from mmclip.objectives.protocol import Features, Objective
from mmclip.ops.distributed import active_group
from mmclip.ops.soft_contrastive import soft_contrastive_loss


class MedClip(Objective):
    """Soft targets from dot products of labels; images and texts need not be pairs.

    The paper divides by the lengths of the label vectors; the released loss neither normalises nor clamps, so that a
    study with many findings has sharper targets. This is the released form; the paper's is `three_m_clip` with
    `label_scale` 1.
    """

    decoupled = True

    def forward(self, batch: Batch, features: Features, step: int) -> dict[str, Tensor]:
        loss, floor = soft_contrastive_loss(
            features.image,
            features.text,
            batch.image_targets,
            batch.text_targets,
            features.logit_scale,
            similarity="dot",
            group=active_group(),
            return_floor=True,
        )
        return {"contrastive_loss": loss, "floor": floor, "kl": loss.detach() - floor}
