"""Where a model's folder may be written: what lies there already must be one too."""

from __future__ import annotations

import json
from pathlib import Path

from mmclip.errors import UserError

FORMAT = "mmclip-dual-encoder"
"""What config.json of a model's folder says that it is."""
OPEN_CLIP_CONFIG = "open_clip_config.json"


def check_output(output: Path, source: Path) -> None:
    """Refuse to write a folder, which replaces what is there, over anything but a model.

    Args:
        output: the folder to write.
        source: the folder that it is made from.

    Raises:
        UserError: `output` would replace `source`, or holds something that is neither a model of mmclip nor of
            open_clip.
    """
    if source.resolve().is_relative_to(output.resolve()):
        raise UserError(f"{output}: would replace the model {source}; give another folder")
    if output.is_dir() and not any(output.iterdir()):
        return
    if output.exists() and not _is_model(output):
        raise UserError(f"{output}: holds something else than a model, which would be lost; give another folder")


def _is_model(folder: Path) -> bool:
    if (folder / OPEN_CLIP_CONFIG).is_file():
        return True
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(config, dict) and config.get("format") == FORMAT
