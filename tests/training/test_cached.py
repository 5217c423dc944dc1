"""Cached embeddings: the gradient of the whole batch from graphs of parts, with its randomness and statistics."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from mmclip.data.batch import Batch
from mmclip.errors import UserError
from mmclip.models.dual_encoder import DualEncoder
from mmclip.objectives.protocol import Features, Objective
from mmclip.ops import soft_contrastive_loss
from mmclip.training import align, cached, stopping
from mmclip.training.align import Aligner, HostPixels, make_objectives
from mmclip.training.cached import Part, embed_in_parts
from mmclip.training.distributed import World
from mmclip.training.stage import _Sources
from mmclip.training.task import total_loss
from tests.training.conftest import SmallData, experiment


def tower(dropout: float = 0.0) -> nn.Sequential:
    torch.manual_seed(1)
    return nn.Sequential(nn.Linear(6, 10), nn.Tanh(), nn.Dropout(dropout), nn.Linear(10, 4)).double()


def loss_of(x: Tensor, y: Tensor, labels: Tensor) -> Tensor:
    x, y = nn.functional.normalize(x, dim=1), nn.functional.normalize(y, dim=1)
    loss = soft_contrastive_loss(x, y, labels, labels, 10.0, label_scale=5.0)
    assert isinstance(loss, Tensor)
    return loss


def gradients(module: nn.Module) -> list[Tensor]:
    found = [parameter.grad for parameter in module.parameters()]
    assert all(gradient is not None for gradient in found)
    module.zero_grad(set_to_none=True)
    return [gradient for gradient in found if gradient is not None]


def in_one_graph(parts: Sequence[Part], seeds: list[int]) -> Tensor:
    """What the cached embeddings stand for: all parts in one graph, with the same draws."""
    made = []
    for part, seed in zip(parts, seeds, strict=True):
        torch.manual_seed(seed)
        made.append(part())
    return torch.cat(made)


@settings(max_examples=25, deadline=None)
@given(
    rows=st.integers(2, 20), first=st.integers(1, 20), second=st.integers(1, 20), dropout=st.sampled_from([0.0, 0.4])
)
def test_the_gradient_is_that_of_one_graph(rows: int, first: int, second: int, dropout: float) -> None:
    generator = torch.Generator().manual_seed(rows)
    inputs, others = (torch.randn(rows, 6, generator=generator, dtype=torch.float64) for _ in range(2))
    labels = torch.rand(rows, 14, generator=generator)
    one, two = tower(dropout), tower(dropout)
    parts = [
        [partial(one, part) for part in inputs.split(first)],
        [partial(two, part) for part in others.split(second)],
    ]
    torch.manual_seed(5)
    x = embed_in_parts(parts[0], one)
    y = embed_in_parts(parts[1], two)
    cached_loss = loss_of(x, y, labels)
    torch.autograd.backward(cached_loss)
    found = [*gradients(one), *gradients(two)]

    if dropout:
        torch.manual_seed(5)
        seeds = torch.randint(2**62, (len(parts[0]),)).tolist()
        x = in_one_graph(parts[0], seeds)
        y = in_one_graph(parts[1], torch.randint(2**62, (len(parts[1]),)).tolist())
    else:
        x, y = one(inputs), two(others)
    loss = loss_of(x, y, labels)
    torch.autograd.backward(loss)
    torch.testing.assert_close(cached_loss, loss, rtol=1e-12, atol=1e-12)
    for value, expected in zip(found, [*gradients(one), *gradients(two)], strict=True):
        torch.testing.assert_close(value, expected, rtol=1e-9, atol=1e-12)


def test_parts_differ_in_their_draws_and_the_second_pass_repeats_them() -> None:
    module = tower(0.5)
    row = torch.ones(1, 6, dtype=torch.float64)
    calls: list[Tensor] = []

    def part() -> Tensor:
        calls.append(module(row))
        return calls[-1]

    made = embed_in_parts([part, part], module)
    torch.autograd.backward(made.sum())
    assert torch.equal(calls[0], calls[2]) and torch.equal(calls[1], calls[3])
    assert not torch.equal(calls[0], calls[1])
    assert not calls[0].requires_grad and calls[2].requires_grad


def test_no_graph_is_kept_between_the_passes() -> None:
    """What forward saves for backward does not grow with the number of parts."""

    def saved(count: int) -> int:
        total = 0

        def pack(tensor: Tensor) -> Tensor:
            nonlocal total
            total += tensor.nbytes
            return tensor

        module = tower()
        inputs = torch.randn(8 * count, 6, dtype=torch.float64)
        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            embed_in_parts([partial(module, part) for part in inputs.split(8)], module)
        return total

    assert saved(1) == saved(20) == 0


def test_without_a_gradient_it_only_embeds() -> None:
    module = tower()
    inputs = torch.randn(7, 6, dtype=torch.float64)
    with torch.no_grad():
        made = embed_in_parts([partial(module, part) for part in inputs.split(3)], module)
        assert not made.requires_grad
        torch.testing.assert_close(made, module(inputs), rtol=1e-12, atol=1e-12)


def test_a_frozen_tower_gets_no_gradient() -> None:
    module = tower().requires_grad_(False)
    made = embed_in_parts([partial(module, torch.randn(2, 6, dtype=torch.float64))], module)
    torch.autograd.backward(made.sum())
    assert all(parameter.grad is None for parameter in module.parameters())


def normed() -> nn.Sequential:
    return nn.Sequential(nn.Linear(6, 5), nn.BatchNorm1d(5)).double().train()


def test_running_statistics_move_once() -> None:
    module = normed()
    plain = copy.deepcopy(module)
    inputs = torch.randn(9, 6, dtype=torch.float64)
    made = embed_in_parts([partial(module, part) for part in inputs.split(3)], module)
    torch.autograd.backward(made.sum())
    for part in inputs.split(3):
        plain(part)
    assert all(torch.equal(one, two) for one, two in zip(module.buffers(), plain.buffers(), strict=True))


@pytest.mark.parametrize("calls_before", [1, 4])
def test_a_step_that_is_given_up_leaves_no_trace(calls_before: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between the parts of the first pass (1), and of the second (4)."""
    module = normed()
    before = [buffer.clone() for buffer in module.buffers()]
    answers = iter([False] * calls_before + [True])
    monkeypatch.setattr(stopping, "requested", lambda: next(answers))
    inputs = torch.randn(9, 6, dtype=torch.float64)

    def step() -> None:
        made = embed_in_parts([partial(module, part) for part in inputs.split(3)], module, stoppable=True)
        torch.autograd.backward(made.sum())

    with pytest.raises(stopping.Abandoned):
        step()
    assert all(torch.equal(one, two) for one, two in zip(module.buffers(), before, strict=True))
    monkeypatch.setattr(stopping, "requested", lambda: True)
    with torch.no_grad():  # a validation is no step
        embed_in_parts([partial(module, inputs)], module, stoppable=True)


