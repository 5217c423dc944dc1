"""From a Hugging Face translation model to CTranslate2's format, once, with a manifest of what it was made from."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, get_args

from mmclip.config.translation import Quantization
from mmclip.errors import UserError
from mmclip.tables.files import atomic, write_json
from mmclip.translation.decoding import folder_digest, load_tokenizer, token_of_language
from mmclip.translation.prune import kept_pieces, prune

MANIFEST = "mmclip.json"


BY_DEVICE = {"cpu": "int8", "cuda": "bfloat16"}
"""What ``auto`` means: the fastest on a CPU, and on a GPU of 2020 or later the one that loses nothing."""


def convert(
    model: Path | str,
    output: Path,
    quantization: str = "auto",
    device: str = "auto",
    languages: Sequence[str] = (),
    texts: Sequence[Path] = (),
) -> dict[str, Any]:
    """Convert a model folder; the output has the model, its tokenizer and :data:`MANIFEST`.

    Args:
        model: Hugging Face folder with safetensors and a tokenizer, or the name of one in the hub's cache on this
            machine (nothing is downloaded).
        output: folder to make or replace, all at once.
        quantization: of the weights, one of :data:`mmclip.config.translation.Quantization`; ``auto`` goes by
            the device.
        device: ``cpu``, ``cuda`` or ``auto`` (this machine's); an older GPU without bfloat16 gets int8_float16.
        languages: FLORES-200 codes; the output layer is cut to the pieces that they use
            (:mod:`mmclip.translation.prune`), and the model translates into no others. Empty: it stays whole.
        texts: files of text in these languages, a sentence a line; of the pieces of letters only theirs are kept.

    Returns:
        The manifest: digests of source and result, quantization, rows of the output layer, versions.

    Raises:
        UserError: the folder holds no safetensors, or no model that CTranslate2 knows, or no model with language tokens
            where languages are named.
    """
    folder = _folder(model)
    if not list(folder.glob("*.safetensors")):
        raise UserError(f"{model}: holds no .safetensors file (pickled weights are not read); save it as safetensors")
    chosen = _quantization(quantization, device)
    if texts and not languages:
        raise UserError("texts: they say which pieces some languages use; name the languages too")
    with atomic(output) as temporary:
        shutil.rmtree(temporary, ignore_errors=True)
        tokenizer = load_tokenizer(folder, "convert")
        rows = _convert(folder, temporary, chosen, tokenizer, languages, texts)
        tokenizer.save_pretrained(temporary)
        manifest = {
            "source": str(model) if str(model) != str(folder) else folder.name,
            "source_digest": folder_digest(folder),
            "quantization": chosen,
            "languages": sorted(languages),
            "output_rows": rows,
            "ctranslate2": version("ctranslate2"),
            "transformers": version("transformers"),
            "digest": folder_digest(temporary),
        }
        write_json(manifest, temporary / MANIFEST)
    return manifest


def languages_of(folder: Path) -> list[str]:
    """Languages that a converted model was cut to; empty where it is whole, or not ours."""
    file = folder / MANIFEST
    if not file.is_file():
        return []
    found: list[str] = json.loads(file.read_text(encoding="utf-8")).get("languages", [])
    return found


def _quantization(wanted: str, device: str) -> str:
    """The type of the weights that is meant by an option, on a device."""
    known = ("auto", *get_args(Quantization))
    if wanted not in known:
        raise UserError(f"quantization: {wanted!r} is unknown; choose {', '.join(known)}")
    if device not in ("auto", *BY_DEVICE):
        raise UserError(f"device: {device!r} is unknown; choose auto, {', '.join(BY_DEVICE)}")
    if wanted != "auto":
        return wanted
    import ctranslate2

    gpu = ctranslate2.get_cuda_device_count() > 0
    chosen = BY_DEVICE[("cuda" if gpu else "cpu") if device == "auto" else device]
    if chosen == "bfloat16" and gpu and "bfloat16" not in ctranslate2.get_supported_compute_types("cuda"):
        return "int8_float16"
    return chosen


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


def _convert(
    model: Path, output: Path, quantization: str, tokenizer: Any, languages: Sequence[str], texts: Sequence[Path]
) -> int:
    """Write the CTranslate2 model; the rows of its output layer."""
    from ctranslate2.converters import TransformersConverter
    from safetensors import SafetensorError

    rows: list[int] = []

    class SafeConverter(TransformersConverter):  # type: ignore[misc]
        """CTranslate2's converter, kept from the network and from pickles, and with the output layer cut."""

        def load_model(self, model_class: Any, name: str, **options: Any) -> Any:
            return model_class.from_pretrained(
                name, local_files_only=True, use_safetensors=True, trust_remote_code=False, **options
            )

        def _load(self) -> Any:
            spec = super()._load()
            vocabulary = spec._vocabularies["target"][0]
            if languages:
                for code in languages:
                    token_of_language(tokenizer, code, "convert")
                used = _pieces(tokenizer, texts) if texts else None
                special = {tokenizer.bos_token, tokenizer.eos_token, tokenizer.pad_token, tokenizer.unk_token}
                rows.extend(kept_pieces(vocabulary, special, languages, used))
                prune(spec, rows)
            else:
                rows.extend(range(len(vocabulary)))
            return spec

    try:
        SafeConverter(str(model)).convert(str(output), quantization=None if quantization == "float32" else quantization)
    except (ValueError, OSError, KeyError, SafetensorError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise UserError(f"{model}: cannot be converted to CTranslate2 ({reason})") from error
    return len(rows)


def _pieces(tokenizer: Any, texts: Sequence[Path]) -> set[str]:
    """The pieces that occur in some files of text."""
    used: set[int] = set()
    for file in texts:
        try:
            lines = file.read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise UserError(f"{file}: cannot be read as UTF-8 text, a sentence a line") from error
        for ids in tokenizer(lines, add_special_tokens=False)["input_ids"] if lines else []:
            used.update(ids)
    return set(tokenizer.convert_ids_to_tokens(sorted(used)))
