"""Studies: which runs there are, that none is repeated, and what is measured of them."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from mmclip.config.base import load, parse
from mmclip.config.root import Config
from mmclip.config.training import ExperimentSettings
from mmclip.observations import COLUMNS, OBSERVATIONS
from mmclip.tables.files import write_json, write_table
from mmclip.tables.ingest import STUDIES
from mmclip.tables.labeling import LABELS, TARGETS

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"
NAMES = sorted(file.stem for file in (BENCHMARKS / "studies").glob("*.yaml"))


@pytest.fixture(autouse=True)
def _scripts(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The scripts import each other from their own folder."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    yield
    for name in ("study", "study_runs", "study_measures"):
        sys.modules.pop(name, None)


ASKED: dict[str, Any] = {
    "question": "?", "config": "config/study.yaml", "experiment": "config/study/three_m_clip.yaml", "split": "val",
    "seeds": [0, 1], "measures": ["zero_shot", "targets"],
    "axes": {
        "rate": {"low": {"config": {"datasets": {"phantom": {"uncertain_rate": 0.1}}}}, "high": {}},
        "policy": {
            "zeros": {},
            "ones": {"seeds": [0], "config": {"disambiguate": {"policies": {"Edema": "U-Ones"}}}},
        },
    },
}  # fmt: skip


@pytest.fixture
def study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A study whose runs lie below the test's folder."""
    import study_runs

    monkeypatch.setattr(study_runs.Study, "folder", property(lambda self: tmp_path / "runs"))
    return study_runs.Study("small", ASKED)


def test_the_variants_are_the_product_of_the_axes(study: Any) -> None:
    assert [(one.name, one.reference, one.seeds) for one in study.variants] == [
        ("low, zeros", "low, zeros", (0, 1)),
        ("low, ones", "low, zeros", (0,)),
        ("high, zeros", "high, zeros", (0, 1)),
        ("high, ones", "high, zeros", (0,)),
    ]
    assert study.variants[1].config == {
        "datasets": {"phantom": {"uncertain_rate": 0.1}},
        "disambiguate": {"policies": {"Edema": "U-Ones"}},
    }
    assert [(run.variant.name, run.seed) for run in study.runs] == [
        ("low, zeros", 0), ("low, ones", 0), ("high, zeros", 0), ("high, ones", 0), ("low, zeros", 1),
        ("high, zeros", 1),
    ]  # fmt: skip


def finish(run: Any, values: Sequence[float]) -> None:
    """Leave what a measured run leaves."""
    row = {"variant": run.variant.name, "seed": run.seed, "zero_shot_mean": float(np.mean(values)), "n": len(values)}
    row |= {"zero_shot_worst": 0.5, "target_error": 0.1, "target_error_all": 0.01}
    units = [f"u{number}" for number in range(len(values))]
    evidence = {"column": "zero_shot_mean", "unit": units, "patient_id": [name[:2] for name in units], "value": values}
    run.folder.mkdir(parents=True)
    pl.DataFrame(evidence).write_parquet(run.evidence_file)
    write_json(row, run.row_file)


