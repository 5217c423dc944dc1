"""One of several processes that compute the loss of a batch together, and compare it with that of one process.

Run as ``python -m tests.ops.rank_cases RANK RANKS FOLDER gloo|nccl``; what was found is FOLDER/RANK.json. All cases run
in one process, because starting one costs more than they do. With NCCL each rank has a GPU of its own.
"""

from __future__ import annotations

import datetime
import json
import sys
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch
import torch.distributed as dist
from torch import Tensor
from torch.nn.functional import normalize
from torch.utils._python_dispatch import TorchDispatchMode

from mmclip.ops import distributed, fused, soft_contrastive_loss
from mmclip.ops import targets as targets_of_loss

FORMS = {"gathered": distributed.GATHERED_BYTES, "ring": 0}
"""The forms, and the size up to which the columns are gathered that chooses each."""

GROUPED_SHARE = 1 / 16  # batches are small here: kinds are grouped where they would be in a large one


@dataclass(frozen=True)
class Case:
    """A batch, how it is cut, and what the loss is asked for.

    Attributes:
        rows, columns: how many each rank holds, of two ranks and of four; one rank holds all.
        options: given to the loss; `ids` and `excluded` are made here where they are asked for.
    """

    rows: dict[int, list[int]] = field(default_factory=lambda: {1: [7], 2: [3, 4], 4: [2, 1, 3, 1]})
    columns: dict[int, list[int]] = field(default_factory=lambda: {1: [9], 2: [5, 4], 4: [1, 3, 2, 3]})
    dtype: torch.dtype = torch.float64
    labels: str = "binary"
    ids: bool = False
    excluded: float = 0.0
    scale: float = 8.0
    backend: str = "eager"
    options: dict[str, Any] = field(default_factory=dict)


SQUARE = {1: [7], 2: [3, 4], 4: [2, 1, 3, 1]}
NO_ROWS = {1: [7], 2: [0, 7], 4: [3, 0, 4, 0]}
NO_COLUMNS = {1: [9], 2: [9, 0], 4: [0, 0, 5, 4]}
SHARP = {"label_scale": 3.0}

CASES = {
    "labels": Case(options=SHARP),
    "labels, dot product": Case(options={**SHARP, "similarity": "dot"}),
    "real-valued labels": Case(options=SHARP, labels="real"),
    "labels, single precision": Case(options=SHARP, dtype=torch.float32),
    "labels, bfloat16": Case(options=SHARP, dtype=torch.bfloat16),
    "labels, no rows on a rank": Case(NO_ROWS, options=SHARP),
    "labels, no columns on a rank": Case(columns=NO_COLUMNS, options=SHARP),
    "labels, neither on a rank": Case({1: [7], 2: [7, 0], 4: [0, 3, 4, 0]}, NO_COLUMNS, options=SHARP),
    "labels, excluded": Case(excluded=0.3, options=SHARP),
    "labels, nearly all excluded": Case(excluded=0.9, options=SHARP),
    "labels, all excluded": Case(excluded=1.1, options=SHARP),
    "labels, scale 0": Case(options=SHARP, scale=0.0),
    "labels, scale 100": Case(options=SHARP, scale=100.0),
    "identity": Case(SQUARE, SQUARE, options={"targets": "identity"}),
    "identity, single precision": Case(SQUARE, SQUARE, torch.float32, options={"targets": "identity"}),
    "identity, bfloat16": Case(SQUARE, SQUARE, torch.bfloat16, options={"targets": "identity"}),
    "identity, nothing on a rank": Case(NO_ROWS, NO_ROWS, options={"targets": "identity"}),
    "identity, excluded": Case(SQUARE, SQUARE, excluded=0.3, options={"targets": "identity"}),
    "ids": Case(ids=True, options={"targets": "ids"}),
    "ids, single precision": Case(ids=True, dtype=torch.float32, options={"targets": "ids"}),
    "ids, bfloat16": Case(ids=True, dtype=torch.bfloat16, options={"targets": "ids"}),
    "ids, no rows on a rank": Case(NO_ROWS, ids=True, options={"targets": "ids"}),
    "ids, excluded": Case(ids=True, excluded=0.3, options={"targets": "ids"}),
    "few distinct labels": Case(
        {1: [71], 2: [40, 31], 4: [20, 25, 1, 25]}, {1: [80], 2: [35, 45], 4: [0, 20, 30, 30]}, options=SHARP
    ),
    "fused, labels": Case(options=SHARP, backend="fused"),
    "fused, labels, single precision": Case(options=SHARP, dtype=torch.float32, backend="fused"),
    "fused, ids": Case(ids=True, options={"targets": "ids"}, backend="fused"),
}


