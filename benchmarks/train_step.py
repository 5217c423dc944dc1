"""Where the time and the memory of a training step go, beside open_clip's step with towers of the same size.

    python benchmarks/train_step.py [--batch 64] [--rounds 7] [--json FILE] [--check]

Image towers are ViT-tiny (timm's here, open_clip's own there); text towers have six layers of width 192 and read the
same tokens (open_clip's is causal). A step is everything from a batch in memory to new weights: forward, loss,
backward, gradient norm, AdamW. open_clip's is that of its training script without clipping, with torch's default AdamW
and with the fused one. Ways take turns; the shortest time of each counts. Memory is the peak above a fresh process
with the model, the batch included.
"""

from __future__ import annotations

import argparse
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import open_clip
import torch
from loss import resident
from open_clip.loss import ClipLoss
from torch import Tensor, nn
from train_step_data import experiment, sources, write_files

from mmclip.data.batch import Batch
from mmclip.models.dual_encoder import DualEncoder
from mmclip.models.image_encoder import standardise
from mmclip.ops import build
from mmclip.tables.files import write_json
from mmclip.training import align
from mmclip.training.align import Aligner, AlignTask, make_objectives
from mmclip.training.checkpoint import Checkpoints
from mmclip.training.distributed import World
from mmclip.training.loop import _Trainer

TOKENS = 64
SLOWEST = 1.05
"""A step's time over that of open_clip's."""
LARGEST_MEMORY = 1.3
"""Memory of a step at an effective batch of :data:`EFFECTIVE` over that of its micro-batch."""
EFFECTIVE, MICRO, HUGE, HUGE_MICRO = 4096, 64, 32768, 256
XLM_R = 250_002
"""Tokens of XLM-R's vocabulary."""
WORLD = World(0, 1, torch.device("cpu"))


@dataclass
class Ours:
    """A trainer with its batches."""

    trainer: _Trainer
    batches: Any

    @property
    def aligner(self) -> Aligner:
        """What is trained."""
        module: Aligner = self.trainer.task.module  # type: ignore[assignment]
        return module


def ours(folder: Path, precision: str, **changes: Any) -> Ours:
    """A run of mmclip that is about to begin."""
    changes["optimisation"] = {"steps": 1000, "precision": precision, **changes.get("optimisation", {})}
    settings = experiment(**changes)
    batches, tokenizer = sources(folder, settings, WORLD)
    torch.manual_seed(0)
    model = DualEncoder.create(settings.model, tokenizer)
    aligner = Aligner(model, make_objectives(settings), precision == "bf16", settings.optimisation.micro_batch)
    task = AlignTask(aligner, batches, None)
    store = Checkpoints(folder / "checkpoints", "0" * 64)
    return Ours(_Trainer(task, settings.optimisation, 1000, 0, store, WORLD), batches)


def full_length(batch: Batch, vocabulary: int) -> Batch:
    """The batch with texts of exactly :data:`TOKENS` tokens, none of them alike."""
    ids = torch.randint(5, vocabulary, (len(batch.pixels), TOKENS), generator=torch.Generator().manual_seed(0))
    return replace(batch, input_ids=ids, attention_mask=torch.ones_like(ids))


def open_clip_step(batch: Batch, settings: Any, vocabulary: int, precision: str, fused: bool) -> Callable[[], object]:
    """A step of open_clip's training script on the same batch."""
    text = settings.text
    towers: dict[str, Any] = {
        "vision_cfg": {"width": 192, "layers": 12, "head_width": 64, "patch_size": 16},
        "text_cfg": {"width": text.width, "layers": text.layers, "heads": text.heads, "context_length": TOKENS},
    }
    towers["vision_cfg"]["image_size"] = settings.image.size
    towers["text_cfg"]["vocab_size"] = vocabulary
    torch.manual_seed(0)
    model = open_clip.CLIP(settings.projection, **towers, output_dict=True).train()
    plain = [parameter for parameter in model.parameters() if parameter.ndim < 2]
    decayed = [parameter for parameter in model.parameters() if parameter.ndim >= 2]
    groups = [{"params": plain, "weight_decay": 0.0}, {"params": decayed, "weight_decay": 0.2}]
    optimiser = torch.optim.AdamW(groups, lr=5e-5, betas=(0.9, 0.98), eps=1e-6, fused=fused)
    loss = ClipLoss(cache_labels=True)
    pixels = standardise(batch.pixels, settings.image).expand(-1, 3, -1, -1).contiguous()

    def step() -> None:
        optimiser.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
            total = loss(**model(pixels, batch.input_ids), output_dict=True)["contrastive_loss"]
        torch.autograd.backward(total)
        optimiser.step()
        with torch.no_grad():
            model.logit_scale.clamp_(0, 4.6052)
        total.item()

    return step


