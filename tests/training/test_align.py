"""Alignment: features, weights of objectives, what is refused, and that something is learned."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from torch import Tensor, nn

from mmclip.config.base import parse
from mmclip.config.training import ExperimentSettings, ObjectiveSettings, Optimisation
from mmclip.errors import UserError
from mmclip.models.dual_encoder import DualEncoder
from mmclip.objectives.protocol import Features, Objective
from mmclip.tables.files import read_table, write_table
from mmclip.tables.filtering import CORPUS
from mmclip.training.align import Aligner, distinct_rows, is_decoupled, make_objectives
from mmclip.training.distributed import World
from mmclip.training.optimiser import learning_rate, make_optimiser
from mmclip.training.sources import read_studies
from mmclip.training.stage import _Sources, pretrain
from mmclip.training.task import total_loss
from tests.training.conftest import LANGUAGES, SmallData, experiment


def stage(settings: ExperimentSettings, data: SmallData, root: Path, **changes: Any) -> dict[str, Any]:
    files: dict[str, Any] = {"ingest": data.ingest, "packs": data.packs, "corpus": data.corpus, "targets": data.targets}
    return pretrain(settings, output=root / "out", checkpoints=root / "checkpoints", **files | changes)


@pytest.fixture
def aligner(small: SmallData) -> tuple[Aligner, Any]:
    settings = experiment("align")
    sources = _Sources(settings, small.ingest, small.packs, small.corpus, small.targets, None)
    batches = sources.batches("train", True, World(0, 1, torch.device("cpu")))
    torch.manual_seed(0)
    model = DualEncoder.create(settings.model, sources.tokenizer)
    return Aligner(model, make_objectives(settings), bf16=False), batches


def test_distinct_rows_put_together_again() -> None:
    ids = torch.tensor([[3, 4, 1], [5, 1, 1], [3, 4, 1], [2, 2, 2]])
    mask = torch.tensor([[1, 1, 0], [1, 0, 0], [1, 1, 0], [1, 1, 1]])
    rows, row_mask, places = distinct_rows(ids, mask)
    assert len(rows) == 3 and torch.equal(rows[places], ids) and torch.equal(row_mask[places], mask)


def test_texts_sorted_by_length_keep_their_places(aligner: tuple[Aligner, Any]) -> None:
    module, batches = aligner
    module.eval()
    for step in range(3):
        batch = batches(step)
        with torch.no_grad():
            features = module.features(module.standardised(batch))
            plain, _ = module.model.embed_ids(batch.input_ids, batch.attention_mask)
        torch.testing.assert_close(features.text, plain, rtol=0, atol=2e-6)
        assert features.image.shape == (12, 8) and features.text_tokens is None


class Tokens(Objective):
    """Asks for tokens, and has two losses and a parameter."""

    needs = frozenset({"image_tokens", "text_tokens"})

    def __init__(self) -> None:
        super().__init__(Objective.Settings())
        self.bias = nn.Parameter(torch.zeros(()))

    def forward(self, batch: Any, features: Features, step: int) -> dict[str, Tensor]:
        assert features.image_tokens is not None and features.text_tokens is not None and features.text_mask is not None
        assert features.image_tokens.shape[0] == 12 and features.text_tokens.shape[:2] == features.text_mask.shape
        return {"one_loss": self.bias + 2.0, "other_loss": features.image_tokens.mean() * 0 + 3.0, "extra": self.bias}


def test_objectives_are_weighted_and_summed(aligner: tuple[Aligner, Any]) -> None:
    module, batches = aligner
    both = Aligner(module.model, [("tokens", 0.5, Tokens()), *make_objectives(experiment("align"))], bf16=False)
    entries = both(batches(0), 0)
    assert (
        float(entries["tokens_loss"].detach()) == 2.5
        and float(entries["tokens/one"]) == 2.0
        and "tokens/extra" in entries
    )
    total = total_loss(entries)
    torch.testing.assert_close(total, entries["tokens_loss"] + entries["three_m_clip_loss"])
    torch.autograd.backward(total)
    assert any(name == "objectives.tokens.bias" for name, _ in both.named_parameters())
    assert all(parameter.grad is not None for parameter in both.parameters())


def test_bf16_is_near_fp32(aligner: tuple[Aligner, Any]) -> None:
    module, batches = aligner
    module.eval()
    with torch.no_grad():
        plain = module.features(module.standardised(batches(0)))
        module.bf16 = True
        half = module.features(module.standardised(batches(0)))
    assert half.image.dtype == half.text.dtype == torch.float32
    assert (plain.image - half.image).abs().max() < 0.05 and (plain.text - half.text).abs().max() < 0.05


def test_pairs_are_used_where_an_objective_needs_them() -> None:
    def settings(names: list[str], sampling: str = "auto") -> ExperimentSettings:
        return experiment("align", objectives=[{"name": name} for name in names], sampling=sampling)

    def decoupled(chosen: ExperimentSettings) -> bool:
        return is_decoupled(chosen, make_objectives(chosen))

    assert decoupled(settings(["three_m_clip", "medclip"])) and not decoupled(settings(["three_m_clip", "clip"]))
    assert not decoupled(settings(["three_m_clip"], "paired"))
    with pytest.raises(UserError, match="decoupled, but objective clip needs pairs"):
        decoupled(settings(["clip"], "decoupled"))
    with pytest.raises(UserError, match="'clip' occurs twice"):
        make_objectives(settings(["clip", "clip"]))
    with pytest.raises(UserError, match="'clipp'"):
        make_objectives(settings(["clipp"]))


def test_settings_that_make_no_sense_are_refused() -> None:
    for values, message in (
        ({"task": "align"}, "needs at least one entry"),
        ({"task": "text", "objectives": [{"name": "clip"}]}, "not to task text"),
        ({"task": "text", "optimisation": {"steps": 3, "epochs": 2}}, "either steps or epochs"),
        ({"task": "text", "data": {"languages": ["xx"]}}, "'xx' is not a language"),
        (
            {"task": "text", "data": {"languages": ["eng_Latn"], "exclude_languages": ["eng_Latn"]}},
            "leaves no language",
        ),
        ({"task": "text", "model": {"text": {"width": 30, "heads": 4}}}, "multiple of heads"),
        ({"task": "text", "optimisation": {"stepz": 3}}, "unknown key 'optimisation.stepz'"),
    ):
        with pytest.raises(UserError, match=message):
            parse(ExperimentSettings, values)
    assert ObjectiveSettings(name="clip").weight == 1.0


def test_a_text_tower_of_another_experiment_must_be_given(small: SmallData, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"text_experiment: 'text' is not at hand; give .* --text-model, or set"):
        stage(experiment("align", text_experiment="text"), small, tmp_path)


def test_a_validation_split_without_texts_ends_no_training(
    small: SmallData, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "mmclip.training")
    train = read_studies(small.ingest).filter(split="train")
    corpus = []
    for file in small.corpus:
        corpus.append(tmp_path / file.name)
        write_table(read_table(file, CORPUS).join(train, on="study_id", how="semi"), corpus[-1], CORPUS)
    stage(experiment("align", optimisation={"steps": 2}), small, tmp_path, corpus=corpus)
    assert "pretrain: no validation (corpus: no text of split 'val' in" in caplog.text
    curve = json.loads((tmp_path / "out/training_curve.json").read_text())
    assert not any(name.startswith("val/") for row in curve for name in row)


@pytest.mark.parametrize(
    "changes",
    [
        {"data": {"image_weights": {"one": 1}}},
        {"data": {"texts_per_image": 2}},
        {"data": {"shuffle_pairs": True}},
        {"data": {"length_buckets": 3}},
        {"data": {"text_weights": {"one": 1}}},
        {"optimisation": {"micro_batch": 4}},
        {"saving": {"validate_every": 5}},
    ],
)
@pytest.mark.parametrize("task", ["text", "classify"])
def test_what_only_alignment_reads_is_refused_elsewhere(task: str, changes: dict[str, Any]) -> None:
    ((part, values),) = changes.items()
    with pytest.raises(UserError, match=rf"{part}\.{next(iter(values))} belongs to task align, not to task {task}"):
        experiment(task, **changes)
    assert experiment("align", **changes)


def test_learning_rate_rises_and_falls() -> None:
    settings = Optimisation(steps=100, learning_rate=2.0, warmup=0.1, final_rate=0.1)
    rates = [learning_rate(step, 100, settings) for step in range(100)]
    assert rates[0] == pytest.approx(0.2) and rates[9] == 2.0 == rates[10] and rates[55] == pytest.approx(2 * 0.55)
    assert rates[10:] == sorted(rates[10:], reverse=True) and rates[-1] == pytest.approx(0.2, abs=0.01)


def test_norms_and_biases_do_not_decay_and_frozen_parts_stay() -> None:
    module = nn.Sequential(nn.Linear(3, 3), nn.LayerNorm(3), nn.Linear(3, 2))
    optimiser = make_optimiser(module, Optimisation(steps=1, weight_decay=0.3, freeze=("2",)))
    decayed, plain = optimiser.param_groups
    assert [p.ndim for p in decayed["params"]] == [2] and decayed["weight_decay"] == 0.3
    assert len(plain["params"]) == 3 and plain["weight_decay"] == 0.0
    assert not any(p.requires_grad for p in module[2].parameters())
    with pytest.raises(UserError, match=r"no parameter is below 'text\.'; there are 0\.bias"):
        make_optimiser(nn.Sequential(nn.Linear(2, 2)), Optimisation(steps=1, freeze=("text.",)))
    with pytest.raises(UserError, match="leaves nothing to train"):
        make_optimiser(nn.Sequential(nn.Linear(2, 2)), Optimisation(steps=1, freeze=("0",)))


def test_position_biases_do_not_decay() -> None:
    swin = timm.create_model("swin_tiny_patch4_window7_224", pretrained=False, num_classes=0, depths=(1, 1, 1, 1))
    plain = {id(parameter) for parameter in make_optimiser(swin, Optimisation(steps=1)).param_groups[1]["params"]}
    names = {name: id(parameter) in plain for name, parameter in swin.named_parameters()}
    assert names["layers.0.blocks.0.attn.relative_position_bias_table"] and names["layers.0.blocks.0.norm1.weight"]
    assert not names["layers.0.blocks.0.attn.qkv.weight"] and not names["patch_embed.proj.weight"]


def test_a_diverging_run_stops_and_names_step_and_ids(
    small: SmallData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    features = Aligner.features

    def poison(self: Aligner, batch: Any) -> Features:
        out = features(self, batch)
        return out if "i001" not in batch.image_ids else Features(out.image * float("nan"), out.text, out.logit_scale)

    monkeypatch.setattr(Aligner, "features", poison)
    with pytest.raises(UserError, match=r"loss nan, gradient norm nan at step \d+ .*lower optimisation\.learning_rate"):
        stage(experiment("align"), small, tmp_path)
    listed = json.loads(next((tmp_path / "checkpoints").glob("*/not-finite-rank0.json")).read_text())
    assert "i001" in listed["ids"] and listed["step"] >= 1
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("objective", ["clip", "three_m_clip"])
def test_training_separates_what_the_small_data_hold(small: SmallData, tmp_path: Path, objective: str) -> None:
    tower = {
        "kind": "scratch",
        "layers": 1,
        "width": 32,
        "heads": 2,
        "feedforward": 64,
        "max_tokens": 80,
        "dropout": 0.0,
    }
    settings = experiment(
        "align",
        model={"text": tower, "projection": 16},
        objectives=[{"name": objective, "settings": {"label_scale": 10} if objective == "three_m_clip" else {}}],
        optimisation={"steps": 60, "learning_rate": 5e-3, "batch_size": 24},
    )
    summary = stage(settings, small, tmp_path)
    assert summary["sampling"] == ("paired" if objective == "clip" else "decoupled") and summary["languages"] == list(
        LANGUAGES
    )
    curve = json.loads((tmp_path / "out" / "training_curve.json").read_text())
    losses = [row["loss"] for row in curve if "loss" in row]
    assert losses[-1] < losses[0] - 0.4
    assert f"val/{objective}_loss" in curve[-1]
    model = DualEncoder.from_pretrained(tmp_path / "out" / "model")
    english, german = model.encode_text(["Mild edema is seen.", "Leichtes Ödem sichtbar."])
    other = model.encode_text(["The heart is enlarged."])[0]
    if objective == "three_m_clip":
        assert english @ german > english @ other


def test_a_bag_of_words_trains_too(small: SmallData, tmp_path: Path) -> None:
    settings = experiment(
        "align", model={"text": {"kind": "bag_of_words", "width": 16, "heads": 2}}, optimisation={"steps": 3}
    )
    assert stage(settings, small, tmp_path)["steps"] == 3
    model = DualEncoder.from_pretrained(tmp_path / "out" / "model")
    one, two = model.encode_text(["no effusion but edema.", "no edema. but effusion"])
    assert torch.linalg.norm(one - two) < 1.5 and not (tmp_path / "out" / "model" / "text").exists()


def test_metrics_lines_and_tensorboard_are_written(small: SmallData, tmp_path: Path) -> None:
    stage(experiment("align", optimisation={"steps": 8}), small, tmp_path)
    run = next((tmp_path / "checkpoints").iterdir())
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert lines == json.loads((tmp_path / "out" / "training_curve.json").read_text())
    assert [row["step"] for row in lines] == [4, 8, 8]
    assert list((run / "tensorboard").glob("events.out.*"))
