"""What each objective computes, and the protocol they keep."""

from __future__ import annotations

import math
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from pydantic import BaseModel
from torch import Tensor
from torch.nn.functional import cross_entropy, normalize

from mmclip.config.base import load
from mmclip.config.training import ExperimentSettings
from mmclip.data.batch import Batch
from mmclip.errors import UserError
from mmclip.objectives.protocol import Features, Objective, total_loss
from mmclip.objectives.registry import NAMES, create, modules
from mmclip.provenance import ROOT


def paired(study: list[int], text_study: list[int] | None = None, seed: int = 0) -> tuple[Batch, Features]:
    """A batch with soft labels and embeddings at random; images and texts of equal study numbers are pairs."""
    text_study = study if text_study is None else text_study
    n, m = len(study), len(text_study)
    generator = torch.Generator().manual_seed(seed)
    batch = Batch(
        pixels=torch.zeros(n, 1, 2, 2),
        image_ids=[f"i{k}" for k in range(n)],
        image_targets=torch.rand(n, 14, generator=generator).round(decimals=1),
        input_ids=torch.zeros(m, 3, dtype=torch.int64),
        attention_mask=torch.ones(m, 3, dtype=torch.int64),
        text_ids=[f"t{k}" for k in range(m)],
        text_targets=torch.rand(m, 14, generator=generator).round(decimals=1),
        languages=["eng_Latn"] * m,
        image_study=torch.tensor(study),
        text_study=torch.tensor(text_study),
    )
    image = normalize(torch.randn(n, 8, generator=generator), dim=1).requires_grad_()
    text = normalize(torch.randn(m, 8, generator=generator), dim=1).requires_grad_()
    return batch, Features(image, text, torch.tensor(10.0, requires_grad=True))


def soft_targets(logits: Tensor, similarity: Tensor) -> Tensor:
    rows, columns = similarity.softmax(1), similarity.T.softmax(1)
    return (cross_entropy(logits, rows) + cross_entropy(logits.T, columns)) / 2


def test_clip_is_cross_entropy_with_the_diagonal_where_studies_differ() -> None:
    batch, features = paired([5, 3, 9, 4])
    logits, index = 10 * features.image @ features.text.T, torch.arange(4)
    expected = (cross_entropy(logits, index) + cross_entropy(logits.T, index)) / 2
    entries = create("clip", {})(batch, features, 0)
    torch.testing.assert_close(entries["contrastive_loss"], expected)
    assert entries["floor"].item() == 0


def test_clip_takes_every_pair_of_a_study_as_positive() -> None:
    batch, features = paired([5, 3, 5], [5, 5, 3, 5])
    logits = 10 * features.image @ features.text.T
    positive = torch.tensor([[1.0, 1, 0, 1], [0, 0, 1, 0], [1, 1, 0, 1]])
    rows, columns = positive / positive.sum(1, keepdim=True), (positive / positive.sum(0)).T
    expected = (cross_entropy(logits, rows) + cross_entropy(logits.T, columns)) / 2
    entries = create("clip", {})(batch, features, 0)
    torch.testing.assert_close(entries["contrastive_loss"], expected)
    assert entries["floor"].item() == pytest.approx((2 / 3 * math.log(3) + 3 / 4 * math.log(2)) / 2)


@pytest.mark.parametrize("scale", [1.0, 10.0])
def test_three_m_clip_follows_the_cosine_of_labels(scale: float) -> None:
    batch, features = paired([0, 1, 2], [7, 8, 9, 10, 11])
    cosine = normalize(batch.image_targets, dim=1) @ normalize(batch.text_targets, dim=1).T
    expected = soft_targets(10 * features.image @ features.text.T, scale * cosine)
    entries = create("three_m_clip", {"label_scale": scale})(batch, features, 0)
    torch.testing.assert_close(entries["contrastive_loss"], expected)


def test_medclip_follows_the_dot_product_of_labels() -> None:
    batch, features = paired([0, 1, 2, 3])
    expected = soft_targets(10 * features.image @ features.text.T, batch.image_targets @ batch.text_targets.T)
    torch.testing.assert_close(create("medclip", {})(batch, features, 0)["contrastive_loss"], expected)


