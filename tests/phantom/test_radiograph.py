"""The simulated radiographs: what is drawn is what the truth says, where it says, and as strongly."""

from __future__ import annotations

import warnings
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmclip.phantom.anatomy import anatomy_of
from mmclip.phantom.film import draw_film
from mmclip.phantom.radiograph import Radiograph, render
from mmclip.phantom.truth import FINDINGS, SEVERITIES, SIDED, ZONES, Finding, Truth, draw

ZONED = ("Consolidation", "Atelectasis", "Lung Lesion", "Fracture")
BRIGHTER = (
    "Cardiomegaly",
    "Pleural Effusion",
    "Consolidation",
    "Edema",
    "Atelectasis",
    "Lung Lesion",
    "Support Devices",
)


def finding(observation: str, severity: str = "moderate", side: str = "left", zone: str = "middle") -> Finding:
    """A finding with the attributes that its observation uses."""
    return Finding(
        observation=observation,
        side=side if observation in SIDED else "both",
        zone=zone if observation in ZONED else "",
        severity=severity,
        size_mm={"Lung Lesion": 22, "Support Devices": 45}.get(observation, 0),
    )


def study(seed: int, *findings: Finding, patient: str | None = None) -> Truth:
    return Truth(study_id=f"s{seed}", patient_id=patient or f"p{seed}", seed=seed, findings=findings)


def check_regions(radiograph: Radiograph, truth: Truth, size: int) -> None:
    """Every observation shown has a mask and boxes; its boxes together enclose its mask and touch its extremes."""
    assert set(radiograph.masks) == truth.observations == {name for name, *_ in radiograph.boxes}
    for name, mask in radiograph.masks.items():
        assert mask.shape == (size, size)
        assert mask.dtype == np.bool_
        covered = np.zeros_like(mask)
        boxes = [box[1:] for box in radiograph.boxes if box[0] == name]
        for x, y, width, height in boxes:
            assert width > 0
            assert height > 0
            assert 0 <= x < x + width <= size
            assert 0 <= y < y + height <= size
            covered[y : y + height, x : x + width] = True
        assert not (mask & ~covered).any()
        rows, columns = np.nonzero(mask)
        assert min(x for x, *_ in boxes) == columns.min()
        assert max(y + height for _, y, _, height in boxes) == rows.max() + 1


@st.composite
def truths(draw_from: st.DrawFn) -> Truth:
    """Any studies, with up to all nine findings crowded on one side."""
    side = draw_from(st.sampled_from(("left", "right")))
    shown = draw_from(st.lists(st.sampled_from(FINDINGS), unique=True))
    findings = []
    for name in sorted(shown, key=FINDINGS.index):
        severity, zone = draw_from(st.sampled_from(SEVERITIES)), draw_from(st.sampled_from(ZONES))
        findings.append(replace(finding(name, severity, side, zone), size_mm=draw_from(st.integers(9, 69))))
    return study(draw_from(st.integers(0, 2**31 - 1)), *findings)


@settings(max_examples=150, deadline=None)
@given(truth=truths(), size=st.sampled_from((64, 96, 100, 256)))
def test_any_study_renders_at_any_size(truth: Truth, size: int) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        radiograph = render(truth, size)
    assert radiograph.pixels.shape == (size, size)
    assert radiograph.pixels.dtype == np.uint8
    check_regions(radiograph, truth, size)


def test_the_studies_of_a_data_set_are_films_with_contrast() -> None:
    for truth in draw(60, seed=3):
        pixels = render(truth, 128).pixels
        dark, bright = np.percentile(pixels, [5, 95])
        assert bright - dark > 120
        assert 60 < pixels.mean() < 190


def test_the_same_truth_gives_the_same_film() -> None:
    truth = study(5, finding("Consolidation"), finding("Support Devices"))
    first, second = render(truth), render(truth)
    assert np.array_equal(first.pixels, second.pixels)
    assert first.boxes == second.boxes
    assert not np.array_equal(first.pixels, render(replace(truth, seed=6)).pixels)


def test_sizes_show_the_same_film() -> None:
    truth = study(8, finding("Lung Lesion"), finding("Atelectasis", side="right", zone="lower"))
    large, small = render(truth, 256), render(truth, 128)
    for name, mask in large.masks.items():
        centres = [np.argwhere(each).mean(axis=0) / len(each) for each in (mask, small.masks[name])]
        assert np.abs(centres[0] - centres[1]).max() < 0.03


def test_films_of_one_patient_look_alike() -> None:
    def film(patient: str, seed: int) -> np.ndarray:
        return render(study(seed, patient=patient), 128).pixels[16:-16, 16:-16].astype(float).ravel()

    def likeness(a: np.ndarray, b: np.ndarray) -> float:
        return float(np.corrcoef(a, b)[0, 1])

    same = [likeness(film(f"p{n}", 2 * n), film(f"p{n}", 2 * n + 1)) for n in range(20)]
    other = [likeness(film(f"p{n}", 2 * n), film(f"p{n + 1}", 2 * n + 1)) for n in range(20)]
    assert np.mean(same) > np.mean(other) + 0.01


