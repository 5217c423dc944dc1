"""The loss's share of a training step with cached embeddings, in time and in memory, by batch size.

    python benchmarks/loss_share.py [--sizes 128 1024 4096 32768] [--json FILE]

A step embeds the batch in chunks without a graph, computes the loss and its gradient for the cached embeddings, and
embeds each chunk again to carry the gradient into the towers (Gao et al. 2021, "Scaling Deep Contrastive Learning Batch
Size under Memory Limited Setup"), so that the towers' memory does not grow with the batch. The towers' time is that of
one chunk, measured and multiplied: it is the same work for every chunk. The loss is measured in a process of its own:
eager, fused, and `open_clip`, the loss of open_clip_torch (cross-entropy with the diagonal over both sides of the
stored logits), which has no soft targets. A form whose stored matrices would need more than `--most-memory` GB is not
run, and the table says so.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import timm
import torch
from loss import DEVICE, labels, resident
from open_clip.loss import ClipLoss
from torch import Tensor, nn
from torch.nn.functional import normalize
from transformers import BertConfig, BertModel

from mmclip.ops import build, soft_contrastive_loss
from mmclip.tables.files import write_json

DIMENSION, CHUNK, TOKENS, PIXELS = 512, 32, 64, 224
STORED = {"eager": 8, "open_clip": 5, "fused": 0}  # N x N matrices of 4 bytes at the peak
NOTICED = 0.05  # the share of a step from which a form is worth replacing


class Towers(nn.Module):
    """The published sizes, with random weights: ResNet-50 at 224 pixels, and BERT-base over 64 tokens."""

    def __init__(self) -> None:
        super().__init__()
        self.image = timm.create_model("resnet50", num_classes=DIMENSION)
        self.text = BertModel(BertConfig())
        self.projection = nn.Linear(768, DIMENSION)

    def forward(self, images: Tensor, tokens: Tensor) -> tuple[Tensor, Tensor]:
        text = self.projection(self.text(tokens).last_hidden_state[:, 0])
        return normalize(self.image(images), dim=1), normalize(text, dim=1)


def seconds(run: Callable[[], object], repeats: int) -> float:
    """The shortest of several runs after a first one."""
    best = float("inf")
    for turn in range(repeats + 1):
        start = time.perf_counter()
        run()
        if DEVICE.type == "cuda":
            torch.cuda.synchronize()
        best = min(best, time.perf_counter() - start) if turn else best
    return best


def towers(repeats: int) -> tuple[float, float]:
    """Seconds for one pair in both passes of a step, and peak MB of a chunk."""
    model = Towers().to(DEVICE)
    images = torch.randn(CHUNK, 3, PIXELS, PIXELS, device=DEVICE)
    tokens = torch.randint(0, 1000, (CHUNK, TOKENS), device=DEVICE)
    gradient = torch.randn(CHUNK, DIMENSION, device=DEVICE)

    def chunk() -> None:
        with torch.no_grad():
            model(images, tokens)
        image, text = model(images, tokens)
        torch.autograd.backward([image, text], [gradient, gradient])

    before = _memory(start=True)
    taken = seconds(chunk, repeats) / CHUNK
    return taken, _memory(start=False) - before


def _memory(start: bool) -> float:
    """MB now, with the peak starting again; or the peak since."""
    if DEVICE.type == "cuda":
        if start:
            torch.cuda.reset_peak_memory_stats()
        return (torch.cuda.memory_allocated() if start else torch.cuda.max_memory_allocated()) / 2**20
    if start:
        Path("/proc/self/clear_refs").write_text("5")
    return resident("VmRSS" if start else "VmHWM") / 1024


def loss_step(form: str, n: int) -> Callable[[], object]:
    """The loss and its gradient for n cached embeddings."""
    generator = torch.Generator().manual_seed(0)
    x, y = (
        normalize(torch.randn(n, DIMENSION, generator=generator), dim=1).to(DEVICE).requires_grad_() for _ in range(2)
    )
    a, b = labels("real", n, generator), labels("real", n, generator)
    scale = torch.tensor(1 / 0.07, device=DEVICE, requires_grad=True)

    clip = ClipLoss()

    def value() -> Tensor:
        if form == "open_clip":
            return clip(x, y, scale)
        loss = soft_contrastive_loss(x, y, a, b, scale, label_scale=5.0, backend="auto" if form == "fused" else form)
        assert isinstance(loss, Tensor)
        return loss

    return lambda: torch.autograd.grad(value(), (x, y, scale))


def of_loss(form: str, n: int, repeats: int) -> tuple[float, float]:
    """Seconds and peak MB above the embeddings, in this process; call it in a fresh one."""
    loss_step(form, 512)()
    run = loss_step(form, n)
    before = _memory(start=True)
    run()
    used = _memory(start=False) - before
    return seconds(run, repeats), used


def measure(form: str, n: int, options: argparse.Namespace, pair: float, chunk: float) -> dict[str, Any]:
    """One row: the loss, and its share of a step."""
    row: dict[str, Any] = {"n": n, "form": form}
    if STORED[form] * 4 * n * n > options.most_memory * 1e9:
        return row
    command = [sys.executable, __file__, "--loss-of", form, "--sizes", str(n), "--threads", str(options.threads)]
    taken, used = map(float, subprocess.check_output([*command, "--repeats", str(options.repeats)], text=True).split())
    share = taken / (taken + n * pair)
    return {**row, "seconds": taken, "megabytes": used, "share": share, "memory_share": used / (used + chunk)}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=[128, 1024, 4096, 32768])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--most-memory", type=float, default=6.0, help="GB")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--loss-of", choices=tuple(STORED), help=argparse.SUPPRESS)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    if options.loss_of:
        print(*of_loss(options.loss_of, options.sizes[0], options.repeats))
        return 0
    build.build()
    pair, chunk = towers(options.repeats)
    print(
        f"towers: {pair:.4f} s a pair, {chunk:.0f} MB for a chunk of {CHUNK}; {options.threads} threads, {DEVICE.type}"
    )
    rows = [measure(form, n, options, pair, chunk) for n in sorted(options.sizes) for form in STORED]
    for row in rows:
        if "seconds" not in row:
            print(f"{row['n']:>6} {row['form']:>9}  not run: needs more than {options.most_memory} GB")
            continue
        print(
            f"{row['n']:>6} {row['form']:>9} {row['seconds']:>9.4f} s {row['share']:>7.2%} of the step's time "
            f"{row['megabytes']:>9.1f} MB {row['memory_share']:>7.2%} of its memory"
        )
    eager = [row for row in rows if row["form"] == "eager"]
    matters = [r["n"] for r in eager if "seconds" not in r or max(r["share"], r["memory_share"]) >= NOTICED]
    print(
        f"eager takes {NOTICED:.0%} of a step's time or memory, or does not fit, from N = {min(matters, default=None)}"
    )
    if options.json:
        write_json({"seconds_a_pair": pair, "chunk_megabytes": chunk, "rows": rows}, options.json)
    return 0


if __name__ == "__main__":
    sys.exit(main())
