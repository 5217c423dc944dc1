"""The numbers behind the figures, against brute force and known answers."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmclip.config.report import HeadlineEntry, ReportSettings
from mmclip.observations import FIVE
from mmclip.report.by_language import RETRIEVAL, WORDS, class_heat, question_heats, zero_shot_heat
from mmclip.report.counts import counts
from mmclip.report.disclosure import read_disclosure
from mmclip.report.examples import choose
from mmclip.report.experiments import experiments
from mmclip.report.faults import filter_faults
from mmclip.report.figures import PAGE_COLOURS, curve_figure, floor, validation_loss
from mmclip.report.headline import entry_metric, headline
from mmclip.report.labels import labels
from mmclip.report.measured import Measured, read_run
from mmclip.report.origin import timings
from mmclip.report.page import duration, nice_top, ticks
from mmclip.report.run import Run
from mmclip.tables.benchmark import read_benchmark
from mmclip.tables.evaluation import PREDICTIONS
from mmclip.tables.files import read_table
from tests.report.tree import EXPERIMENTS, LANGUAGES, write_benchmark_file
from tests.report.tree_results import metric


def test_counts_add_up(public_run: Path) -> None:
    found = counts(Run(public_run), read_disclosure(Run(public_run), 10))
    assert found is not None
    by_label = {step.label: step.count.value for step in found.steps}
    assert by_label == {
        "studies": 60, "images": 60, "sentences": 480, "sentences kept": 432, "texts": 240, "texts to train on": 240,
    }  # fmt: skip
    assert [(row.language, row.kept.value, row.dropped.value) for row in found.languages] == [
        (code, 108, 12) for code in LANGUAGES
    ]


def test_the_labelers_error_is_counted_over_mentions(public_run: Path) -> None:
    found = labels(Run(public_run), read_disclosure(Run(public_run), 10))
    assert found is not None and found.error is not None
    assert (found.error.wrong.value, found.error.mentions.value, found.error.share) == (6, 120, 0.05)
    read = [[cell.value for cell in row] for row in found.error.confusion]
    assert read == [[60, 0, 0, 0], [0, 0, 0, 0], [0, 0, 54, 6], [0, 0, 0, 0]]
    heart = next(row for row in found.observations if row.name == "Cardiomegaly")
    assert [count.value for count in heart.counts] == [60, 0, 0, 0] and heart.error == 0
    assert found.error.by_observation["Pleural Effusion"] == 0.1


def test_the_filters_recall(public_run: Path) -> None:
    found = filter_faults(public_run, read_disclosure(Run(public_run), 10))
    assert found is not None
    assert found.recall == (76 + 60) / 160
    assert found.false_alarms == 8 / 480
    assert [kind.kind for kind in found.kinds] == ["loop", "swap_side"]
    assert found.by_language["arb_Arab"]["swap_side"] == 0.75


def test_class_results_by_brute_force(public_run: Path) -> None:
    path = public_run / "evaluate/clip/zero_shot/phantom/predictions.parquet"
    rows = read_table(path, PREDICTIONS).to_dicts()
    found = class_heat(public_run, "clip", "phantom", FIVE, read_disclosure(Run(public_run), 10))
    assert found is not None
    heat, confusion = found
    for code in LANGUAGES:
        for place, name in enumerate(FIVE):
            own = [row["predicted"] == name for row in rows if (row["language"], row["truth"]) == (code, name)]
            assert heat.rows[code][place].value == pytest.approx(sum(own) / len(own))
    for row, name in zip(confusion.rows, FIVE, strict=True):
        assert sum(value or 0 for value in row) == pytest.approx(1)
        own = [one["predicted"] for one in rows if one["truth"] == name]
        assert row == tuple(pytest.approx(own.count(other) / len(own)) for other in FIVE)


def test_heat_maps_hold_the_measured_values(public_run: Path) -> None:
    measured = read_run(Run(public_run))
    heat = zero_shot_heat(measured, "phantom", ["clip", "three_m_clip", "never_run"])
    assert heat is not None
    assert heat.columns == ("clip", "three_m_clip") and heat.lowest == 0.2
    assert list(heat.rows) == [*LANGUAGES, "mean"]
    row = measured.one(experiment="clip", task="zero_shot", metric="accuracy", language="zho_Hans")
    assert row is not None and heat.rows["zho_Hans"][0].value == row.value
    asked = question_heats(measured, "phantom", ["clip", "never_run"], RETRIEVAL)
    assert [heat.columns for _, heat in asked] == [("clip",)] * 4
    assert len(question_heats(measured, "phantom", ["clip"], WORDS)) == 2
    assert zero_shot_heat(measured, "elsewhere", ["clip"]) is None


def test_the_headline_takes_the_classifier_that_saw_the_most(tmp_path: Path) -> None:
    benchmark = write_benchmark_file(tmp_path, "phantom", 20)
    rows = [
        metric(benchmark, "x", task="linear_probe", language="none", metric="accuracy", k=k, value=value)
        for k, value in ((1, 0.4), (100, 0.7), (10, 0.6))
    ]
    entry = HeadlineEntry(label="probe", experiment="x", task="linear_probe")
    found = entry_metric(entry, Measured(tuple(rows)), "phantom")
    assert found is not None and found.value == 0.7


def test_the_headline_names_what_is_missing(public_run: Path) -> None:
    found = headline(ReportSettings(), read_run(Run(public_run)))
    assert found is not None
    assert [entry.label for entry in found.missing] == ["bag-of-words text tower"]
    assert (found.n, found.languages, found.chance) == (30, 4, 0.2)
    assert [row.label for row in found.worst] == ["3M-CLIP", "CLIP"]
    assert headline(ReportSettings(dataset="elsewhere"), read_run(Run(public_run))) is None


def test_experiments_come_best_first(public_run: Path) -> None:
    table = experiments(Run(public_run), read_run(Run(public_run)), "phantom")
    assert table is not None
    assert [row.name for row in table.rows] == sorted(EXPERIMENTS, key=lambda name: -EXPERIMENTS[name])
    best = table.rows[0]
    assert best.floor == pytest.approx(3.2) and best.loss is not None and best.curve is not None


def test_weights_scale_the_floors_of_several_objectives() -> None:
    row = {
        "step": 1,
        "loss": 7.0,
        "a_loss": 2.0,
        "a/contrastive": 4.0,
        "a/floor": 3.0,
        "b_loss": 5.0,
        "b/contrastive": 5.0,
        "b/floor": 1.0,
    }
    assert floor(row) == pytest.approx(0.5 * 3.0 + 1.0)
    assert floor({"step": 1, "loss": 2.0, "mlm_loss": 2.0}) is None
    assert validation_loss({"step": 1, "val/a_loss": 2.0, "val/b_loss": 1.5, "val/a/contrastive": 4.0}) == 3.5
    assert validation_loss({"step": 1, "loss": 2.0}) is None
    assert validation_loss({"step": 1, "val/a_loss": float("nan")}) is None


def test_a_curve_is_drawn_in_the_pages_colours() -> None:
    rows = [{"step": float(step), "loss": 3.0 / step} for step in range(1, 5)]
    svg = curve_figure(rows, "<script>x</script>")
    assert "var(--method)" in svg and not any(stand_in in svg for stand_in in PAGE_COLOURS)
    assert "<script" not in svg and "xmlns" in svg
    assert "svg" in curve_figure([], "empty")


def test_examples_are_one_of_each_class_first(public_run: Path) -> None:
    benchmark = read_benchmark(public_run / "benchmarks/phantom.test.json")
    chosen = choose(benchmark, benchmark.labelled, 7)
    assert [sample.label for sample in chosen] == [0, 1, 2, 3, 4, 0, 1]
    assert len({sample.image_id for sample in chosen}) == 7
    assert chosen == choose(benchmark, benchmark.labelled[::-1], 7)


def test_time_is_summed_over_a_rules_jobs(public_run: Path) -> None:
    found = {row.rule: (row.jobs, row.seconds) for row in timings(Run(public_run))}
    assert found == {"pretrain": (2, pytest.approx(392.6)), "label": (1, 3.25)}


@given(st.floats(0, 1))
def test_an_axis_holds_its_values(highest: float) -> None:
    top = nice_top(highest)
    assert highest <= top + 1e-9 and 0.2 <= top <= 1
    assert ticks(top)[0] == 0 and ticks(top)[-1] <= top + 1e-9


@pytest.mark.parametrize(
    ("seconds", "text"), [(3.2, "3 s"), (89, "89 s"), (125, "2 min"), (5400, "1 h 30 min"), (86400, "24 h 0 min")]
)
def test_durations_in_words(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_undefined_values_are_left_out(tmp_path: Path) -> None:
    path = tmp_path / "evaluate/x/zero_shot/phantom/metrics.json"
    benchmark = write_benchmark_file(tmp_path, "phantom", 20)
    row = metric(benchmark, "x", task="zero_shot", language="mean", metric="auroc", value=0.5)
    path.parent.mkdir(parents=True)
    path.write_text("[" + row.model_dump_json().replace('"value":0.5', '"value":NaN') + "]")
    assert read_run(Run(tmp_path)).rows == ()
