"""A label classifier: an image tower and, for each observation, scores for absent, present and uncertain."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from mmclip.config.models import ImageTower
from mmclip.models.image_encoder import ImageEncoder
from mmclip.observations import OBSERVATIONS

ABSENT_CLASS, PRESENT_CLASS, UNCERTAIN_CLASS = 0, 1, 2


class LabelClassifier(nn.Module):
    """Scores of three classes an observation (U-MultiClass, Irvin et al. 2019, section 4.4).

    For an observation without the third class its score is never used: the softmax over the other two is the sigmoid
    of their difference, the usual binary classifier.

    Args:
        settings: of the image tower.
        initialise: a classifier to be trained: the tower's published weights and frozen layers, if it has any; false
            when a saved one follows.
    """

    def __init__(self, settings: ImageTower, initialise: bool = True) -> None:
        super().__init__()
        self.image = ImageEncoder(settings, initialise)
        if initialise:
            self.image.prepare_training()
        self.head = nn.Linear(self.image.width, 3 * len(OBSERVATIONS))

    def forward(self, pixels: Tensor) -> Tensor:
        """Scores [N, 14, 3] of standardised images."""
        features, _ = self.image(pixels)
        scores: Tensor = self.head(features).float()
        return scores.view(len(scores), len(OBSERVATIONS), 3)

    @torch.inference_mode()
    def presence_logits(self, pixels: Tensor) -> Tensor:
        """Log-odds [N, 14] that each observation is present, the uncertain class left out.

        Their sigmoid is p1 / (p0 + p1).
        """
        scores: Tensor = self(pixels)
        return scores[..., PRESENT_CLASS] - scores[..., ABSENT_CLASS]
