"""Time and memory of the loss, forward and backward through autograd, in its eager and its fused form.

    python benchmarks/loss.py [--sizes 256 1024 4096 8192 32768] [--json FILE] [--picture FILE] [--check]

Each figure is the minimum over interleaved runs, so that a busy moment of the machine hits all forms alike; `cpu` is
processor time. Labels are 0/1 (`binary`), real-valued (`real`), real-valued rows of which at most 1,000 (`thousand`) or
N / 16 (`few`) are different, or none (`clip`: row i belongs to column i). `fused` is what `backend="auto"` takes.
`open_clip` is the loss of open_clip_torch, which stores its logits and knows no other targets. `products` are the four
matrix products that no form without stored logits can do without, by torch.mm; `onednn` the same in float32 by oneDNN,
which is the faster library on some processors. Memory is the peak of the process above its inputs, in a
process of its own (on a GPU: of the allocator). `--check` exits 1 where a line that the documentation states is missed.
On a machine with a GPU all of it runs there, with torch.compile besides.
"""

from __future__ import annotations

import argparse
import math
import platform
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from open_clip.loss import ClipLoss
from torch import Tensor
from torch.nn.functional import normalize

from mmclip.ops import build, soft_contrastive_loss
from mmclip.tables.files import write_json

DIMENSION, LABELS = 512, 14
LARGEST_EAGER, WARM_UP = 8192, 512
KINDS = ("binary", "real", "thousand", "few", "clip")
TYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}
DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")


def labels(kind: str, n: int, generator: torch.Generator) -> Tensor | None:
    """Label rows [n, LABELS]: 15 % present, uniform, or drawn from few uniform ones."""
    if kind == "clip":
        return None
    rows = torch.rand(n, LABELS, generator=generator)
    if kind == "binary":
        rows = (rows < 0.15).float()
    if kind in ("thousand", "few"):
        distinct = 1000 if kind == "thousand" else n // 16
        rows = rows[torch.randint(0, min(distinct, n), (n,), generator=generator)]
    return rows.to(DEVICE)


def step(form: str, kind: str, dtype: torch.dtype, n: int) -> Callable[[], None]:
    """One forward and backward pass of a form, ready to be timed. Unit embeddings and CLIP's first logit scale."""
    generator = torch.Generator().manual_seed(0)
    x, y = (normalize(torch.randn(n, DIMENSION, generator=generator), dim=1).to(DEVICE, dtype) for _ in range(2))
    if form == "products":
        logits, out = x.new_empty(n, n), torch.empty_like(x)

        def products() -> None:
            torch.mm(x, y.T, out=logits)
            torch.mm(x, y.T, out=logits)
            torch.mm(logits, y, out=out)
            torch.mm(logits.T, x, out=out)

        return products
    if form == "onednn":
        g = torch.zeros(n, n).to_mkldnn()
        left, right, turned = x.to_mkldnn(), y.to_mkldnn(), y.T.contiguous().to_mkldnn()
        product = torch.ops.aten.mkldnn_linear

        def by_onednn() -> None:
            for factors in ((left, right), (left, right), (g, turned), (g, turned)):
                product(*factors)

        return by_onednn
    a, b = labels(kind, n, generator), labels(kind, n, generator)
    scale = torch.tensor(1 / 0.07, device=DEVICE, requires_grad=True)
    leaves = (x.requires_grad_(), y.requires_grad_(), scale)
    if form == "open_clip":
        loss = ClipLoss()
        return lambda: torch.autograd.grad(loss(x, y, scale), leaves) and None

    def value(p: Tensor, q: Tensor, s: Tensor) -> Tensor:
        loss = soft_contrastive_loss(
            p, q, a, b, s, label_scale=5.0, targets="identity" if kind == "clip" else "labels",
            backend="auto" if form == "fused" else "eager",
        )  # fmt: skip
        assert isinstance(loss, Tensor)
        return loss

    if form == "compiled":
        value = torch.compile(value)
    return lambda: torch.autograd.grad(value(*leaves), leaves) and None


def forms(dtype: str, n: int) -> list[tuple[str, str]]:
    """What is timed at batch size n: (form, kind of labels)."""
    wanted = [("fused", kind) for kind in KINDS]
    if n <= LARGEST_EAGER or DEVICE.type == "cuda":
        wanted += [("products", ""), ("eager", "binary"), ("eager", "real"), ("open_clip", "clip")]
        if DEVICE.type == "cuda":
            wanted.append(("compiled", "real"))
        elif dtype == "float32":
            wanted.append(("onednn", ""))
    return wanted


