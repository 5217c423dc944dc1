"""The phrase book: its frames, how a sentence is written out, and the checks that a language's file must pass."""

from __future__ import annotations

import itertools
import re
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from mmclip.errors import UserError
from mmclip.observations import OBSERVATIONS
from mmclip.phantom import phrasebook, truth
from mmclip.phantom.phrasebook_check import NOTE, words

ENGLISH = "eng_Latn"
ENGLISH_FILE = phrasebook.WORDINGS / f"{ENGLISH}.yaml"

Book = dict[str, Any]
Write = Callable[[str, Book], None]


@pytest.fixture
def english() -> Book:
    content: Book = yaml.safe_load(ENGLISH_FILE.read_text(encoding="utf-8"))
    return content


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Write]:
    """Puts phrase books into an empty folder in place of the real ones."""

    def clear() -> None:
        phrasebook.wording.cache_clear()
        phrasebook.parts.cache_clear()

    def put(language: str, book: Book) -> None:
        text = yaml.safe_dump(book, allow_unicode=True, sort_keys=False)
        (tmp_path / f"{language}.yaml").write_text(text, encoding="utf-8")
        clear()

    clear()
    monkeypatch.setattr(phrasebook, "WORDINGS", tmp_path)
    yield put
    clear()


# The frames


@pytest.mark.parametrize("finding", truth.FINDINGS)
def test_a_finding_has_its_set_of_frames(finding: str) -> None:
    kinds = Counter((frame.role, frame.kind) for frame in phrasebook.frames(finding=finding))
    assert kinds == {
        ("training", "present"): 4,
        ("training", "comparison"): 1,
        ("training", "absent"): 2,
        ("training", "uncertain"): 3,
        ("held_out", "present"): 3,
        ("held_out", "absent"): 1,
    }


def test_states_follow_from_the_kind() -> None:
    expected = {"present": 1, "comparison": 1, "absent": 0, "uncertain": -1}
    for frame in phrasebook.frames():
        assert set(frame.states) <= set(OBSERVATIONS) - {"No Finding"}
        if frame.kind in expected:
            assert frame.finding is not None
            assert frame.states[frame.finding] == expected[frame.kind]
            assert set(frame.states.values()) == {expected[frame.kind]}
        else:
            assert frame.finding is None
            assert set(frame.states.values()) <= {0}
        assert (frame.kind == "other") <= (not frame.states and not frame.rules_out)


def test_exclusions_are_mutual_and_known() -> None:
    for frame in phrasebook.frames():
        assert all(frame.id in phrasebook.frame(other).excludes for other in frame.excludes)


def test_the_phantom_draws_only_values_that_the_frames_know() -> None:
    drawn = {finding for study in truth.draw(3000, 1) for finding in study.findings}
    for finding in drawn:
        for frame in phrasebook.frames(finding=finding.observation):
            known = {slot: phrasebook.values(slot, finding.observation) for slot in frame.slots}
            assert finding.side in known.get("side", [finding.side])
            assert finding.zone in known.get("zone", [finding.zone])
            assert finding.severity in known.get("severity", [finding.severity])
            assert finding.change in (*known.get("change", [finding.change]), "")
            assert finding.size_mm in known.get("size_mm", [finding.size_mm])
            assert finding.size_mm / 10 in known.get("size_cm", [finding.size_mm / 10])


# Writing out


def test_a_sentence_is_written_out() -> None:
    slots: dict[str, phrasebook.Value] = {"severity": "severe", "side": "both", "zone": "ignored"}
    assert phrasebook.realise(ENGLISH, "effusion_present_1", slots) == "Large bilateral pleural effusions."
    slots = {"size_cm": 2.0, "side": "left", "zone": "middle"}
    expected = "A round nodule measuring 2.0 cm is present in the left mid zone."
    assert phrasebook.realise(ENGLISH, "lesion_present_2", slots) == expected


def test_numbers_take_the_decimal_mark() -> None:
    assert phrasebook.number("size_cm", 2.4, ",") == "2,4"
    assert phrasebook.number("size_cm", 3, "٫") == "3٫0"
    assert phrasebook.number("size_mm", 24, ",") == "24"


@pytest.mark.parametrize(
    ("language", "sentence", "expected"),
    [
        ("tur_Latn", "iki", "İki"),
        ("ita_Latn", "ispessimento", "Ispessimento"),
        ("zho_Hans", "心影", "心影"),
        ("eng_Latn", "", ""),
    ],
)
def test_capital(language: str, sentence: str, expected: str) -> None:
    assert phrasebook.capitalise(sentence, language) == expected