def batch(case: Case, ranks: int) -> dict[str, Any]:
    """The whole batch of a case; the same on every rank."""
    generator = torch.Generator().manual_seed(0)
    n, m = sum(case.rows[ranks]), sum(case.columns[ranks])
    x, y = (normalize(torch.randn(k, 6, generator=generator, dtype=torch.float64), dim=1) for k in (n, m))
    a, b = (torch.rand(k, 3, generator=generator) for k in (n, m))
    a, b = ((labels < 0.5).to(torch.uint8) if case.labels == "binary" else labels * (labels > 0.3) for labels in (a, b))
    row_group, column_group = (torch.randint(5, (k,), generator=generator) for k in (n, m))
    column_group[0] = row_group[-1]  # something in common
    relation = torch.rand(5, 5, generator=generator) < case.excluded
    whole = {"x": x.to(case.dtype), "y": y.to(case.dtype), "a": a, "b": b}
    if case.ids or case.excluded:
        whole |= {"row_group": row_group, "column_group": column_group}
    return whole | ({"excluded": relation} if case.excluded else {})


def part(whole: dict[str, Any], rows: list[int], columns: list[int], rank: int) -> dict[str, Any]:
    """What one rank holds of the batch."""
    cuts = {name: slice(sum(sizes[:rank]), sum(sizes[: rank + 1])) for name, sizes in (("x", rows), ("y", columns))}
    of = {"x": "x", "a": "x", "row_group": "x", "y": "y", "b": "y", "column_group": "y"}
    return {name: tensor[cuts[of[name]]] if name in of else tensor for name, tensor in whole.items()}


def value_and_gradients(inputs: dict[str, Any], scale: float, options: dict[str, Any]) -> list[Tensor]:
    """The loss, its floor, and three times its gradients by x, y and the logit scale."""
    leaves = [
        inputs["x"].clone().requires_grad_(),
        inputs["y"].clone().requires_grad_(),
        inputs["x"].new_tensor(scale, dtype=torch.promote_types(inputs["x"].dtype, torch.float32)).requires_grad_(),
    ]
    others = {name: tensor for name, tensor in inputs.items() if name not in ("x", "y")}
    given = dict(zip(("x", "y", "logit_scale"), leaves, strict=True)) | others
    loss, floor = soft_contrastive_loss(**given, return_floor=True, **options)
    return [loss.detach(), floor.detach(), *torch.autograd.grad(3 * loss, leaves)]


def device_of(group: dist.ProcessGroup) -> torch.device:
    """Where this rank computes."""
    return torch.device("cuda", dist.get_rank(group)) if dist.get_backend(group) == "nccl" else torch.device("cpu")


