"""What of a whole report is read."""

import pytest

from mmclip.labeling.sections import described, described_sentences
from mmclip.sentences import spans, split

_REPORT = """EXAM: Chest PA and lateral.
INDICATION: 60 year old with pneumonia. Rule out effusion.
CLINICAL HISTORY: CHF.
COMPARISON: None.
FINDINGS: The lungs are clear. No effusion.

IMPRESSION: No acute disease."""


def test_indication_and_history_are_not_read() -> None:
    assert described_sentences(_REPORT) == [
        "Chest PA and lateral.", "None.", "The lungs are clear.", "No effusion.", "No acute disease.",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Indication: cough.\n\nEdema is seen.", ["Edema is seen."]),
        ("INDICATION\n\ncough and fever\n\nFINDINGS\nEdema.", ["Edema."]),
        ("Reason for exam: pneumonia. Impression: Edema.", ["Edema."]),
        ("HEART: normal. HISTORY: edema", ["HEART: normal."]),
        ("History of pneumonia. Edema.", ["History of pneumonia.", "Edema."]),
    ],
)
def test_where_such_a_section_ends(text: str, expected: list[str]) -> None:
    assert described_sentences(text) == expected


@pytest.mark.parametrize("text", ["", "Edema. No effusion.", "FINDINGS: Edema.\n\n1. Effusion\n2. Edema"])
def test_other_texts_are_read_whole(text: str) -> None:
    assert described(text) == spans(text)
    assert described_sentences(text) == split(text)
