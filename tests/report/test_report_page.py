"""The whole page: what it says, that it needs nothing else, and what it does with gaps and bad files."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from mmclip.config.base import parse
from mmclip.config.report import RealResult, ReportSettings
from mmclip.errors import UserError
from mmclip.report.page import CONTENTS
from mmclip.report.stage import report
from mmclip.tables.evaluation import write_metrics
from tests.report.tree import write_benchmark_file, write_source, write_tree
from tests.report.tree_results import metric

VOID = {"meta", "img", "br", "link", "input"}


class Page(HTMLParser):
    """Text, attributes and ids of a page; fails where elements are not closed in order."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.attributes: list[tuple[str, str, str]] = []
        self.text = ""
        self.feed(html)
        assert not self.open
        self.text = " ".join(self.text.split())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        self.text += " "
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.attributes += [(tag, name, value or "") for name, value in attrs]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag, tag

    def handle_data(self, data: str) -> None:
        if not self.open or self.open[-1] != "style":
            self.text += data.replace("\u202f", " ")


def page_of(run: Path, folder: Path, settings: ReportSettings | None = None) -> Page:
    output = folder / "report.html"
    report(settings or ReportSettings(), run, output)
    return Page(output.read_text(encoding="utf-8"))


def test_the_first_screen_says_what_was_measured(public_run: Path, tmp_path: Path) -> None:
    page = page_of(public_run, tmp_path)
    text = page.text
    assert "Simulated, not clinical." in text
    assert re.search(r"supervised, image only trained on the true labels 81\.0 % 77\.0 to 85\.0", text)
    assert re.search(r"chance one class in 5 20\.0 %", text)
    assert re.search(r"always the same class the commonest of the test set 24\.0 %", text)
    assert "bag-of-words text tower not run" in text
    assert "Translation faults caught by the filter 85.0 %" in text  # 76 of 80 loops, 60 of 80 swapped sides
    assert "Labels read wrongly from reports 5.00 % 6 of 120 mentions" in text
    assert "machine-written, not reviewed by a native radiologist" in text


def test_the_title_counts_the_languages_unless_it_is_given(public_run: Path, tmp_path: Path) -> None:
    assert "One model for chest radiographs and reports in 4 languages" in page_of(public_run, tmp_path).text
    assert page_of(public_run, tmp_path, ReportSettings(title="Ours")).text.startswith("Ours mmclip")


def test_every_section_can_be_reached(public_run: Path, tmp_path: Path) -> None:
    page = page_of(public_run, tmp_path)
    ids = {value for _, name, value in page.attributes if name == "id"}
    assert {key for key, _ in CONTENTS} <= ids
    assert {f"#{key}" for key, _ in CONTENTS} == {
        value for tag, name, value in page.attributes if (tag, name) == ("a", "href")
    }


def test_it_needs_nothing_else(public_run: Path, tmp_path: Path) -> None:
    page = page_of(public_run, tmp_path)
    html = (tmp_path / "report.html").read_text(encoding="utf-8")
    sources = [value for _, name, value in page.attributes if name == "src"]
    assert sources and all(value.startswith("data:image/jpeg;base64,") for value in sources)
    assert not re.search(r"@import|url\(\s*['\"]?(?!#)|<link|<script|<iframe", html)
    namespaces = {"http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"}
    assert set(re.findall(r"https?://[^\s\"'<>]+", html)) <= namespaces


def test_the_same_run_gives_the_same_bytes(public_run: Path, tmp_path: Path) -> None:
    for name in ("a", "b"):
        report(ReportSettings(), public_run, tmp_path / name / "report.html")
    assert (tmp_path / "a/report.html").read_bytes() == (tmp_path / "b/report.html").read_bytes()