def errors(case: Case, group: dist.ProcessGroup) -> list[float]:
    """How far the loss, the floor and each gradient are from those of one process in double precision.

    The largest difference, relative to the largest value where that exceeds 1.
    """
    rank, ranks = dist.get_rank(group), dist.get_world_size(group)
    device, rows, columns = device_of(group), case.rows[ranks], case.columns[ranks]
    whole = {name: tensor.to(device) for name, tensor in batch(case, ranks).items()}
    exact = {name: whole[name].double() for name in ("x", "y")}
    expected = value_and_gradients(whole | exact, case.scale, {**case.options, "backend": "eager"})
    mine = value_and_gradients(
        part(whole, rows, columns, rank), case.scale, {**case.options, "backend": case.backend, "group": group}
    )
    assert mine[0].dtype == torch.promote_types(case.dtype, torch.float32) and mine[2].dtype == case.dtype
    dist.all_reduce(mine[4], group=group)
    own = part({"x": expected[2], "y": expected[3]}, rows, columns, rank)
    compared = zip(mine, [*expected[:2], own["x"], own["y"], expected[4]], strict=True)
    return [float((p.double() - q).abs().max() / q.abs().max().clamp(min=1)) if p.numel() else 0.0 for p, q in compared]


WRONG: dict[str, Callable[[int], dict[str, Any]]] = {
    "D": lambda rank: {"x": torch.ones(2, 4 + rank), "y": torch.ones(2, 4 + rank)},
    "L": lambda rank: {"a": torch.ones(2, 2 + rank), "b": torch.ones(2, 2 + rank)},
    "type": lambda rank: {name: torch.ones(2, 4).to([torch.float32, torch.float64][rank % 2]) for name in "xy"},
    "label type": lambda rank: {name: torch.ones(2, 2).to([torch.float32, torch.uint8][rank % 2]) for name in "ab"},
    "label_scale": lambda rank: {"label_scale": 1.0 + rank},
    "targets": lambda rank: {"targets": ["labels", "identity"][rank % 2]},
    "similarity": lambda rank: {"similarity": ["cosine", "dot"][rank % 2]},
    "floor": lambda rank: {"return_floor": rank == 0},
    "gradient": lambda rank: {"x": torch.ones(2, 4, requires_grad=rank == 0)},
    "relation": lambda rank: {
        "excluded": torch.zeros(3 + rank, 3 + rank, dtype=torch.bool),
        "row_group": torch.zeros(2, dtype=torch.int64),
        "column_group": torch.zeros(2, dtype=torch.int64),
    },
    "empty": lambda rank: {"x": torch.ones(0, 4), "a": torch.ones(0, 2)},
    "nothing in common": lambda rank: {
        "targets": "ids",
        "row_group": torch.tensor([rank, rank]),
        "column_group": torch.tensor([9, 9 + rank]),
    },
    "one rank refuses": lambda rank: {"x": torch.ones(2, 5)} if rank == 1 else {},
    "one rank has no number": lambda rank: {"logit_scale": float("nan")} if rank == 1 else {},
}
"""What each rank gives that does not fit together."""


def messages(group: dist.ProcessGroup) -> dict[str, str]:
    """What this rank says to each of the wrong batches."""
    said = {}
    for name, wrong in WRONG.items():
        ones = {"x": torch.ones(2, 4), "y": torch.ones(2, 4), "a": torch.ones(2, 2), "b": torch.ones(2, 2)}
        given = {"logit_scale": 1.0, **ones, **wrong(dist.get_rank(group))}
        try:
            soft_contrastive_loss(**to_device(given, device_of(group)), group=group)
            said[name] = "no error"
        except ValueError as error:
            said[name] = str(error)
    return said


def to_device(given: dict[str, Any], device: torch.device) -> dict[str, Any]:
    """The tensors among some arguments, brought to a device; leaves stay leaves."""
    return {
        name: value.detach().to(device).requires_grad_(value.requires_grad) if isinstance(value, Tensor) else value
        for name, value in given.items()
    }


