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
from mmclip.errors import UserError
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
    for name in ("study", "study_runs", "study_measures", "study_intervals", "study_table"):
        sys.modules.pop(name, None)


WRONG: dict[str, Any] = {"config": {"datasets": {"phantom": {"wrong_rate": 0.1}}}}
ASKED: dict[str, Any] = {
    "question": "?", "config": "config/study.yaml", "experiment": "config/study/three_m_clip.yaml", "split": "val",
    "seeds": [0, 1], "measures": ["zero_shot"], "text": "config/study/text.yaml",
    "changes": {"languages": None, "shards": 2},
    "table": {"zero_shot_mean": "accuracy", "zero_shot_mean+": "minus clip"},
    "axes": {
        "data": {"wrong": WRONG, "right": {}},
        "objective": {
            "clip": {"experiment": {"objectives": [{"name": "clip"}]}},
            "soft": {"seeds": [0], "text": None},
        },
    },
}  # fmt: skip
CLASSIFIED = {"experiments": {"classify": "config/study/classify.yaml"}}


def read_study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, asked: dict[str, Any]) -> Any:
    """A study whose runs lie below the test's folder."""
    import study_runs

    monkeypatch.setattr(study_runs.Study, "folder", property(lambda self: tmp_path / self.name))
    monkeypatch.setattr(study_runs, "TOGETHER", tmp_path / "together")
    return study_runs.Study("small", asked)


def test_null_takes_away_what_the_experiment_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def experiment(**changes: Any) -> dict[str, Any]:
        return {"experiment": changes}

    axes = {
        "starts from": {"text": {}, "nothing": experiment(text_experiment=None)},
        "size": {
            "two layers": experiment(model={"text": {"layers": 2, "heads": None}}),
            "one": experiment(model={"text": {"layers": 1}}),
        },
    }
    asked = {**ASKED, "experiment": "config/demo/three_m_clip.yaml", "text": None, "axes": axes}
    runs = read_study(tmp_path, monkeypatch, asked).runs
    assert [run.settings.get("text_experiment") for run in runs[:4]] == ["text", "text", None, None]
    assert [run.settings["model"]["text"]["layers"] for run in runs[:4]] == [2, 1, 2, 1]
    assert ["heads" in run.settings["model"]["text"] for run in runs[:4]] == [False, True, False, True]


