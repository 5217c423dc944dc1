"""The translation stage: the sentences of one shard into one language; and anybody's file of texts."""

from __future__ import annotations

import contextlib
import logging
import shutil
import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import polars as pl

from mmclip.config.translation import Memory, Translation
from mmclip.errors import UserError
from mmclip.languages import ENGLISH, LANGUAGES, language
from mmclip.sentences import split
from mmclip.tables.files import locked, read_table, write_table
from mmclip.tables.ingest import STUDIES
from mmclip.tables.phantom import FAULTS
from mmclip.tables.sharding import shard_of
from mmclip.tables.translation import SENTENCES
from mmclip.translation.compare import NUMBERS, Check, compare_engines, sample
from mmclip.translation.engine import Translated
from mmclip.translation.engines import build
from mmclip.translation.faults import inject
from mmclip.translation.flags import flags_of
from mmclip.translation.once import Once, translate_once
from mmclip.translation.store import Store
from mmclip.translation.texts import read_texts, write_texts

logger = logging.getLogger("mmclip.translation")

SOURCE = "source"
"""The engine's name where nothing is translated: the report is in the language that is asked for."""


def translate(
    settings: Translation,
    studies: Path,
    to: str,
    shard: int,
    shards: int,
    output: Path,
    faults_output: Path,
    seed: int = 0,
    store: Path | None = None,
) -> dict[str, Any]:
    """Translate the sentences of one shard of the studies into one language.

    Args:
        studies: the STUDIES table; studies without text are left out.
        to: FLORES-200 code. Reports in this language are passed on as they are, by the engine ``source``.
        shard, shards: studies with ``shard_of(study_id, shards) == shard``.
        output: the SENTENCES table, in the order of the studies and of their sentences.
        faults_output: the FAULTS table of what was injected (see :mod:`mmclip.translation.faults`).
        seed: of the injected faults.
        store: folder of the store of translations; the settings' own goes before it, and without either it is
            ``.store`` beside the language's folder.

    Returns:
        Counts: studies, sentences, distinct, new (translated by this call), cleaned and too_long (see
        :class:`mmclip.translation.once.Once`), flags and faults by kind; seconds.

    Raises:
        UserError: an unknown language or engine, or an engine that cannot work.
    """
    start = time.monotonic()
    language(to, "--to")
    if not 0 <= shard < shards:
        raise UserError(f"--shard: {shard} of {shards} does not exist; shards are 0 to {shards - 1}")
    rows = _sentences(read_table(studies, STUDIES), shard, shards)
    folder = settings.store or store or output.parent.parent / ".store"
    done = _translations(settings, rows, to, folder)
    found = [done[code].known[sentence] for code, sentence in zip(rows["language"], rows["source"], strict=True)]
    engine = settings.engine_of(to)
    faults = _inject(settings, engine, seed, to, rows, found)
    frame = rows.select(
        "study_id",
        "index",
        "source",
        pl.Series("translation", [translated.text for translated in found], dtype=pl.String),
        pl.when(pl.col("language") == to).then(pl.lit(SOURCE)).otherwise(pl.lit(engine)).alias("engine"),
        pl.Series("flags", [list(translated.flags) for translated in found], dtype=pl.List(pl.String)),
    )
    write_table(faults, faults_output, FAULTS)
    write_table(frame, output, SENTENCES)
    summary = {
        "studies": rows["study_id"].n_unique(),
        "sentences": rows.height,
        "distinct": sum(len(once.known) for once in done.values()),
        "new": sum(once.new for once in done.values()),
        "cleaned": sum(once.cleaned for once in done.values()),
        "too_long": sum(once.too_long for once in done.values()),
        "flags": dict(sorted(Counter(flag for translated in found for flag in translated.flags).items())),
        "faults": dict(sorted(Counter(faults["kind"]).items())),
        "seconds": round(time.monotonic() - start, 2),
    }
    logger.info("%s, shard %d of %d: %s", to, shard, shards, summary)
    return summary


