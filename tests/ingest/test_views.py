"""Views from what sources write."""

import pytest

from mmclip.ingest.views import frontal_or_lateral, view_of


@pytest.mark.parametrize(
    ("value", "view"),
    [
        ("AP", "AP"), ("pa", "PA"), ("AP Supine", "AP"), ("AP_horizontal", "AP"), ("L", "LATERAL"), ("LL", "LATERAL"),
        ("XTABLE LATERAL", "LATERAL"), ("LARGE LATERAL", "LATERAL"), ("Frontal", "FRONTAL"), ("AP LLD", "OTHER"),
        ("AP AXIAL", "OTHER"), ("PA RLD", "OTHER"), ("SWIMMERS", "OTHER"), ("COSTAL", "OTHER"),
        ("", "UNKNOWN"), ("  ", "UNKNOWN"),
    ],
)  # fmt: skip
def test_views(value: str, view: str) -> None:
    assert view_of(value) == view


def test_two_columns() -> None:
    found = [frontal_or_lateral(*pair) for pair in [("Frontal", "AP"), ("Frontal", "LL"), ("Lateral", "AP"), ("", "")]]
    assert found == ["AP", "FRONTAL", "LATERAL", "FRONTAL"]