def times(dtype: str, n: int, repeats: int) -> list[dict[str, Any]]:
    """Seconds of each form at batch size n: the minimum over `repeats` interleaved runs."""
    rows = [{"dtype": dtype, "n": n, "form": form, "labels": kind} for form, kind in forms(dtype, n)]
    steps = [step(str(row["form"]), str(row["labels"]), TYPES[dtype], n) for row in rows]
    for turn in range(repeats + 1):
        for row, run in zip(rows, steps, strict=True):
            wall, cpu = time.perf_counter(), time.process_time()
            run()
            if DEVICE.type == "cuda":
                torch.cuda.synchronize()
            wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
            if turn > 0:  # the first turn warms up
                row["wall"], row["cpu"] = min(row.get("wall", wall), wall), min(row.get("cpu", cpu), cpu)
    return rows


def repeats_of(n: int, wanted: int) -> int:
    """Runs of each form: many where one takes milliseconds and others disturb it, two where one takes minutes."""
    if n > LARGEST_EAGER:
        return 2
    return max(wanted, 5) * (10 if n <= 1024 else 1)


def peak_megabytes(form: str, kind: str, dtype: str, n: int) -> float:
    """Peak memory of one pass above the inputs, in this process; call it in a fresh one (Linux).

    A smaller pass before it loads libraries and starts threads; what it leaves would hide the memory of one as small.
    """
    step(form, kind, TYPES[dtype], WARM_UP)()
    run = step(form, kind, TYPES[dtype], n)
    if DEVICE.type == "cuda":
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        run()
        return (torch.cuda.max_memory_allocated() - before) / 2**20
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts again from what is resident now
    start = resident("VmRSS")
    run()
    return (resident("VmHWM") - start) / 1024


