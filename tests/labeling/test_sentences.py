"""Own sentences of each language with rules, grouped by what they show; and the examples of the rules."""

from pathlib import Path

import pytest
import yaml

from mmclip.labeling.extractor import extract, label_sentence
from mmclip.labeling.rules import STATES, rules_for
from mmclip.observations import NO_FINDING, OBSERVATIONS, State

FILES = sorted((Path(__file__).parent / "sentences").glob("*.yaml"))
LEAST = {"eng_Latn": (400, 60), "spa_Latn": (200, 40)}
"""Language -> how many sentences there are at least, and how many of them uncertain."""

_SIGNS: dict[str | None, State] = {"+": 1, "-": 0, "?": -1, None: None}
_GROUPS: dict[str, dict[str, dict[str, dict[str, str | None]]]] = {
    file.stem: yaml.safe_load(file.read_text(encoding="utf-8")) for file in FILES
}
_CASES = [
    pytest.param(language, text, states, id=f"{language}-{group}-{number}")
    for language, groups in _GROUPS.items()
    for group, sentences in groups.items()
    for number, (text, states) in enumerate(sentences.items())
]
_EXAMPLES = [(language, *example) for language in _GROUPS for example in rules_for(language).examples()]


@pytest.mark.parametrize(("language", "text", "states"), _CASES)
def test_sentence(language: str, text: str, states: dict[str, str | None]) -> None:
    got = label_sentence(text, language)
    expected: dict[str, State] = dict.fromkeys(OBSERVATIONS)
    expected |= {name: _SIGNS[sign] for name, sign in states.items()}
    if NO_FINDING not in states:
        expected[NO_FINDING] = got[NO_FINDING]
    assert got == expected


@pytest.mark.parametrize("language", LEAST)
def test_there_are_enough_sentences(language: str) -> None:
    states = [states for sentences in _GROUPS[language].values() for states in sentences.values()]
    assert len(states) >= LEAST[language][0]
    assert sum("?" in one.values() for one in states) >= LEAST[language][1]


@pytest.mark.parametrize(("language", "rule", "text", "states"), _EXAMPLES)
def test_examples_of_the_rules(language: str, rule: str, text: str, states: dict[str, State]) -> None:
    labels = label_sentence(text, language)
    other = [mention.state for mention in extract(text, rules_for(language)) if mention.observation == "Other"]
    for name, state in states.items():
        assert (other[0] if name == "Other" else labels[name]) == state, rule


@pytest.mark.parametrize("language", LEAST)
def test_every_rule_gives_its_reason(language: str) -> None:
    rules = rules_for(language)
    assert all(rule.reason and rule.examples for rule in (*rules.mentions, *rules.cues))
    assert set(STATES.values()) == {1, 0, -1}
