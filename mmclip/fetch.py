"""``mmclip fetch``: the one command that uses a network, to get pretrained weights into the local cache."""

from __future__ import annotations

import os
from pathlib import Path

from mmclip.doctor import WEIGHTS
from mmclip.errors import UserError

PATTERNS = ("*.safetensors", "*.json", "*.txt", "*.model", "tokenizer*", "LICENSE*", "README.md", "pytorch_model.bin")
"""What a model folder needs. Some repositories (NLLB) carry only a pickled `pytorch_model.bin`: `mmclip convert` reads it
with `weights_only` and everything after uses the converted folder."""


def fetch(name: str, accept_licence: bool = False) -> Path:
    """Download a model of the Hugging Face hub into the cache, and return its folder.

    Raises:
        UserError: the licence restricts use and was not accepted, or the hub cannot be reached.
    """
    licence = WEIGHTS.get(name, "")
    if "CC-BY-NC" in licence and not accept_licence:
        raise UserError(f"{name}: {licence}; repeat with --accept-licence if your use is allowed by it")
    os.environ.pop("HF_HUB_OFFLINE", None)
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    try:
        return Path(snapshot_download(name, allow_patterns=list(PATTERNS)))
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
        raise UserError(f"{name}: cannot be fetched ({str(error).splitlines()[0]}); is there a network?") from error
