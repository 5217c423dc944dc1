"""The phantom's benchmark: true classes, and wordings that no report ever had."""

from __future__ import annotations

import json
import re
from pathlib import Path

import polars as pl
import pytest

from mmclip.config.evaluation import EvaluateSettings, PhantomBenchmark
from mmclip.errors import UserError
from mmclip.evaluation.benchmark import make_benchmark, phantom_benchmark
from mmclip.observations import FIVE, NO_FINDING, column
from mmclip.phantom import phrasebook
from mmclip.tables.benchmark import Benchmark, Sample, read_benchmark
from mmclip.tables.files import read_table
from mmclip.tables.ingest import IMAGES
from mmclip.tables.labeling import LABELS
from tests.evaluation.small_phantom import LANGUAGES, Phantom


def true_states(phantom: Phantom) -> dict[str, dict[str, int]]:
    labels = read_table(phantom.folder / "labels.parquet", LABELS).filter(pl.col("kind") == "image")
    return {row["id"]: row for row in labels.iter_rows(named=True)}


@pytest.mark.parametrize("split", ["train", "val", "test"])
def test_classes_are_those_of_the_truth(phantom: Phantom, split: str) -> None:
    states, made = true_states(phantom), phantom.benchmarks[split]
    images = read_table(phantom.folder / "images.parquet", IMAGES).filter(pl.col("split") == split)
    assert sorted(images["image_id"]) == [sample.image_id for sample in made.samples]
    for sample in made.samples:
        shown = [name for name in FIVE if states[sample.image_id][column(name)] == 1]
        assert sample.label == (FIVE.index(shown[0]) if len(shown) == 1 else None)
    assert len({sample.label for sample in made.labelled}) >= 3


def test_no_finding_can_be_a_class(phantom: Phantom) -> None:
    classes = (NO_FINDING, "Edema")
    made = phantom_benchmark(PhantomBenchmark(classes=classes), "phantom", phantom.folder, "test", ("eng_Latn",))
    states = true_states(phantom)
    for sample in made.samples:
        shown = [name for name in classes if states[sample.image_id][column(name)] == 1]
        assert sample.label == (classes.index(shown[0]) if shown else None)
    assert 0 in {sample.label for sample in made.samples}
    assert len(made.prompts["eng_Latn"][NO_FINDING]) == 3


def test_nothing_that_is_asked_was_ever_in_a_report(phantom: Phantom) -> None:
    made = phantom.benchmarks["test"]
    assert made.test_text == "phrasebook"
    for code in LANGUAGES:
        trained, held_out = (
            {text for frame in phrasebook.frames(role=role) for text in phrasebook.realisations(code, frame.id)}
            for role in ("training", "held_out")
        )
        asked = [sentence for sentences in made.prompts[code].values() for sentence in sentences]
        asked += [sentence for pair in made.negations[code] for sentence in pair]
        asked += made.parallel[code]
        assert len(asked) > 30
        assert set(asked) <= held_out
        assert not set(map(str.casefold, trained)) & set(map(str.casefold, held_out))
        sentences = re.compile(rf"(?:(?:{'|'.join(map(re.escape, held_out))}) ?)+")
        assert all(map(sentences.fullmatch, made.texts[code].values()))


def test_every_study_is_described_in_every_language(phantom: Phantom) -> None:
    made = phantom.benchmarks["test"]
    assert set(made.prompts) == set(made.texts) == set(made.parallel) == set(LANGUAGES)
    for code in LANGUAGES:
        assert set(made.texts[code]) == {sample.study_id for sample in made.samples}
    assert len({len(sentences) for sentences in made.parallel.values()}) == 1


def test_the_artefact_is_its_owners_and_reads_back(
    phantom: Phantom, settings: EvaluateSettings, tmp_path: Path
) -> None:
    path = tmp_path / "test.json"
    made = make_benchmark(settings, "phantom", phantom.folder, "test", LANGUAGES, [], {}, path)
    assert path.stat().st_mode & 0o777 == 0o600
    assert read_benchmark(path) == made == phantom.benchmarks["test"]
    assert read_benchmark(path).prompt_hash == made.prompt_hash


