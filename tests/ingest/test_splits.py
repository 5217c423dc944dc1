"""Splits of patients: known answers, stability, shares."""

import hashlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmclip.config.base import parse
from mmclip.config.ingest import SplitShares
from mmclip.errors import UserError
from mmclip.ingest.splits import official, split_of, train_or_val

SHARES = SplitShares()


def test_known_patients() -> None:
    found = {patient: split_of(patient, SHARES) for patient in ("p10", "p11", "p12", "p13", "p14", "p15", "p16")}
    expected = {}
    for patient in found:
        fraction = int(hashlib.sha256(b"mmclip\0" + patient.encode()).hexdigest()[:16], 16) / 2**64
        expected[patient] = "train" if fraction < 0.7 else "val" if fraction < 0.8 else "test"
    assert found == expected
    assert len(set(expected.values())) > 1


@given(st.lists(st.tuples(st.text(), st.text()), max_size=40), st.lists(st.tuples(st.text(), st.text()), max_size=40))
def test_more_rows_never_move_old_ones_and_no_patient_is_in_two_splits(
    rows: list[tuple[str, str]], more: list[tuple[str, str]]
) -> None:
    before = {study: (patient, split_of(patient, SHARES)) for study, patient in rows}
    after = {study: (patient, split_of(patient, SHARES)) for study, patient in [*more, *rows]}
    assert all(after[study] == before[study] for study in before)
    splits: dict[str, set[str]] = {}
    for patient, split in after.values():
        splits.setdefault(patient, set()).add(split)
    assert all(len(found) == 1 for found in splits.values())


@pytest.mark.parametrize("shares", [(0.7, 0.1, 0.2), (0.5, 0.5, 0.0), (0.0, 0.0, 1.0)])
def test_shares(shares: tuple[float, float, float]) -> None:
    settings = SplitShares(train=shares[0], val=shares[1], test=shares[2])
    n = 20_000
    found = [split_of(str(number), settings) for number in range(n)]
    for name, share in zip(("train", "val", "test"), shares, strict=True):
        assert abs(found.count(name) / n - share) <= 4 * (share * (1 - share) / n) ** 0.5


def test_salt_changes_the_draw() -> None:
    patients = [str(number) for number in range(200)]
    other = SplitShares(salt="other")
    assert [split_of(p, SHARES) for p in patients] != [split_of(p, other) for p in patients]


def test_official_words() -> None:
    assert [official(word) for word in ("train", "Validate", " TEST ", "dev", "holdout", "")] == (
        ["train", "val", "test", "val", None, None]
    )


def test_shares_that_are_no_whole_are_refused() -> None:
    with pytest.raises(UserError, match=r"must be 1, not 1\.2"):
        parse(SplitShares, {"train": 0.9})


@settings(deadline=None)
@given(st.text(max_size=8))
def test_train_and_val_where_the_test_is_official(patient: str) -> None:
    """Who is in train by the hash alone is so here too; the rest of train comes from the test's share."""
    found = train_or_val(patient, SHARES)
    assert found in ("train", "val")
    if split_of(patient, SHARES) == "train":
        assert found == "train"


def test_the_share_of_val_where_the_test_is_official() -> None:
    found = [train_or_val(str(number), SHARES) for number in range(20000)]
    share = SHARES.val / (SHARES.train + SHARES.val)
    assert abs(found.count("val") / 20000 - share) < 4 * (share * (1 - share) / 20000) ** 0.5