@pytest.fixture
def study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A study whose seeds make models only."""
    return read_study(tmp_path, monkeypatch, dict(ASKED))


def test_the_variants_are_the_product_of_the_axes(study: Any) -> None:
    assert [(one.name, one.reference, one.seeds, one.text) for one in study.variants] == [
        ("wrong, clip", "wrong, clip", (0, 1), "config/study/text.yaml"),
        ("wrong, soft", "wrong, clip", (0,), None),
        ("right, clip", "right, clip", (0, 1), "config/study/text.yaml"),
        ("right, soft", "right, clip", (0,), None),
    ]
    assert study.variants[0].config == (WRONG["config"],)
    assert [(run.variant.name, run.seed) for run in study.runs] == [
        ("wrong, clip", 0), ("wrong, soft", 0), ("right, clip", 0), ("right, soft", 0), ("wrong, clip", 1),
        ("right, clip", 1),
    ]  # fmt: skip
    config = parse(Config, study.runs[0].config)
    assert len(config.languages) == 21 and config.shards == 2


def test_runs_with_the_same_data_lie_together_and_are_one_where_they_are_alike(study: Any, tmp_path: Path) -> None:
    import study_runs

    wrong, soft, right = study.runs[:3]
    assert wrong.workplace == soft.workplace != right.workplace and wrong.workplace.parent == tmp_path / "together"
    assert wrong.experiment == right.experiment != soft.experiment
    assert wrong.settings["text_experiment"] == wrong.text_experiment and "text_experiment" not in soft.settings
    assert {run.text_experiment for run in study.runs if run.text_settings} == {
        wrong.text_experiment, study.runs[-1].text_experiment
    }, "one text encoder for each seed"  # fmt: skip
    assert len({run.experiment for run in study.runs if run.variant.name == "right, clip"}) == 2
    other = study_runs.Study("other", ASKED | {"measures": ["zero_shot", "retrieval"]})
    assert [(run.workplace, run.experiment) for run in other.runs] == [
        (run.workplace, run.experiment) for run in study.runs
    ]
    alone = study_runs.Run(study, wrong.variant, 0, alone=True)
    assert alone.workplace == alone.folder != wrong.folder and alone.experiment == wrong.experiment


def test_the_seed_of_a_run_reaches_what_it_makes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    study = read_study(tmp_path, monkeypatch, ASKED)
    assert [(run.config["seed"], run.settings["seed"], run.seed) for run in study.runs][::4] == [(0, 0, 0), (0, 1, 1)]
    axes = {"policy": {"zeros": {}, "guessed": {"config": CLASSIFIED}}}
    apart = read_study(tmp_path, monkeypatch, ASKED | {"axes": axes})
    assert apart.seeds_make_data
    assert [(run.config["seed"], run.settings["seed"], run.workplace) for run in apart.runs] == [
        (run.seed, 0, run.folder) for run in apart.runs
    ]


def finish(run: Any, values: Sequence[float]) -> None:
    """Leave what a measured run leaves."""
    import study_measures

    row = {"variant": run.variant.name, "seed": run.seed, "zero_shot_mean": float(np.mean(values)), "n": len(values)}
    row |= dict.fromkeys(("zero_shot_english", "zero_shot_worst"), 0.5)
    units = [f"u{number:03}" for number in range(len(values))]
    parts = []
    for code in ("deu_Latn", "eng_Latn"):
        frame = {"score": "zero_shot", "language": code, "unit": units, "patient_id": [name[:3] for name in units]}
        parts.append(study_measures._evidence(pl.DataFrame({**frame, "value": values})))
    run.folder.mkdir(parents=True)
    pl.concat(parts).write_parquet(run.evidence_file)
    write_json(row, run.row_file)


@pytest.mark.parametrize("apart", [False, True])
def test_a_killed_study_repeats_nothing(apart: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import study as script

    axes = {"policy": {"zeros": {}, "guessed": {"seeds": [0], "config": CLASSIFIED}, "ones": {}}}
    study = read_study(tmp_path, monkeypatch, ASKED | ({"axes": axes} if apart else {}))
    started: list[str] = []

    def start(runs: Sequence[Any], jobs: int = 1) -> None:
        assert len(runs) == 1 or not apart
        for run in runs:
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
    order = [one.name for one in study.variants]
    expected = sorted(
        ((run.variant.name, run.seed) for run in study.runs), key=lambda one: (order.index(one[0]), one[1])
    )
    assert [(row["variant"], row["seed"]) for row in content["rows"]] == expected
    assert {row["variant"] for row in content["intervals"]} == set(order)
    started.clear()
    script.fill(study, content, stored, jobs=1)
    assert started == []


def test_intervals_are_over_seeds_and_patients_and_paired(study: Any) -> None:
    import study_intervals
    import study_table

    random = np.random.default_rng(0)
    values = {run.label: random.random(40) for run in study.runs}
    for run in study.runs:
        finish(run, values[run.label].tolist())
    rows = {(row["variant"], row["column"]): row for row in study_intervals.intervals(study)}
    clip, soft = rows["wrong, clip", "zero_shot_mean"], rows["wrong, soft", "zero_shot_mean"]
    both = np.stack([values["wrong_clip_seed0"], values["wrong_clip_seed1"]])
    assert clip["value"] == pytest.approx(both.mean(), abs=1e-4) and clip["seeds"] == 2
    assert clip["low"] < both.mean() < clip["high"] and "difference" not in clip
    paired = values["wrong_soft_seed0"] - values["wrong_clip_seed0"]
    assert soft["against"] == "wrong, clip" and soft["shared_seeds"] == 1
    assert soft["difference"] == pytest.approx(paired.mean(), abs=1e-4)

    # the same by hand: the seeds that both have are drawn first, then patients with all their units
    patients = np.arange(40) // 10
    drawn = np.random.default_rng(0)
    drawn.integers(1, size=(1000, 1))
    means = []
    for chosen in drawn.integers(4, size=(1000, 4)):
        units = np.concatenate([np.flatnonzero(patients == patient) for patient in chosen])
        means.append(paired[units].mean())
    assert (soft["difference_low"], soft["difference_high"]) == pytest.approx(
        np.percentile(means, [2.5, 97.5]), abs=1e-4
    )

    lines = study_table.table(study, {"intervals": list(rows.values())}).splitlines()
    assert lines[0] == "| data | objective | seeds | accuracy | minus clip |" and len(lines) == 2 + 4
    assert lines[3].startswith("| wrong | soft | 1 | .") and lines[2].endswith("|  |")


@pytest.mark.parametrize("name", NAMES)
def test_the_document_has_the_table_of_every_study(name: str) -> None:
    from study_runs import Study
    from study_table import table

    known = json.loads((BENCHMARKS.parent / "docs/results" / f"{name}.json").read_text())
    assert f"{table(Study.read(name), known)}\n" in (BENCHMARKS.parent / "docs/studies.md").read_text()


def test_a_study_without_a_table_says_so(study: Any) -> None:
    from study_table import table

    study.asked.pop("table")
    with pytest.raises(UserError, match=r"benchmarks/studies/small\.yaml: no table; it maps columns"):
        table(study, {})


def test_the_gap_is_english_minus_the_others(study: Any) -> None:
    import study_intervals

    languages = ["deu_Latn", "eng_Latn", "fra_Latn"]
    by_language = np.array([[0.5, 0.8, 0.7], [0.9, 0.4, 0.2]])
    figures = {name: function(by_language, languages) for name, (_, function) in study_intervals.FIGURES.items()}
    assert figures["zero_shot_english"].tolist() == [0.8, 0.4]
    assert figures["zero_shot_gap"].tolist() == pytest.approx([0.2, -0.15])
    assert figures["zero_shot_gap_to_worst"].tolist() == pytest.approx([0.3, 0.2])
    assert figures["zero_shot_worst"].tolist() == [0.5, 0.2]


def test_precision_in_drawn_galleries_is_that_of_the_gallery_written_out(study: Any) -> None:
    import study_intervals

    from mmclip.metrics.retrieval import precision_at_k

    random = np.random.default_rng(1)
    similarity = random.random((2, 3, 4, 80))
    relevant = random.random((3, 4, 80)) < 0.3
    _, counts = study_intervals.draws(2, [f"p{number // 2}" for number in range(80)])
    found = study_intervals.precision(similarity, relevant, counts[:20])
    for number in range(20):
        gallery = np.repeat(np.arange(80), counts[number].astype(int))
        for seed in range(2):
            for language in range(3):
                wanted = precision_at_k(
                    similarity[seed, language][:, gallery], relevant[language][:, gallery], 5
                ).mean()
                assert found[number, seed, language] == pytest.approx(wanted)


class RandomEncoder:
    """Random unit vectors, the same for the same text; an image's is given by its grey level."""

    digest, logit_scale = "0" * 16, 10.0

    def images(self, pixels: np.ndarray) -> np.ndarray:
        return self.texts([str(level) for level in pixels[:, 0, 0]])

    def texts(self, sentences: Sequence[str]) -> np.ndarray:
        vectors = np.stack([np.random.default_rng(list(text.encode())).normal(size=6) for text in sentences])
        return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