def not_a_number(group: dist.ProcessGroup) -> list[bool]:
    """Whether the loss and this rank's gradients are NaN where one value of one rank is."""
    rank, ranks = dist.get_rank(group), dist.get_world_size(group)
    case = CASES["labels"]
    inputs = to_device(part(batch(case, ranks), case.rows[ranks], case.columns[ranks], rank), device_of(group))
    inputs["x"] = inputs["x"].index_fill(0, torch.arange(0 if rank else 1, device=inputs["x"].device), float("nan"))
    found = value_and_gradients(inputs, case.scale, {**case.options, "group": group, "backend": "eager"})
    return [bool(value.isnan().all()) for value in (found[0], *found[2:])]


class Largest(TorchDispatchMode):
    """Remembers the largest tensor that any operation returned, in elements."""

    elements = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        for tensor in result if isinstance(result, tuple | list) else (result,):
            if isinstance(tensor, Tensor):
                self.elements = max(self.elements, tensor.untyped_storage().nbytes() // tensor.element_size())
        return result


@contextmanager
def counted_messages() -> Iterator[Counter[str]]:
    """How often each kind of message is sent meanwhile."""
    count: Counter[str] = Counter()

    def counting(name: str) -> Any:
        send = getattr(dist, name)

        def wrapper(*args: Any, **kwargs: Any) -> Any:
            count[name] += 1
            return send(*args, **kwargs)

        return patch.object(dist, name, wrapper)

    kinds = ("all_gather", "all_reduce", "all_to_all_single", "batch_isend_irecv")
    with counting(kinds[0]), counting(kinds[1]), counting(kinds[2]), counting(kinds[3]):
        yield count


TARGETS = ("labels", "few labels", "identity", "ids")
"""Where the cost is measured: real-valued labels are all different."""


def cost(group: dist.ProcessGroup, targets: str) -> dict[str, Any]:
    """The largest tensor, and the messages forward and backward, at 48 rows and columns a rank and D = 64."""
    ranks = dist.get_world_size(group)
    sizes = {ranks: [48] * ranks}
    case = Case(sizes, sizes, torch.float32, "real" if targets == "labels" else "binary", ids=targets == "ids")
    inputs = to_device(part(batch(case, ranks), sizes[ranks], sizes[ranks], dist.get_rank(group)), device_of(group))
    x, y = (torch.nn.functional.pad(inputs.pop(name), (0, 58)).requires_grad_() for name in "xy")
    with Largest() as largest:
        with counted_messages() as forward:
            loss = soft_contrastive_loss(
                x, y, logit_scale=8.0, targets=targets.split()[-1], backend="eager", group=group, **inputs
            )
        with counted_messages() as backward:
            loss.backward(retain_graph=True)
    first = y.grad.clone()
    loss.backward()
    again = bool((y.grad == 2 * first).all())
    return {"largest": largest.elements, "forward": forward, "backward": backward, "again": again}


def main() -> None:
    rank, ranks, folder, backend = int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3]), sys.argv[4]
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    if backend == "nccl":
        torch.cuda.set_device(rank)
    dist.init_process_group(
        backend,
        init_method=f"file://{folder / 'store'}",
        rank=rank,
        world_size=ranks,
        timeout=datetime.timedelta(seconds=180),
    )
    group = dist.group.WORLD
    assert group is not None and distributed.active_group() is (group if ranks > 1 else None)
    compiled = fused.ready()
    found: dict[str, Any] = {"errors": {}, "cost": {}, "nan": {}, "messages": messages(group)}
    for form, limit in FORMS.items():
        with (
            patch.object(distributed, "GATHERED_BYTES", limit),
            patch.object(targets_of_loss, "LARGEST_SHARE", GROUPED_SHARE),
        ):
            found["errors"][form] = {
                name: errors(case, group) for name, case in CASES.items() if compiled or case.backend == "eager"
            }
            found["nan"][form] = not_a_number(group)
            found["cost"][form] = {targets: cost(group, targets) for targets in TARGETS}
    (folder / f"{rank}.json").write_text(json.dumps(found))
    del group  # who holds it keeps its threads, and a process must not end with those
    dist.destroy_process_group()


if __name__ == "__main__":
    main()
