"""Every experiment that is shipped: its settings can be built, at full size, without weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import XLMRobertaConfig, XLMRobertaForMaskedLM, XLMRobertaModel

from mmclip.config.base import load
from mmclip.config.root import check_run, read_run
from mmclip.config.training import ExperimentSettings
from mmclip.errors import UserError
from mmclip.models import dual_encoder
from mmclip.models.dual_encoder import DualEncoder
from mmclip.models.label_classifier import LabelClassifier
from mmclip.models.text_encoder import TextEncoder, masked_mean
from mmclip.training import text as text_task
from mmclip.training.align import is_decoupled, make_objectives

ROOT = Path(__file__).resolve().parents[1]
FILES = sorted(
    file for folder in ("experiments", "demo", "study") for file in (ROOT / "config" / folder).glob("*.yaml")
)
CONFIGS = sorted((ROOT / "config").glob("*.yaml"))

XLM_R_BASE = XLMRobertaConfig(
    vocab_size=250_002, hidden_size=768, num_hidden_layers=12, num_attention_heads=12, intermediate_size=3072,
    max_position_embeddings=514, type_vocab_size=1, pad_token_id=1, bos_token_id=0, eos_token_id=2,
)  # fmt: skip
"""As XLM-R base's config.json has it."""


class Pieces:
    """As much of a tokenizer as building a model asks for."""

    pad_token_id, cls_token_id, sep_token_id = 1, 0, 2

    def __init__(self, size: int) -> None:
        self.size = size

    def __len__(self) -> int:
        return self.size


def without_weights(auto: Any, name: Any, settings: Any) -> Any:
    """In place of loading: XLM-R base with nothing in it."""
    assert name == "FacebookAI/xlm-roberta-base" and settings.max_tokens <= 512
    if "MaskedLM" in auto.__name__:
        return XLMRobertaForMaskedLM(XLM_R_BASE)
    return XLMRobertaModel(XLM_R_BASE, add_pooling_layer=False)  # type: ignore[no-untyped-call]


def build(settings: ExperimentSettings) -> torch.nn.Module:
    """The model of an experiment on the meta device, where tensors have shapes alone."""
    image = settings.model.image.model_copy(update={"pretrained": False})
    model = settings.model.model_copy(update={"image": image})
    tokenizer: Any = Pieces(250_002 if model.text.kind == "pretrained" else settings.tokenizer.vocabulary)
    with torch.device("meta"):
        if settings.task == "text":
            made: torch.nn.Module = text_task.masked_language_model(model.text, tokenizer)
        elif settings.task == "classify":
            made = LabelClassifier(image)
        else:
            made = DualEncoder.create(model, tokenizer)
    return made.eval()


def text_features(model: DualEncoder, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """As `embed_ids`, but that the transformer gets no mask, whose values it would look at."""
    if not isinstance(model.text, TextEncoder):
        return model.embed_ids(ids, mask)[0]
    states = model.text.backbone(input_ids=ids).last_hidden_state
    features: torch.Tensor = model.text_projection(masked_mean(states, mask))
    return features


@pytest.mark.parametrize("file", FILES, ids=lambda file: f"{file.parent.name}/{file.stem}")
def test_a_shipped_experiment_can_be_built(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (dual_encoder, text_task):
        monkeypatch.setattr(module, "load_pretrained", without_weights)
    settings = load(ExperimentSettings, file)
    model = build(settings)
    size, width = settings.model.image.size, settings.model.text.max_tokens
    pixels = torch.zeros(2, 1, size, size, device="meta")
    ids = torch.zeros(3, width, dtype=torch.int64, device="meta")
    mask = torch.ones_like(ids)
    with torch.no_grad():
        if isinstance(model, DualEncoder):
            assert model.embed_pixels(pixels)[0].shape == (2, settings.model.projection)
            assert text_features(model, ids, mask).shape == (3, settings.model.projection)
            objectives = make_objectives(settings)
            assert is_decoupled(settings, objectives) == (objectives[0][0] != "clip")
        elif settings.task == "classify":
            assert model(pixels).shape[0] == 2
        else:
            assert model(input_ids=ids).logits.shape[:2] == (3, width)


def parameters(name: str, monkeypatch: pytest.MonkeyPatch) -> float:
    """Millions of parameters of a paper-scale experiment."""
    for module in (dual_encoder, text_task):
        monkeypatch.setattr(module, "load_pretrained", without_weights)
    model = build(load(ExperimentSettings, ROOT / "config/experiments" / f"{name}.yaml"))
    return sum(parameter.numel() for parameter in model.parameters()) / 1e6


def test_the_paper_scale_is_that_of_the_paper(monkeypatch: pytest.MonkeyPatch) -> None:
    assert parameters("text", monkeypatch) == pytest.approx(278, abs=1), "XLM-R base"
    assert parameters("three_m_clip", monkeypatch) == pytest.approx(278 + 27.5, abs=1.5), "and Swin-T"
    settings = {
        name: load(ExperimentSettings, ROOT / "config/experiments" / f"{name}.yaml")
        for name in ("clip", "medclip", "three_m_clip")
    }
    ours = settings["three_m_clip"]
    assert (ours.optimisation.epochs, ours.model.image.size, ours.model.text.kind) == (200, 224, "pretrained")
    for name, other in settings.items():
        same = other.model_copy(update={"objectives": ours.objectives})
        assert same == ours, f"{name} differs in more than its objective"
        assert [objective.name for objective in other.objectives] == [name]


def test_every_value_of_the_paper_scale_has_its_source() -> None:
    """A comment at the line, or at that of the group that it is in."""
    for name in ("text", "three_m_clip"):
        for number, line in enumerate((ROOT / "config/experiments" / f"{name}.yaml").read_text().splitlines(), start=1):
            key, colon, value = line.partition(":")
            told = "#" in value or not colon or not value.strip() or key.strip().startswith("#")
            structure = key.strip() in ("task", "kind", "- name", "settings", "saving", "augmentation")
            assert told or structure, f"{name}.yaml, line {number}: {line}"


@pytest.mark.parametrize("file", CONFIGS, ids=lambda file: file.stem)
def test_a_shipped_config_fits_its_experiments(file: Path) -> None:
    check_run(file, ROOT)
    config, experiments = read_run(str(file), ROOT)
    assert set(experiments) == set(config.experiments)


def test_the_published_table_has_its_data_sets_and_trains_on_the_papers_alone() -> None:
    config, experiments = read_run(str(ROOT / "config/reproduce_3mclip.yaml"), ROOT)
    assert config.train_on == ("mimic", "chexpert") and config.gpus == 2 and len(config.languages) == 21
    assert set(config.evaluate.benchmarks) == set(config.datasets)
    assert {name for name, one in experiments.items() if one.task == "align"} == {"clip", "medclip", "three_m_clip"}


def test_images_are_not_enlarged(tmp_path: Path) -> None:
    config = tmp_path / "config.yaml"
    text = (ROOT / "config/config.yaml").read_text()
    config.write_text(text.replace("size: 72 ", "size: 60 "))
    with pytest.raises(UserError, match=r"clip.yaml: model.image.size: 64 pixels are more than the 60 of pack.size"):
        check_run(config, ROOT)
