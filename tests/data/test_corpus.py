"""Texts as numbers: the same ids as the tokenizer's, labels of exactly the sentences shown."""

from __future__ import annotations

from itertools import chain
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from transformers import PreTrainedTokenizerFast

from mmclip.config.training import TextMix, Tokenizer
from mmclip.data.corpus import Corpus
from mmclip.data.ragged import combine_segments, pad_rows, ranges
from mmclip.data.sampler import choose_sentences
from mmclip.data.targets import combine_vectors
from mmclip.data.texts import DistinctTexts, SplitTexts, Texts
from mmclip.errors import UserError
from mmclip.observations import OBSERVATIONS
from mmclip.tables.files import write_table
from mmclip.tables.filtering import CORPUS
from mmclip.tables.labeling import TARGETS
from mmclip.training.tokenizer import sample_sentences, train_tokenizer
from tests.data.given_texts import GivenTexts

LANGUAGES = ("deu_Latn", "eng_Latn")
TEXTS = {
    ("s1", "eng_Latn"): [(0, "No effusion."), (1, "Heart is big."), (2, "Edema.")],
    ("s2", "eng_Latn"): [(0, "Heart is big.")],
    ("s1", "deu_Latn"): [(0, "Kein Erguss."), (2, "Ödem.")],
    ("s3", "eng_Latn"): [(0, "Edema.")],
}
STUDIES = pl.DataFrame({"study_id": ["s1", "s2", "s3"], "split": ["train", "train", "val"]})


def vector(name: str) -> list[float]:
    return [1.0 if name == other else 0.0 for other in OBSERVATIONS]


SENTENCE_VECTORS = {
    "s1/0": vector("No Finding"),
    "s1/1": vector("Cardiomegaly"),
    "s1/2": vector("Edema"),
    "s2/0": vector("Cardiomegaly"),
    "s3/0": vector("Edema"),
}


def shard(path: Path) -> Path:
    rows: list[dict[str, object]] = [
        {
            "study_id": study,
            "language": language,
            "text": " ".join(text for _, text in pieces),
            "sentences": [text for _, text in pieces],
            "indices": [index for index, _ in pieces],
            "reasons": [],
        }
        for (study, language), pieces in TEXTS.items()
    ]
    write_table(CORPUS.frame(rows), path, CORPUS)
    return path


def targets(vectors: dict[str, list[float]] = SENTENCE_VECTORS) -> pl.DataFrame:
    rows: list[dict[str, object]] = [
        {"id": name, "kind": "sentence", "vector": value, "policy": "x"} for name, value in vectors.items()
    ]
    return TARGETS.frame(rows)


@pytest.fixture
def texts(tmp_path: Path) -> SplitTexts:
    return SplitTexts([shard(tmp_path / "corpus.parquet")], STUDIES, "train", LANGUAGES)


def sentences_of(texts: Texts) -> list[list[str]]:
    """The sentences of every text, in the corpus's order."""
    return [sentences for code in texts.counts for sentences in texts.of(code)["sentences"].to_list()]


def tokenizer_of(texts: Texts) -> PreTrainedTokenizerFast:
    return train_tokenizer(sample_sentences(texts, 1000), Tokenizer(vocabulary=300))


@pytest.fixture
def corpus(texts: SplitTexts) -> Corpus:
    return Corpus.build(texts, tokenizer_of(texts), 60, targets())


def test_ids_are_those_of_the_tokenizer(corpus: Corpus, texts: SplitTexts) -> None:
    tokenizer = tokenizer_of(texts)
    every = np.arange(len(corpus))
    counts = corpus.counts(every)
    assert counts.tolist() == [2, 3, 1]
    places = corpus.places(every, counts, ranges(np.zeros_like(counts), counts))
    ids, mask = corpus.ids(places, counts)
    for row, text in enumerate(sentences_of(texts)):
        expected = tokenizer(" ".join(text))["input_ids"]
        assert ids[row, : len(expected)].tolist() == expected
        assert mask[row].sum() == len(expected)
        assert (ids[row, len(expected) :] == tokenizer.pad_token_id).all()


def test_each_distinct_sentence_of_a_language_is_kept_once(corpus: Corpus) -> None:
    assert len(corpus.token_first) - 1 == len(
        {text for (study, _), text in TEXTS.items() for _, text in text if study != "s3"}
    )


