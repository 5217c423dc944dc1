"""Explanations: spans of the original text, decisions that agree with the labels, and a page that is safe to open."""

import json
import re
import stat
from html.parser import HTMLParser
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmclip.config.labeling import LabelSettings
from mmclip.labeling.explain import DECISIONS, explain
from mmclip.labeling.page import PAGE_LIMIT, page
from mmclip.labeling.rules import rules_for
from mmclip.labeling.stage import label_file
from mmclip.labeling.tokens import tokenize
from mmclip.observations import OBSERVATIONS

_WORDS = [
    *("No", "pleural", "EFFUSION", "Pleural-Effusion,", "heart", "is", "enlarged.", "IMPRESSION:", "may", "be", "or"),
    *("pneumothorax", "1.", "İ", "ß", "e\u0301dema", "edema?", "🫁", "<b>", "\u2028", "\n\n", "vs.", "no"),
    *("se observa", "corazón", "derrame"),
]
_texts = st.one_of(
    st.text(max_size=120),
    st.lists(st.sampled_from(_WORDS), max_size=25).flatmap(
        lambda words: st.sampled_from([" ", "  ", "\n", "\t", "\r\n"]).map(lambda gap: gap.join(words))
    ),
)


@given(_texts, st.sampled_from(["eng_Latn", "spa_Latn"]))
def test_spans_are_exact_and_phrases_are_the_text_s_own(text: str, language: str) -> None:
    rules = rules_for(language)
    ids = {rule.id for rule in rules.mentions}, {rule.id for rule in rules.cues}
    for entry in explain(text, rules):
        assert 0 <= entry["start"] < entry["end"] <= len(text)
        assert text[entry["start"] : entry["end"]] == entry["phrase"]
        assert entry["phrase"].strip() == entry["phrase"]
        assert entry["rule"] in ids[0] and entry["decision"] in DECISIONS.values()
        if entry["cue"] is None:
            assert entry["cue_phrase"] is entry["cue_start"] is entry["cue_end"] is None
        else:
            assert text[entry["cue_start"] : entry["cue_end"]] == entry["cue_phrase"] != ""
            assert entry["cue"] in ids[1]


@given(_texts)
def test_a_phrase_explains_itself(text: str) -> None:
    """What is marked is what the rule matches: the words of the phrase alone are a mention of the same rule."""
    rules = rules_for("eng_Latn")
    for entry in explain(text, rules):
        found = rules.mention_matcher.find(tokenize(entry["phrase"]).words)
        assert entry["rule"] in {rules.mentions[match.rule].id for match in found}


def test_case_and_line_breaks_are_kept() -> None:
    text = "FINDINGS:\n  NO\r\npleural-Effusion;\tsmall  Pneumothorax."
    effusion, pneumothorax = explain(text)
    assert (effusion["phrase"], effusion["decision"], effusion["cue"]) == ("pleural-Effusion", "absent", "denied")
    assert (effusion["cue_phrase"], text[effusion["cue_start"]]) == ("NO", "N")
    assert (pneumothorax["phrase"], pneumothorax["decision"], pneumothorax["cue"]) == ("Pneumothorax", "present", None)


def test_accents_do_not_move_a_span() -> None:
    text = "Vías: catéter. Sin neumoto\u0301rax"
    device, pneumothorax = explain(text, rules_for("spa_Latn"))
    assert (device["phrase"], pneumothorax["phrase"]) == ("catéter", "neumoto\u0301rax")


@pytest.fixture
def explained(tmp_path: Path) -> Path:
    frame = pl.DataFrame(
        {
            "id": ["1", "<i>", "3"],
            "findings": ["There is a <b>small</b> effusion, without pneumothorax.", "Normal heart size.", ""],
            "impression": ["Edema. No edema.", "No acute process.", ""],
        }
    )
    frame.write_csv(tmp_path / "in.csv")
    label_file(
        LabelSettings(), tmp_path / "in.csv", tmp_path / "labels.csv", "id", ["findings", "impression"], explain=True
    )
    return tmp_path


def test_the_json_file_has_decisions_and_mentions_of_each_report(explained: Path) -> None:
    first, second, third = json.loads((explained / "labels.json").read_text(encoding="utf-8"))
    assert first["labels"] == {"Edema": "present", "Pneumothorax": "absent", "Pleural Effusion": "present"}
    assert [(m["column"], m["phrase"], m["decision"]) for m in first["mentions"]] == [
        ("findings", "effusion", "present"), ("findings", "pneumothorax", "absent"),
        ("impression", "Edema", "present"), ("impression", "edema", "absent"),
    ]  # fmt: skip
    assert second["labels"] == {"No Finding": "present", "Cardiomegaly": "absent"}
    assert third == {"id": "3", "labels": {}, "mentions": []}
    labels = pl.read_csv(explained / "labels.csv").row(0, named=True)
    assert {name: DECISIONS[labels[name]] for name in OBSERVATIONS if labels[name] is not None} == first["labels"]


def test_the_files_are_for_their_owner_only(explained: Path) -> None:
    for name in ("labels.html", "labels.json"):
        assert stat.S_IMODE((explained / name).stat().st_mode) == 0o600


def test_the_page_is_escaped_and_loads_nothing(explained: Path) -> None:
    text = (explained / "labels.html").read_text(encoding="utf-8")
    assert "&lt;b&gt;small&lt;/b&gt;" in text and "<i>" not in text
    assert (
        '<mark class="absent" title="Pneumothorax: absent (rule pneumothorax, cue denied)">pneumothorax</mark>' in text
    )
    assert not re.search(r"<script|<link|https?:|url\(|@import|\bsrc=", text)


class _Text(HTMLParser):
    """The text of the page's paragraphs of report text, without its marks."""

    def __init__(self) -> None:
        super().__init__()
        self.inside = False
        self.texts: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "p" and ("class", "text") in attrs:
            self.inside = True
            self.texts.append("")

    def handle_endtag(self, tag: str) -> None:
        self.inside = self.inside and tag != "p"

    def handle_data(self, data: str) -> None:
        if self.inside:
            self.texts[-1] += data


@given(_texts.filter(lambda text: text.strip() and "\r" not in text and "\0" not in text))
def test_marks_leave_the_text_as_it_is(text: str) -> None:
    parser = _Text()
    parser.feed(page([("1", {}, [("text", text, explain(text))])]))
    assert parser.texts == [text]


def test_a_long_list_is_cut_on_the_page() -> None:
    text = page([(str(number), {}, [("text", "Edema.", [])]) for number in range(PAGE_LIMIT + 1)])
    assert text.count("<article>") == PAGE_LIMIT
    assert f"The first {PAGE_LIMIT} of {PAGE_LIMIT + 1} reports" in text
