"""The report writer: what it says agrees with the film and with itself, apart from the errors that it declares."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import defaultdict

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmclip.observations import NO_FINDING, SUPPORT_DEVICES, aggregate, sentence_no_finding
from mmclip.phantom import phrasebook, truth
from mmclip.phantom.reports import SENTENCES, Report, describe, write
from mmclip.phantom.truth import FINDINGS, Finding, Truth

ENGLISH = "eng_Latn"


@st.composite
def truths(draw: st.DrawFn) -> Truth:
    """Any film that the phantom can draw."""
    names = draw(st.lists(st.sampled_from(FINDINGS), max_size=max(n for n, _ in truth.COUNTS), unique=True))
    return Truth("s", "p", draw(st.integers(0, 2**31 - 1)), tuple(draw(findings(name)) for name in names))


def findings(name: str) -> st.SearchStrategy[Finding]:
    def one_of(slot: str) -> st.SearchStrategy[str]:
        return st.sampled_from([str(value) for value in phrasebook.values(slot, name)])

    sized = name in ("Lung Lesion", "Support Devices")
    zoned = name in ("Consolidation", "Atelectasis", "Lung Lesion", "Fracture")
    return st.builds(
        Finding,
        observation=st.just(name),
        side=one_of("side") if name in truth.SIDED else st.just("both"),
        zone=one_of("zone") if zoned else st.just(""),
        severity=st.sampled_from(truth.SEVERITIES),
        size_mm=st.sampled_from([int(v) for v in phrasebook.values("size_mm", name)]) if sized else st.just(0),
        change=st.sampled_from(["", "new", "unchanged", "increased", "decreased"]),
    )


rates = st.sampled_from([0.0, 0.1, 0.5, 1.0])


def labels(report: Report) -> dict[str, int | None]:
    rows = [{**s.states, NO_FINDING: sentence_no_finding(s.states)} for s in report.statements]
    return aggregate(rows)


@settings(max_examples=250, deadline=None)
@given(truths(), rates, rates)
def test_a_report_is_well_formed(film: Truth, uncertain: float, wrong: float) -> None:
    report = write(film, uncertain_rate=uncertain, wrong_rate=wrong)
    assert SENTENCES[0] <= len(report.statements) <= SENTENCES[1]
    assert len({s.text for s in report.statements}) == len(report.statements)
    assert {s.section for s in report.statements} == {"findings", "impression"}
    for statement in report.statements:
        frame = phrasebook.frame(statement.frame)
        assert frame.role == "training"
        assert frame.section in (statement.section, "both")
        assert all(value in frame.slots[slot] for slot, value in statement.slots.items())
        assert statement.text == phrasebook.realise(ENGLISH, statement.frame, statement.slots)
        assert statement.states == frame.states


@settings(max_examples=250, deadline=None)
@given(truths(), rates, rates)
def test_a_report_never_contradicts_itself(film: Truth, uncertain: float, wrong: float) -> None:
    report = write(film, uncertain_rate=uncertain, wrong_rate=wrong)
    states, slots, used = defaultdict(set), defaultdict(set), {s.frame for s in report.statements}
    ruled_out: set[str] = set()
    for statement in report.statements:
        frame = phrasebook.frame(statement.frame)
        ruled_out |= frame.rules_out
        assert not frame.excludes & used
        for name, state in statement.states.items():
            states[name].add(state)
        for slot, value in statement.slots.items():
            slots[frame.finding, slot].add(value)
    assert all(len(found) == 1 for found in states.values())
    assert all(len(values) == 1 for values in slots.values())
    assert not ruled_out & {name for name, found in states.items() if found != {0}}


@settings(max_examples=200, deadline=None)
@given(truths())
def test_without_errors_and_hedges_the_labels_are_the_truth(film: Truth) -> None:
    report = write(film, uncertain_rate=0, wrong_rate=0)
    found = labels(report)
    assert not any(s.is_wrong for s in report.statements)
    for name in FINDINGS:
        assert found[name] in ([1] if name in film.observations else [0, None])
    assert found[NO_FINDING] == (1 if film.observations <= {SUPPORT_DEVICES} else None)
    for finding in film.findings:
        sides = [
            s.slots["side"]
            for s in report.statements
            if phrasebook.frame(s.frame).finding == finding.observation and "side" in s.slots
        ]
        assert set(sides) <= {finding.side}


@settings(max_examples=200, deadline=None)
@given(truths(), rates)
def test_every_shown_finding_is_mentioned(film: Truth, wrong: float) -> None:
    mentioned = {name for s in write(film, wrong_rate=wrong).statements for name in s.states}
    assert film.observations <= mentioned


@settings(max_examples=200, deadline=None)
@given(truths(), rates, rates)
def test_a_statement_is_wrong_where_the_film_shows_otherwise(film: Truth, uncertain: float, wrong: float) -> None:
    shown = {finding.observation: finding for finding in film.findings}
    for statement in write(film, uncertain_rate=uncertain, wrong_rate=wrong).statements:
        claimed = {name for name, state in statement.states.items() if state == 1}
        denied = {name for name, state in statement.states.items() if state == 0}
        swapped = any(statement.slots.get("side", shown[n].side) != shown[n].side for n in claimed & shown.keys())
        lungs = "lungs are clear" in statement.text and shown.keys() & {"Consolidation", "Edema", "Lung Lesion"}
        if claimed - shown.keys() or denied & shown.keys() or swapped or lungs:
            assert statement.is_wrong
        elif statement.is_wrong:
            assert phrasebook.frame(statement.frame).rules_out & shown.keys()


@given(truths())
@settings(max_examples=200, deadline=None)
def test_hedging_everything_states_nothing_for_sure(film: Truth) -> None:
    statements = write(film, uncertain_rate=1, wrong_rate=0).statements
    states = {state for s in statements for name, state in s.states.items() if name in film.observations}
    assert states <= {-1}
    assert not any(s.is_wrong for s in statements)


def test_normal_is_said_of_normal_films_only() -> None:
    for film in truth.draw(1500, 5):
        report = write(film, uncertain_rate=0, wrong_rate=0)
        assert ("No acute cardiopulmonary process." in report.text) <= (not film.findings)
        assert ("lungs are clear" in report.text) <= (
            film.observations <= {"Cardiomegaly", "Fracture", SUPPORT_DEVICES}
        )


def test_rates() -> None:
    films = list(truth.draw(4000, 7))
    written = [write(film) for film in films]
    shown = [
        (f.observation, labels(report)) for film, report in zip(films, written, strict=True) for f in film.findings
    ]
    hedged = sum(found[name] == -1 for name, found in shown) / len(shown)
    denied = sum(found[name] == 0 for name, found in shown) / len(shown)
    assert 0.10 < hedged < 0.14
    # Half of the errors about a finding with a side only change the side; the others deny it.
    assert 0.005 < denied < 0.02
    statements = [s for report in written for s in report.statements]
    assert 0.012 < sum(s.is_wrong for s in statements) / len(statements) < 0.028


def test_a_third_of_the_hedges_is_about_nothing() -> None:
    hedges = [
        phrasebook.frame(statement.frame).finding in film.observations
        for film in truth.draw(3000, 8)
        for statement in write(film).statements
        if phrasebook.frame(statement.frame).kind == "uncertain"
    ]
    assert 0.27 < 1 - sum(hedges) / len(hedges) < 0.43


def test_every_training_frame_is_used() -> None:
    used = {s.frame for film in truth.draw(4000, 2) for s in write(film).statements}
    assert used == {frame.id for frame in phrasebook.frames(role="training")}


def test_the_text_is_the_sections_under_their_headings() -> None:
    report = write(next(iter(truth.draw(1, 3))))
    assert report.text == f"FINDINGS: {report.findings} IMPRESSION: {report.impression}"
    assert f"{report.findings} {report.impression}" == " ".join(s.text for s in report.statements)


def test_the_same_report_in_every_process() -> None:
    code = (
        "from mmclip.phantom import reports, truth\n"
        "print([reports.write(t, wrong_rate=.2).text for t in truth.draw(50, 9)])"
    )
    texts = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "PYTHONHASHSEED": seed},
            capture_output=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(texts) == 1


def test_reports_differ() -> None:
    texts = {write(film).text for film in truth.draw(300, 4)}
    assert len(texts) > 290


def test_describe_says_what_the_film_shows() -> None:
    effusion = Finding("Pleural Effusion", "left", "", "severe")
    lesion = Finding("Lung Lesion", "right", "upper", "mild", size_mm=17)
    text = describe(Truth("s", "p", 1, (effusion, lesion)), ENGLISH)
    assert text == "Large effusion on the left. A pulmonary nodule of 17 mm is present in the right upper lung."
    assert describe(Truth("s", "p", 1), ENGLISH) in phrasebook.prompts(ENGLISH, NO_FINDING)


@pytest.mark.parametrize("language", phrasebook.available())
def test_every_language_describes_every_film(language: str) -> None:
    for film in truth.draw(200, 6):
        assert describe(film, language)