def test_a_killed_study_repeats_nothing(study: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import study as script

    started: list[str] = []

    def start(study: Any, runs: Sequence[Any], again: bool = False) -> None:
        (run,) = runs
        started.append(run.label)
        if len(started) == 4:
            raise KeyboardInterrupt
        finish(run, [0.0, 1.0, 1.0])

    monkeypatch.setattr(script, "start", start)
    stored = tmp_path / "rows.json"
    with pytest.raises(KeyboardInterrupt):
        script.fill(study, {"rows": []}, stored, jobs=1)
    rows = json.loads(stored.read_text())["rows"]
    assert len(rows) == 3
    stored.write_text(json.dumps({"rows": rows[:2]}))  # a run whose row was not stored any more
    script.fill(study, json.loads(stored.read_text()), stored, jobs=1)
    assert sorted(started) == sorted([run.label for run in study.runs] + [started[3]])
    content = json.loads(stored.read_text())
    assert [(row["variant"], row["seed"]) for row in content["rows"]] == [
        ("low, zeros", 0), ("low, zeros", 1), ("low, ones", 0), ("high, zeros", 0), ("high, zeros", 1),
        ("high, ones", 0),
    ]  # fmt: skip
    started.clear()
    script.fill(study, content, stored, jobs=1)
    assert started == []


def test_intervals_are_over_seeds_and_units(study: Any) -> None:
    import study_measures

    random = np.random.default_rng(0)
    values = {run.label: random.random(40) for run in study.runs}
    for run in study.runs:
        finish(run, values[run.label].tolist())
    rows = {row["variant"]: row for row in study_measures.intervals(study)}
    assert list(rows) == [one.name for one in study.variants]
    zeros = (values["low_zeros_seed0"].mean() + values["low_zeros_seed1"].mean()) / 2
    assert rows["low, zeros"]["value"] == pytest.approx(zeros, abs=1e-4) and rows["low, zeros"]["seeds"] == 2
    assert rows["low, zeros"]["low"] < zeros < rows["low, zeros"]["high"] and "difference" not in rows["low, zeros"]
    ones = rows["low, ones"]
    paired = (values["low_ones_seed0"] - values["low_zeros_seed0"]).mean()
    assert ones["against"] == "low, zeros" and ones["difference"] == pytest.approx(paired, abs=1e-4)


def test_the_targets_error_is_against_what_the_film_shows(tmp_path: Path) -> None:
    import study_measures

    edema, fracture = OBSERVATIONS.index("Edema"), OBSERVATIONS.index("Fracture")
    studies, given, read, targets = [], [], [], []
    for name, split, state, target, shown in (
        ("a", "train", -1, 0.75, 1),
        ("b", "train", -1, 0.75, 0),
        ("c", "train", 1, 1.0, 0),
        ("d", "val", -1, 0.0, 1),
    ):
        common: dict[str, Any] = {"study_id": name, "patient_id": f"p{name}", "language": "eng_Latn", "split": split}
        studies.append({**common, "findings": None, "impression": None, "text": "", "source": "phantom"})
        truth = dict.fromkeys(COLUMNS, 0) | {"edema": shown}
        given.append({"id": name, "kind": "study", "label_source": "truth", **truth})
        read.append({"id": name, "kind": "study", "label_source": "rules", "edema": state, "pneumonia": -1})
        vector = np.zeros(14)
        vector[[edema, fracture]] = target, 0.5 if name == "a" else 0
        targets.append({"id": name, "kind": "study", "vector": vector.tolist(), "policy": ""})
    write_table(STUDIES.frame(studies), tmp_path / "ingest/phantom/studies.parquet", STUDIES)
    write_table(LABELS.frame(given), tmp_path / "ingest/phantom/labels.parquet", LABELS)
    write_table(LABELS.frame(read), tmp_path / "label/phantom-000.labels.parquet", LABELS)
    write_table(TARGETS.frame(targets), tmp_path / "disambiguate/targets.parquet", TARGETS)
    errors = study_measures.target_errors(tmp_path)
    assert len(errors) == 3 * 9, "three training studies, nine findings that the phantom draws"
    assert dict(errors.filter("uncertain").select("unit", "value").iter_rows()) == {
        "a/edema": 0.25**2, "b/edema": 0.75**2
    }  # fmt: skip
    assert errors["value"].sum() == pytest.approx(0.25**2 + 0.75**2 + 1 + 0.5**2)


@pytest.mark.parametrize("name", NAMES)
def test_every_study_that_is_delivered_can_be_run(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its variants give configs and experiments that the workflow takes."""
    import study_runs

    monkeypatch.setattr(study_runs.Study, "folder", property(lambda self: tmp_path))
    study = study_runs.Study.read(name)
    labels = [run.label for run in study.runs]
    assert len(set(labels)) == len(labels)
    for run in study.runs:
        if run.seed == study.asked["seeds"][0]:
            config = parse(Config, study_runs.merged(study.config, run.variant.config))
            for file in config.experiments.values():
                load(ExperimentSettings, study_runs.ROOT / file)
            assert load(ExperimentSettings, run.write_experiment()).task == "align"


@pytest.mark.parametrize("name", NAMES)
def test_stored_rows_fit_their_study(name: str) -> None:
    import study_measures
    import study_runs

    study = study_runs.Study.read(name)
    stored = study_runs.ROOT / "docs/results" / f"{name}.json"
    if stored.exists():
        rows = json.loads(stored.read_text(encoding="utf-8"))["rows"]
        known = {(run.variant.name, run.seed) for run in study.runs}
        assert {(row["variant"], row["seed"]) for row in rows} <= known
        assert all({"variant", "seed", *study_measures.columns(study)} <= row.keys() for row in rows)


def test_the_study_of_uncertain_labels_asks_for_three_rates_three_policies_and_five_seeds() -> None:
    import study_runs

    study = study_runs.Study.read("uncertainty")
    assert len([one for one in study.variants if len(one.seeds) == 5]) == 9
    assert len(study.runs) == 9 * 5 + 3 * 6
    policies = [parse(Config, study_runs.merged(study.config, one.config)).disambiguate for one in study.variants]
    for side in ("image", "text"):
        assert {treatment.policy for treatment in policies[0].treatments(side)[1:]} == {"U-Ones"}  # type: ignore[arg-type]