@pytest.mark.parametrize("name", sorted(SIDED))
@pytest.mark.parametrize("severity", SEVERITIES)
def test_masks_lie_on_the_patients_side(name: str, severity: str) -> None:
    for seed in range(4):
        for side in ("left", "right"):
            mask = render(study(seed, finding(name, severity, side)), 128).masks[name]
            if name == "Support Devices":  # The leads and the tube cross the midline; the generator does not.
                mask = mask & (np.arange(128) < 128 * 0.45)[:, None] & (np.abs(np.arange(128) - 64) > 16)
            on_the_right_of_the_image = mask[:, 64:].sum() / mask.sum()
            assert on_the_right_of_the_image > 0.9 if side == "left" else on_the_right_of_the_image < 0.1


def test_both_sides_means_a_box_a_side() -> None:
    for name in ("Edema", "Pleural Effusion"):
        shown = replace(finding(name), side="both")
        radiograph = render(study(9, shown), 128)
        centres = [x + width / 2 for _, x, _, width, _ in radiograph.boxes]
        assert len(centres) == 2
        assert min(centres) < 64 < max(centres)


@pytest.mark.parametrize("name", ZONED)
def test_a_higher_zone_lies_higher(name: str) -> None:
    for seed in range(5):
        rows = [
            np.argwhere(render(study(seed, finding(name, zone=zone)), 128).masks[name])[:, 0].mean() for zone in ZONES
        ]
        assert rows[0] < rows[1] < rows[2]


@pytest.mark.parametrize("name", FINDINGS)
@pytest.mark.parametrize("severity", SEVERITIES)
def test_a_finding_changes_the_film_within_its_mask(name: str, severity: str) -> None:
    """Against the same film without it; noise and exposure are the same, so the difference is the finding."""
    for seed in range(5):
        shown = render(study(seed, finding(name, severity)))
        change = shown.pixels.astype(float) - render(study(seed)).pixels
        inside = change[shown.masks[name]]
        if name in BRIGHTER:
            assert inside.mean() > 2
        elif name == "Pneumothorax":
            assert inside.mean() < -4
        else:
            assert np.abs(inside).mean() > 4
        assert np.abs(inside).mean() > 4 * np.abs(change[~shown.masks[name]]).mean()


@pytest.mark.parametrize("name", ["Pleural Effusion", "Consolidation", "Edema", "Pneumothorax", "Cardiomegaly"])
def test_a_severer_finding_changes_more(name: str) -> None:
    def total(severity: str) -> float:
        changes = []
        for seed in range(6):
            with_it = render(study(seed, finding(name, severity)), 128).pixels.astype(float)
            changes.append(np.abs(with_it - render(study(seed), 128).pixels).sum())
        return float(np.mean(changes))

    assert total("mild") < total("moderate") < total("severe")


def cardiothoracic_ratio(truth: Truth) -> float:
    """The heart mask's width over the thorax's inner width, as the film magnifies it."""
    columns = np.flatnonzero(render(truth, 512).masks["Cardiomegaly"].any(axis=0))
    magnification = draw_film(np.random.default_rng((truth.seed, 0))).magnification
    thorax = 2 * anatomy_of(truth.patient_id).half_width * magnification
    return float(columns[-1] - columns[0] + 1) / 512 / thorax


def test_the_cardiothoracic_ratio_is_that_of_the_severity() -> None:
    for seed in range(6):
        ratios = [cardiothoracic_ratio(study(seed, finding("Cardiomegaly", severity))) for severity in SEVERITIES]
        assert 0.52 < ratios[0] < 0.57 < 0.58 < ratios[1] < 0.645 < ratios[2] < 0.72
        assert anatomy_of(f"p{seed}").heart_ratio < 0.48


def test_a_nodule_is_as_large_as_the_truth_says() -> None:
    for millimetres in (9, 20, 35):
        shown = replace(finding("Lung Lesion"), size_mm=millimetres)
        ((_, _, _, width, height),) = render(study(4, shown), 512).boxes
        assert (width + height) / 2 / 512 * 360 == pytest.approx(millimetres, rel=0.25)


def test_a_tube_ends_higher_the_farther_its_tip_is_from_the_carina() -> None:
    def tip(millimetres: int) -> float:
        shown = replace(finding("Support Devices"), size_mm=millimetres)
        _, tube, _ = render(study(4, shown), 512).boxes
        return (tube[2] + tube[4]) / 512 * 360

    assert tip(20) - tip(60) == pytest.approx(40, rel=0.12)


def test_a_severe_fracture_has_a_box_a_rib() -> None:
    boxes = [len(render(study(2, finding("Fracture", severity))).boxes) for severity in SEVERITIES]
    assert boxes == [1, 1, 2]
