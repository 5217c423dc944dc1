"""A model's folder: JSON and safetensors only, no pickle.

config.json, model.safetensors     settings with the preprocessing, all weights
tokenizer.json, …                  the text tower's tokenizer
text/, image/                      each tower alone, for transformers and for timm (or transformers)
card.json, README.md               data, languages, metrics, terms (:mod:`mmclip.models.card`)
prompts.json, label_policy.json    where the card has them
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from transformers import PreTrainedTokenizerFast

from mmclip.config.base import parse
from mmclip.config.models import ModelSettings
from mmclip.errors import UserError
from mmclip.models import timm_images
from mmclip.models.card import ModelCard, write_card
from mmclip.models.image_encoder import ImageEncoder
from mmclip.models.output import FORMAT
from mmclip.models.text_encoder import TextEncoder
from mmclip.models.tokenizer import load_tokenizer
from mmclip.models.towers import write_hugging_face, write_text_tower
from mmclip.models.weights import CONFIG, PICKLES, WEIGHTS, save_weights
from mmclip.tables.files import atomic

if TYPE_CHECKING:
    from mmclip.models.dual_encoder import DualEncoder

VERSION = 1


@dataclass(frozen=True)
class Saved:
    """What a folder says before its weights are read.

    Attributes:
        text_config: Hugging Face's configuration, None for a bag of words.
        image_config: Hugging Face's configuration, None for a model of timm.
    """

    settings: ModelSettings
    text_config: dict[str, Any] | None
    image_config: dict[str, Any] | None
    tokenizer: PreTrainedTokenizerFast


def write(model: DualEncoder, path: Path, card: ModelCard) -> None:
    """Write the folder atomically."""
    text_config = model.text.backbone.config.to_dict() if isinstance(model.text, TextEncoder) else None
    hugging_face = model.settings.image.library == "hugging_face"
    image_config = model.image.backbone.config.to_dict() if hugging_face else None
    config = {
        "format": FORMAT,
        "version": VERSION,
        "settings": model.settings.model_dump(mode="json"),
        "preprocessing": {
            "channels": 1,
            "range": "uint8 grey levels divided by 255",
            "size": model.settings.image.size,
            "mean": model.settings.image.mean,
            "std": model.settings.image.std,
        },
        "text_config": text_config,
        "image_config": image_config,
    }
    with atomic(path) as temporary:
        temporary.mkdir()
        (temporary / CONFIG).write_text(json.dumps(config, indent=1) + "\n", encoding="utf-8")
        save_weights(model, temporary / WEIGHTS)
        model.tokenizer.save_pretrained(temporary)
        write_card(card, model.settings, temporary)
        _write_image_tower(model.image, temporary / "image")
        if isinstance(model.text, TextEncoder):
            write_text_tower(model.text.backbone, model.tokenizer, temporary / "text")


def _write_image_tower(image: ImageEncoder, path: Path) -> None:
    """Write an image tower as a folder that timm (``local-dir:``), or else ``AutoModel``, reads."""
    if image.settings.library == "hugging_face":
        write_hugging_face(image.backbone, path)
        return
    path.mkdir()
    config = timm_images.local_config(image.settings, image.width, channels=1)
    (path / CONFIG).write_text(json.dumps(config, indent=1) + "\n", encoding="utf-8")
    save_weights(image.backbone, path / WEIGHTS)


def read(path: Path) -> Saved:
    """The settings, text configuration and tokenizer of a folder.

    Raises:
        UserError: it is no folder of a dual encoder, or its weights are pickled.
    """
    if not path.is_dir():
        raise UserError(f"{path}: no such model folder")
    if not (path / WEIGHTS).exists():
        pickled = sorted(file.name for file in path.iterdir() if file.suffix in PICKLES)
        if pickled:
            raise UserError(f"{path / pickled[0]}: pickled weights can run code and are not read; save as {WEIGHTS}")
        raise UserError(f"{path}: holds no {WEIGHTS}, so it is not a saved model")
    try:
        config = json.loads((path / CONFIG).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"{path / CONFIG}: is missing or not JSON; a saved model has one") from error
    if not isinstance(config, dict) or config.get("format") != FORMAT:
        raise UserError(f"{path / CONFIG}: does not say format {FORMAT!r}, so this is not a model of mmclip")
    if config.get("version") != VERSION:
        raise UserError(f"{path / CONFIG}: version {config.get('version')!r}, this mmclip reads version {VERSION}")
    settings = parse(ModelSettings, config.get("settings"), str(path / CONFIG))
    return Saved(settings, config.get("text_config"), config.get("image_config"), load_tokenizer(path))
