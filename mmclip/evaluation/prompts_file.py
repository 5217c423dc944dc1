"""A file of prompts: language -> class -> sentences."""

from __future__ import annotations

from pathlib import Path

from mmclip.config.documents import read_yaml
from mmclip.errors import UserError
from mmclip.languages import language

Prompts = dict[str, dict[str, tuple[str, ...]]]


def read_prompts(file: Path, classes: tuple[str, ...], languages: tuple[str, ...]) -> Prompts:
    """Prompts of the configured languages; the file may hold more, which are checked too.

    Raises:
        UserError: the file is not such a mapping, a class has no sentence, or no configured language is in it.
    """
    content = read_yaml(file)
    if not isinstance(content, dict) or not all(isinstance(by_class, dict) for by_class in content.values()):
        raise UserError(f"{file}: must map languages to classes to lists of sentences")
    out: Prompts = {}
    for code, by_class in content.items():
        language(str(code), where=str(file))
        for name in classes:
            sentences = by_class.get(name)
            if not sentences:
                raise UserError(f"{file}: {code}: no prompts for {name!r}; give at least one sentence")
            if not isinstance(sentences, list) or not all(isinstance(one, str) and one.strip() for one in sentences):
                raise UserError(f"{file}: {code}: {name}: must be a list of sentences, none of them empty")
        if code in languages:
            out[code] = {name: tuple(by_class[name]) for name in classes}
    if not out:
        raise UserError(f"{file}: none of the configured languages ({', '.join(languages)}) has prompts")
    return out
