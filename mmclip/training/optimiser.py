"""AdamW and its learning rate."""

from __future__ import annotations

import math

import torch
from torch import nn

from mmclip.config.training import Optimisation
from mmclip.errors import UserError


def make_optimiser(module: nn.Module, settings: Optimisation) -> torch.optim.AdamW:
    """Fused AdamW; matrices decay, biases, norms and single numbers do not.

    Parameters that the settings freeze get no gradient from here on.

    Raises:
        UserError: a name under `freeze` fits no parameter, or nothing is left to train.
    """
    for prefix in settings.freeze:
        names = {name.removeprefix("model."): parameter for name, parameter in module.named_parameters()}
        frozen = [parameter for name, parameter in names.items() if name.startswith(prefix)]
        if not frozen:
            known = sorted({".".join(name.split(".")[:2]) for name in names})
            raise UserError(f"optimisation.freeze: no parameter starts with {prefix!r}; there are {', '.join(known)}")
        for parameter in frozen:
            parameter.requires_grad_(False)
    trained = [parameter for parameter in module.parameters() if parameter.requires_grad]
    if not trained:
        raise UserError("optimisation.freeze: leaves nothing to train")
    groups = [
        {"params": [parameter for parameter in trained if parameter.ndim >= 2], "weight_decay": settings.weight_decay},
        {"params": [parameter for parameter in trained if parameter.ndim < 2], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=settings.learning_rate, betas=settings.betas, fused=True)


def learning_rate(step: int, steps: int, settings: Optimisation) -> float:
    """The rate of a step (from 0): linear warm-up, then half a cosine down to `final_rate` of the peak."""
    warmup = round(settings.warmup * steps)
    if step < warmup:
        return settings.learning_rate * (step + 1) / warmup
    done = (step - warmup) / max(1, steps - warmup)
    share = settings.final_rate + (1 - settings.final_rate) * 0.5 * (1 + math.cos(math.pi * done))
    return settings.learning_rate * share
