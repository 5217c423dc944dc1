"""``mmclip fetch``: the one command that uses a network, to get pretrained weights into the local cache."""

from __future__ import annotations

import os
from pathlib import Path

from mmclip.doctor import NLLB_LICENCE, WEIGHTS
from mmclip.errors import UserError

PATTERNS = ("*.safetensors", "*.json", "*.txt", "*.model", "tokenizer*", "LICENSE*", "README.md")
"""What is fetched of a model: safetensors, never pickled weights."""

NLLB_FAMILY = "facebook/nllb-"
"""How the names of all its models begin: they have one licence."""


def fetch(name: str, accept_licence: bool = False, revision: str | None = None) -> Path:
    """Download a model of the Hugging Face hub into the cache, and return its folder.

    Args:
        revision: branch, tag, commit or ``refs/pr/N``; the hub's default branch if not given.

    Raises:
        UserError: the licence restricts use and was not accepted, the hub cannot be reached, or the model's weights
            are only there in pickled form.
    """
    licence = WEIGHTS.get(name) or (NLLB_LICENCE if name.startswith(NLLB_FAMILY) else "")
    if "CC-BY-NC" in licence and not accept_licence:
        raise UserError(f"{name}: {licence}; repeat with --accept-licence if your use is allowed by it")
    os.environ.pop("HF_HUB_OFFLINE", None)
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    try:
        folder = Path(snapshot_download(name, allow_patterns=list(PATTERNS), revision=revision))
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
        raise UserError(f"{name}: cannot be fetched ({str(error).splitlines()[0]}); is there a network?") from error
    if not list(folder.rglob("*.safetensors")):
        raise UserError(
            f"{name}: this revision has no .safetensors file, and pickled weights are not read; the hub often has a "
            f"converted one as a pull request: try --revision refs/pr/N"
        )
    return folder
