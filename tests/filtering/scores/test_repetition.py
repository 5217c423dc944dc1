import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmclip.filtering.pairs import Pairs
from mmclip.filtering.scores import repetition
from mmclip.filtering.scores.repetition import character_loop, distinct_ngrams, longest_run


def pair(translation: str, language: str = "spa_Latn", source: str = "There is no pleural effusion.") -> Pairs:
    return Pairs([source], [translation], "eng_Latn", language)


def brute_run(tokens: list[str], longest: int) -> int:
    best = min(1, len(tokens))
    for n in range(1, longest + 1):
        for start in range(len(tokens)):
            times, unit = 0, tokens[start : start + n]
            while len(unit) == n and tokens[start + times * n : start + (times + 1) * n] == unit:
                times += 1
            best = max(best, times)
    return best


@given(st.lists(st.sampled_from("ab"), max_size=18) | st.lists(st.sampled_from("abcd"), max_size=18))
def test_longest_run_equals_brute_force(tokens: list[str]) -> None:
    assert longest_run(tokens) == brute_run(tokens, 8)


@pytest.mark.parametrize("n", range(1, 9))
@pytest.mark.parametrize("times", [2, 3, 7])
def test_a_loop_of_any_length_up_to_eight_words_is_counted(n: int, times: int) -> None:
    words = ["uno", "dos", "tres", "cuatro", "cinco", "seis", "siete", "ocho"][:n]
    looping = " ".join(["Hay", *words * times])
    assert repetition.continuous(pair(looping))[0] == times


@pytest.mark.parametrize(
    ("language", "translation", "times"),
    [
        ("zho_Hans", "左侧胸腔积液积液积液积液。", 4),
        ("zho_Hans", "无无无无无", 5),
        ("jpn_Jpan", "胸水はない、胸水はない、胸水はない。", 3),
        ("arb_Arab", "لا يوجد انصباب لا يوجد انصباب لا يوجد انصباب", 3),
        ("hin_Deva", "कोई बहाव नहीं नहीं नहीं नहीं", 4),
        ("kor_Hang", "흉수 없음 없음 없음", 3),
        ("rus_Cyrl", "Выпота нет, выпота нет, выпота нет", 3),
        ("ind_Latn", "Paru-paru bersih.", 2),
    ],
)
def test_loops_in_every_script(language: str, translation: str, times: int) -> None:
    assert repetition.continuous(pair(translation, language))[0] == times


def test_the_sources_own_repetition_is_no_fault() -> None:
    source = "Comparison: none none none."
    assert repetition.continuous(pair("Comparación: ninguna ninguna ninguna.", source=source))[0] == 1
    assert repetition.loops(pair("XXXXXXXX visto.", source="XXXXXXXX seen."))[0] == 1


@pytest.mark.parametrize(
    ("text", "times"),
    [
        ("derrame pleural", 1),
        ("nananananana", 6),
        ("aaaaaaaa", 8),
        ("ананананан", 5),
        ("हाहाहाहा", 4),
        ("banana", 1),
        ("100000", 1),
        ("schifffahrt", 3),
    ],
)
def test_loops_of_letters_inside_a_word(text: str, times: int) -> None:
    assert character_loop(text) == times


def test_a_sentence_said_twice_has_half_its_ngrams() -> None:
    tokens = ["no", "hay", "derrame", "pleural"]
    assert distinct_ngrams(tokens, 2) == 1
    assert distinct_ngrams(tokens * 2, 2) == 4 / 7
    assert distinct_ngrams(tokens[:1], 2) == 1
    assert repetition.distinct(pair("No hay derrame pleural. No hay derrame pleural."))[0] == pytest.approx(4 / 7)


def test_one_output_for_many_sources_is_counted_once_a_source() -> None:
    sources = ["No edema.", "no edema", "Rib fracture.", "Clear lungs.", "Clear lungs."]
    pairs = Pairs(sources, ["Lo siento.", "lo siento.", "Lo siento.", "Lo siento.", "Otra."], "eng_Latn", "spa_Latn")
    assert repetition.shared_output(pairs).tolist() == [3, 3, 3, 3, 1]


def test_the_source_that_owns_a_translation_is_not_blamed_for_those_that_took_it() -> None:
    pairs = Pairs(["Edema.", "Clear lungs.", "No mass."], ["Edema."] * 3, "eng_Latn", "spa_Latn", counts=[7, 2, 4])
    assert repetition.shared_output(pairs).tolist() == [1, 3, 3]
    shared = Pairs(pairs.sources, pairs.translations, "eng_Latn", "spa_Latn", counts=[6, 2, 4])
    assert repetition.shared_output(shared).tolist() == [3, 3, 3]
