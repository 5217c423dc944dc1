"""The card of a model: what it says, and what follows from the terms of what the model was made from."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from mmclip.errors import UserError
from mmclip.models.card import DataSet, ModelCard, read_card, readme
from mmclip.models.digest import weights_digest
from mmclip.models.dual_encoder import DualEncoder
from mmclip.models.licences import Origin, consequences, known_licence
from mmclip.models.release import release
from mmclip.tables.benchmark import Benchmark, write_benchmark
from mmclip.tables.evaluation import Metric, write_metrics
from tests.models.towers import small_settings, small_tokenizer

MIMIC = DataSet(
    name="mimic_cxr",
    licence="PhysioNet Credentialed Health Data License 1.5.0",
    note="reports of one hospital",
    forbids=("sharing the data with others",),
)
CARD = ModelCard(
    experiment="three_m_clip",
    training={"objectives": "three_m_clip (weight 1)", "steps": 300, "seed": 0},
    data=(MIMIC, DataSet(name="phantom", licence="Apache-2.0", note="simulated, not clinical")),
    texts={"eng_Latn": 1200, "jpn_Jpan": 1100},
    translated_by=("nllb",),
    weights={"text weights": "xlm-roberta-base"},
    prompts={"eng_Latn": {"Edema": ("Pulmonary edema.",)}, "jpn_Jpan": {"Edema": ("肺水腫。",)}},
    prompts_reviewed_by={"eng_Latn": "A. Reader"},
    label_policy={"Edema": "U-Ones", "Lung Lesion": "U-Ones", "Pneumonia": "U-Zeros"},
    label_source="rules",
)


def metric(digest: str, value: float = 0.7123, **more: object) -> Metric:
    values: dict[str, object] = {
        "experiment": "x", "task": "zero_shot", "dataset": "phantom", "test_text": "phrasebook", "language": "jpn_Jpan",
        "split": "test", "metric": "accuracy", "value": value, "low": 0.65, "high": 0.77, "interval": "patients",
        "n": 120, "seed": 0, "split_hash": "s", "model_digest": digest, "config_digest": "c",
    }  # fmt: skip
    return Metric.model_validate(values | more)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    DualEncoder.create(small_settings(), small_tokenizer()).save_pretrained(tmp_path / "model", CARD)
    return tmp_path / "model"


def test_the_folder_holds_what_the_card_says(folder: Path) -> None:
    assert read_card(folder) == CARD
    prompts = json.loads((folder / "prompts.json").read_text(encoding="utf-8"))
    assert prompts["prompts"]["jpn_Jpan"]["Edema"] == ["肺水腫。"] and prompts["reviewed_by"] == {
        "eng_Latn": "A. Reader"
    }
    policy = json.loads((folder / "label_policy.json").read_text())
    assert policy == {"source": "rules", "policy": CARD.label_policy}
    names = {file.name for file in folder.iterdir()}
    assert {"config.json", "model.safetensors", "tokenizer.json", "README.md", "text", "image"} <= names
    assert json.loads((folder / "config.json").read_text())["preprocessing"]["mean"] == 0.5863


def test_the_readme_shows_data_languages_labels_and_terms(folder: Path) -> None:
    text = (folder / "README.md").read_text(encoding="utf-8")
    front = yaml.safe_load(text.split("---")[1])
    assert front["language"] == ["en", "ja"] and front["license"] == "other"
    for line in (
        "- steps: 300",
        "- phantom (Apache-2.0): simulated, not clinical",
        "- Japanese: 1,100 texts",
        "translations by nllb that no radiologist has reviewed",
        "Prompts in 1 of 2 languages are machine-written, not reviewed by a native radiologist",
        "- uncertain ones by U-Ones: Edema, Lung Lesion",
        "Nothing yet; `mmclip release` adds it.",
        "- translation: nllb, CC-BY-NC-4.0",
        "- text weights: xlm-roberta-base, MIT",
        "  - mimic_cxr forbids: sharing the data with others",
        "**Non-commercial use only (from nllb).**",
        "**Bound by a data use agreement",
    ):
        assert line in text, line


def test_what_is_not_known_is_said() -> None:
    text = readme(ModelCard(), small_settings())
    assert text.count("Not stated.") == 5
    unknown = ModelCard(weights={"image weights": "somebody/tower"})
    assert "Terms not known: somebody/tower" in readme(unknown, small_settings())


@pytest.mark.parametrize(
    ("origin", "expected"),
    [
        (Origin("nllb", "translation", known_licence("facebook/nllb-200-3.3B", "translation")), {"non-commercial"}),
        (Origin("mimic_cxr", "data", MIMIC.licence), {"data use agreement"}),
        (
            Origin("chexpert", "data", "Stanford University Dataset Research Use Agreement"),
            {"for research only", "data use agreement"},
        ),
        (Origin("open_i", "data", "CC BY-NC-ND 4.0 (reports)"), {"non-commercial"}),
        (Origin("siim", "data", "Kaggle competition rules", ("commercial use",)), {"non-commercial"}),
        (
            Origin("rad-dino", "image weights", known_licence("microsoft/rad-dino", "image weights")),
            {"for research only"},
        ),
        (Origin("phrasebook", "translation", known_licence("phrasebook memory", "translation")), set()),
        (Origin("xlm-roberta-base", "text weights", known_licence("xlm-roberta-base", "text weights")), set()),
        (Origin("somebody/tower", "image weights", known_licence("somebody/tower", "image weights")), {"not known"}),
    ],
    ids=lambda value: value.name if isinstance(value, Origin) else "",
)
def test_restrictions_are_inherited(origin: Origin, expected: set[str]) -> None:
    found = " ".join(consequences([origin]))
    kinds = ("non-commercial", "for research only", "data use agreement", "not known")
    assert {kind for kind in kinds if kind in found} == expected


def test_the_readme_shows_english_and_the_mean_and_the_card_all(folder: Path, tmp_path: Path) -> None:
    digest = weights_digest(folder)
    codes = ("eng_Latn", "jpn_Jpan", "deu_Latn", "mean", "worst")
    rows = [metric(digest, language=code) for code in codes]
    rows += [metric(digest, language=code, task="text", metric="recall") for code in codes[1:3]]
    write_metrics(rows, tmp_path / "metrics.json")
    release(folder, tmp_path / "release", metrics=[tmp_path / "metrics.json"])
    text = (tmp_path / "release/README.md").read_text(encoding="utf-8")
    shown = [line.split(" | ")[2] for line in text.splitlines() if line.startswith("| phantom test")]
    assert shown == ["eng_Latn", "mean", "worst", "jpn_Jpan", "deu_Latn"]
    assert "2 more rows, of the other languages, are in card.json." in text
    assert len(read_card(tmp_path / "release").metrics) == 7


def test_measured_rows_come_into_a_copy(folder: Path, tmp_path: Path) -> None:
    digest = weights_digest(folder)
    rows = [
        metric(digest),
        metric(digest, 0.5, metric="precision_at_k", task="retrieval", direction="text to image", k=5),
    ]
    write_metrics(rows, tmp_path / "metrics.json")
    before = (folder / "README.md").read_bytes()
    assert release(folder, tmp_path / "release", metrics=[tmp_path / "metrics.json"]) == {"rows": 2, "prompts": 2}
    text = (tmp_path / "release" / "README.md").read_text(encoding="utf-8")
    assert "phantom: simulated, not clinical." in text
    assert "| phantom test | zero_shot | jpn_Jpan | accuracy | 0.712 | 0.650 to 0.770 (patients) | 120 |" in text
    assert "| phantom test | retrieval text to image | jpn_Jpan | precision_at_k 5 | 0.500 |" in text
    assert (folder / "README.md").read_bytes() == before
    assert weights_digest(tmp_path / "release") == digest
    DualEncoder.from_pretrained(tmp_path / "release")


def test_a_row_measured_again_replaces_the_older_one(folder: Path, tmp_path: Path) -> None:
    digest = weights_digest(folder)
    for number, value in enumerate((0.5, 0.75)):
        write_metrics([metric(digest, value)], tmp_path / f"{number}.json")
    assert release(folder, tmp_path / "one", metrics=[tmp_path / "0.json"])["rows"] == 1
    assert release(tmp_path / "one", tmp_path / "two", metrics=[tmp_path / "1.json"])["rows"] == 1
    assert read_card(tmp_path / "two").metrics[0].value == 0.75


def test_rows_of_another_model_are_refused(folder: Path, tmp_path: Path) -> None:
    write_metrics([metric("0123456789abcdef")], tmp_path / "metrics.json")
    with pytest.raises(UserError, match="measured a model with digest 0123456789abcdef"):
        release(folder, tmp_path / "release", metrics=[tmp_path / "metrics.json"])
    assert not (tmp_path / "release").exists()
    for output in (folder, tmp_path):
        with pytest.raises(UserError, match="would replace the model"):
            release(folder, output)


def test_a_card_that_is_none_is_refused(folder: Path) -> None:
    (folder / "card.json").write_text('{"unknown": 1}')
    with pytest.raises(UserError, match=r"card\.json: not a model's card"):
        read_card(folder)
    (folder / "card.json").unlink()
    with pytest.raises(UserError, match=r"card\.json: no such file"):
        read_card(folder)


def test_prompts_come_from_benchmarks_and_no_text_does(folder: Path, tmp_path: Path) -> None:
    benchmark = Benchmark(
        dataset="d",
        split="test",
        test_text="native",
        classes=("Edema", "Pneumonia"),
        samples=(),
        prompts={"deu_Latn": {"Edema": ("Lungenödem.",), "Pneumonia": ("Pneumonie.",)}},
        texts={"deu_Latn": {"s1": "Vertraulicher Befund."}},
    )
    write_benchmark(benchmark, tmp_path / "b.json")
    files = {"benchmarks": [tmp_path / "b.json"], "translated_by": ["opus-mt"], "reviewed_by": {"deu_Latn": "B. Leser"}}
    assert release(folder, tmp_path / "out", **files)["prompts"] == 3  # type: ignore[arg-type]
    card = read_card(tmp_path / "out")
    assert card.prompts["deu_Latn"]["Pneumonia"] == ("Pneumonie.",)
    assert card.translated_by == ("nllb", "opus-mt")
    assert all("Vertraulich" not in path.read_text(encoding="utf-8") for path in (tmp_path / "out").glob("*.[jm][sd]*"))
    with pytest.raises(UserError, match="--reviewed fra_Latn: there are no prompts in it"):
        release(folder, tmp_path / "out", reviewed_by={"fra_Latn": "C"})


@pytest.mark.parametrize(
    ("name", "role", "licence"),
    [
        ("FacebookAI/xlm-roberta-base", "text weights", "MIT"),
        ("swin_tiny_patch4_window7_224.ms_in1k", "image weights", "MIT"),
        ("swin_base_patch4_window12_384", "image weights", "MIT"),
        ("nllb nllb-200-distilled-600M", "translation", "CC-BY-NC-4.0"),
        ("ours nllb folder", "translation", "CC-BY-NC-4.0"),
        ("somebody/xlm-roberta-base-chest", "text weights", ""),
        ("/data/weights/xlm-roberta-base", "text weights", ""),
        ("swin_tiny_of_ours", "image weights", ""),
        ("swin_s3_tiny_224", "image weights", ""),
        ("not_nllb ct2 madlad400-3b-mt-tuned", "translation", ""),
        ("xlm-roberta-base", "open_clip model", ""),
    ],
)
def test_only_whole_published_names_have_a_known_licence(name: str, role: str, licence: str) -> None:
    assert known_licence(name, role) == licence


def test_a_folder_called_like_a_published_model_has_no_known_licence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert known_licence("xlm-roberta-base", "text weights") == "MIT"
    (tmp_path / "xlm-roberta-base").mkdir()
    assert known_licence("xlm-roberta-base", "text weights") == ""


def asked(path: Path, dataset: str = "d", **by_class: str) -> Benchmark:
    """A benchmark file that asks one German sentence for each class."""
    made = Benchmark(
        dataset=dataset,
        split="test",
        test_text="native",
        classes=tuple(by_class),
        samples=(),
        prompts={"deu_Latn": {name: (sentence,) for name, sentence in by_class.items()}},
    )
    write_benchmark(made, path)
    return made


def test_rows_of_other_prompts_are_refused(folder: Path, tmp_path: Path) -> None:
    """As the workflow does it: several benchmarks from one file of prompts, with classes of their own, rows of each."""
    digest = weights_digest(folder)
    files = [tmp_path / "a.json", tmp_path / "b.json"]
    made = [
        asked(files[0], "a", Edema="Lungenödem."),
        asked(files[1], "b", Edema="Lungenödem.", Pneumonia="Pneumonie."),
    ]
    rows = [metric(digest, dataset=one.dataset, prompt_hash=one.prompt_hash) for one in made]
    write_metrics([*rows, metric(digest, task="text")], tmp_path / "m.json")
    given = {"metrics": [tmp_path / "m.json"]}
    assert release(folder, tmp_path / "out", benchmarks=files, **given)["rows"] == 3  # type: ignore[arg-type]
    with pytest.raises(UserError, match=rf"m\.json: was measured on b with prompts of hash {made[1].prompt_hash}"):
        release(folder, tmp_path / "out", benchmarks=files[:1], **given)  # type: ignore[arg-type]
    assert release(folder, tmp_path / "out", **given)["rows"] == 3  # type: ignore[arg-type]


def test_a_reviewer_is_of_the_prompts_that_were_reviewed(folder: Path, tmp_path: Path) -> None:
    assert CARD.prompts_reviewed_by == {"eng_Latn": "A. Reader"}
    asked(tmp_path / "same.json", Edema="Lungenödem.")
    release(folder, tmp_path / "one", benchmarks=[tmp_path / "same.json"], reviewed_by={"deu_Latn": "B. Leser"})
    assert read_card(tmp_path / "one").prompts_reviewed_by == {"eng_Latn": "A. Reader", "deu_Latn": "B. Leser"}
    release(tmp_path / "one", tmp_path / "two", benchmarks=[tmp_path / "same.json"])
    assert read_card(tmp_path / "two").prompts_reviewed_by == {"eng_Latn": "A. Reader", "deu_Latn": "B. Leser"}
    for number, changed in enumerate(({"Edema": "Ödem."}, {"Pneumonia": "Pneumonie."})):
        asked(tmp_path / "new.json", **changed)
        release(tmp_path / "one", tmp_path / f"new{number}", benchmarks=[tmp_path / "new.json"])
        assert read_card(tmp_path / f"new{number}").prompts_reviewed_by == {"eng_Latn": "A. Reader"}
        named = {"deu_Latn": "C. Leser"}
        release(tmp_path / "one", tmp_path / f"new{number}", benchmarks=[tmp_path / "new.json"], reviewed_by=named)
        assert read_card(tmp_path / f"new{number}").prompts_reviewed_by["deu_Latn"] == "C. Leser"


def test_benchmarks_that_ask_otherwise_for_one_class_are_told_apart(folder: Path, tmp_path: Path) -> None:
    files = [tmp_path / "a.json", tmp_path / "b.json"]
    asked(files[0], "one", Edema="Lungenödem.")
    asked(files[1], "two", Edema="Ödem.", Pneumonia="Pneumonie.")
    release(folder, tmp_path / "out", benchmarks=files)
    card = read_card(tmp_path / "out")
    assert card.prompts["deu_Latn"] == {"Edema": ("Lungenödem.",), "Pneumonia": ("Pneumonie.",)}
    assert card.notes[-1] == "- the prompts of Edema are one's; two was scored with others"
    assert card.notes[-1] in (tmp_path / "out/README.md").read_text()
