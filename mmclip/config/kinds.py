"""What is known of a kind of data set before it is read, for planning the workflow. Standard library only."""

from __future__ import annotations

WITHOUT_REPORTS = frozenset(
    {"chexpert", "nih_cxr14", "rsna_pneumonia", "siim_pneumothorax", "covid_radiography", "covidx", "vindr_cxr"}
)
"""They have nothing to translate, so that one job does for all."""

ENGLISH_REPORTS = frozenset({"phantom", "mimic_cxr", "chexpert_plus", "open_i"})
"""Their English texts are the reports themselves, and need no translation."""


def shard_count(kind: str, shards: int) -> int:
    """How many shards a data set has where the config says `shards`."""
    return 1 if kind in WITHOUT_REPORTS else shards