CODES = ("deu_Latn", "eng_Latn", "spa_Latn")
WORDS = ("Edema.", "Ödem.", "No effusion.", "Kein Erguss.", "Heart is big.", "El corazón es grande.")
drawn_texts = st.dictionaries(
    st.tuples(st.sampled_from(["s1", "s2", "s10", "a/0"]), st.sampled_from(CODES)),
    st.dictionaries(st.integers(0, 4), st.sampled_from(WORDS), min_size=1),
    min_size=1,
)


def given_texts(texts: dict[tuple[str, str], dict[int, str]]) -> GivenTexts:
    rows = [(*key, list(pieces.values()), list(pieces)) for key, pieces in texts.items()]
    return GivenTexts(pl.DataFrame(rows, ["study_id", "language", "sentences", "indices"], orient="row"), CODES)


@pytest.fixture(scope="module")
def words_tokenizer() -> PreTrainedTokenizerFast:
    return train_tokenizer(WORDS, Tokenizer(vocabulary=300))


@given(texts=drawn_texts, distinct=st.booleans())
def test_every_text_is_what_one_by_one_gives(
    words_tokenizer: PreTrainedTokenizerFast, texts: dict[tuple[str, str], dict[int, str]], distinct: bool
) -> None:
    """The order of the texts, their ids and labels, put together without arrays; of each sentence or each once."""
    wanted = {key: dict(texts[key]) for key in sorted(texts, key=lambda key: (CODES.index(key[1]), key[0]))}
    if distinct:
        wanted = one_by_one_distinct(wanted)
    vectors = {
        f"{study}/{index}": np.random.default_rng([*study.encode(), index]).random(len(OBSERVATIONS)).tolist()
        for study, _ in texts
        for index in range(6)
    }
    chosen = DistinctTexts(given_texts(texts)) if distinct else given_texts(texts)
    made = Corpus.build(chosen, words_tokenizer, 200, targets(vectors))
    assert made.studies == sorted({study for study, _ in wanted}) and made.languages == CODES
    assert chosen.counts == {code: sum(own == code for _, own in wanted) for code in CODES}
    every = np.arange(len(made))
    counts = made.counts(every)
    places = made.places(every, counts, ranges(np.zeros_like(counts), counts))
    (ids, mask), labels = made.ids(places, counts), made.targets(places, counts).numpy()
    found = zip(made.study, made.language, made.first[:-1], made.first[1:], strict=True)
    for row, ((study, code), own, pieces) in enumerate(zip(wanted, found, wanted.values(), strict=True)):
        assert (made.studies[own[0]], CODES[own[1]]) == (study, code)
        assert made.index[own[2] : own[3]].tolist() == list(pieces)
        assert ids[row][mask[row] == 1].tolist() == words_tokenizer(" ".join(pieces.values()))["input_ids"]
        expected = np.array([vectors[f"{study}/{index}"] for index in pieces], np.float32)
        np.testing.assert_array_equal(labels[row], combine_vectors(expected))


def one_by_one_distinct(texts: dict[tuple[str, str], dict[int, str]]) -> dict[tuple[str, str], dict[int, str]]:
    """Of texts in the corpus's order, the places whose first wording is new among first wordings."""
    wordings: dict[str, tuple[str, int]] = {}
    seen: set[tuple[str, int]] = set()
    for (study, _), pieces in texts.items():
        for index, sentence in pieces.items():
            if (study, index) not in seen:
                seen.add((study, index))
                wordings.setdefault(sentence, (study, index))
    kept = set(wordings.values())
    left = {key: {n: text for n, text in pieces.items() if (key[0], n) in kept} for key, pieces in texts.items()}
    return {key: pieces for key, pieces in left.items() if pieces}


@pytest.mark.parametrize("step", range(12))
def test_labels_are_those_of_the_sentences_shown(corpus: Corpus, step: int) -> None:
    every = np.arange(len(corpus))
    shown, chosen = choose_sentences(corpus.counts(every), TextMix(one=1, several=1, all=1), 0, step)
    places = corpus.places(every, shown, chosen)
    got = corpus.targets(places, shown).numpy()
    for row, part in enumerate(np.split(places, np.cumsum(shown)[:-1])):
        study = corpus.studies[corpus.study[row]]
        vectors = np.array([SENTENCE_VECTORS[f"{study}/{corpus.index[place]}"] for place in part])
        expected = vectors.max(axis=0)
        expected[0] = vectors[:, 0].min()
        np.testing.assert_array_equal(got[row], expected)


