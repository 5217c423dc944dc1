from pathlib import Path

import polars as pl

from mmclip.config.filtering import Thresholds
from mmclip.filtering.decisions import EMPTY, rules
from mmclip.languages import LANGUAGES
from mmclip.report.disclosure import Disclosure
from mmclip.report.rejections import EACH, MEANING, Example, rejections
from mmclip.report.run import Run
from mmclip.tables.card import Card
from mmclip.tables.files import write_table
from mmclip.tables.translation import SCORED


def card(share: str) -> Card:
    values = {"name": "x", "kind": "table", "version": "1", "note": "", "licence": "", "share": share}
    return Card.model_validate({**values, "settings": {}, "sources": {}, "files": {}, "counts": {}})


def write(root: Path, language: str, reasons: list[list[str]], dataset: str = "open") -> None:
    rows: list[dict[str, object]] = [
        {
            "study_id": f"s{number:03d}", "index": 0, "source": f"Source {number}.", "engine": "memory", "flags": [],
            "translation": f"{language} {number}.", "kept": not some, "reasons": some,
        }
        for number, some in enumerate(reasons)
    ]  # fmt: skip
    path = root / "filter/filtered/sentences" / language / f"{dataset}-000.parquet"
    write_table(pl.DataFrame(rows, schema=SCORED.columns), path, SCORED)


def test_shares_by_language_and_reason(tmp_path: Path) -> None:
    write(tmp_path, "eng_Latn", [[]] * 10)
    write(tmp_path, "spa_Latn", [["copy", "language"], ["copy"], *[[]] * 18])
    write(tmp_path, "fra_Latn", [["numbers"], *[[]] * 9])
    found = rejections(Run(tmp_path), Disclosure({"open": card("public")}, 10))
    assert found is not None
    assert found.reasons == ("copy", "language", "numbers")
    assert found.shares == {"spa_Latn": (0.1, 0.05, 0.0), "fra_Latn": (0.0, 0.0, 0.1)}
    assert found.highest == 0.1
    # the sentence with the fewest other reasons is the example
    assert found.examples["copy"] == (Example(LANGUAGES["spa_Latn"], "Source 1.", "spa_Latn 1."),)


def test_every_reason_is_explained() -> None:
    assert set(MEANING) == {EMPTY, *rules(Thresholds())}


def test_three_examples_each_in_another_language(tmp_path: Path) -> None:
    codes = ["spa_Latn", "fra_Latn", "deu_Latn", "ita_Latn"]
    for code in codes:
        write(tmp_path, code, [["copy"]] * 5)
    found = rejections(Run(tmp_path), Disclosure({"open": card("public")}, 10))
    assert found is not None
    assert [one.language.code for one in found.examples["copy"]] == codes[:EACH]


def test_restricted_data_give_shares_and_no_sentence(tmp_path: Path) -> None:
    write(tmp_path, "spa_Latn", [["copy"]] * 20 + [["numbers"]] * 3 + [[]] * 77, dataset="mine")
    found = rejections(Run(tmp_path), Disclosure({"mine": card("restricted")}, 10))
    assert found is not None
    assert found.examples == {}
    assert found.shares["spa_Latn"] == (0.2, None)
    assert rejections(Run(tmp_path), Disclosure({}, 10)).examples == {}  # type: ignore[union-attr]


def test_nothing_rejected_is_no_section(tmp_path: Path) -> None:
    assert rejections(Run(tmp_path), Disclosure({}, 10)) is None
    write(tmp_path, "spa_Latn", [[]] * 5)
    assert rejections(Run(tmp_path), Disclosure({}, 10)) is None
