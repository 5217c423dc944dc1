"""mmclip: multilingual image-text pretraining on chest radiographs.

``from mmclip import DualEncoder`` gives the model; everything else is found in the stage packages. Names resolve when
they are first asked for, so that ``import mmclip`` costs nothing and an edit to one stage reruns only that stage.
"""

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

_PUBLIC = {"DualEncoder": "mmclip.models.dual_encoder"}


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module 'mmclip' has no attribute {name!r}")
    return getattr(import_module(_PUBLIC[name]), name)
