"""Fuzzing of the image readers, and the cases that it has found."""

from __future__ import annotations

import base64
import random
import resource
import time
from collections import Counter
from pathlib import Path

import cv2
import pytest
import simplejpeg
from pydicom.uid import JPEGLSLossless

from tests.imaging.dicom_files import LOSSLESS, LOSSY, RAW, film, write
from tests.imaging.fuzzing import check_image, mutate

FOUND = Path(__file__).parent / "found"
"""Files that once did what no file may do; each name says what."""

MEMORY = 300 * 2**20
"""Bytes by which the process may grow over a run."""


def seeds(jpeg_ls: bool) -> list[tuple[bytes, int]]:
    """Good files of every kind, each with where its mutations may start."""
    grey, deep = film(60, 50, 8), film(60, 50)
    files: list[tuple[bytes, int]] = []
    for syntax in (*RAW, *LOSSLESS, *LOSSY):
        if syntax == JPEGLSLossless and not jpeg_ls:
            continue
        bits = 8 if syntax == LOSSY[0] else 12
        pixels = grey if bits == 8 else deep
        files.append((write(pixels, bits, syntax, WindowCenter=2000, WindowWidth=3000, RescaleSlope=2), 132))
    jpeg = simplejpeg.encode_jpeg(grey[..., None].copy(), 95, colorspace="GRAY", colorsubsampling="Gray")
    return [*files, (bytes(jpeg), 2), (bytes(cv2.imencode(".png", deep)[1]), 8)]


def fuzz(seconds: float, seed: int, jpeg_ls: bool = True) -> Counter[str]:
    """Mutate and read for so long; the case is in the assertion that fails."""
    draw, files, outcomes = random.Random(seed), seeds(jpeg_ls), Counter[str]()
    for data, _ in files:
        assert check_image(data) == "packed"
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        data, start = draw.choice(files)
        case = mutate(data, draw, start)
        try:
            outcomes[check_image(case)] += 1
        except BaseException as error:
            raise AssertionError(f"seed {seed}, case {outcomes.total()}: {base64.b64encode(case).decode()}") from error
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024
    assert grown < MEMORY, f"grew by {grown / 2**20:.0f} MiB"
    return outcomes


def test_some_seconds_of_mutations() -> None:
    outcomes = fuzz(4, 0, jpeg_ls=False)  # some of its mutations take seconds each
    assert outcomes["packed"] and len(outcomes) > 3


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_three_minutes_of_mutations() -> None:
    fuzz(180, 1)


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_ten_minutes_of_mutations() -> None:
    fuzz(600, random.SystemRandom().randrange(2**32))


@pytest.mark.slow
@pytest.mark.parametrize("path", sorted(FOUND.glob("*.bin")), ids=lambda path: path.stem)
def test_what_was_found_stays_mended(path: Path) -> None:
    assert check_image(path.read_bytes()) != ""
