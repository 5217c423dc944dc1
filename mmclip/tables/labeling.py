"""Labels of sentences, studies and images; predictions; training targets."""

import polars as pl

from mmclip.tables.schema import LABEL_COLUMNS, Table

SENTENCE_LABELS = Table(
    "sentence_labels",
    {"study_id": pl.String, "index": pl.Int32, "source_hash": pl.String, **LABEL_COLUMNS},
    nullable=frozenset(LABEL_COLUMNS),
    key=("study_id", "index"),
)

LABELS = Table(
    "labels",
    {"id": pl.String, "kind": pl.String, "label_source": pl.String, **LABEL_COLUMNS},
    nullable=frozenset(LABEL_COLUMNS),
    key=("id", "kind", "label_source"),
)
"""`kind` is study or image; `label_source` is rules, official:chexpert, official:negbio, file (what else a data set
brings), truth (of simulated studies) or gold (radiologists' labels of a test set, which nothing is trained on)."""

PREDICTIONS = Table(
    "predictions",
    {"image_id": pl.String, "study_id": pl.String, **dict.fromkeys(LABEL_COLUMNS, pl.Float32)},
    nullable=frozenset(LABEL_COLUMNS),
    key=("image_id",),
)
"""Probability that each observation is present, by a label classifier; null where it predicts none."""

TARGETS = Table(
    "targets",
    {"id": pl.String, "kind": pl.String, "vector": pl.List(pl.Float32), "policy": pl.String},
    key=("id", "kind"),
)
"""Soft label vectors, 14 long in the order of the observations; with one-hot slots 42 long: what is present, then
absent, then uncertain. `kind` is image, study or sentence; a sentence's id is ``<study_id>/<index>``. `policy` says how
the uncertain entries were settled ("" where there are none). A text's vector is the maximum over its sentences, but
the minimum for No Finding; see `mmclip.data.targets`."""