def translate_file(
    settings: Translation,
    texts: Path,
    to: str,
    output: Path,
    engine: str | None = None,
    compare: tuple[str, str] | None = None,
    source: str = ENGLISH,
    size: int = 1000,
    checks: Mapping[str, Check] = NUMBERS,
) -> dict[str, Any]:
    """Translate a file of texts, and with `compare` a sample of it by two engines, to see where they differ.

    Args:
        texts: study_id, text (CSV, TSV or Parquet by its ending).
        to, source: FLORES-200 codes.
        output: study_id, language, text: the translated sentences joined by a space (by nothing in Chinese and
            Japanese), by the first engine.
        engine: name of an engine of the settings; None for the first that is compared, or the settings' own for this
            language.
        compare: names of two; both translate a sample afresh, so that their times compare.
        size: distinct sentences of the sample.
        checks: what is looked for in both engines' translations.

    Returns:
        Counts; with `compare` also the result of :func:`mmclip.translation.compare.compare_engines`.
    """
    language(to, "--to")
    language(source, "source")
    frame = read_texts(texts)
    sentences = [split(text) for text in frame["text"]]
    distinct = list(dict.fromkeys(sentence for some in sentences for sentence in some))
    name = engine or (compare[0] if compare else settings.engine_of(to))
    # Without a store of its own the file gets one beside it, which only outlives a run that is killed.
    folder = settings.store or output.with_name(f".{output.name}.store")
    with locked(output.with_name(f".{output.name}.run")):
        once = _with(settings, name, distinct, source, to, folder)
        write_texts(_joined(frame, sentences, once, to), output)
        if settings.store is None:
            shutil.rmtree(folder, ignore_errors=True)
    flags = Counter(flag for translated in once.known.values() for flag in translated.flags)
    summary = {
        "texts": frame.height,
        "distinct": len(distinct),
        "new": once.new,
        "cleaned": once.cleaned,
        "too_long": once.too_long,
        "engine": name,
        "flags": dict(sorted(flags.items())),
    }
    if compare:
        summary["comparison"] = _compare(settings, compare, sample(distinct, size), source, to, checks)
    return summary


def _joined(frame: pl.DataFrame, sentences: list[list[str]], once: Once, to: str) -> pl.DataFrame:
    """study_id, language and translation of each text."""
    joiner = "" if LANGUAGES[to].tokens == "character" else " "
    texts = [joiner.join(filter(None, (once.known[sentence].text for sentence in some))) for some in sentences]
    return frame.select(
        "study_id", pl.lit(to, dtype=pl.String).alias("language"), pl.Series("text", texts, dtype=pl.String)
    )


def _compare(
    settings: Translation,
    names: tuple[str, str],
    sentences: list[str],
    source: str,
    to: str,
    checks: Mapping[str, Check],
) -> dict[str, Any]:
    """Both engines on a sample, each from nothing."""
    results, seconds = [], []
    for name in names:
        start = time.monotonic()
        once = _with(settings, name, sentences, source, to, None)
        seconds.append(time.monotonic() - start)
        results.append([once.known[sentence] for sentence in sentences])
    return compare_engines(names, sentences, results, seconds, source, to, checks)


def _with(settings: Translation, name: str, sentences: list[str], source: str, to: str, folder: Path | None) -> Once:
    """Translate sentences by the engine of a name; without a folder the store lasts for this call only."""
    with contextlib.ExitStack() as stack:
        where = folder or Path(stack.enter_context(TemporaryDirectory()))
        store = stack.enter_context(Store(where / "translations.sqlite", settings.store_shared))
        engine = build(settings, name)
        stack.callback(engine.close)
        return translate_once(engine, sentences, source, to, store, settings.block, settings.max_characters)


def _sentences(studies: pl.DataFrame, shard: int, shards: int) -> pl.DataFrame:
    """study_id, language, index and source of each sentence of the shard."""
    columns: dict[str, list[Any]] = {"study_id": [], "language": [], "index": [], "source": []}
    for study, code, text in studies.select("study_id", "language", "text").iter_rows():
        if shard_of(study, shards) != shard:
            continue
        sentences = split(text)
        columns["study_id"] += [study] * len(sentences)
        columns["language"] += [code] * len(sentences)
        columns["index"] += range(len(sentences))
        columns["source"] += sentences
    schema = {"study_id": pl.String, "language": pl.String, "index": pl.Int32, "source": pl.String}
    return pl.DataFrame(columns, schema=schema)


def _translations(settings: Translation, rows: pl.DataFrame, to: str, folder: Path) -> dict[str, Once]:
    """What was done for each source language."""
    done: dict[str, Once] = {}
    for (code,), group in rows.group_by("language", maintain_order=True):
        sentences = group["source"].unique(maintain_order=True).to_list()
        if code == to:
            done[to] = Once({sentence: Translated(sentence) for sentence in sentences}, 0)
        else:
            done[str(code)] = _with(settings, settings.engine_of(to), sentences, str(code), to, folder)
    return done


def _inject(
    settings: Translation, engine: str, seed: int, to: str, rows: pl.DataFrame, found: list[Translated]
) -> pl.DataFrame:
    """Put faults into the phrase book's translations in `found`; the FAULTS table of what was done."""
    chosen = settings.engines[engine]
    faults: list[dict[str, object]] = []
    if not isinstance(chosen, Memory) or chosen.file is not None or chosen.faults.rate == 0:
        return FAULTS.empty()
    for row, (study, code, index, sentence) in enumerate(rows.iter_rows()):
        if code != ENGLISH or code == to:
            continue
        faulty = inject(chosen.faults, seed, to, sentence, found[row].text, study, index)
        if faulty is not None:
            found[row] = Translated(faulty[0], flags_of(sentence, faulty[0]))
            faults.append({"study_id": study, "index": index, "language": to, "kind": faulty[1]})
    return FAULTS.frame(faults)
