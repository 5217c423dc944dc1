"""Held-out wordings against the corpus that the models really learn from, in every language."""

from __future__ import annotations

import re

import pytest

from mmclip.phantom import phrasebook
from mmclip.phantom.phrasebook_check import words
from mmclip.phantom.reports import write
from mmclip.phantom.truth import draw
from mmclip.sentences import split

STUDIES = 1500


@pytest.fixture(scope="module")
def english() -> set[str]:
    """The distinct sentences of the reports."""
    return {sentence for truth in draw(STUDIES, 0) for sentence in split(write(truth).text)}


@pytest.mark.parametrize("language", phrasebook.available())
def test_the_corpus_has_the_words_of_held_out_wordings_and_none_of_the_sentences(
    english: set[str], language: str
) -> None:
    translation = dict(phrasebook.translations(language))
    assert english <= translation.keys()
    corpus = {translation[sentence] for sentence in english}
    frames = phrasebook.frames(role="held_out")
    held_out = {sentence for frame in frames for sentence in phrasebook.realisations(language, frame.id)}
    assert len(held_out) > 100 and not held_out & corpus
    without_numbers = {re.sub(r"\d+", "0", sentence).casefold().strip(".。।") for sentence in corpus}
    assert not {re.sub(r"\d+", "0", sentence).casefold().strip(".。।") for sentence in held_out} & without_numbers
    known = {word for sentence in corpus for word in words(sentence, language)}
    assert not {word for sentence in held_out for word in words(sentence, language)} - known
