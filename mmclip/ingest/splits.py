"""Which split a patient belongs to."""

from __future__ import annotations

import hashlib

from mmclip.config.ingest import SplitShares

_SYNONYMS = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validate": "val",
    "validation": "val",
    "dev": "val",
    "test": "test",
    "testing": "test",
}


def split_of(patient_id: str, shares: SplitShares) -> str:
    """train, val or test: a pure function of the patient's id, the salt and the shares.

    The first 64 bits of SHA-256(salt, 0, id) are a fraction of 1, which falls into train's, val's or test's part of
    the line in this order. So no patient is in two splits, other patients do not matter, and no library's random
    numbers are involved.
    """
    digest = hashlib.sha256(f"{shares.salt}\0{patient_id}".encode()).digest()
    fraction = int.from_bytes(digest[:8], "big") / 2**64
    if fraction < shares.train:
        return "train"
    return "val" if fraction < shares.train + shares.val else "test"


def official(value: str) -> str | None:
    """The split that a source's own word means (``validate`` is val), or None if it is no such word."""
    return _SYNONYMS.get(value.strip().lower())
