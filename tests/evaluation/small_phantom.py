"""What the fixtures of a small simulated data set hold."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from mmclip.tables.benchmark import Benchmark

LANGUAGES = ("eng_Latn", "deu_Latn", "jpn_Jpan")


@dataclass(frozen=True)
class Phantom:
    """60 simulated studies: the ingested folder, the pack, the benchmark of each split."""

    folder: Path
    pack: Path
    benchmarks: dict[str, Benchmark]
