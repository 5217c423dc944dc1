"""Which split a patient belongs to."""

from __future__ import annotations

import hashlib

from mmclip.config.source import SplitShares

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
    fraction = _fraction(patient_id, shares.salt)
    if fraction < shares.train:
        return "train"
    return "val" if fraction < shares.train + shares.val else "test"


def train_or_val(patient_id: str, shares: SplitShares) -> str:
    """train or val, for data sets whose official split only sets the test apart: val's share of what is not test."""
    rest = shares.train + shares.val
    return "val" if rest and _fraction(patient_id, shares.salt) >= shares.train / rest else "train"


def _fraction(patient_id: str, salt: str) -> float:
    digest = hashlib.sha256(f"{salt}\0{patient_id}".encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64


def official(value: str) -> str | None:
    """The split that a source's own word means (``validate`` is val), or None if it is no such word."""
    return _SYNONYMS.get(value.strip().lower())
