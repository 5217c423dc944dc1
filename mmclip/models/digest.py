"""The name of a model's content: which weights and which configuration."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from mmclip.models.card import CARD, POLICY, PROMPTS

ABOUT = (CARD, POLICY, PROMPTS)
"""What is said about a model, and changes no embedding."""


def weights_digest(folder: Path) -> str:
    """Hash of a model folder's safetensors files and JSON files, its card apart, 16 hexadecimal digits."""
    total = hashlib.sha256()
    for file in sorted([*folder.glob("*.safetensors"), *folder.glob("*.json")]):
        if file.name in ABOUT:
            continue
        with file.open("rb") as content:
            total.update(json.dumps([file.name, hashlib.file_digest(content, "sha256").hexdigest()]).encode())
    return total.hexdigest()[:16]