def test_fillings_are_the_product_of_the_values() -> None:
    fillings = list(phrasebook.frame("consolidation_present_1").fillings())
    assert len(fillings) == 3 * 2 * 3
    assert len({tuple(filling.values()) for filling in fillings}) == 18
    assert list(phrasebook.frame("other_view").fillings()) == [{}]


def test_prompts() -> None:
    for finding in truth.FINDINGS:
        assert len(phrasebook.prompts(ENGLISH, finding)) == 2
    assert len(phrasebook.prompts(ENGLISH, "No Finding")) == 3
    with pytest.raises(UserError, match="Pneumonia"):
        phrasebook.prompts(ENGLISH, "Pneumonia")


def test_a_missing_or_unknown_language_is_a_user_error(write: Write) -> None:
    with pytest.raises(UserError, match=r"spa_Latn\.yaml: there is no phrase book"):
        phrasebook.realise("spa_Latn", "other_view", {})
    with pytest.raises(UserError, match="did you mean spa_Latn"):
        phrasebook.wording("es")


@pytest.mark.parametrize("content", ["frames: [", "[]", "forms: {}", "frames: {}\nforms: []", "a: b: c"])
def test_a_broken_file_is_a_user_error(write: Write, tmp_path: Path, content: str) -> None:
    (tmp_path / "spa_Latn.yaml").write_text(content)
    with pytest.raises(UserError, match=r"spa_Latn\.yaml"):
        phrasebook.wording("spa_Latn")


def test_a_missing_form_is_a_user_error(write: Write, english: Book) -> None:
    del english["forms"]["severity.adj"]["mild"]
    write(ENGLISH, english)
    with pytest.raises(UserError, match=r"cardiomegaly_present_2: forms\.severity\.adj has no form for 'mild'"):
        phrasebook.realise(ENGLISH, "cardiomegaly_present_2", {"severity": "mild"})


# The files


@pytest.mark.parametrize("language", phrasebook.available())
def test_every_phrase_book_passes_its_check(language: str) -> None:
    assert phrasebook.check(language) == []


@pytest.mark.parametrize("language", phrasebook.available())
def test_english_to_translation_is_a_function_and_can_be_undone(language: str) -> None:
    pairs = set(phrasebook.translations(language))
    assert len(pairs) == len({english for english, _ in pairs}) == len({translation for _, translation in pairs})


def test_held_out_english_by_brute_force() -> None:
    def realised(role: str) -> list[str]:
        return [s for frame in phrasebook.frames(role=role) for s in phrasebook.realisations(ENGLISH, frame.id)]

    training, held_out = realised("training"), realised("held_out")
    known = set(itertools.chain.from_iterable(re.findall("[a-z]+", sentence.lower()) for sentence in training))
    assert not {word for sentence in held_out for word in re.findall("[a-z]+", sentence.lower())} - known
    assert not set(held_out) & set(training)


# The checks


def test_words() -> None:
    assert words("L'épanchement, 24 mm.", "fra_Latn") == ["l", "épanchement", "mm"]
    assert words("IŞIK İki", "tur_Latn") == ["ışık", "iki"]
    assert words("心影增大。", "zho_Hans") == list("心影增大")
    assert words("फुफ्फुस में", "hin_Deva") == ["फुफ्फुस", "में"]
    assert words("می\u200cشود.", "pes_Arab") == ["می\u200cشود"]