def resident(field: str) -> int:
    """A figure of this process in KB: VmRSS, what is resident, or VmHWM, its peak."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith(field)).split()[1])


def measure(n: int, repeats: int, threads: int, types: list[str]) -> list[dict[str, Any]]:
    """All rows of one batch size."""
    rows = []
    for dtype in types:
        for row in times(dtype, n, repeats):
            if n > WARM_UP and row["labels"] in ("binary", "real", "clip"):
                command = [sys.executable, __file__, "--memory-of", str(row["form"]), str(row["labels"]), dtype]
                command += ["--sizes", str(n), "--threads", str(threads)]
                row["megabytes"] = round(float(subprocess.check_output(command, text=True)), 1)
            rows.append(row)
            print(
                f"{row['n']:>6} {dtype:>9} {row['form']:>9} {row['labels']:>8} {row['wall']:>9.4f} s "
                f"{row['cpu']:>9.4f} s cpu {row.get('megabytes', math.nan):>8.1f} MB",
                flush=True,
            )
    return rows


class Table:
    """The measured rows, by what they are of."""

    def __init__(self, rows: list[dict[str, Any]]) -> None:
        self.rows = {(row["dtype"], row["n"], row["form"], row["labels"]): row for row in rows}

    def ratio(self, dtype: str, n: int, over: tuple[str, str], under: tuple[str, str]) -> float | None:
        """The wall time of one form over that of another, or None where one was not measured."""
        pair = [self.rows.get((dtype, n, *which)) for which in (over, under)]
        return None if pair[0] is None or pair[1] is None else float(pair[0]["wall"]) / float(pair[1]["wall"])

    def exponent(self, field: str, least: int) -> float | None:
        """The fitted power of N with which a figure of the fused form (float32, real labels) grows from N = `least`."""
        points = [
            (math.log(n), math.log(row[field]))
            for (dtype, n, form, kind), row in self.rows.items()
            if (dtype, form, kind) == ("float32", "fused", "real") and n >= least and row.get(field, 0) > 0
        ]
        if len(points) < 2:
            return None
        mean = [sum(values) / len(points) for values in zip(*points, strict=True)]
        return sum((p - mean[0]) * (q - mean[1]) for p, q in points) / sum((p - mean[0]) ** 2 for p, _ in points)

    def lines(self) -> list[tuple[str, float | None, float, bool]]:
        """What is stated: (what, measured, limit, whether it must be at least the limit rather than at most)."""
        out: list[tuple[str, float | None, float, bool]] = []
        amx = torch.cpu._is_amx_tile_supported()
        for dtype, speed, overhead in (("float32", 2.5, 1.2), ("bfloat16", 6.5, 1.9)):
            for n in (4096, 8192):
                for kind in ("binary", "real") if dtype == "float32" or amx else ():
                    fused = ("fused", kind)
                    what = f"{dtype}, N={n}, {kind} labels: "
                    out.append((what + "eager / fused", self.ratio(dtype, n, ("eager", kind), fused), speed, True))
                    out.append(
                        (what + "fused / products", self.ratio(dtype, n, fused, ("products", "")), overhead, False)
                    )
        for n, most in ((8192, 64), (32768, 512)):
            for kind in ("binary", "real"):
                row = self.rows.get(("float32", n, "fused", kind), {})
                out.append((f"float32, N={n}, {kind} labels: extra memory, MB", row.get("megabytes"), most, False))
        for n in (256, 1024):
            for kind in ("binary", "real"):
                slower = self.ratio("float32", n, ("fused", kind), ("eager", kind))
                out.append((f"float32, N={n}, {kind} labels: fused / eager", slower, 1.05, False))
        for kind in ("thousand", "few"):
            dearer = self.ratio("float32", 4096, ("fused", kind), ("fused", "clip"))
            out.append((f"float32, N=4096: {kind} distinct labels / clip", dearer, 1.15, False))
        return out


def picture(rows: list[dict[str, Any]], path: Path) -> None:
    """Time and memory against N, float32 and real labels, on logarithmic axes."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(1, 2, figsize=(9, 3.4), layout="constrained")
    looks = {
        ("eager", "real"): ("#b0553a", "o", "eager"),
        ("open_clip", "clip"): ("#c99a2e", "D", "open_clip's (no soft targets)"),
        ("products", ""): ("#888888", "^", "four products, torch.mm"),
        ("fused", "real"): ("#2a6f97", "s", "fused"),
    }
    for axis, field, title in ((axes[0], "wall", "seconds, forward and backward"), (axes[1], "megabytes", "extra MB")):
        for which, (colour, marker, label) in looks.items():
            chosen = [r for r in rows if (r["dtype"], r["form"], r["labels"]) == ("float32", *which) and field in r]
            if chosen:
                points = sorted((row["n"], row[field]) for row in chosen)
                axis.plot(*zip(*points, strict=True), color=colour, marker=marker, label=label, linewidth=1.5)
        axis.set(xscale="log", yscale="log", xlabel="batch size N", title=title)
        axis.set_xticks(sorted({row["n"] for row in rows}), labels=[f"{n:,}" for n in sorted({r["n"] for r in rows})])
        axis.minorticks_off()
        axis.grid(alpha=0.25)
        axis.spines[["top", "right"]].set_visible(False)
    axes[0].legend(frameon=False)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=130)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=[256, 1024, 4096, 8192, 32768])
    parser.add_argument("--types", nargs="+", choices=tuple(TYPES), default=list(TYPES))
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--picture", type=Path)
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--memory-of", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    if options.memory_of:
        print(peak_megabytes(*options.memory_of, options.sizes[0]))
        return 0
    build.build()
    processor = torch.cuda.get_device_name() if DEVICE.type == "cuda" else platform.processor() or platform.machine()
    print(
        f"D={DIMENSION}, L={LABELS}, {options.threads} threads, {processor}, {torch.backends.cpu.get_cpu_capability()}"
    )
    rows = [
        row
        for n in sorted(options.sizes)
        for row in measure(n, repeats_of(n, options.repeats), options.threads, options.types)
    ]
    table, missed = Table(rows), 0
    print(f"time grows with N^{table.exponent('wall', 1024)}, memory with N^{table.exponent('megabytes', 4096)}")
    for what, measured, limit, at_least in table.lines():
        fails = measured is not None and (measured < limit if at_least else measured > limit)
        missed += fails
        shown = "not measured" if measured is None else f"{measured:.2f}"
        print(f"{'MISSED' if fails else '  ':6} {what}: {shown} (at {'least' if at_least else 'most'} {limit})")
    if options.json:
        write_json(
            {"torch": torch.__version__, "compiler": build.compiler(), "device": processor, "rows": rows}, options.json
        )
    if options.picture:
        picture(rows, options.picture)
    return int(options.check and missed > 0)


if __name__ == "__main__":
    sys.exit(main())
