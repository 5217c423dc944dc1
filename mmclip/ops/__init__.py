"""The loss as one operator: the definition in plain PyTorch, the fused extension, and what knows about ranks.

`soft_contrastive_loss` resolves on first use, so that importing this package loads nothing.
"""

from __future__ import annotations

import importlib
from typing import Any

_PUBLIC = {"soft_contrastive_loss": "mmclip.ops.soft_contrastive"}


def __getattr__(name: str) -> Any:
    if name in _PUBLIC:
        return getattr(importlib.import_module(_PUBLIC[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_PUBLIC})
