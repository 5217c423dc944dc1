"""Report shapes, each with the sections that a reader would name."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmclip.ingest.sections import Sections, select, split

CLEAR = "The lungs are clear."
NORMAL = "No acute disease."

SHAPES: dict[str, tuple[str, tuple[str, str, str | None]]] = {
    # name: (report, (findings, impression, last paragraph or None where it is not checked))
    "plain": (f"FINDINGS: {CLEAR}\n\nIMPRESSION: {NORMAL}", (CLEAR, NORMAL, None)),
    "header_on_its_own_line": (f"FINDINGS:\n{CLEAR}\n\nIMPRESSION:\n{NORMAL}\n", (CLEAR, NORMAL, None)),
    "windows_line_ends": (f"FINDINGS:\r\n{CLEAR}\r\n\r\nIMPRESSION:\r\n{NORMAL}\r\n", (CLEAR, NORMAL, None)),
    "old_mac_line_ends": (f"FINDINGS:\r{CLEAR}\rIMPRESSION:\r{NORMAL}", (CLEAR, NORMAL, None)),
    "one_line": (f"FINDINGS: {CLEAR} IMPRESSION: {NORMAL}", (CLEAR, NORMAL, None)),
    "one_line_title_case": (f"Findings: {CLEAR} Impression: {NORMAL}", (CLEAR, NORMAL, None)),
    "lower_case_line_starts": (f"findings: {CLEAR}\nimpression: {NORMAL}", (CLEAR, NORMAL, None)),
    "indented": (f"   FINDINGS:  {CLEAR}\n \n   IMPRESSION:  {NORMAL}\n", (CLEAR, NORMAL, None)),
    "tabs": (f"\tFINDINGS:\t{CLEAR}\n\tIMPRESSION:\t{NORMAL}", (CLEAR, NORMAL, None)),
    "space_before_colon": (f"FINDINGS : {CLEAR}\nIMPRESSION : {NORMAL}", (CLEAR, NORMAL, None)),
    "bold_markers": (f"**FINDINGS:** {CLEAR}\n**IMPRESSION**: {NORMAL}", (CLEAR, NORMAL, None)),
    "no_colon": (f"FINDINGS\n{CLEAR}\n\nIMPRESSION\n{NORMAL}", (CLEAR, NORMAL, None)),
    "conclusion": (f"FINDINGS: {CLEAR}\nCONCLUSION: {NORMAL}", (CLEAR, NORMAL, None)),
    "conclusions_first": (f"CONCLUSIONS: {NORMAL}\nFINDINGS: {CLEAR}", (CLEAR, NORMAL, None)),
    "findings_only": (f"INDICATION: Cough.\n\nFINDINGS: {CLEAR}", (CLEAR, "", None)),
    "impression_only": (f"HISTORY: Fever.\nIMPRESSION: {NORMAL}", ("", NORMAL, None)),
    "findings_and_impression": (f"FINDINGS AND IMPRESSION: {CLEAR}", (CLEAR, "", None)),
    "findings_slash_impression": (f"FINDINGS/IMPRESSION:\n{CLEAR}", (CLEAR, "", None)),
    "all_capitals": (
        "FINDINGS: THE LUNGS ARE CLEAR. HEART: NORMAL. IMPRESSION: NORMAL CHEST.",
        ("THE LUNGS ARE CLEAR. HEART: NORMAL.", "NORMAL CHEST.", None),
    ),
    "structured": (
        "FINDINGS:\nLUNGS: Clear.\nHEART: Normal.\n\nIMPRESSION:\n1. Normal.\n2. No change.",
        ("LUNGS: Clear.\nHEART: Normal.", "1. Normal.\n2. No change.", None),
    ),
    "mimic_like": (
        "                                 FINAL REPORT\n EXAMINATION:  CHEST (PA AND LAT)\n \n INDICATION:  Cough.\n \n"
        " TECHNIQUE:  Two views.\n \n COMPARISON:  None.\n \n FINDINGS: \n \n The lungs are\n clear.\n \n"
        " IMPRESSION: \n \n No acute disease.\n",
        ("The lungs are\n clear.", NORMAL, None),
    ),
    "wet_read_before_the_final_report": (
        f"WET READ: Pneumonia.\n______________________\n FINAL REPORT\nFINDINGS: {CLEAR}\nIMPRESSION: {NORMAL}",
        (CLEAR, NORMAL, None),
    ),
    "preliminary_impression_is_dropped": (
        f"IMPRESSION: Edema.\nFINAL REPORT\nFINDINGS: {CLEAR}",
        (CLEAR, "", None),
    ),
    "addendum_after": (
        f"FINDINGS: {CLEAR}\nIMPRESSION: {NORMAL}\nADDENDUM: Discussed by telephone.",
        (CLEAR, NORMAL, None),
    ),
    "addendum_before": (
        f"FINAL ADDENDUM\nThe clinician was called.\n\nFINAL REPORT\nFINDINGS: {CLEAR}\nIMPRESSION: {NORMAL}",
        (CLEAR, NORMAL, None),
    ),
    "signature": (f"IMPRESSION: {NORMAL}\nDICTATED BY: A. Reader\nEND OF REPORT", ("", NORMAL, None)),
    "ruled_lines": (f"FINDINGS: {CLEAR}\n_________________\nIMPRESSION: {NORMAL}", (CLEAR, NORMAL, None)),
    "recommendation": (
        f"IMPRESSION: {NORMAL}\n\nRECOMMENDATION(S): none\nRECOMMENDATIONS: Follow-up.",
        ("", f"{NORMAL}\n\nRECOMMENDATION(S): none", None),
    ),
    "two_findings": (
        f"FINDINGS: {CLEAR}\nIMPRESSION: {NORMAL}\nFINDINGS: Second film.",
        (f"{CLEAR}\n\nSecond film.", NORMAL, None),
    ),
    "examination_as_heading": (
        f"PA AND LATERAL VIEWS OF THE CHEST: {CLEAR}\nIMPRESSION: {NORMAL}",
        (CLEAR, NORMAL, None),
    ),
    "examination_heading_beside_findings": (
        f"CHEST, PA AND LATERAL: Two views were obtained.\nFINDINGS: {CLEAR}",
        (CLEAR, "", None),
    ),
    "last_paragraph": (
        "INDICATION: Cough.\n\nTwo views of the chest.\n\nThe lungs are clear.",
        ("", "", CLEAR),
    ),
    "last_paragraph_of_the_final_report": (
        "WET READ: None given.\n\nFINAL REPORT\nHISTORY: Cough.\n\nThe lungs are clear.\n\nA. Reader",
        ("", "", CLEAR),
    ),
    "no_headings": (CLEAR, ("", "", CLEAR)),
    "comparison_holds_the_text": (
        f"INDICATION: Cough.\n\nCOMPARISON: Film of last week. {CLEAR}",
        ("", "", f"Film of last week. {CLEAR}"),
    ),
    "indication_only": ("INDICATION: Cough.", ("", "", "")),
    "empty_sections": ("FINDINGS:\n\nIMPRESSION:\n", ("", "", "")),
    "nothing": ("  \r\n ", ("", "", "")),
    "word_in_a_sentence": (
        f"FINDINGS: No other findings: clear. The impression: none. {CLEAR}",
        (f"No other findings: clear. The impression: none. {CLEAR}", "", None),
    ),
    "other_scripts": (
        "FINDINGS: Лёгкие чистые. 肺野は清明。\nIMPRESSION: الرئتان صافيتان.",
        ("Лёгкие чистые. 肺野は清明。", "الرئتان صافيتان.", None),
    ),
}


@pytest.mark.parametrize("name", SHAPES)
def test_shapes(name: str) -> None:
    report, (findings, impression, last) = SHAPES[name]
    found = split(report)
    assert (found.findings, found.impression) == (findings, impression)
    if last is not None:
        assert found.last_paragraph == last


BOTH = Sections("Long findings.", "Short.", "Last.")


@pytest.mark.parametrize(
    ("policy", "sections", "expected"),
    [
        ("both", BOTH, ("Long findings.\n\nShort.", "findings+impression")),
        ("findings", BOTH, ("Long findings.", "findings")),
        ("impression", BOTH, ("Short.", "impression")),
        ("longest", BOTH, ("Long findings.", "findings")),
        ("longest", Sections("a.", "longer.", ""), ("longer.", "impression")),
        ("both", Sections("", "Short.", "x"), ("Short.", "impression")),
        ("findings", Sections("", "Short.", "x"), ("Short.", "impression")),
        ("impression", Sections("Findings.", "", "x"), ("Findings.", "findings")),
        ("impression", Sections("", "", "Last."), ("Last.", "last_paragraph")),
        ("both", Sections("", "", ""), ("", "nothing")),
    ],
)
def test_policy(policy: str, sections: Sections, expected: tuple[str, str]) -> None:
    assert select(sections, policy) == expected  # type: ignore[arg-type]


@pytest.mark.parametrize("policy", ["both", "findings", "impression", "longest"])
@pytest.mark.parametrize("name", SHAPES)
def test_every_policy_on_every_shape(name: str, policy: str) -> None:
    """What the policy asks for, or else the other section, or else the last paragraph."""
    report, (findings, impression, last) = SHAPES[name]
    found = split(report)
    expected = {
        "both": "\n\n".join(part for part in (findings, impression) if part),
        "findings": findings or impression,
        "impression": impression or findings,
        "longest": max(findings, impression, key=len),
    }[policy]
    text, text_from = select(found, policy)  # type: ignore[arg-type]
    assert text == (expected or (found.last_paragraph if last is None else last))
    parts = {"findings": findings, "impression": impression, "last_paragraph": found.last_paragraph, "nothing": ""}
    assert text == "\n\n".join(parts[part] for part in text_from.split("+"))


def test_there_are_thirty_shapes() -> None:
    assert len(SHAPES) >= 30


PIECES = st.sampled_from(
    ["FINDINGS:", "IMPRESSION:", "FINAL REPORT", "ADDENDUM:", "\n", "\n\n", " ", "\r\n", "Clear.", "a", ":", "\t", "__"]
)


@given(st.lists(PIECES | st.text(max_size=5), max_size=30).map("".join))
def test_sections_are_parts_of_the_report_and_never_fail(report: str) -> None:
    plain = report.replace("\r\n", "\n").replace("\r", "\n")
    words = plain.split()
    found = split(report)
    for section in (found.findings, found.impression, found.last_paragraph):
        assert section == section.strip()
        assert sum(map(len, section.split())) <= sum(map(len, words))
    assert found == split(plain)


@pytest.mark.parametrize(
    "line",
    [
        " " * 1_000_000,
        "FINDINGS " * 100_000,
        "A" * 1_000_000,
        "CHEST " * 150_000,
        "a. " * 300_000,
        "\n \n" * 300_000,
        "CHEST AP: " + "A" * 900_000,
        "CHEST AP: " + "a " * 400_000,
        "FINAL" + " " * 900_000,
        "FINDINGS" + " " * 900_000 + "x",
        ": " * 400_000,
        "CHEST PA" + " (" * 400_000,
    ],
)
def test_a_megabyte_takes_seconds_at_most(line: str) -> None:
    start = time.process_time()
    split("x" + line)
    split(line + "x")
    assert time.process_time() - start < 10
