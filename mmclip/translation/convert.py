"""From a Hugging Face translation model to CTranslate2's format, once, with a manifest of what it was made from."""

from __future__ import annotations

import shutil
from importlib.metadata import version
from pathlib import Path
from typing import Any, get_args

from mmclip.config.translation import Quantization
from mmclip.errors import UserError
from mmclip.tables.files import atomic, write_json
from mmclip.translation.decoding import folder_digest, load_tokenizer

MANIFEST = "mmclip.json"


def convert(model: Path | str, output: Path, quantization: str = "int8") -> dict[str, Any]:
    """Convert a model folder; the output has the model, its tokenizer and :data:`MANIFEST`.

    Args:
        model: Hugging Face folder with safetensors and a tokenizer, or the name of one in the hub's cache on this
            machine (nothing is downloaded).
        output: folder to make or replace, all at once.
        quantization: of the weights, one of :data:`mmclip.config.translation.Quantization`; int8 halves NLLB's time
            on a CPU, float16 is for GPUs.

    Returns:
        The manifest: digests of source and result, quantization, versions.

    Raises:
        UserError: the folder holds no safetensors, or no model that CTranslate2 knows.
    """
    folder = _folder(model)
    if not list(folder.glob("*.safetensors")):
        raise UserError(f"{model}: holds no .safetensors file (pickled weights are not read); save it as safetensors")
    if quantization not in get_args(Quantization):
        raise UserError(f"quantization: {quantization!r} is unknown; choose {', '.join(get_args(Quantization))}")
    with atomic(output) as temporary:
        shutil.rmtree(temporary, ignore_errors=True)
        _convert(folder, temporary, quantization)
        load_tokenizer(folder, "convert").save_pretrained(temporary)
        manifest = {
            "source": str(model) if str(model) != str(folder) else folder.name,
            "source_digest": folder_digest(folder),
            "quantization": quantization,
            "ctranslate2": version("ctranslate2"),
            "transformers": version("transformers"),
            "digest": folder_digest(temporary),
        }
        write_json(manifest, temporary / MANIFEST)
    return manifest


def _folder(model: Path | str) -> Path:
    """The folder of a model that is given as a folder or by its name in the hub's cache."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError

    if Path(model).is_dir():
        return Path(model)
    try:
        return Path(snapshot_download(str(model), local_files_only=True))
    except (HFValidationError, LocalEntryNotFoundError) as error:
        raise UserError(f"{model}: no such folder, and no such model in the hub's cache; fetch it first") from error


def _convert(model: Path, output: Path, quantization: str) -> None:
    from ctranslate2.converters import TransformersConverter
    from safetensors import SafetensorError

    class SafeConverter(TransformersConverter):  # type: ignore[misc]
        """CTranslate2's converter, kept from the network and from pickles."""

        def load_model(self, model_class: Any, name: str, **options: Any) -> Any:
            return model_class.from_pretrained(name, local_files_only=True, use_safetensors=True, **options)

    try:
        SafeConverter(str(model)).convert(str(output), quantization=None if quantization == "float32" else quantization)
    except (ValueError, OSError, KeyError, SafetensorError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise UserError(f"{model}: cannot be converted to CTranslate2 ({reason})") from error
