"""Time and memory of the loss, forward and backward, in its eager and its fused form on the CPU.

    python benchmarks/loss.py [--sizes 1024 4096] [--json FILE] [--check]

Each row is the minimum over interleaved runs, so that a busy moment of the machine hits both forms; `cpu` is the
processor time of the fastest run. `products` is the four matrix products that no form without stored logits can do
without, by PyTorch's matmul. Memory is the peak of the process above its inputs, in a process of its own.
`--check` exits 1 unless the fused form is at least twice as fast as the eager one at the largest size.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import normalize

from mmclip.ops import build, soft_contrastive_loss
from mmclip.tables.files import write_json

DIMENSION, LABELS, REQUIRED = 512, 14, 2.0
FORMS = ("fused", "eager")


def inputs(n: int) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Unit embeddings, 0/1 labels of which 15 % are present, and CLIP's first logit scale."""
    generator = torch.Generator().manual_seed(0)
    x, y = (normalize(torch.randn(n, DIMENSION, generator=generator), dim=1).requires_grad_() for _ in range(2))
    a, b = ((torch.rand(n, LABELS, generator=generator) < 0.15).float() for _ in range(2))
    return x, y, a, b, torch.tensor(1 / 0.07, requires_grad=True)


def step(form: str, n: int) -> Callable[[], None]:
    """One forward and backward pass of a form, ready to be timed."""
    x, y, a, b, scale = inputs(n)
    if form == "products":
        left, right = x.detach(), y.detach()
        logits, out = torch.empty(n, n), torch.empty(n, DIMENSION)

        def products() -> None:
            torch.mm(left, right.T, out=logits)
            torch.mm(left, right.T, out=logits)
            torch.mm(logits, right, out=out)
            torch.mm(logits.T, left, out=out)

        return products

    def loss() -> None:
        torch.autograd.grad(soft_contrastive_loss(x, y, a, b, scale, label_scale=5.0, backend=form), (x, y, scale))

    return loss


def times(n: int, repeats: int) -> dict[str, dict[str, float]]:
    """Seconds of each form at batch size n: the minimum over `repeats` interleaved runs."""
    steps = {form: step(form, n) for form in (*FORMS, "products")}
    best = {form: {"wall": float("inf"), "cpu": float("inf")} for form in steps}
    for turn in range(repeats + 1):
        for form, run in steps.items():
            wall, cpu = time.perf_counter(), time.process_time()
            run()
            wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
            if turn > 0:  # the first turn warms up
                best[form] = {"wall": min(best[form]["wall"], wall), "cpu": min(best[form]["cpu"], cpu)}
    return best


def peak_megabytes(form: str, n: int) -> float:
    """Peak resident memory of one pass above the inputs, in this process; call it in a fresh one (Linux)."""
    step(form, 64)()  # libraries are loaded and threads started
    run = step(form, n)
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts again from what is resident now
    before = _resident("VmRSS")
    run()
    return (_resident("VmHWM") - before) / 1024


def _resident(field: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith(field)).split()[1])


def measure(n: int, repeats: int, threads: int) -> dict[str, Any]:
    """One row of the table."""
    row: dict[str, Any] = {"n": n, "threads": threads, **times(n, repeats)}
    for form in FORMS:
        command = [sys.executable, __file__, "--memory-of", form, "--sizes", str(n), "--threads", str(threads)]
        row[form]["megabytes"] = round(float(subprocess.check_output(command, text=True)), 1)
    row["speedup"] = row["eager"]["wall"] / row["fused"]["wall"]
    row["cpu_speedup"] = row["eager"]["cpu"] / row["fused"]["cpu"]
    return row


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=[1024, 4096])
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--memory-of", choices=FORMS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    if options.memory_of:
        print(peak_megabytes(options.memory_of, options.sizes[0]))
        return 0
    build.build()
    rows = [measure(n, max(options.repeats, 5), options.threads) for n in sorted(options.sizes)]
    print(f"D={DIMENSION}, L={LABELS}, float32, {options.threads} threads, {torch.backends.cpu.get_cpu_capability()}")
    names = ("fused s", "eager s", "products s", "wall x", "cpu x", "fused MB", "eager MB")
    print(f"{'N':>6} " + " ".join(f"{name:>10}" for name in names))
    for row in rows:
        seconds = " ".join(f"{row[form]['wall']:>10.4f}" for form in (*FORMS, "products"))
        memory = " ".join(f"{row[form]['megabytes']:>10.1f}" for form in FORMS)
        print(f"{row['n']:>6} {seconds} {row['speedup']:>10.2f} {row['cpu_speedup']:>10.2f} {memory}")
    if options.json:
        write_json({"torch": torch.__version__, "compiler": build.compiler(), "rows": rows}, options.json)
    if options.check and rows[-1]["speedup"] < REQUIRED:
        print(f"N={rows[-1]['n']}: fused is {rows[-1]['speedup']:.2f} times as fast as eager; {REQUIRED} is stated")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
