"""Shares of data sets and languages: what the weights say, to one sample in an epoch."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from mmclip.config.training import DataSettings
from mmclip.data.corpus import Corpus
from mmclip.data.sampler import Mixture, language_weights
from mmclip.data.streams import TextStream
from mmclip.errors import UserError

LANGUAGES = ("eng_Latn", "deu_Latn", "spa_Latn")
TEXTS = {  # (data set, language) -> how many
    ("pairs", "eng_Latn"): 60,
    ("pairs", "deu_Latn"): 40,
    ("reports", "eng_Latn"): 20,
    ("reports", "spa_Latn"): 30,
}


def corpus() -> tuple[Corpus, pl.DataFrame]:
    """Texts without tokens, language after language, and the studies' data sets; study numbers are as of the rows."""
    sources = [name for (name, _), count in TEXTS.items() for _ in range(count)]
    codes = [code for (_, code), count in TEXTS.items() for _ in range(count)]
    order = np.random.default_rng(0).permutation(len(codes))
    language = np.array([LANGUAGES.index(codes[number]) for number in order])
    by_language = order[np.argsort(language, kind="stable")]
    names = [f"s{number:03d}" for number in range(len(codes))]
    nothing = np.zeros(0, np.int64)
    made = Corpus(
        studies=names,
        languages=LANGUAGES,
        study=np.arange(len(codes)),
        language=np.sort(language),
        **dict.fromkeys(("first", "sentence", "index", "row", "token_first", "tokens"), nothing),  # type: ignore[arg-type]
        vectors=np.zeros((0, 14), np.float32),
        frame_ids=(0, 1, 2),
        max_tokens=9,
    )
    studies = pl.DataFrame({"study_id": names, "source": [sources[number] for number in by_language]})
    return made, studies.sample(fraction=1, shuffle=True, seed=1)


def shares(data: DataSettings, count: int = 150) -> dict[tuple[str, str], float]:
    made, studies = corpus()
    source = dict(studies.iter_rows())
    texts = TextStream(data, made, studies, 0).take(0, count)
    found = [(source[made.studies[made.study[text]]], LANGUAGES[made.language[text]]) for text in texts]
    return {key: found.count(key) / count for key in TEXTS}


@pytest.mark.parametrize("alpha", [0.0, 0.3, 1.0])
def test_without_weights_the_languages_shares_are_all(alpha: float) -> None:
    made, studies = corpus()
    counts = np.bincount(made.language).tolist()
    stream = TextStream(DataSettings(alpha=alpha), made, studies, 5)
    expected = Mixture(counts, language_weights(counts, alpha).tolist(), 5, "texts").take(70, 200)[0]
    assert np.array_equal(stream.take(70, 200), expected)
    assert np.array_equal(stream.language_weights, language_weights(counts, alpha))


def test_data_sets_share_each_language_by_weight() -> None:
    found = shares(DataSettings(alpha=1.0, text_weights={"pairs": 1.0, "reports": 3.0}))
    english, german, spanish = 80 / 150, 40 / 150, 30 / 150
    expected = [english / 4, german, english * 3 / 4, spanish]
    np.testing.assert_allclose([found[key] for key in TEXTS], expected, atol=1 / 150)


def test_a_data_set_without_weight_is_not_drawn_and_does_not_count() -> None:
    data = DataSettings(alpha=0.5, text_weights={"pairs": 2.0})
    found = shares(data)
    expected = np.sqrt([60, 40]) / np.sqrt([60, 40]).sum()
    np.testing.assert_allclose([found["pairs", "eng_Latn"], found["pairs", "deu_Latn"]], expected, atol=1 / 150)
    assert found["reports", "eng_Latn"] == found["reports", "spa_Latn"] == 0
    made, studies = corpus()
    assert TextStream(data, made, studies, 0).language_weights[2] == 0


def test_every_text_of_a_data_set_comes_before_one_comes_again() -> None:
    made, studies = corpus()
    texts = TextStream(DataSettings(alpha=1.0, text_weights={"pairs": 1, "reports": 1}), made, studies, 0).take(0, 150)
    counts = np.bincount(texts, minlength=150)
    source = dict(studies.iter_rows())
    for name, code in TEXTS:
        of_cell = [
            counts[text]
            for text in range(150)
            if (source[made.studies[text]], LANGUAGES[made.language[text]]) == (name, code)
        ]
        assert max(of_cell) - min(of_cell) <= 1 and len(of_cell) == TEXTS[name, code]


def test_weights_of_nothing_are_refused() -> None:
    made, studies = corpus()
    with pytest.raises(UserError, match=r"data\.text_weights: no data set 'paris'; there are "):
        TextStream(DataSettings(text_weights={"paris": 1.0}), made, studies, 0)
    more = pl.concat([studies, pl.DataFrame({"study_id": ["z"], "source": ["films"]})])
    with pytest.raises(UserError, match=r"data\.text_weights: no data set with a weight has texts in this split"):
        TextStream(DataSettings(text_weights={"films": 1.0, "pairs": 0.0}), made, more, 0)
