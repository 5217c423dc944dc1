"""Which files of a model's folder decide what the model computes. Standard library only, as the provenance is."""

from __future__ import annotations

from pathlib import Path


def model_files(folder: Path) -> list[Path]:
    """The files of a model's folder, sorted, without hidden ones and README.md.

    Sub-folders do not count: neither Hugging Face nor CTranslate2 reads them.
    """
    return [
        file
        for file in sorted(folder.iterdir())
        if file.is_file() and not file.name.startswith(".") and file.suffix != ".md"
    ]
