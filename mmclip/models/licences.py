"""The licence lineage of a model: what it was made from, under which terms, and what follows for the weights.

A statement of facts for whoever decides on its use; no legal advice.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

KNOWN = (
    # name (regular expression), licence of the weights: as their model cards say
    (r"nllb", "CC-BY-NC-4.0"),
    (r"madlad", "Apache-2.0"),
    (r"opus-mt|helsinki-nlp", "CC-BY-4.0 or Apache-2.0, see the model's card"),
    (r"apertium", "GPL, see the language pair"),
    (r"xlm-roberta", "MIT"),
    (r"multilingual-e5", "MIT"),
    (r"rad-dino", "MIT, older revisions MSRLA; shared for research only"),
    (r"swin_(tiny|small|base|large)", "MIT"),
    (r"phrasebook|phantom", "Apache-2.0"),
)
"""Licences of weights and engines that configurations of mmclip name."""

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


def known_licence(name: str) -> str:
    """The licence of published weights or of an engine; empty if it is not known here."""
    return next((licence for pattern, licence in KNOWN if re.search(pattern, name, re.IGNORECASE)), "")


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
