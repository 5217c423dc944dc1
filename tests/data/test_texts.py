"""Where the texts of a split lie: the right ones, in order, whatever files they are in."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mmclip.data.texts import DistinctTexts, SplitTexts
from mmclip.errors import NothingToSample, UserError
from mmclip.tables.files import write_table
from mmclip.tables.filtering import CORPUS
from tests.data.given_texts import GivenTexts
from tests.data.test_corpus import LANGUAGES, STUDIES, TEXTS, shard


def write(path: Path, texts: dict[tuple[str, str], list[str]]) -> Path:
    rows: list[dict[str, object]] = [
        {
            "study_id": study,
            "language": language,
            "text": " ".join(sentences),
            "sentences": sentences,
            "indices": list(range(len(sentences))),
            "reasons": [],
        }
        for (study, language), sentences in texts.items()
    ]
    write_table(CORPUS.frame(rows), path, CORPUS)
    return path


def test_only_the_split_and_the_languages_asked_for(tmp_path: Path) -> None:
    file = shard(tmp_path / "corpus.parquet")
    texts = SplitTexts([file], STUDIES, "train", (*LANGUAGES, "spa_Latn"))
    assert texts.studies.to_list() == ["s1", "s2"]
    assert texts.counts == {"deu_Latn": 1, "eng_Latn": 2, "spa_Latn": 0}
    assert texts.of("eng_Latn").rows() == [
        (0, ["No effusion.", "Heart is big.", "Edema."], [0, 1, 2]),
        (1, ["Heart is big."], [0]),
    ]
    assert texts.of("spa_Latn").schema == texts.of("eng_Latn").schema and not len(texts.of("spa_Latn"))
    assert SplitTexts([file], STUDIES, "val", ["eng_Latn"]).studies.to_list() == ["s3"]


def test_mistakes_are_named(tmp_path: Path) -> None:
    file = shard(tmp_path / "corpus.parquet")
    with pytest.raises(NothingToSample, match="no text of split 'val' in deu_Latn; check the languages"):
        SplitTexts([file], STUDIES, "val", ["deu_Latn"])
    with pytest.raises(NothingToSample, match="no text of split 'train'"):
        SplitTexts([], STUDIES, "train", LANGUAGES)
    with pytest.raises(NothingToSample, match="no text of split 'train'"):
        SplitTexts([write(tmp_path / "empty.parquet", {("s1", "deu_Latn"): []})], STUDIES, "train", LANGUAGES)
    with pytest.raises(UserError, match=r"corpus\.parquet: study 's3' is in no studies table"):
        SplitTexts([file], STUDIES.head(2), "train", LANGUAGES)
    with pytest.raises(UserError, match="no such file; expected the corpus table"):
        SplitTexts([tmp_path / "none.parquet"], STUDIES, "train", LANGUAGES)
    (tmp_path / "broken.parquet").write_bytes(b"no Parquet at all, but long enough to look at its last bytes")
    with pytest.raises(UserError, match=r"broken\.parquet: cannot be read as Parquet"):
        SplitTexts([tmp_path / "broken.parquet"], STUDIES, "train", LANGUAGES)
    pl.DataFrame({"study_id": ["s1"], "language": ["eng_Latn"]}).write_parquet(tmp_path / "other.parquet")
    with pytest.raises(UserError, match=r"other\.parquet: cannot be read as Parquet \(.*indices"):
        SplitTexts([tmp_path / "other.parquet"], STUDIES, "train", LANGUAGES)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=15)
@given(
    dealt=st.lists(
        st.dictionaries(
            st.tuples(st.sampled_from([f"s{number}" for number in range(12)]), st.sampled_from([*LANGUAGES, "x"])),
            st.lists(st.sampled_from(["Edema.", "Clear.", "Frei."]), max_size=3),
        ),
        min_size=1,
        max_size=3,
    )
)
def test_files_may_hold_any_languages(dealt: list[dict[tuple[str, str], list[str]]], tmp_path: Path) -> None:
    studies = pl.DataFrame({"study_id": [f"s{number}" for number in range(12)], "split": ["train", "train", "val"] * 4})
    seen: set[tuple[str, str]] = set()
    files, rows = [], []
    for number, texts in enumerate(dealt):
        own = {key: sentences for key, sentences in texts.items() if key not in seen}
        seen |= own.keys()
        files.append(write(tmp_path / f"{number}.parquet", own))
        rows += [
            (study, language, sentences, list(range(len(sentences))))
            for (study, language), sentences in own.items()
            if sentences and int(study[1:]) % 3 != 2 and language != "x"
        ]
    if not rows:
        return
    columns = ["study_id", "language", "sentences", "indices"]
    expected = GivenTexts(pl.DataFrame(rows, schema=columns, orient="row"), LANGUAGES)
    found = SplitTexts(files, studies, "train", LANGUAGES)
    assert found.studies.to_list() == expected.studies.to_list() and found.counts == expected.counts
    for language in LANGUAGES:
        assert found.of(language).equals(expected.of(language))


def test_a_sentence_that_reports_repeat_is_kept_once_with_its_translations() -> None:
    rows = [
        (study, language, [text for _, text in pieces], [index for index, _ in pieces])
        for (study, language), pieces in TEXTS.items()
        if study != "s3"
    ]
    again = [("s9", *row[1:]) for row in rows if row[0] == "s1"]
    columns = ["study_id", "language", "sentences", "indices"]
    found = DistinctTexts(GivenTexts(pl.DataFrame([*again, *rows], schema=columns, orient="row"), LANGUAGES))
    assert found.studies.to_list() == ["s1"] and found.counts == {"deu_Latn": 1, "eng_Latn": 1}
    assert found.of("deu_Latn").rows() == [(0, ["Kein Erguss.", "Ödem."], [0, 2])]
    assert found.of("eng_Latn").rows() == [(0, ["No effusion.", "Heart is big.", "Edema."], [0, 1, 2])]
