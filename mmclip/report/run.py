"""A run's folder, and what in it belongs to the run: what an earlier config named lies there too."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from mmclip.config.report import RunParts
from mmclip.languages import LANGUAGES

VARIANTS = ("filtered", "unfiltered", "oracle")
ALL = RunParts()
"""All that lies in the folder."""

SPLITS = (".train", ".val", ".test")


@dataclass(frozen=True)
class Run:
    """The files of a run that a report may read; of other shards, experiments or languages it reads none.

    Attributes:
        folder: ``results/<run>``.
        parts: what the run consists of.
    """

    folder: Path
    parts: RunParts = ALL

    def datasets(self) -> list[str]:
        """The data sets, those included that were not ingested yet."""
        if self.parts.datasets is not None:
            return sorted(self.parts.datasets)
        return sorted(path.name for path in (self.folder / "ingest").glob("*") if path.is_dir())

    def trained(self, stage: str) -> list[Path]:
        """The folders of the experiments below ``pretrain/`` or ``pretrain_text/``."""
        folders = sorted(path for path in (self.folder / stage).glob("*") if path.is_dir())
        return [folder for folder in folders if _belongs(folder.name, self.parts.experiments)]

    def metrics(self) -> list[Path]:
        """Every metrics.json below ``evaluate/<experiment>/<task>/<data set>/``."""
        known = (self.parts.experiments, self.parts.tasks, self.parts.benchmarks)
        files = sorted((self.folder / "evaluate").glob("*/*/*/metrics.json"))
        return [
            file
            for file in files
            if all(_belongs(name, names) for name, names in zip(file.parts[-4:-1], known, strict=True))
        ]

    def labels(self, table: str) -> list[Path]:
        """The shards of ``label/<shard>.<table>.parquet``."""
        return self._shards(self.folder / "label", f".{table}.parquet")

    def filtered(self, table: str, language: str) -> list[Path]:
        """The shards of a table of the filtered corpus: sentences, corpus or rejected."""
        return self._shards(self.folder / "filter" / "filtered" / table / language, ".parquet")

    def languages(self) -> list[str]:
        """The languages with filtered sentences, in the order of :data:`mmclip.languages.LANGUAGES`."""
        wanted = [code for code in LANGUAGES if _belongs(code, self.parts.languages)]
        return [code for code in wanted if self.filtered("sentences", code)]

    def timings(self) -> list[tuple[str, Path]]:
        """(rule, file) of each job's time below ``benchmarks/``."""
        folder = self.folder / "benchmarks"
        jobs = [(file, file.relative_to(folder).with_suffix("").parts) for file in sorted(folder.rglob("*.tsv"))]
        return [(rule, file) for file, (rule, *names) in jobs if self._known(names)]

    def _known(self, names: list[str]) -> bool:
        """Whether a job's wildcards are names of the run."""
        parts = self.parts
        groups = (parts.datasets, parts.languages, parts.shards, parts.experiments, parts.tasks)
        known = {name for group in groups for name in group or ()} | {*VARIANTS}
        return None in groups or all(_without_split(name) in known for name in names)

    def _shards(self, folder: Path, ending: str) -> list[Path]:
        files = sorted(folder.glob(f"*{ending}"))
        return [file for file in files if _belongs(file.name.removesuffix(ending), self.parts.shards)]


def _belongs(name: str, names: tuple[str, ...] | None) -> bool:
    return names is None or name in names


def _without_split(name: str) -> str:
    """The data set of a benchmark's job, ``<data set>.<split>``; another name as it is."""
    return next((name.removesuffix(ending) for ending in SPLITS if name.endswith(ending)), name)