FAULTS: list[tuple[str, dict[str, Any], str]] = [
    ("frame missing", {"frames": {"other_view": ...}}, "other_view: the frame is missing"),
    ("frame unknown", {"frames": {"other_films": "A view."}}, "other_films: no such frame"),
    ("not a text", {"frames": {"other_view": None}}, "other_view: None is not a text"),
    ("empty", {"frames": {"other_view": " "}}, "other_view: is empty"),
    ("spaces", {"frames": {"other_view": "Frontal  view."}}, "other_view: has spaces"),
    ("no full stop", {"frames": {"other_view": "Frontal view"}}, "other_view: must end with '.'"),
    ("two sentences", {"frames": {"other_view": "Approx. frontal view."}}, "other_view: must be one sentence"),
    (
        "decomposed",
        {"frames": {"other_view": "Re\u0301sume\u0301 view."}},
        "other_view: is not in Unicode's normal form C",
    ),
    ("script", {"frames": {"other_view": "Снимок спереди."}}, "only 0 of 13 letters are in the script Latn"),
    ("slot too many", {"frames": {"other_view": "{side.adj} view."}}, r"other_view: has the slots \['side'\]"),
    ("slot too few", {"frames": {"effusion_impression": "Layering."}}, "effusion_impression: has the slots"),
    ("slot twice", {"frames": {"effusion_impression": "{side.adj} {side.adj}."}}, "effusion_impression: has the slots"),
    ("number", {"frames": {"device_present_2": "Tip {size_cm.x} cm."}}, r"\{size_cm.x\} must be \{size_cm\}"),
    ("no variant", {"frames": {"effusion_impression": "Layering {side}."}}, r"\{side\} must be \{side.<variant>\}"),
    ("brace", {"frames": {"other_view": "Frontal {View}."}}, "brace"),
    ("table missing", {"frames": {"effusion_impression": "{side.odd} fluid."}}, r"forms\.side\.odd is missing"),
    ("form missing", {"forms": {"side.adj": {"both": ...}}}, r"effusion_comparison: forms\.side\.adj\.both is missing"),
    ("form unknown", {"forms": {"side.adj": {"top": "top"}}}, r"forms\.side\.adj: 'top' is no value of side"),
    ("form is no text", {"forms": {"side.adj": {"left": False}}}, r"forms\.side\.adj\.left: False is not a text"),
    ("forms alike", {"forms": {"side.adj": {"left": "right"}}}, r"forms\.side\.adj: 'right' stands for two values"),
    ("table unused", {"forms": {"side.more": {"left": "left"}}}, r"forms\.side\.more: no frame uses it"),
    ("table misnamed", {"forms": {"sides.adj": {"left": "left"}}}, r"forms\.sides\.adj: a table is named"),
    (
        "same text",
        {"frames": {"other_prior": "Low lung volumes are noted."}},
        "other_prior, other_volumes: the same text",
    ),
    ("held-out word", {"frames": {"device_prompt_1": "A zebra is present."}}, "no training sentence has: zebra$"),
    ("filled in", {"frames": {"device_prompt_1": "Mild left pleural effusion."}}, "training frame effusion_present_1"),
    ("decimal", {"decimal": ","}, "decimal is ','"),
    ("note", {"note": "reviewed"}, "note must be"),
    ("language", {"language": "fra_Latn"}, "language is 'fra_Latn'"),
    ("key", {"author": "x"}, "key 'author' is not known"),
]


def change(book: Book, changes: dict[str, Any]) -> None:
    for key, value in changes.items():
        if value is ...:
            del book[key]
        elif isinstance(value, dict) and key in book:
            change(book[key], value)
        else:
            book[key] = value


@pytest.mark.parametrize(("changes", "problem"), [fault[1:] for fault in FAULTS], ids=[fault[0] for fault in FAULTS])
def test_a_fault_is_found(write: Write, english: Book, changes: dict[str, Any], problem: str) -> None:
    change(english, changes)
    write(ENGLISH, english)
    found = phrasebook.check(ENGLISH)
    assert any(re.search(problem, line) for line in found), found


def test_realised_sentences_that_read_the_same_are_found(write: Write, english: Book) -> None:
    english["frames"]["device_absent_1"] = "Small left pleural effusion."
    write(ENGLISH, english)
    assert any("is also a sentence of effusion_present_1" in line for line in phrasebook.check(ENGLISH))


def test_an_untranslated_book_is_found(write: Write, english: Book) -> None:
    write(ENGLISH, english)
    write("fra_Latn", english | {"language": "fra_Latn", "decimal": ","})
    found = phrasebook.check("fra_Latn")
    assert "fra_Latn: other_view: is the English text" in found


def test_a_key_twice_is_found(write: Write, english: Book, tmp_path: Path) -> None:
    write(ENGLISH, english)
    with (tmp_path / f"{ENGLISH}.yaml").open("a", encoding="utf-8") as file:
        file.write('  other_view: "Frontal view."\n')
    assert phrasebook.check(ENGLISH) == ["eng_Latn: other_view: stands twice in the file"]


def test_nobody_has_reviewed_a_file_without_saying_who() -> None:
    for language in phrasebook.available():
        book = phrasebook.wording(language)
        assert book.reviewed_by or book.note == NOTE


def test_command(write: Write, english: Book, capsys: pytest.CaptureFixture[str]) -> None:
    write(ENGLISH, english)
    assert phrasebook.main(["check", ENGLISH]) == 0
    assert phrasebook.main(["check"]) == 0
    assert phrasebook.main(["check", "spa_Latn"]) == 2
    assert phrasebook.main([]) == 2
    del english["frames"]["other_view"]
    write(ENGLISH, english)
    capsys.readouterr()
    assert phrasebook.main(["check", ENGLISH]) == 1
    assert capsys.readouterr().out == "eng_Latn: other_view: the frame is missing\neng_Latn: 1 problems\n"