class GreyImages:
    """A pack of images each of one grey level, its id."""

    def read(self, ids: Sequence[str]) -> list[np.ndarray]:
        return [np.full((4, 4), int(identity), np.uint8) for identity in ids]


def test_evidence_of_retrieval_has_the_means_that_the_evaluation_gives(study: Any) -> None:
    import study_intervals
    import study_measures

    from mmclip.evaluation.retrieval import class_precision, instance_recall
    from mmclip.tables.benchmark import Benchmark, Sample

    number = 90
    samples = [
        Sample(image_id=str(i), study_id=f"s{i}", patient_id=f"p{i // 2}", label=i % 3 if i % 4 else None)
        for i in range(number)
    ]
    codes = ("deu_Latn", "eng_Latn")
    benchmark = Benchmark(
        dataset="d", split="val", test_text="", classes=("A", "B", "C"), samples=tuple(samples),
        prompts={code: {name: (f"{code} {name} 1", f"{code} {name} 2") for name in "ABC"} for code in codes},
        texts={code: {f"s{i}": f"{code} {i // 3}" for i in range(number)} for code in codes},
        parallel={code: tuple(f"{code} {i}" for i in range(9)) for code in codes},
    )  # fmt: skip
    encoder, images = RandomEncoder(), GreyImages()
    evidence = study_measures.retrieval_evidence(encoder, benchmark, images)
    labelled = [sample for sample in samples if sample.label is not None]
    features = encoder.images(np.stack(images.read([sample.image_id for sample in labelled])))
    truth = np.array([sample.label for sample in labelled])
    people = [sample.patient_id for sample in labelled]
    wanted = []
    for code in codes:
        rows = class_precision(features, encoder, benchmark.prompts[code], "ABC", truth, people, (5,), 0)
        wanted.append(rows[0][3].value)
    score, mean = study_intervals.FIGURES["precision_at_5"]
    found = study_intervals._draws({0: evidence}, score, mean, [0])
    assert found is not None and found[0] == pytest.approx(np.mean(wanted))

    everything = encoder.images(np.stack(images.read([sample.image_id for sample in samples])))
    studies, patients = [sample.study_id for sample in samples], [sample.patient_id for sample in samples]
    recalls = []
    for code in codes:
        rows = instance_recall(everything, studies, patients, encoder, benchmark.texts[code], (10,), 0)
        recalls.append(rows[0][3].value)
    score, mean = study_intervals.FIGURES["recall_at_10"]
    found = study_intervals._draws({0: evidence}, score, mean, [0])
    assert found is not None and found[0] == pytest.approx(np.mean(recalls)) and len(found) == 1001

    sentences = study_measures.sentence_evidence(encoder.texts, benchmark, "sentence_recall")
    assert sentences["language"].unique().to_list() == ["deu_Latn"] and len(sentences) == 9


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
    monkeypatch.setattr(study_runs, "TOGETHER", tmp_path)
    study = study_runs.Study.read(name)
    labels = [run.label for run in study.runs]
    assert len(set(labels)) == len(labels)
    for run in study.runs:
        if run.seed == study.asked["seeds"][0]:
            named = parse(Config, run.config).experiments | run.write_experiments()
            tasks = {key: load(ExperimentSettings, study_runs.ROOT / file).task for key, file in named.items()}
            start = run.settings.get("text_experiment")
            assert tasks[run.experiment] == "align" and (start is None or tasks[start] == "text")


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
        assert all(set(study_measures.columns(study)) & row.keys() for row in rows)


def test_the_studies_of_objectives_targets_and_text_encoders_are_at_most_sixty_runs() -> None:
    import study_runs

    runs = [
        (run.workplace, run.experiment)
        for name in ("objectives", "soft_targets", "language_modelling")
        for run in study_runs.Study.read(name).runs
    ]
    assert len(runs) == 15 + 36 + 15 and len(set(runs)) == 57, "those that two studies share are trained once"


def test_the_study_of_uncertain_labels_asks_for_three_rates_three_policies_and_five_seeds() -> None:
    import study_runs

    study = study_runs.Study.read("uncertainty")
    assert len([one for one in study.variants if len(one.seeds) == 5]) == 9
    assert len(study.runs) == 9 * 5 + 3 * 6 and study.seeds_make_data
    policies = [parse(Config, study_runs.merged(study.config, *one.config)).disambiguate for one in study.variants]
    for side in ("image", "text"):
        assert {treatment.policy for treatment in policies[0].treatments(side)[1:]} == {"U-Ones"}  # type: ignore[arg-type]
