"""Injected faults: each kind really is what it is called, and the same study always has the same ones."""

import random
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmclip.config.translation import FAULT_KINDS, FaultKind, Faults
from mmclip.phantom import phrasebook
from mmclip.phantom.phrasebook import Value
from mmclip.phantom.reports import write
from mmclip.phantom.truth import draw
from mmclip.sentences import split
from mmclip.translation import faults
from mmclip.translation.compare import numbers
from mmclip.translation.faults import Sentence, inject
from mmclip.translation.flags import flags_of

LANGUAGES = [code for code in phrasebook.available() if code != "eng_Latn"]
TRAINING = [(frame, slots) for frame in phrasebook.frames(role="training") for slots in frame.fillings()]


def sentence(language: str, frame: phrasebook.Frame, slots: dict[str, Value]) -> Sentence:
    english, translation = (phrasebook.realise(code, frame.id, slots) for code in ("eng_Latn", language))
    return Sentence(english, translation, language, frame, slots)


def every(language: str) -> list[Sentence]:
    return [sentence(language, frame, slots) for frame, slots in TRAINING]


@pytest.mark.parametrize("language", LANGUAGES)
def test_each_kind_changes_what_it_says(language: str) -> None:
    rng = random.Random(0)
    applied: Counter[str] = Counter()
    for one in every(language):
        for kind in FAULT_KINDS:
            faulty = faults._FAULTS[kind](one, rng)
            if faulty is None or faulty == one.translation:
                continue
            applied[kind] += 1
            CHECKS[kind](one, faulty)
    assert set(applied) == set(FAULT_KINDS), f"never applied: {set(FAULT_KINDS) - set(applied)}"


def _loops(one: Sentence, faulty: str) -> None:
    assert faulty.startswith(one.translation.rstrip(".。।۔"))
    assert "loop" in flags_of(one.source, faulty)


def _truncated(one: Sentence, faulty: str) -> None:
    assert one.translation.startswith(faulty)
    assert 0 < len(faulty) < 0.85 * len(one.translation)
    assert not faulty.endswith(one.translation[-1])


def _negation_dropped(one: Sentence, faulty: str) -> None:
    assert set(one.frame.states.values()) == {0}
    english = dict(zip(*_both_ways(one.language), strict=True))[faulty]
    frame, _ = faults._origins()[english]
    assert set(frame.states.values()) == {1}
    assert set(frame.states) <= set(one.frame.states)
    assert faults._NEGATIONS.search(one.source) and not faults._NEGATIONS.search(english)


def _swapped(one: Sentence, faulty: str) -> None:
    other = {"left": "right", "right": "left"}[str(one.slots["side"])]
    assert faulty == phrasebook.realise(one.language, one.frame.id, {**one.slots, "side": other})


def _number_changed(one: Sentence, faulty: str) -> None:
    assert numbers(faulty) != numbers(one.translation)
    assert len(faulty) == len(one.translation)
    assert sum(a != b for a, b in zip(faulty, one.translation, strict=True)) == 1


def _copied(one: Sentence, faulty: str) -> None:
    assert faulty == one.source


def _other_language(one: Sentence, faulty: str) -> None:
    assert faulty in {phrasebook.realise(code, one.frame.id, one.slots) for code in LANGUAGES if code != one.language}


CHECKS = {
    "loop": _loops,
    "truncate": _truncated,
    "drop_negation": _negation_dropped,
    "swap_side": _swapped,
    "change_number": _number_changed,
    "copy": _copied,
    "wrong_language": _other_language,
}


def _both_ways(language: str) -> tuple[list[str], list[str]]:
    pairs = list(phrasebook.translations(language))
    return [translation for _, translation in pairs], [english for english, _ in pairs]


def test_rate_and_balance_over_reports() -> None:
    book = dict(phrasebook.translations(LANGUAGES[0]))
    occurrences = [
        (line, book[line], truth.study_id, index)
        for truth in draw(1500, seed=0)
        for index, line in enumerate(split(write(truth).text))
    ]
    chosen = Faults(rate=0.1)
    faulty = [inject(chosen, 0, LANGUAGES[0], *occurrence) for occurrence in occurrences]
    found = Counter(fault[1] for fault in faulty if fault is not None)
    n = len(occurrences)
    assert abs(found.total() / n - 0.1) < 4 * (0.1 * 0.9 / n) ** 0.5
    assert set(found) == set(FAULT_KINDS)
    assert min(found.values()) >= 10 and max(found.values()) < 0.3 * found.total(), found


@settings(deadline=None)
@given(st.integers(), st.text(), st.integers(0, 30), st.sampled_from(range(len(TRAINING))))
def test_pure_and_monotone_in_the_rate(seed: int, study: str, index: int, which: int) -> None:
    one = sentence(LANGUAGES[0], *TRAINING[which])
    arguments = (seed, LANGUAGES[0], one.source, one.translation, study, index)
    fault = inject(Faults(rate=0.5), *arguments)
    assert fault == inject(Faults(rate=0.5), *arguments)
    assert inject(Faults(rate=0.0), *arguments) is None
    if fault is not None:
        assert fault[0] != one.translation
        assert inject(Faults(rate=0.9), *arguments) == fault


def test_only_the_kinds_asked_for() -> None:
    kinds: tuple[FaultKind, ...] = ("swap_side",)
    one = next(one for one in every(LANGUAGES[0]) if one.slots.get("side") == "left")
    normal = next(one for one in every(LANGUAGES[0]) if "side" not in one.slots)
    chosen = Faults(rate=1.0, kinds=kinds)
    swapped = inject(chosen, 0, LANGUAGES[0], one.source, one.translation, "s", 0)
    assert swapped is not None and swapped[1] == "swap_side"
    assert inject(chosen, 0, LANGUAGES[0], normal.source, normal.translation, "s", 0) is None
    assert inject(Faults(rate=1.0), 0, LANGUAGES[0], "Nobody wrote this.", "Nadie.", "s", 0) is None