def test_mistakes_are_named(phantom: Phantom, settings: EvaluateSettings, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"evaluate.benchmarks: no entry for data set 'other'"):
        make_benchmark(settings, "other", phantom.folder, "test", LANGUAGES, [], {}, tmp_path / "x.json")
    with pytest.raises(UserError, match="split 'tset' has no image"):
        make_benchmark(settings, "phantom", phantom.folder, "tset", LANGUAGES, [], {}, tmp_path / "x.json")
    with pytest.raises(UserError, match="'Pneumonia' is no finding of the phantom"):
        phantom_benchmark(PhantomBenchmark(classes=("Edema", "Pneumonia")), "p", phantom.folder, "test", LANGUAGES)
    assert not (tmp_path / "x.json").exists()


def small(**changes: object) -> Benchmark:
    samples = tuple(Sample(image_id=f"i{n}", study_id=f"s{n}", patient_id=f"p{n}", label=n % 2) for n in range(4))
    values = {
        "dataset": "d",
        "split": "test",
        "test_text": "native",
        "classes": ("A", "B"),
        "samples": samples,
        "prompts": {"eng_Latn": {"A": ("a",), "B": ("b",)}, "deu_Latn": {"A": ("ä",), "B": ("b",)}},
        "texts": {"eng_Latn": {"s0": "text"}},
        "negations": {"eng_Latn": (("yes", "no"),)},
        "parallel": {"eng_Latn": ("one",), "deu_Latn": ("eins",)},
    }
    return Benchmark.model_validate(values | changes)


@pytest.mark.parametrize(
    "changes",
    [
        {"samples": small().samples[:3]},
        {"samples": (*small().samples[:3], small().samples[3].model_copy(update={"label": None}))},
        {"samples": (*small().samples[:3], small().samples[3].model_copy(update={"image_id": "other"}))},
        {"classes": ("A", "B", "C"), "prompts": {}},
    ],
)
def test_other_samples_have_another_split_hash(changes: dict[str, object]) -> None:
    assert small(**changes).split_hash != small().split_hash


@pytest.mark.parametrize(
    "changes",
    [
        {"prompts": {"eng_Latn": {"A": ("a", "a2"), "B": ("b",)}, "deu_Latn": {"A": ("ä",), "B": ("b",)}}},
        {"prompts": {"eng_Latn": {"A": ("a",), "B": ("b",)}}},
        {"texts": {"eng_Latn": {"s0": "another"}}},
        {"negations": {"eng_Latn": (("no", "yes"),)}},
        {"parallel": {"eng_Latn": ("two",), "deu_Latn": ("eins",)}},
    ],
)
def test_other_texts_have_another_prompt_hash_and_the_same_split_hash(changes: dict[str, object]) -> None:
    assert small(**changes).prompt_hash != small().prompt_hash
    assert small(**changes).split_hash == small().split_hash


def test_hashes_depend_on_nothing_else() -> None:
    samples = tuple(sample.model_copy(update={"patient_id": "one"}) for sample in small().samples)
    other = small(
        samples=samples, dataset="e", split="val", prompts=dict(reversed(small().prompts.items())), test_text="mt:x"
    )
    assert (other.split_hash, other.prompt_hash) == (small().split_hash, small().prompt_hash)
    again = Benchmark.model_validate_json(small().model_dump_json())
    assert (again.split_hash, again.prompt_hash) == (small().split_hash, small().prompt_hash)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"classes": ["A"]}, "label 1; there are 1 classes"),
        ({"prompts": {"eng_Latn": {"A": ["a"]}}}, "eng_Latn: class 'B' has none"),
        ({"parallel": {"eng_Latn": ["one"], "deu_Latn": []}}, "different numbers of sentences"),
        ({"classes": 3}, "classes: "),
        ({"extra": 3}, "extra: "),
    ],
)
def test_a_file_that_is_no_benchmark_is_refused(tmp_path: Path, changes: dict[str, object], message: str) -> None:
    path = tmp_path / "made.json"
    path.write_text(json.dumps(json.loads(small().model_dump_json()) | changes))
    with pytest.raises(UserError, match=message):
        read_benchmark(path)


def test_other_files_are_no_benchmarks_either(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such file"):
        read_benchmark(tmp_path / "none.json")
    for content in (b"{", b"\xff\xfe{"):
        (tmp_path / "bad.json").write_bytes(content)
        with pytest.raises(UserError, match="not a"):
            read_benchmark(tmp_path / "bad.json")