@given(counts=st.lists(st.integers(1, 4), min_size=1, max_size=6), seed=st.integers(0, 100))
def test_combining_segments_is_combining_each(counts: list[int], seed: int) -> None:
    vectors = np.random.default_rng(seed).random((sum(counts), len(OBSERVATIONS)), dtype=np.float32)
    combined = combine_segments(vectors, np.array(counts))
    for row, part in enumerate(np.split(vectors, np.cumsum(counts)[:-1])):
        np.testing.assert_array_equal(combined[row], combine_vectors(part))


@given(lengths=st.lists(st.integers(0, 7), min_size=1, max_size=6), limit=st.integers(3, 9))
def test_padding_frames_cuts_and_masks(lengths: list[int], limit: int) -> None:
    rows = [[10 * number + place for place in range(length)] for number, length in enumerate(lengths, start=1)]
    ids, mask = pad_rows(np.array(list(chain.from_iterable(rows)), np.int64), np.array(lengths), 0, 2, 1, limit)
    for number, row in enumerate(rows):
        expected = [0, *row[: limit - 2], 2]
        assert ids[number].tolist() == expected + [1] * (ids.shape[1] - len(expected))
        assert mask[number].sum() == len(expected)


def test_a_sentence_without_labels_is_named(texts: SplitTexts) -> None:
    tokenizer = tokenizer_of(texts)
    some = {name: value for name, value in SENTENCE_VECTORS.items() if name != "s1/2"}
    with pytest.raises(UserError, match="no vector for sentence 's1/2'"):
        Corpus.build(texts, tokenizer, 30, targets(some))
    with pytest.raises(UserError, match="'s2/0' does not have 14 entries"):
        Corpus.build(texts, tokenizer, 30, targets(SENTENCE_VECTORS | {"s2/0": [1.0]}))
    assert not Corpus.build(texts, tokenizer, 30).vectors.any()


def test_the_share_of_texts_that_are_cut_by_language(texts: SplitTexts, tmp_path: Path) -> None:
    tokenizer = tokenizer_of(texts)
    more = SplitTexts([shard(tmp_path / "corpus.parquet")], STUDIES, "train", (*LANGUAGES, "spa_Latn"))
    lengths = [len(tokenizer(" ".join(sentences))["input_ids"]) for sentences in sentences_of(texts)]
    assert len(set(lengths)) == 3, "three texts of three lengths: German, English and English"
    for limit in range(3, max(lengths) + 2):
        corpus = Corpus.build(more, tokenizer, limit)
        german, *english = (length > limit for length in lengths)
        every = np.arange(3)
        counts = corpus.counts(every)
        whole = ranges(np.zeros_like(counts), counts)
        found = {"deu_Latn": float(german), "eng_Latn": sum(english) / 2, "spa_Latn": 0.0}
        assert corpus.cut(every, counts, whole) == found
        assert corpus.cut(every[:1], counts[:1], whole[:2]) == found | {"eng_Latn": 0.0}
        places = corpus.places(every, counts, whole)
        assert corpus.lengths(places, counts).tolist() == [min(length, limit) for length in lengths]
        assert corpus.lengths(places, counts).tolist() == corpus.ids(places, counts)[1].sum(dim=1).tolist()


@pytest.mark.parametrize("seed", range(5))
def test_sentences_that_do_not_fit_go_with_their_labels(texts: SplitTexts, seed: int) -> None:
    tokenizer = tokenizer_of(texts)
    chosen_texts = np.arange(3)[np.random.default_rng(seed).integers(3, size=12)]
    sentences = [sentences_of(texts)[text] for text in chosen_texts]
    for limit in range(4, 30):
        corpus = Corpus.build(texts, tokenizer, limit, targets())
        shown, chosen = choose_sentences(corpus.counts(chosen_texts), TextMix(one=0.2, several=0.4, all=0.4), seed)
        kept, left = corpus.fitting(chosen_texts, shown, chosen)
        ids, mask = corpus.ids(corpus.places(chosen_texts, kept, left), kept)
        wanted_start, left_start = np.cumsum(shown) - shown, np.cumsum(kept) - kept
        for row, own in enumerate(sentences):
            wanted = chosen[wanted_start[row] :][: shown[row]].tolist()
            while len(wanted) > 1 and len(tokenizer(" ".join(own[n] for n in wanted))["input_ids"]) > limit:
                wanted.pop()
            assert left[left_start[row] :][: kept[row]].tolist() == wanted
            whole = tokenizer(" ".join(own[n] for n in wanted))["input_ids"]
            cut = whole if len(whole) <= limit else [*whole[: limit - 1], whole[-1]]
            assert ids[row][mask[row] == 1].tolist() == cut
