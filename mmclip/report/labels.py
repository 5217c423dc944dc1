"""What the labeler read: counts of each state, and its errors where the truth of every sentence is known."""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from mmclip.observations import ABSENT, NO_FINDING, OBSERVATIONS, PRESENT, UNCERTAIN, column
from mmclip.report.disclosure import Count, Disclosure, dataset_of
from mmclip.report.run import Run
from mmclip.tables.files import read_table, read_tables
from mmclip.tables.labeling import LABELS, SENTENCE_LABELS
from mmclip.tables.phantom import STATEMENTS

STATES: tuple[tuple[str, int | None], ...] = (
    ("present", PRESENT),
    ("uncertain", UNCERTAIN),
    ("absent", ABSENT),
    ("not mentioned", None),
)


@dataclass(frozen=True)
class Observation:
    """Studies in each state of one observation, in the order of :data:`STATES`, and the labeler's error rate."""

    name: str
    counts: tuple[Count, ...]
    total: Count
    error: float | None = None


@dataclass(frozen=True)
class LabelerError:
    """Sentence labels against what the sentences assert, over every (sentence, observation) that either mentions.

    Attributes:
        wrong, mentions: numbers of such pairs.
        share: wrong / mentions, None where it must not be shown.
        confusion: asserted state x read state, rows and columns in the order of :data:`STATES`.
        by_observation: observation -> share.
    """

    wrong: Count
    mentions: Count
    sentences: Count
    share: float | None
    confusion: tuple[tuple[Count, ...], ...]
    by_observation: dict[str, float | None]


@dataclass(frozen=True)
class Labels:
    """The section's figures."""

    observations: tuple[Observation, ...]
    studies: Count
    error: LabelerError | None


def labels(run: Run, disclosure: Disclosure) -> Labels | None:
    """Counts over the studies of all data sets; None where nothing was labelled."""
    paths = run.labels("labels")
    if not paths:
        return None
    table = read_tables(paths, LABELS).filter(pl.col("label_source") == "rules")
    error = labeler_error(run, disclosure)
    rows = []
    for name in OBSERVATIONS:
        states = table[column(name)]
        counts = [
            int((states.is_null() if code is None else (states == code).fill_null(False)).sum()) for _, code in STATES
        ]
        rows.append(
            Observation(
                name,
                tuple(disclosure.parts(counts)),
                disclosure.count(len(table)),
                error.by_observation.get(name) if error else None,
            )
        )
    return Labels(tuple(rows), disclosure.count(len(table)), error)


def labeler_error(run: Run, disclosure: Disclosure) -> LabelerError | None:
    """Errors on the data sets that know what their sentences assert (statements.parquet); None if there is none.

    ``No Finding`` is left out: it follows from the others.
    """
    truths, found = [], []
    for dataset in run.datasets():
        path = run.folder / "ingest" / dataset / "statements.parquet"
        shards = [shard for shard in run.labels("sentence_labels") if dataset_of(shard.name.split(".")[0]) == dataset]
        if shards and path.is_file():
            truths.append(read_table(path, STATEMENTS))
            found.append(read_tables(shards, SENTENCE_LABELS))
    if not truths:
        return None
    both = pl.concat(truths).join(pl.concat(found), on=["study_id", "index"], suffix=":read")
    names = [name for name in OBSERVATIONS if name != NO_FINDING]
    total = [[0] * len(STATES) for _ in STATES]
    shares: dict[str, float | None] = {}
    for name in names:
        table = _confusion(both[column(name)], both[f"{column(name)}:read"])
        mentions = sum(map(sum, table))
        shares[name] = disclosure.share(mentions - sum(table[i][i] for i in range(len(STATES))), mentions)
        total = [[a + b for a, b in zip(*rows, strict=True)] for rows in zip(total, table, strict=True)]
    mentions = sum(map(sum, total))
    wrong = mentions - sum(total[i][i] for i in range(len(STATES)))
    return LabelerError(
        wrong=disclosure.count(wrong),
        mentions=disclosure.count(mentions),
        sentences=disclosure.count(both.height),
        share=disclosure.share(wrong, mentions),
        confusion=tuple(tuple(disclosure.parts(row)) for row in total),
        by_observation=shares,
    )


def _confusion(truth: pl.Series, read: pl.Series) -> list[list[int]]:
    """Asserted x read state; what neither mentions is 0, since it is no label."""
    masks = [
        [s.is_null() if code is None else (s == code).fill_null(False) for _, code in STATES] for s in (truth, read)
    ]
    table = [[int((a & b).sum()) for b in masks[1]] for a in masks[0]]
    table[-1][-1] = 0
    return table
