"""The thresholds of a language: drawn from a sample of all its shards, kept as JSON beside what they decide."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Mapping, Sequence
from heapq import nsmallest
from pathlib import Path
from typing import Any

import polars as pl

from mmclip.config.base import parse
from mmclip.config.filtering import Filtering, Thresholds
from mmclip.errors import UserError
from mmclip.filtering.drawing import RULE, draw
from mmclip.filtering.scoring import score
from mmclip.filtering.similarity import optional_scores
from mmclip.languages import language as known_language
from mmclip.tables.files import read_table, write_json
from mmclip.tables.translation import SENTENCES

log = logging.getLogger("mmclip.filter")


def draw_thresholds(
    settings: Filtering, translations: Sequence[Path], language: str, output: Path, seed: int
) -> dict[str, int]:
    """Draw the thresholds of every engine that translated into a language; writes JSON without report text.

    Args:
        translations: the language's SENTENCES shards; one is read at a time.

    Returns:
        Numbers of engines, of sampled sentences and of drawn thresholds.
    """
    known_language(language, str(output))
    engines: list[dict[str, Any]] = []
    for engine, sentences in sample(translations, settings.draw.sample, seed).items():
        scored = score(sentences, settings.source, language, optional_scores(settings.similarity))
        chosen, how = draw(scored, settings.draw, settings.thresholds)
        engines.append(
            {"engine": engine, "sentences": sentences.height, "drawn": how, "thresholds": chosen.model_dump()}
        )
    content = {"language": language, "rule": RULE, "settings": settings.draw.model_dump(), "seed": seed}
    write_json({**content, "engines": engines}, output)
    summary = {
        "engines": len(engines),
        "sentences": sum(row["sentences"] for row in engines),
        "drawn": sum(len(row["drawn"]) for row in engines),
    }
    log.info("thresholds of %s: %s", language, summary)
    return summary


def sample(translations: Sequence[Path], size: int, seed: int) -> dict[str, pl.DataFrame]:
    """engine -> up to `size` distinct sources, each with its first translation (columns source, translation).

    Those with the smallest keyed hashes: the choice depends on the seed and the sources, not on how often they occur.
    """
    chosen: dict[str, dict[bytes, tuple[str, str]]] = {}
    key = str(seed).encode()
    for path in translations:
        table = read_table(path, SENTENCES).select("engine", "source", "translation")
        firsts = table.unique(subset=["engine", "source"], keep="first", maintain_order=True)
        for (engine,), rows in firsts.group_by("engine", maintain_order=True):
            best = chosen.setdefault(str(engine), {})
            for _, source, text in rows.iter_rows():
                best.setdefault(hashlib.blake2b(source.encode(), digest_size=8, key=key).digest(), (source, text))
            chosen[str(engine)] = {number: best[number] for number in nsmallest(size, best)}
    return {
        engine: pl.DataFrame([best[number] for number in sorted(best)], schema=_PAIR, orient="row")
        for engine, best in sorted(chosen.items())
    }


_PAIR = {"source": pl.String, "translation": pl.String}


def read_thresholds(path: Path) -> Mapping[str, Thresholds]:
    """engine -> its thresholds.

    Raises:
        UserError: the file is missing or is none.
    """
    try:
        content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        return {row["engine"]: parse(Thresholds, row["thresholds"], str(path)) for row in content["engines"]}
    except FileNotFoundError as error:
        raise UserError(f"{path}: no such file; `mmclip draw-thresholds` makes it") from error
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path}: not a file of thresholds; `mmclip draw-thresholds` makes one") from error