# --- the aligner ------------------------------------------------------------------------------------------------------


@pytest.fixture
def parts_of_aligner(small: SmallData, monkeypatch: pytest.MonkeyPatch) -> Callable[[float], tuple[Aligner, Batch]]:
    """An aligner in float64, where another order of the same sums does not show, and a batch."""
    standardise = align.standardise
    monkeypatch.setattr(align, "standardise", lambda *args: standardise(*args).double())

    def make(dropout: float) -> tuple[Aligner, Batch]:
        changes: dict[str, Any] = {
            "image": {"name": "test_convnext", "size": 32, "options": {"drop_path_rate": dropout}}
        }
        changes["text"] = {**experiment("align").model.text.model_dump(), "dropout": dropout}
        config = experiment("align", model={**changes, "projection": 8})
        sources = _Sources(config, small.ingest, small.packs, small.corpus, small.targets, None)
        torch.manual_seed(0)
        model = DualEncoder.create(config.model, sources.tokenizer)
        batches = sources.batches("train", True, World(0, 1, torch.device("cpu")))
        return Aligner(model, make_objectives(config), bf16=False).double().train(), batches(3)

    return make


def step_gradients(aligner: Aligner, batch: Batch) -> dict[str, Tensor]:
    torch.manual_seed(7)
    entries = aligner(batch, 0)
    torch.autograd.backward(total_loss(entries))
    named = {name: parameter.grad for name, parameter in aligner.named_parameters() if parameter.grad is not None}
    aligner.zero_grad(set_to_none=True)
    return {"loss": total_loss(entries).detach(), **named}


@pytest.mark.parametrize("micro_batch", [1, 5, 12, 100])
def test_micro_batches_have_the_gradient_of_the_whole_batch(
    parts_of_aligner: Callable[[float], tuple[Aligner, Batch]], micro_batch: int
) -> None:
    aligner, batch = parts_of_aligner(0.0)
    whole = step_gradients(aligner, batch)
    aligner.micro_batch = micro_batch
    parts = step_gradients(aligner, HostPixels(**vars(batch)).to("cpu"))
    assert parts.keys() == whole.keys() == {"loss", *(name for name, _ in aligner.named_parameters())}
    for name, value in whole.items():
        torch.testing.assert_close(
            parts[name], value, rtol=1e-8, atol=1e-12, msg=lambda text, name=name: f"{name} {text}"
        )


def test_dropout_of_both_towers_is_repeated(
    parts_of_aligner: Callable[[float], tuple[Aligner, Batch]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Dropout and stochastic depth; the reference is one graph of all micro-batches with the same draws."""
    aligner, batch = parts_of_aligner(0.3)
    aligner.micro_batch = 5
    found = step_gradients(aligner, batch)

    def one_graph(parts: Sequence[Part], tower: nn.Module, stoppable: bool = False) -> Tensor:
        return in_one_graph(parts, torch.randint(2**62, (len(parts),)).tolist())

    monkeypatch.setattr(align, "embed_in_parts", one_graph)
    for name, value in step_gradients(aligner, batch).items():
        torch.testing.assert_close(found[name], value, rtol=1e-8, atol=1e-12)
    monkeypatch.setattr(align, "embed_in_parts", embed_in_parts)
    seeds = cached.torch.randint
    monkeypatch.setattr(cached.torch, "randint", lambda *args: seeds(*args) + 1)
    assert float(step_gradients(aligner, batch)["loss"]) != float(found["loss"]), "there is something to repeat"


def test_pixels_stay_on_the_host(parts_of_aligner: Callable[[float], tuple[Aligner, Batch]]) -> None:
    _, batch = parts_of_aligner(0.0)
    moved = HostPixels(**vars(batch)).to("meta")
    assert moved.pixels is batch.pixels and moved.input_ids.is_meta and moved.image_targets.is_meta


class Regions(Objective):
    needs = frozenset({"image_tokens"})

    def forward(self, batch: Any, features: Features, step: int) -> dict[str, Tensor]:
        return {"loss": features.image.sum()}


def test_what_needs_tokens_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    chosen = experiment("align", optimisation={"micro_batch": 4})
    assert make_objectives(chosen)
    monkeypatch.setattr(align.registry, "create", lambda name, settings: Regions(Objective.Settings()))
    with pytest.raises(UserError, match=r"micro_batch: objective three_m_clip needs image_tokens, which cached embedd"):
        make_objectives(chosen)
    assert make_objectives(experiment("align"))
