"""AdamW and its learning rate."""

from __future__ import annotations

import math

import torch
from torch import nn

from mmclip.config.training import Optimisation
from mmclip.errors import UserError


def make_optimiser(module: nn.Module, settings: Optimisation) -> torch.optim.AdamW:
    """Fused AdamW; matrices decay, and norms, biases (Swin's table of position biases too) and single numbers do not.

    Parameters that the settings freeze get no gradient from here on.

    Raises:
        UserError: a name under `freeze` fits no parameter, or nothing is left to train.
    """
    for prefix in settings.freeze:
        names = {name.removeprefix("model."): parameter for name, parameter in module.named_parameters()}
        whole = prefix.rstrip(".")
        frozen = [parameter for name, parameter in names.items() if f"{name}.".startswith(f"{whole}.")]
        if not frozen:
            known = sorted({".".join(name.split(".")[:2]) for name in names})
            raise UserError(f"optimisation.freeze: no parameter is below {prefix!r}; there are {', '.join(known)}")
        for parameter in frozen:
            parameter.requires_grad_(False)
    trained = [(name, parameter) for name, parameter in module.named_parameters() if parameter.requires_grad]
    if not trained:
        raise UserError("optimisation.freeze: leaves nothing to train")
    decays = [parameter.ndim >= 2 and "bias" not in name.rpartition(".")[2] for name, parameter in trained]
    groups = [
        {
            "params": [parameter for (_, parameter), decay in zip(trained, decays, strict=True) if decay is chosen],
            "weight_decay": settings.weight_decay if chosen else 0.0,
        }
        for chosen in (True, False)
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
