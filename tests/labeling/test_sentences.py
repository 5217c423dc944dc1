"""Own sentences, grouped by the phenomenon that they show."""

from pathlib import Path

import pytest
import yaml

from mmclip.labeling.extractor import extract, label_sentence
from mmclip.labeling.rules import STATES, rules_for
from mmclip.observations import NO_FINDING, OBSERVATIONS, State

_SIGNS: dict[str | None, State] = {"+": 1, "-": 0, "?": -1, None: None}
_GROUPS: dict[str, dict[str, dict[str, str | None]]] = yaml.safe_load(
    (Path(__file__).parent / "sentences.yaml").read_text(encoding="utf-8")
)
_CASES = [
    pytest.param(text, states, id=f"{group}-{number}")
    for group, sentences in _GROUPS.items()
    for number, (text, states) in enumerate(sentences.items())
]


@pytest.mark.parametrize(("text", "states"), _CASES)
def test_sentence(text: str, states: dict[str, str | None]) -> None:
    got = label_sentence(text)
    expected: dict[str, State] = dict.fromkeys(OBSERVATIONS)
    expected |= {name: _SIGNS[sign] for name, sign in states.items()}
    if NO_FINDING not in states:
        expected[NO_FINDING] = got[NO_FINDING]
    assert got == expected


def test_there_are_enough_sentences() -> None:
    assert len(_CASES) >= 400
    assert sum("?" in states.values() for case in _CASES for states in case.values[1:]) >= 60


@pytest.mark.parametrize(("rule", "text", "states"), rules_for("eng_Latn").examples())
def test_examples_of_the_rules(rule: str, text: str, states: dict[str, State]) -> None:
    labels = label_sentence(text)
    other = [mention.state for mention in extract(text) if mention.observation == "Other"]
    for name, state in states.items():
        assert (other[0] if name == "Other" else labels[name]) == state, rule


def test_every_rule_gives_its_reason() -> None:
    rules = rules_for("eng_Latn")
    assert all(rule.reason and rule.examples for rule in (*rules.mentions, *rules.cues))
    assert set(STATES.values()) == {1, 0, -1}
