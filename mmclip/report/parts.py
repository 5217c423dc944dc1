"""What a run consists of, by its config: for the commands that are given one."""

from __future__ import annotations

from mmclip.config.kinds import shard_count
from mmclip.config.report import RunParts
from mmclip.config.root import Config


def parts_of(config: Config) -> RunParts:
    """The names that the config gives, as the workflow uses them (``run_parts`` of ``workflow/rules/common.smk``)."""
    return RunParts(
        datasets=tuple(config.datasets),
        languages=config.languages,
        shards=tuple(
            f"{name}-{number:03d}"
            for name, source in config.datasets.items()
            for number in range(shard_count(source.kind, config.shards))
        ),
        experiments=tuple(config.experiments),
        tasks=config.evaluate.tasks,
        benchmarks=tuple(config.evaluate.benchmarks),
    )
