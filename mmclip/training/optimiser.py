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
        UserError: a name under `freeze` or `rate_factors` fits no parameter, or nothing is left to train.
    """
    named = _named(module)
    for prefix in settings.freeze:
        frozen = [parameter for name, parameter in named.items() if name.startswith(prefix)]
        if not frozen:
            raise UserError(_unknown("freeze", prefix, named))
        for parameter in frozen:
            parameter.requires_grad_(False)
    trained = [parameter for parameter in module.parameters() if parameter.requires_grad]
    if not trained:
        raise UserError("optimisation.freeze: leaves nothing to train")
    factors = _rate_factors(module, settings)
    groups: dict[tuple[float, bool], list[nn.Parameter]] = {}
    for parameter in trained:
        groups.setdefault((factors[parameter], parameter.ndim >= 2), []).append(parameter)
    return torch.optim.AdamW(
        [
            {"params": members, "weight_decay": settings.weight_decay * decays, "rate_factor": factor}
            for (factor, decays), members in groups.items()
        ],
        lr=settings.learning_rate,
        betas=settings.betas,
        fused=True,
    )


def set_rate(optimiser: torch.optim.Optimizer, rate: float) -> None:
    """Give every group of parameters its share of a learning rate."""
    for group in optimiser.param_groups:
        group["lr"] = rate * group["rate_factor"]


def _rate_factors(module: nn.Module, settings: Optimisation) -> dict[nn.Parameter, float]:
    """The factor of each parameter's learning rate: that of the longest beginning of its name, else 1."""
    named = _named(module)
    for prefix in settings.rate_factors:
        if not any(name.startswith(prefix) for name in named):
            raise UserError(_unknown("rate_factors", prefix, named))
    found: dict[nn.Parameter, float] = {}
    for name, parameter in named.items():
        prefixes = [prefix for prefix in settings.rate_factors if name.startswith(prefix)]
        found[parameter] = settings.rate_factors[max(prefixes, key=len)] if prefixes else 1.0
    return found


def _named(module: nn.Module) -> dict[str, nn.Parameter]:
    return {name.removeprefix("model."): parameter for name, parameter in module.named_parameters()}


def _unknown(key: str, prefix: str, named: dict[str, nn.Parameter]) -> str:
    known = sorted({".".join(name.split(".")[:2]) for name in named})
    return f"optimisation.{key}: no parameter starts with {prefix!r}; there are {', '.join(known)}"


def learning_rate(step: int, steps: int, settings: Optimisation) -> float:
    """The rate of a step (from 0): linear warm-up, then half a cosine down to `final_rate` of the peak."""
    warmup = round(settings.warmup * steps)
    if step < warmup:
        return settings.learning_rate * (step + 1) / warmup
    done = (step - warmup) / max(1, steps - warmup)
    share = settings.final_rate + (1 - settings.final_rate) * 0.5 * (1 + math.cos(math.pi * done))
    return settings.learning_rate * share
