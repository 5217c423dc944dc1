"""The extractor on simulated reports, whose statements are known."""

from collections import Counter

from mmclip.labeling.extractor import label_sentence
from mmclip.observations import NO_FINDING, OBSERVATIONS
from mmclip.phantom.reports import write
from mmclip.phantom.truth import draw

STATED = 0.995
"""Least share of statements that are read as they are meant."""


def test_statements_are_read_as_they_are_meant() -> None:
    statements = [statement for film in draw(3000, seed=1) for statement in write(film).statements]
    wrong: Counter[tuple[str, str]] = Counter()
    number = 0
    for statement in statements:
        read = label_sentence(statement.text)
        for name in OBSERVATIONS:
            if name != NO_FINDING and (name in statement.states or read[name] is not None):
                number += 1
                wrong[name, statement.text] += read[name] != statement.states.get(name)
    assert number > 20_000
    assert 1 - wrong.total() / number >= STATED, [case for case, count in wrong.most_common(20) if count]
