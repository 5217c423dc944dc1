"""The drawing primitives against known areas, points and an independent blur."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from mmclip.phantom.drawing import blank, blur, clouds, disc, fill, grid, layer, smooth, stroke


def test_a_spline_passes_through_its_points() -> None:
    points = np.array([[0.1, 0.2], [0.4, 0.9], [0.7, 0.3], [0.9, 0.5]])
    assert smooth(points, steps=5)[::5] == pytest.approx(points)
    assert smooth(points, closed=True, steps=5)[::5] == pytest.approx(points)


def test_a_spline_through_a_line_is_the_line() -> None:
    line = np.stack([np.linspace(0, 1, 5), np.linspace(0, 2, 5)], axis=1)
    curve = smooth(line)
    assert curve[:, 1] == pytest.approx(2 * curve[:, 0])


@pytest.mark.parametrize("size", [64, 256])
def test_a_filled_outline_has_its_area_and_its_place(size: int) -> None:
    square = np.array([[0.25, 0.5], [0.75, 0.5], [0.75, 0.75], [0.25, 0.75]])
    covered = fill([square], size)
    # OpenCV covers the pixels that an outline touches as well: up to a pixel on each side.
    assert 0.5 * 0.25 <= covered.mean() <= (0.5 + 2 / size) * (0.25 + 2 / size)
    x, y = grid(size)
    assert float((x * covered).sum() / covered.sum()) == pytest.approx(0.5, abs=0.5 / size)
    assert float((y * covered).sum() / covered.sum()) == pytest.approx(0.625, abs=0.5 / size)
    assert fill([disc((0.5, 0.5), 0.3, 0.2)], 256).mean() == pytest.approx(np.pi * 0.3 * 0.2, rel=0.04)


def test_a_line_thinner_than_a_pixel_is_fainter() -> None:
    line = [np.array([[0.1, 0.5], [0.9, 0.5]])]
    sums = []
    for width in (1 / 64, 0.5 / 64):
        canvas = blank(64)
        stroke(canvas, line, width)
        sums.append(layer(canvas).sum())
    assert sums[1] == pytest.approx(0.5 * sums[0], rel=0.1)


def test_lines_of_unequal_lengths_and_a_stack_of_lines_are_drawn_alike() -> None:
    stack = np.array([[[0.1, 0.1], [0.5, 0.6], [0.9, 0.2]], [[0.2, 0.9], [0.5, 0.5], [0.8, 0.9]]])
    one, other = blank(64), blank(64)
    stroke(one, stack, 0.03)
    stroke(other, list(stack), 0.03)
    assert np.array_equal(one, other)


def test_a_wide_blur_on_a_coarse_grid_is_close_to_the_exact_one() -> None:
    square = fill([np.array([[0.3, 0.2], [0.8, 0.2], [0.8, 0.7], [0.3, 0.7]])], 256)
    exact = cv2.GaussianBlur(square, (0, 0), 0.05 * 256, borderType=cv2.BORDER_REPLICATE)
    assert np.abs(blur(square, 0.05) - exact).max() < 0.02


def test_clouds_have_about_unit_deviation() -> None:
    noise = clouds(np.random.default_rng(0), 40, 256)
    assert noise.shape == (256, 256)
    assert abs(float(noise.mean())) < 0.1
    assert 0.6 < float(noise.std()) < 1.2