def shortest(ways: dict[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Seconds of each way: the shortest of some rounds after a first one, the ways taking turns."""
    best = dict.fromkeys(ways, float("inf"))
    for turn in range(rounds + 1):
        for name, run in ways.items():
            start = time.perf_counter()
            run()
            if turn:
                best[name] = min(best[name], time.perf_counter() - start)
    return best


def beside_open_clip(folder: Path, options: argparse.Namespace) -> dict[str, float]:
    """Steps of equal work: all texts as long as the context."""
    ways: dict[str, Callable[[], object]] = {}
    for precision in ("fp32", "bf16"):
        run = ours(folder, precision, optimisation={"batch_size": options.batch})
        vocabulary = len(run.aligner.model.tokenizer)
        batch = full_length(run.batches(0), vocabulary)
        ways[f"mmclip, {precision}"] = lambda run=run, batch=batch: run.trainer.step(batch, 0)
        for fused in (False, True):
            name = f"open_clip, {precision}{', fused AdamW' if fused else ''}"
            ways[name] = open_clip_step(batch, run.aligner.model.settings, vocabulary, precision, fused)
    return shortest(ways, options.rounds)


def gains(folder: Path, options: argparse.Namespace) -> tuple[dict[str, float], dict[str, float]]:
    """Seconds of a step on reports of many lengths, with one thing taken away at a time; and of its pieces."""
    run = ours(folder, "bf16", optimisation={"batch_size": options.batch})
    aligner, trainer, batch = run.aligner, run.trainer, run.batches(0)

    def with_(name: str, value: Any, owner: Any) -> Callable[[], object]:
        def step() -> None:
            kept = getattr(owner, name)
            setattr(owner, name, value)
            try:
                trainer.step(batch, 0)
            finally:
                setattr(owner, name, kept)

        return step

    groups = [{"params": one["params"], "weight_decay": one["weight_decay"]} for one in trainer.optimiser.param_groups]
    plain = torch.optim.AdamW(groups, lr=5e-5)
    dealt = ours(folder, "bf16", optimisation={"batch_size": options.batch}, data={"length_buckets": 8}).batches
    eight = {
        "mean of 8 batches as drawn": [run.batches(step) for step in range(8)],
        "mean of 8 batches dealt by length": [dealt(step) for step in range(8)],
    }
    ways: dict[str, Callable[[], object]] = {
        "as it is": lambda: trainer.step(batch, 0),
        "fp32 instead of bf16": with_("bf16", False, aligner),
        "AdamW not fused": with_("optimiser", plain, trainer),
        "every text padded to the longest": with_("LENGTH_GROUPS", 1, align),
    }
    seconds = shortest(ways, options.rounds)
    many = {name: lambda batches=batches: [trainer.step(one, 0) for one in batches] for name, batches in eight.items()}
    means = {name: taken / 8 for name, taken in shortest(many, max(1, options.rounds // 2)).items()}
    return {**seconds, **means}, pieces(run, batch, options)


def of_vocabulary(options: argparse.Namespace) -> dict[str, float]:
    """Seconds of AdamW on a word embedding of XLM-R's vocabulary, at this benchmark's width."""
    weight = nn.Parameter(torch.randn(XLM_R, 192))
    weight.grad = torch.randn(XLM_R, 192)
    kinds = {"fused": True, "not fused": False}
    return shortest(
        {name: torch.optim.AdamW([weight], lr=1e-6, fused=fused).step for name, fused in kinds.items()}, options.rounds
    )


def pieces(run: Ours, batch: Batch, options: argparse.Namespace) -> dict[str, float]:
    """Seconds of the parts of a step, each by itself, forward and backward."""
    aligner, model = run.aligner.train(), run.aligner.model
    standard = aligner.standardised(batch)
    leaves = aligner.features(standard)
    image, text = leaves.image.detach().requires_grad_(), leaves.text.detach().requires_grad_()
    random = torch.randn_like(image)

    def loss() -> None:
        features = replace(leaves, image=image, text=text, logit_scale=model.logit_scale)
        for objective in aligner.objectives.values():
            torch.autograd.backward(objective(standard, features, 0)["contrastive_loss"])

    def tower(embed: Callable[[], Tensor]) -> Callable[[], object]:
        return lambda: torch.autograd.backward(embed(), random)

    ways: dict[str, Callable[[], object]] = {
        "image tower": tower(lambda: aligner._embed_images(batch.pixels)),
        "text tower": tower(lambda: aligner._embed_texts(batch.input_ids, batch.attention_mask)),
        "loss": loss,
        "optimiser": run.trainer.optimiser.step,
        "input (in threads beside the step)": lambda: run.batches(1),
    }
    return shortest(ways, options.rounds)


def memory_of(folder: Path, kind: str) -> tuple[float, float, float]:
    """Peak MB, seconds of a step and its loss, in this process; call it in a fresh one.

    Args:
        kind: micro (a batch of :data:`MICRO`), cached (one of :data:`EFFECTIVE` in micro-batches), or huge.
    """
    model: dict[str, Any] = {
        "image": {"name": "vit_tiny_patch16_224", "size": 64},
        "text": {"kind": "scratch", "layers": 6, "width": 192, "heads": 3, "feedforward": 768, "max_tokens": 32},
    }
    optimisation: dict[str, Any] = {"batch_size": MICRO}
    if kind == "cached":
        optimisation = {"batch_size": EFFECTIVE, "micro_batch": MICRO}
    if kind == "huge":
        model["image"] = {"name": "test_vit", "size": 32}
        model["text"] |= {"layers": 1, "width": 64, "heads": 2, "feedforward": 128, "max_tokens": 16}
        optimisation = {"batch_size": HUGE, "micro_batch": HUGE_MICRO}
    run = ours(folder, "fp32", model={**model, "projection": 512}, optimisation=optimisation)
    run.batches(0)  # what a first batch loads
    Path("/proc/self/clear_refs").write_text("5")
    before, start = resident("VmRSS"), time.perf_counter()
    for step in range(3 if kind == "micro" else 1):
        row = run.trainer.step(run.trainer.task.batch(step), step)
    assert row is not None
    return (resident("VmHWM") - before) / 1024, time.perf_counter() - start, row["loss"]


def memory(folder: Path, options: argparse.Namespace) -> dict[str, dict[str, float]]:
    """:func:`memory_of` each kind, in processes of their own."""
    found = {}
    for kind in ("micro", "cached", "huge"):
        command = [sys.executable, __file__, "--memory-of", kind, str(folder), "--threads", str(options.threads)]
        values = subprocess.check_output(command, text=True).splitlines()[-1].split()
        found[kind] = dict(zip(("megabytes", "seconds", "loss"), map(float, values), strict=True))
    return found


def report(result: dict[str, Any]) -> int:
    """Print the tables; returns how many lines are missed."""
    print("\nseconds a step, all texts as long as the context:")
    for name, seconds in result["beside"].items():
        print(f"  {name:<38}{seconds:>9.4f}")
    print("\nseconds a step, reports of many lengths:")
    for name, seconds in result["gains"].items():
        print(f"  {name:<38}{seconds:>9.4f}{seconds / result['gains']['as it is']:>8.2f} x")
    whole = result["gains"]["as it is"]
    print("\nits pieces, each by itself, and their share of the step:")
    for name, seconds in result["pieces"].items():
        print(f"  {name:<38}{seconds:>9.4f}{seconds / whole:>8.1%}")
    print(f"\nAdamW on a word embedding of {XLM_R:,} x 192:")
    for name, seconds in result["vocabulary"].items():
        print(f"  {name:<38}{seconds:>9.4f}")
    print("\npeak memory of a step:")
    for name, row in result["memory"].items():
        print(f"  {name:<38}{row['megabytes']:>9.0f} MB{row['seconds']:>9.1f} s, loss {row['loss']:.3f}")
    beside, kinds = result["beside"], result["memory"]
    lines = [
        (f"mmclip / {other}", beside[f"mmclip, {precision}"] / beside[other], SLOWEST)
        for precision in ("fp32", "bf16")
        for other in (f"open_clip, {precision}", f"open_clip, {precision}, fused AdamW")
    ]
    ratio = kinds["cached"]["megabytes"] / kinds["micro"]["megabytes"]
    lines.append((f"memory at {EFFECTIVE:,} / at {MICRO}", ratio, LARGEST_MEMORY))
    print()
    for what, value, most in lines:
        print(f"{'MISSED' if value > most else '':6} {what}: {value:.2f} (at most {most})")
    return sum(value > most for _, value, most in lines)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--check", action="store_true", help="exit 1 where a line is missed")
    parser.add_argument("--memory-of", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    if options.memory_of:
        kind, folder = options.memory_of
        print(*memory_of(Path(folder), kind))
        return 0
    build.build()
    print(
        f"batch {options.batch}, {options.threads} threads, {platform.processor() or platform.machine()}, "
        f"{torch.backends.cpu.get_cpu_capability()}, torch {torch.__version__}, open_clip {open_clip.__version__}"
    )
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        write_files(folder)
        result: dict[str, Any] = {"batch": options.batch, "beside": beside_open_clip(folder, options)}
        result["gains"], result["pieces"] = gains(folder, options)
        result["vocabulary"] = of_vocabulary(options)
        result["memory"] = memory(folder, options)
    missed = report(result)
    if options.json:
        write_json(result, options.json)
    return int(options.check and missed > 0)


if __name__ == "__main__":
    sys.exit(main())
