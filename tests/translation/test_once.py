"""Each distinct sentence once, in one form, and nothing that is no sentence."""

from pathlib import Path

import pytest

from mmclip.errors import UserError
from mmclip.translation.engine import Translated
from mmclip.translation.once import Once, translate_once
from mmclip.translation.store import Store
from tests.translation.fakes import Remembering


def once(engine: Remembering, sentences: list[str], folder: Path, to: str = "spa_Latn", longest: int = 200) -> Once:
    with Store(folder / "store.sqlite") as store:
        return translate_once(engine, sentences, "eng_Latn", to, store, 4, longest)


def test_sentences_of_one_form_are_asked_for_once(tmp_path: Path) -> None:
    engine = Remembering()
    written = ["No effusion.", "No  effusion.", "No effu\xadsion.", "\u202eNo effusion.", "no effusion."]
    found = once(engine, [*written, *written], tmp_path)
    assert sorted(engine.asked) == ["No effusion.", "no effusion."]
    assert (found.new, found.cleaned, found.too_long) == (2, 2, 0)
    assert {sentence: value.text for sentence, value in found.known.items()} == dict.fromkeys(written, "NO EFFUSION.")


def test_the_longest_come_first(tmp_path: Path) -> None:
    engine = Remembering()
    once(engine, ["b", "ccc", "a", "dd"], tmp_path)
    assert engine.asked == ["ccc", "dd", "a", "b"]


def test_what_is_no_sentence_is_not_given_to_the_engine(tmp_path: Path) -> None:
    engine = Remembering()
    megabyte = "No effusion " * 90_000
    found = once(engine, [megabyte, "\x00\u202e", "Edema."], tmp_path)
    assert engine.asked == ["Edema."]
    assert found.known[megabyte] == Translated("", ("length_limit", "empty"))
    assert found.known["\x00\u202e"] == Translated("", ("empty",))
    assert (found.new, found.cleaned, found.too_long) == (1, 1, 1)


def test_an_answer_is_cleaned_too(tmp_path: Path) -> None:
    engine = Remembering(lambda sentence: "\u202e\x00" if sentence == "Edema." else f"\ufeff{sentence}\u202c \x07!")
    known = once(engine, ["No effusion.", "Edema."], tmp_path).known
    assert known["No effusion."] == Translated("No effusion. !")
    assert known["Edema."] == Translated("", ("empty",))


def test_only_what_is_new(tmp_path: Path) -> None:
    engine = Remembering()
    once(engine, ["one", "two"], tmp_path)
    assert once(engine, ["one", "two"], tmp_path).new == 0
    assert once(engine, ["three", "one"], tmp_path).new == 1, "added reports"
    assert once(engine, ["one"], tmp_path, "deu_Latn").new == 1, "a new language"
    assert once(Remembering(name="other"), ["one"], tmp_path).new == 1, "another engine"
    assert sorted(engine.asked) == ["one", "one", "three", "two"]


@pytest.mark.parametrize("block, before", [(10, 9), (100, 12)])
def test_a_part_is_stored_before_the_next_is_asked_for(tmp_path: Path, block: int, before: int) -> None:
    """An engine of parts of three that fails before its fourth of a block, or its fifth."""
    sentences = [f"sentence {number}" for number in range(20)]
    whole = once(Remembering(), sentences, tmp_path)
    killed, resumed = Remembering(batch=3, fails_after=before // 3), Remembering()
    with pytest.raises(KeyboardInterrupt), Store(tmp_path / "killed.sqlite") as store:
        translate_once(killed, sentences, "eng_Latn", "fra_Latn", store, block, 200)
    assert len(killed.asked) == before
    with Store(tmp_path / "killed.sqlite") as store:
        found = translate_once(resumed, sentences, "eng_Latn", "fra_Latn", store, block, 200)
    assert sorted(killed.asked + resumed.asked) == sorted(sentences), "none twice"
    assert found.known == whole.known
    assert found.new == len(resumed.asked)
    assert max(map(len, resumed.claimed)) <= block


def test_an_engine_that_leaves_sentences_out(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="engine remembering: only 2 of 3 sentences came back"):
        once(Remembering(loses="Edema."), ["No effusion.", "Edema.", "Clear."], tmp_path)
    again = Remembering()
    once(again, ["No effusion.", "Edema.", "Clear."], tmp_path)
    assert again.asked == ["Edema."], "what came back was stored"