@pytest.mark.parametrize("name", NAMES)
def test_every_objective_trains_and_logs(name: str) -> None:
    batch, features = paired([0, 1, 2, 0])
    objective = create(name, {})
    entries = objective(batch, features, 3)
    total = total_loss(entries)
    total.backward()
    for leaf in (features.image, features.text, features.logit_scale):
        assert leaf.grad is not None and leaf.grad.isfinite().all() and leaf.grad.abs().max() > 0
    assert not entries["floor"].requires_grad and not entries["kl"].requires_grad
    assert entries["kl"].item() == pytest.approx(total.item() - entries["floor"].item(), abs=1e-6) and entries["kl"] > 0
    assert objective.decoupled == (name != "clip")


def test_the_published_scale_leaves_flat_targets() -> None:
    """A hundred studies, 20 of them with the finding: the floor that the published loss starts from."""
    batch, features = paired([*range(100)])
    labels = torch.zeros(100, 14)
    labels[:20, 0] = 1
    labels[20:, 1] = 1
    batch = replace(batch, image_targets=labels[:1].expand(100, 14), text_targets=labels)
    weights = torch.tensor([math.e] * 20 + [1.0] * 80)
    p = weights / weights.sum()
    rows = -(p * p.log()).sum().item()
    assert rows == pytest.approx(4.496, abs=1e-3) and p.max().item() == pytest.approx(0.0202, abs=1e-4)
    floor = create("three_m_clip", {})(batch, features, 0)["floor"].item()
    assert floor == pytest.approx((rows + math.log(100)) / 2, rel=1e-5)


@pytest.mark.parametrize(
    ("name", "settings", "message"),
    [
        ("clap", {}, "objective 'clap': unknown; known are clip, medclip, three_m_clip"),
        ("three_m_clip", {"label_scale": 0}, "objective three_m_clip: label_scale: .*greater than 0, got 0"),
        ("three_m_clip", {"label_scales": 1}, "label_scales: Extra inputs are not permitted.*settings: label_scale"),
        ("clip", {"label_scale": 1}, "objective clip: label_scale: .*settings: it has none"),
    ],
)
def test_mistakes_in_an_experiment_are_one_line(name: str, settings: dict[str, float], message: str) -> None:
    with pytest.raises(UserError, match=message) as error:
        create(name, settings)
    assert "\n" not in str(error.value)


def test_only_the_named_objective_is_imported() -> None:
    assert modules(["three_m_clip", "clip", "clip"]) == ["mmclip.objectives.clip", "mmclip.objectives.three_m_clip"]
    code = (
        "import sys; from mmclip.objectives.registry import create; create('clip', {}); "
        "assert 'mmclip.objectives.clip' in sys.modules; assert 'mmclip.objectives.medclip' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_total_is_the_sum_of_losses() -> None:
    entries = {"a_loss": torch.tensor(1.0), "floor": torch.tensor(9.0), "b_loss": torch.tensor(2.5)}
    assert total_loss(entries).item() == 3.5
    with pytest.raises(ValueError, match="no entry ends in _loss: floor"):
        total_loss({"floor": torch.tensor(1.0)})


def test_an_unknown_need_is_refused() -> None:
    with pytest.raises(TypeError, match="unknown \\['tokens'\\]"):

        class Wrong(Objective):
            needs = frozenset({"tokens"})  # type: ignore[arg-type]

    assert issubclass(Objective.Settings, BaseModel)


SHIPPED = sorted(
    file for folder in ("demo", "experiments", "study") for file in (ROOT / "config" / folder).glob("*.yaml")
)


@pytest.mark.parametrize("file", SHIPPED, ids=lambda file: f"{file.parent.name}-{file.stem}")
def test_shipped_experiments_have_objectives(file: Path) -> None:
    for objective in load(ExperimentSettings, file).objectives:
        assert create(objective.name, objective.settings).settings is not None
