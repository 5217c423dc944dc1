"""A model's output layer cut to the pieces that some languages use.

The output layer is 262 of the 463 million weights that NLLB-600M reads for each piece it writes (256,206 rows of
1,024), most of them for languages that nobody asked for. Only the decoder's rows go: the encoder keeps its own, so
that every source is read as before. What the whole model would have written with the rows that are left, the pruned
one writes.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence
from functools import cache
from typing import Any

from mmclip.languages import language

SCRIPTS = {
    "Latn": ("LATIN",),
    "Cyrl": ("CYRILLIC",),
    "Arab": ("ARABIC",),
    "Deva": ("DEVANAGARI",),
    "Hans": ("CJK",),
    "Jpan": ("CJK", "HIRAGANA", "KATAKANA", "KATAKANA-HIRAGANA"),
    "Hang": ("HANGUL", "CJK"),
}
"""ISO 15924 code -> first words of the names that Unicode gives to its letters."""

_EVERYWHERE = {
    "LATIN", "GREEK", "MICRO", "COMBINING", "MODIFIER", "FULLWIDTH", "HALFWIDTH", "MASCULINE", "FEMININE",
    "IDEOGRAPHIC", "VARIATION", "SUPERSCRIPT", "SUBSCRIPT",
}  # fmt: skip
"""Letters that reports in any script hold: CT, mm, µm, Greek letters, marks."""
_SPACE = "▁"


def kept_pieces(
    vocabulary: Sequence[str], special: Iterable[str], targets: Sequence[str], used: set[str] | None = None
) -> list[int]:
    """Rows of a vocabulary that translation into `targets` needs, in order.

    Kept are the special tokens and language tokens of `targets`; pieces without a letter; and pieces of letters of the
    targets' scripts or of Latin script, in which every report writes units and names. With `used`, of the pieces of
    letters only those in it and single characters are kept.

    Args:
        vocabulary: the target pieces by row, SentencePiece's.
        special: tokens that are no text and no language (``</s>``, ``<pad>``).
        targets: FLORES-200 codes.
        used: pieces that occur in texts of these languages.
    """
    always = {*special, *targets}
    names = _EVERYWHERE | {name for code in targets for name in SCRIPTS[language(code, "languages").script]}
    rows = []
    for row, piece in enumerate(vocabulary):
        scripts = {_script(character) for character in piece}
        wanted = used is None or piece in used or len(piece.strip(_SPACE)) <= 1 or scripts == {""}
        if piece in always or (wanted and scripts - {""} <= names and not _is_token(piece)):
            rows.append(row)
    return rows


def _is_token(piece: str) -> bool:
    """Whether a piece is a language's token, or a row that the model has and the tokenizer does not."""
    start, _, script = piece.partition("_")
    language_token = len(start) == 3 and len(script) == 4 and script.isalpha() and script.istitle()
    return language_token or piece.startswith("madeupword") or (piece[:1], piece[-1:]) == ("<", ">")


@cache
def _script(character: str) -> str:
    """The first word of a letter's or mark's Unicode name; empty for digits, punctuation and symbols."""
    if unicodedata.category(character)[0] not in "LM":
        return ""
    return unicodedata.name(character, "UNNAMED").split()[0]


def prune(spec: Any, rows: Sequence[int]) -> None:
    """Leave only some rows of a CTranslate2 model's decoder and of its target vocabulary.

    NLLB's decoder reads and writes with one matrix, so its embeddings and its output layer are cut alike.

    Args:
        spec: ``ctranslate2.specs.TransformerSpec`` before ``optimize``, with its vocabularies registered.
        rows: what :func:`kept_pieces` gives.
    """
    vocabulary = spec._vocabularies["target"][0]
    weight = getattr(spec.decoder.embeddings.weight, "tensor", spec.decoder.embeddings.weight)
    kept = weight.detach()[list(rows)].clone()
    spec.decoder.embeddings.weight = spec.decoder.projection.weight = kept
    spec._vocabularies["target"][0] = [vocabulary[row] for row in rows]
