"""The sentence splitter on shapes that reports really have, and on any text at all."""

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmclip.sentences import join, pieces, spans, split

KNOWN = {
    "a question before what it doubts": ("Clear. ? PNEUMONIA. NORMAL.", ["Clear.", "? PNEUMONIA.", "NORMAL."]),
    "plain": ("The lungs are clear. No effusion.", ["The lungs are clear.", "No effusion."]),
    "no final stop": ("Lungs are clear. No effusion", ["Lungs are clear.", "No effusion"]),
    "all caps": ("LUNGS ARE CLEAR. NO EFFUSION.", ["LUNGS ARE CLEAR.", "NO EFFUSION."]),
    "small letters": ("heart size normal. lungs clear.", ["heart size normal.", "lungs clear."]),
    "sections": (
        "FINDINGS: Heart is normal. No effusion. IMPRESSION: No change.",
        ["Heart is normal.", "No effusion.", "No change."],
    ),
    "section without a stop before it": ("LUNGS CLEAR IMPRESSION: NORMAL", ["LUNGS CLEAR", "NORMAL"]),
    "section in small letters": ("Findings and impression: Clear lungs.", ["Clear lungs."]),
    "section alone on its line": ("FINAL REPORT\nIMPRESSION\nClear lungs.", ["Clear lungs."]),
    "a label with a meaning stays": ("HEART: Normal. LUNGS: Clear.", ["HEART: Normal.", "LUNGS: Clear."]),
    "numbered list": ("1. Edema. 2. Small effusion.", ["Edema.", "Small effusion."]),
    "numbered list without stops": ("1. Edema 2. Effusion 3. Stable lines", ["Edema", "Effusion", "Stable lines"]),
    "numbered list after a label": ("Left hand: 1. No fracture. 2. Edema", ["Left hand:", "No fracture.", "Edema"]),
    "numbers in brackets": ("(1) Edema. 2) Effusion.", ["Edema.", "Effusion."]),
    "a number that is no list": ("Fracture of rib 4. No effusion.", ["Fracture of rib 4.", "No effusion."]),
    "bullets": ("- clear lungs\n* no effusion\n• no edema", ["clear lungs", "no effusion", "no edema"]),
    "decimal": ("A nodule of 1.5 cm is new. No mass.", ["A nodule of 1.5 cm is new.", "No mass."]),
    "decimal at the end": ("It measures 2.5. No mass.", ["It measures 2.5.", "No mass."]),
    "unit at the end": ("It measures 2 cm. No mass.", ["It measures 2 cm.", "No mass."]),
    "title": ("Dr. Who was called by Dr. J. Smith. No mass.", ["Dr. Who was called by Dr. J. Smith.", "No mass."]),
    "abbreviation inside": ("Atelectasis vs. Pneumonia. Clear.", ["Atelectasis vs. Pneumonia.", "Clear."]),
    "time inside": ("Told at 3 p.m. by phone.", ["Told at 3 p.m. by phone."]),
    "time at the end": ("Told at 3 p.m. No mass.", ["Told at 3 p.m.", "No mass."]),
    "side": ("Opacity in the L. Lower lobe.", ["Opacity in the L. Lower lobe."]),
    "initials": ("R.U.L. lobectomy. Seen in the U.S. No mass.", ["R.U.L. lobectomy.", "Seen in the U.S.", "No mass."]),
    "plural in brackets": ("RECOMMENDATION(S):  Repeat CXR.", ["Repeat CXR."]),
    "wrapped before a name": ("Told by\nDr. ___ at noon.\nClear", ["Told by Dr. ___ at noon.", "Clear"]),
    "letters as markers": ("a) Stable. b) unchanged", ["Stable.", "unchanged"]),
    "letter at the end": ("Known hepatitis C. Clear lungs.", ["Known hepatitis C.", "Clear lungs."]),
    "No. before a number": ("Image No. 3 is blurred. No. No mass.", ["Image No. 3 is blurred.", "No.", "No mass."]),
    "no space after the stop": ("Opacity in the apex.There is edema.", ["Opacity in the apex.", "There is edema."]),
    "question first": ("Cough, ? pneumonia. Clear.", ["Cough, ? pneumonia.", "Clear."]),
    "question for a dash": ("CRP 14 (normal 0 ? 1 mg). Clear.", ["CRP 14 (normal 0 ? 1 mg).", "Clear."]),
    "question before a number": ("Pneumonia? 2 nodules.", ["Pneumonia?", "2 nodules."]),
    "question last": ("Pneumonia? No opacity.", ["Pneumonia?", "No opacity."]),
    "ellipsis": ("Small... or absent. Clear.", ["Small... or absent.", "Clear."]),
    "quotes and brackets": ('Called "clear." (See above.) Edema.', ['Called "clear."', "(See above.)", "Edema."]),
    "de-identified": (
        "Seen by [**Dr. X. Known 2. Y**] now. Clear.",
        ["Seen by [**Dr. X. Known 2. Y**] now.", "Clear."],
    ),
    "blank": ("___ year old. Compared to ___. ___", ["___ year old.", "Compared to ___."]),
    "wrapped line": (
        "There is a large left pleural effusion which has increased since the\nPrior film. Clear.",
        ["There is a large left pleural effusion which has increased since the Prior film.", "Clear."],
    ),
    "one finding a line": ("Heart normal\nLungs clear\r\nNo effusion", ["Heart normal", "Lungs clear", "No effusion"]),
    "line that goes on": ("There is a small\nleft effusion.", ["There is a small left effusion."]),
    "empty line": ("mild edema\n\nsmall effusion", ["mild edema", "small effusion"]),
    "Chinese": ("双肺清晰。未见胸腔积液。", ["双肺清晰。", "未见胸腔积液。"]),
    "Japanese": ("肺野は清明です。胸水はありません。", ["肺野は清明です。", "胸水はありません。"]),
    "Hindi": ("फेफड़े साफ हैं। कोई बहाव नहीं।", ["फेफड़े साफ हैं।", "कोई बहाव नहीं।"]),
    "Persian": ("ریه‌ها شفاف هستند. آیا توده است؟ خیر.", ["ریه‌ها شفاف هستند.", "آیا توده است؟", "خیر."]),
    "empty": ("", []),
    "nothing to say": (" ___ \n - \n FINDINGS: \n", []),
}


