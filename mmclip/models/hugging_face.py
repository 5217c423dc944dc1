"""What the text tower and the image tower ask of Hugging Face's library."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from transformers import MODEL_MAPPING, AutoConfig, AutoModel
from transformers.utils import logging as transformers_logging


def stored_config(config: dict[str, Any]) -> Any:
    """The configuration that ``to_dict()`` made."""
    values = dict(config)
    return AutoConfig.for_model(values.pop("model_type"), **values)


def model_class(config: Any) -> Any:
    """The class of the encoder without a head, or None where the library has none."""
    return MODEL_MAPPING.get(type(config), None)


def build(config: Any, **options: Any) -> Any:
    """An encoder of this configuration with fresh weights in float32, whatever type it was stored in, and no pooler."""
    create: Any = AutoModel.from_config
    return create(config, trust_remote_code=False, dtype=torch.float32, **options, **no_pooler(model_class(config)))


def no_pooler(encoder: Any) -> dict[str, bool]:
    """We pool ourselves, so a pooler would only be dead weights that no gradient reaches."""
    return {"add_pooling_layer": False} if takes(getattr(encoder, "__init__", None), "add_pooling_layer") else {}


def takes(function: Any, argument: str) -> bool:
    """Whether a function has an argument of this name."""
    return callable(function) and argument in inspect.signature(function).parameters


@contextmanager
def quiet() -> Iterator[None]:
    """Without Hugging Face's bars and its table of heads that a backbone does not take over."""
    hf_logging: Any = transformers_logging
    verbosity = hf_logging.get_verbosity()
    hf_logging.set_verbosity(hf_logging.ERROR)
    hf_logging.disable_progress_bar()
    try:
        yield
    finally:
        hf_logging.enable_progress_bar()
        hf_logging.set_verbosity(verbosity)
