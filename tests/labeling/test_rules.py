"""What is wrong with a rules file is said in one line."""

from typing import Any

import pytest

from mmclip.config.base import parse
from mmclip.errors import UserError
from mmclip.labeling.extractor import extract, label_mentions
from mmclip.labeling.rules import Rules, RulesFile

_MENTION = {
    "id": "effusion",
    "observation": "Pleural Effusion",
    "concept": "fluid",
    "kind": "finding",
    "patterns": ["derrame*"],
    "reason": "fluid",
    "examples": {"Derrame pleural.": "present"},
}
_CUE = {
    "id": "denied",
    "role": "negation",
    "patterns": ["{no}"],
    "reason": "denies",
    "examples": {"Sin derrame.": {"Pleural Effusion": "absent"}},
}


def rules(**changes: Any) -> Rules:
    content = {"language": "spa_Latn", "words": {"no": "sin|no"}, "mentions": [_MENTION], "cues": [_CUE], **changes}
    return Rules(parse(RulesFile, content, "rules.yaml"), "rules.yaml")


def test_rules_of_another_language_work() -> None:
    spanish = rules()
    assert label_mentions(extract("Sin derrame pleural.", spanish), spanish)["Pleural Effusion"] == 0
    assert label_mentions(extract("Derrame pleural.", spanish), spanish)["Pleural Effusion"] == 1


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"mentions": [_MENTION, _MENTION]}, "mention 'effusion' occurs twice"),
        ({"words": {}}, "no list of words is called 'no'"),
        ({"mentions": [{**_MENTION, "observation": "No Finding"}]}, "not an observation that text can mention"),
        ({"mentions": [{**_MENTION, "patterns": ["(a"]}]}, "a bracket is not closed"),
        ({"mentions": [{**_MENTION, "examples": {}}]}, "examples"),
        ({"cues": [{**_CUE, "role": "denial"}]}, "role"),
        ({"rules": []}, "unknown key 'rules'"),
    ],
)
def test_mistakes_are_named(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message) as caught:
        rules(**changes)
    assert "\n" not in str(caught.value)