@pytest.mark.parametrize("text, sentences", KNOWN.values(), ids=KNOWN)
def test_known_answers(text: str, sentences: list[str]) -> None:
    assert split(text) == sentences


@pytest.mark.parametrize("text", [text for text, _ in KNOWN.values()], ids=KNOWN)
def test_gaps_hold_no_sentence(text: str) -> None:
    sentences, gaps = pieces(text)
    assert join(sentences, gaps) == text
    assert [" ".join(sentence.split()) for sentence in sentences] == split(text)
    assert not [gap for gap in gaps if len(gap.split()) > 3], "a gap swallowed words"


REPORT_LIKE = st.lists(
    st.one_of(
        st.sampled_from(
            [". ", ".", " ", "\n", "\n\n", "1. ", "2. ", "- ", "FINDINGS: ", "IMPRESSION:", "Dr. ", "[**", "**]"]
        ),
        st.sampled_from(
            ["No effusion", "lungs clear", "1.5", "cm", "___", "vs.", "L.", "?", "。", "RIGHT", "\t", "\r\n"]
        ),
        st.text(max_size=4),
    ),
    max_size=40,
).map("".join)


@settings(deadline=None)
@given(st.one_of(st.text(), REPORT_LIKE))
def test_round_trip_of_any_text(text: str) -> None:
    sentences, gaps = pieces(text)
    assert join(sentences, gaps) == text
    assert len(gaps) == len(sentences) + 1
    for sentence in sentences:
        assert sentence == sentence.strip()
        assert any(map(str.isalnum, sentence))


@settings(deadline=None)
@given(st.one_of(st.text(), REPORT_LIKE))
def test_spans_are_ordered_and_apart(text: str) -> None:
    edges = [edge for span in spans(text) for edge in span]
    assert edges == sorted(edges)
    assert all(start < end for start, end in spans(text))
    assert all("\n" not in sentence for sentence in split(text))


@pytest.mark.parametrize(
    "unit", ["No effusion ", "a. ", "[**", "...", " ", "1. A ", "- ", "EXAM     ", "A\n", "R. ", '"']
)
def test_time_is_linear(unit: str) -> None:
    def seconds(size: int) -> float:
        text = unit * (size // len(unit))
        start = time.process_time()
        split(text)
        return time.process_time() - start

    small, large = max(seconds(50_000), 0.02), seconds(500_000)
    assert large < 40 * small, "ten times the text took more than forty times as long"


def test_a_line_of_a_megabyte() -> None:
    text = "No effusion, and the heart is normal " * 27_000
    assert len(text) > 950_000
    assert len(split(text)) == 1
