"""``mmclip filter``: somebody's own translations against their sources, whole texts, with the shipped thresholds."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from mmclip.config.filtering import Thresholds
from mmclip.errors import UserError
from mmclip.filtering.decisions import decide, keep_all, rules
from mmclip.filtering.scores import round_trip
from mmclip.filtering.scoring import SCORES, score
from mmclip.languages import ENGLISH, LANGUAGES, language
from mmclip.sentences import split
from mmclip.tables.files import atomic

_SEPARATORS = {".csv": ",", ".tsv": "\t"}


def filter_files(
    source: Path,
    translation: Path,
    output: Path,
    thresholds: Thresholds | None = None,
    source_language: str = ENGLISH,
    back: Path | None = None,
) -> dict[str, int]:
    """Score translations against their sources and say which to keep.

    Where a text and its translation have as many sentences as each other, they are compared sentence by sentence: the
    text is kept only if every sentence is, its reasons are those of all, and each score is its worst sentence's.
    Otherwise the two are compared as a whole. Texts in the source language are kept unless empty.

    Args:
        source: study_id, text (CSV, TSV or Parquet by its ending).
        translation: study_id, language (FLORES-200 code), text.
        back: study_id, language, text: the translations, translated back into the source's language. Whole texts are
            compared, by chrF and BLEU.
        output: study_id, language, kept, reasons (joined by ``;`` in CSV and TSV), ``score_*``; rows as in
            `translation`.

    Returns:
        Numbers of texts and of kept texts.
    """
    language(source_language, "source language")
    joined = _joined(_read(source, ("study_id", "text")), _read(translation, ("study_id", "language", "text")), source)
    for row, code in enumerate(joined["language"]):
        if code not in LANGUAGES:
            language(code, f"{translation}: row {row + 1}: language")
    if back is not None:
        joined = _with_back(joined, _read(back, ("study_id", "language", "text")), back)
    parts = [
        _verdicts(group, source_language, code, thresholds or Thresholds())
        for (code,), group in joined.group_by("language", maintain_order=True)
    ]
    columns = dict.fromkeys(ROUND_TRIP, pl.Float32) if back is not None else {}
    table = pl.concat(parts).sort("row").drop("row") if parts else pl.DataFrame(schema={**_OUTPUT, **columns})
    _write(table, output)
    return {"texts": table.height, "kept": int(table["kept"].sum())}


_OUTPUT: dict[str, pl.DataType | type[pl.DataType]] = {
    "study_id": pl.String,
    "language": pl.String,
    "kept": pl.Boolean,
    "reasons": pl.List(pl.String),
    **{score.column: pl.Float32 for score in SCORES},
}


def _joined(sources: pl.DataFrame, translations: pl.DataFrame, source: Path) -> pl.DataFrame:
    twice = sources.filter(sources["study_id"].is_duplicated())
    if twice.height:
        raise UserError(f"{source}: study_id {twice['study_id'][0]!r} occurs more than once; it must be unique")
    joined = translations.with_row_index("row").join(
        sources.rename({"text": "source"}), on="study_id", how="left", maintain_order="left"
    )
    unknown = joined.filter(pl.col("source").is_null())
    if unknown.height:
        raise UserError(f"{source}: study_id {unknown['study_id'][0]!r} of the translations is missing; add its source")
    return joined


ROUND_TRIP = ("score_chrf", "score_bleu")


def _with_back(joined: pl.DataFrame, backs: pl.DataFrame, path: Path) -> pl.DataFrame:
    """`joined` with the column ``back``: each text translated back."""
    key = ["study_id", "language"]
    twice = backs.filter(backs.select(key).is_duplicated())
    if twice.height:
        raise UserError(f"{path}: {' of '.join(twice.select(key).row(0))} occurs more than once; it must be unique")
    out = joined.join(backs.rename({"text": "back"}), on=key, how="left", maintain_order="left")
    unknown = out.filter(pl.col("back").is_null())
    if unknown.height:
        raise UserError(f"{path}: {' of '.join(unknown.select(key).row(0))} is missing; translate it back too")
    return out


def _round_trip(texts: pl.DataFrame, thresholds: Thresholds) -> pl.DataFrame:
    """row, the scores of the text translated back, and whether they speak against it."""
    sources, backs = texts["source"].to_list(), texts["back"].to_list()
    scores = [round_trip.chrf(sources, backs), round_trip.bleu(sources, backs)]
    columns = [pl.Series(name, values, dtype=pl.Float32) for name, values in zip(ROUND_TRIP, scores, strict=True)]
    return texts.select("row").with_columns(columns).with_columns(lost=rules(thresholds)["round_trip"])


def _verdicts(texts: pl.DataFrame, source_language: str, code: str, thresholds: Thresholds) -> pl.DataFrame:
    """One row a text: row, study_id, language, kept, reasons, scores."""
    parts = _aligned(texts).with_columns(flags=pl.lit([], dtype=pl.List(pl.String)))
    scored = score(parts, source_language, code)
    decided = keep_all(scored) if code == source_language else decide(scored, thresholds)
    worst = {"low": pl.Expr.min, "high": pl.Expr.max, "far": _farthest}
    verdicts = decided.group_by("row", maintain_order=True).agg(
        pl.col("kept").all(),
        pl.col("reasons").explode().drop_nulls().unique(maintain_order=True),
        *(worst[score.worse](pl.col(score.column)) for score in SCORES),
    )
    if "back" in texts.columns:
        verdicts = verdicts.join(_round_trip(texts, thresholds), on="row", maintain_order="left")
        lost = pl.col("lost") & (code != source_language)
        verdicts = verdicts.with_columns(
            kept=pl.col("kept") & ~lost,
            reasons=pl.when(lost).then(pl.concat_list("reasons", pl.lit("round_trip"))).otherwise("reasons"),
        ).drop("lost")
    return texts.select("row", "study_id", "language").join(verdicts, on="row", maintain_order="left")


def _farthest(ratio: pl.Expr) -> pl.Expr:
    """The ratio farthest from 1: by its logarithm, so that half is as far as double."""
    return ratio.sort_by(ratio.clip(1e-6).log().abs()).last()


def _aligned(texts: pl.DataFrame) -> pl.DataFrame:
    """Pairs (row, source, translation): the sentences of each text where their numbers agree, else the whole text."""
    rows: list[tuple[int, str, str]] = []
    for number, source, translation in texts.select("row", "source", "text").iter_rows():
        sources, translations = split(source), split(translation)
        if len(sources) == len(translations) > 1:
            rows += [(number, *pair) for pair in zip(sources, translations, strict=True)]
        else:
            rows.append((number, source, translation))
    return pl.DataFrame(rows, schema={"row": pl.UInt32, "source": pl.String, "translation": pl.String}, orient="row")


def _read(path: Path, columns: tuple[str, ...]) -> pl.DataFrame:
    """The named columns as text; an empty cell is an empty text."""
    try:
        frame = pl.read_parquet(path) if _ending(path) == ".parquet" else _read_csv(path)
    except FileNotFoundError as error:
        raise UserError(f"{path}: no such file") from error
    except (pl.exceptions.PolarsError, OSError, UnicodeError) as error:
        raise UserError(f"{path}: cannot be read as {_ending(path)[1:]}; save it as UTF-8") from error
    missing = [name for name in columns if name not in frame.columns]
    if missing:
        raise UserError(f"{path}: column {missing[0]!r} is missing; it has {', '.join(frame.columns)}")
    return frame.select(pl.col(name).cast(pl.String).fill_null("") for name in columns)


def _read_csv(path: Path) -> pl.DataFrame:
    return pl.read_csv(path, separator=_SEPARATORS[_ending(path)], infer_schema=False)


def _ending(path: Path) -> str:
    ending = path.suffix.lower()
    if ending not in (*_SEPARATORS, ".parquet"):
        raise UserError(f"{path}: ending {ending!r} is unknown; use .csv, .tsv or .parquet")
    return ending


def _write(table: pl.DataFrame, path: Path) -> None:
    ending = _ending(path)
    with atomic(path) as temporary:
        if ending == ".parquet":
            table.write_parquet(temporary, compression="zstd")
        else:
            flat = table.with_columns(pl.col("reasons").list.join(";"))
            flat.write_csv(temporary, separator=_SEPARATORS[ending])
