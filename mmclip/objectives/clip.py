"""CLIP: an image belongs to the texts of its own study and to no other (Radford et al. 2021)."""

from __future__ import annotations

from torch import Tensor

from mmclip.data.batch import Batch
from mmclip.objectives.protocol import Features, Objective
from mmclip.ops.distributed import active_group
from mmclip.ops.soft_contrastive import soft_contrastive_loss


class Clip(Objective):
    r"""Cross-entropy in both directions against the true pairs of the batch.

    .. math:: L = \frac12 \Big[-\frac1N \sum_i \frac1{|P_i|} \sum_{j \in P_i} \log \mathrm{softmax}_j(s\,v_i \cdot t_j)
              -\frac1M \sum_j \frac1{|P_j|} \sum_{i \in P_j} \log \mathrm{softmax}_i(s\,v_i \cdot t_j) \Big]

    Where: :math:`P_i` are the texts of image i's study. Two images or two texts of one study in a batch are positives
    of each other's partners; where every study occurs once this is the published loss. The floor is then 0.
    """

    def forward(self, batch: Batch, features: Features, step: int) -> dict[str, Tensor]:
        loss, floor = soft_contrastive_loss(
            features.image,
            features.text,
            None,
            None,
            features.logit_scale,
            targets="ids",
            row_group=batch.image_study,
            column_group=batch.text_study,
            group=active_group(),
            return_floor=True,
        )
        return {"contrastive_loss": loss, "floor": floor, "kl": loss.detach() - floor}