def test_an_empty_run_still_gives_a_page(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    page = page_of(tmp_path / "run", tmp_path)
    assert page.text.count(" was not run: ") >= 6
    assert "Simulated" not in page.text


def test_without_models_the_data_is_reported(tmp_path: Path) -> None:
    write_source(tmp_path / "run", "phantom", "public", 30, "")
    text = page_of(tmp_path / "run", tmp_path).text
    assert "The evaluation was not run in this configuration; see config/full.yaml." in text
    assert "2 sentences" not in text and "30" in text


def test_texts_are_escaped_and_read_in_their_direction(tmp_path: Path) -> None:
    run = write_tree(tmp_path / "run", text="<script>alert(1)</script>")
    page = page_of(run, tmp_path)
    assert "<script" not in (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "<script>alert(1)</script>" in page.text
    assert ("dd", "dir", "rtl") in page.attributes and ("dd", "lang", "ar") in page.attributes


def test_of_real_data_it_says_what_to_add_and_nothing_of_the_demo(tmp_path: Path) -> None:
    run = write_tree(tmp_path / "run", dataset="clinic", share="restricted", truth=False)
    text = page_of(run, tmp_path).text
    assert "demo" not in text and "config/full.yaml" not in text and "imulated, not clinical" not in text
    assert "mmclip run --configfile CONFIG" in text and "the config of the run" not in text
    assert "Not run: bag-of-words text tower ( zero_shot of bag_of_words); list the experiments" in text
    assert "Sentences that the filter rejects 20.0 % 96 of 480, in all languages. Whether rightly is not known" in text
    assert re.search(r"laterality 60 .*negation 40 ", text) and "<10" in text
    assert "faultless" not in text and "fault injected" not in text and "caught" not in text
    assert "what each sentence asserts is known of simulated reports only" in text
    assert "whether a native radiologist has reviewed them is not recorded" in text
    assert "in sentences that were written in each language; mean of 4 languages" in text


def test_it_says_which_reports_are_translations(tmp_path: Path) -> None:
    benchmark = write_benchmark_file(tmp_path, "clinic", 60).model_copy(update={"test_text": "mt:nllb"})
    codes = {"eng_Latn": "native", "zho_Hans": "mt:nllb", "spa_Latn": "mt:nllb", "mean": "mt:nllb+native"}
    rows = [
        metric(
            benchmark, "clip", task="retrieval", language=code, metric=name, k=k, value=0.5,
            test_text=origin, direction="image_to_text",
        )
        for code, origin in codes.items()
        for name, k in (("recall_at_k", 10), ("mean_rank", None))
    ]  # fmt: skip
    write_metrics(rows, tmp_path / "evaluate/clip/retrieval/clinic/metrics.json")
    assert "Reports: native in English; mt:nllb in Spanish, Chinese." in page_of(tmp_path, tmp_path).text


def test_a_result_elsewhere_is_looked_for_in_the_checkout(public_run: Path, tmp_path: Path) -> None:
    settings = ReportSettings(real=RealResult(label="x", metrics=Path("docs/none.json")))
    checkout = Path(__file__).resolve().parents[2]
    with pytest.raises(UserError, match=re.escape(str(checkout / "docs/none.json"))):
        page_of(public_run, tmp_path, settings)


def test_a_result_on_real_patients_is_shown_with_its_interval(public_run: Path, tmp_path: Path) -> None:
    benchmark = write_benchmark_file(tmp_path / "elsewhere", "covid", 30)
    shared = {"task": "zero_shot", "n": 88}
    rows = [
        metric(benchmark, "clip", **shared, language="mean", metric="auroc", value=0.61, low=0.47, high=0.75),
        metric(benchmark, "clip", **shared, language="mean", metric="accuracy", value=0.55, low=0.4, high=0.7),
        metric(benchmark, "clip", **shared, language="none", metric="constant_accuracy", value=0.6),
    ]
    write_metrics(rows, tmp_path / "real.json")
    settings = ReportSettings(real=RealResult(label="one hospital", metrics=tmp_path / "real.json"))
    text = page_of(public_run, tmp_path, settings).text
    assert "On real patients: one hospital 0.55 accuracy of clip, interval 0.40 to 0.70; 88 images" in text
    assert "always the same class 0.60 0.61 AUROC of clip, interval 0.47 to 0.75; 88 images; chance 0.50" in text


def test_a_language_left_out_stands_beside_its_reference(public_run: Path, tmp_path: Path) -> None:
    text = page_of(public_run, tmp_path, ReportSettings(left_out={"clip": "arb_Arab"})).text
    assert re.search(r"Arabic seen in training \d+\.\d % .* never seen \d+\.\d %", text)


@pytest.mark.parametrize("content", ["{", "[{}]", "3", "[[1]]"])
def test_a_broken_metrics_file_is_one_clear_line(tmp_path: Path, content: str) -> None:
    path = tmp_path / "run/evaluate/clip/zero_shot/phantom/metrics.json"
    path.parent.mkdir(parents=True)
    path.write_text(content)
    with pytest.raises(UserError, match="evaluate again"):
        report(ReportSettings(), tmp_path / "run", tmp_path / "report.html")
    assert not (tmp_path / "report.html").exists()


def test_settings_name_known_languages_only() -> None:
    with pytest.raises(UserError, match="'es' is not a language"):
        parse(ReportSettings, {"left_out": {"x": "es"}})
    assert parse(ReportSettings, {}) == ReportSettings()
