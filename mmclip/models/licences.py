"""The licence lineage of a model: what it was made from, under which terms, and what follows for the weights.

A statement of facts for whoever decides on its use; no legal advice.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

WEIGHTS = (
    # the published name as a regular expression, licence: as the model cards say
    (r"(FacebookAI/)?xlm-roberta-(base|large)", "MIT"),
    (r"intfloat/multilingual-e5-(small|base|large)", "MIT"),
    (r"(timm/)?densenet121(\.ra_in1k)?", "Apache-2.0"),
    (r"microsoft/rad-dino", "MIT, older revisions MSRLA; shared for research only"),
    (
        r"(timm/)?swin_(tiny|small|base|large)_patch4_window(7_224|12_384)(\.ms_in(1k|22k|22k_ft_in1k))?",
        "MIT",
    ),
)
"""Licences of published weights that configurations of mmclip name."""
ENGINES = (
    # a word of the engine's description: its name, its kind, or the published model
    (r"(facebook/)?nllb(-transformers|-200-(distilled-)?(600M|1\.3B|3\.3B))?", "CC-BY-NC-4.0"),
    (r"google/madlad400-(3b|7b|10b)-mt", "Apache-2.0"),
    (r"Helsinki-NLP/opus-mt-[\w-]+", "CC-BY-4.0 or Apache-2.0, see the model's card"),
    (r"apertium", "GPL, see the language pair"),
    (r"phrasebook", "Apache-2.0"),
)
"""Licences of translation engines; every engine of kind ``nllb`` reads NLLB's weights, whatever its folder's name."""

CONSEQUENCES = (
    # in a licence, or in what it forbids after the word "forbids"; what follows
    (
        r"\bNC\b|non-?commercial|no commercial|forbids commercial|academic",
        "non-commercial use only",
    ),
    (r"research (only|use)", "for research only"),
    (
        r"use agreement|\bDUA\b|credentialed",
        "bound by a data use agreement: whoever gets the weights, or texts and pictures made with them, may have to "
        "sign it first",
    ),
)


@dataclass(frozen=True)
class Origin:
    """One thing that a model was made from.

    Attributes:
        name: of the data set, the weights or the translation engine.
        role: data, image weights, text weights or translation.
        licence: as it was published; empty where nobody said.
        forbids: what it forbids, a line each.
    """

    name: str
    role: str
    licence: str = ""
    forbids: tuple[str, ...] = ()


def known_licence(name: str, role: str) -> str:
    """The licence of published weights or of an engine; empty if it is not known here.

    Only whole published names count. A folder on this machine may be called like a published model and hold another
    one, so its name says nothing; nor does that of a model which was imported (its role is none of those below).

    Args:
        name: as a configuration says it; of an engine its name, kind and model, separated by blanks.
        role: image weights, text weights or translation.
    """
    if role == "translation":
        return next((licence for word in name.split() if (licence := _whole(ENGINES, word))), "")
    if role not in ("image weights", "text weights") or Path(name).exists():
        return ""
    return _whole(WEIGHTS, name)


def _whole(known: Sequence[tuple[str, str]], name: str) -> str:
    return next((licence for pattern, licence in known if re.fullmatch(pattern, name)), "")


def consequences(origins: Sequence[Origin]) -> list[str]:
    """What follows for the model, a line each: restrictions that it inherits, and terms that are unknown."""
    out = []
    for pattern, consequence in CONSEQUENCES:
        names = [o.name for o in origins if re.search(pattern, _terms(o), re.IGNORECASE)]
        if names:
            out.append(f"{consequence} (from {', '.join(dict.fromkeys(names))})")
    unknown = [o.name for o in origins if not o.licence]
    if unknown:
        out.append(f"terms not known: {', '.join(dict.fromkeys(unknown))}; find them before you use or share the model")
    return out


def _terms(origin: Origin) -> str:
    return "; ".join([origin.licence, *(f"forbids {line}" for line in origin.forbids)])
