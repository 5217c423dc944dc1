"""Seeded mutations of files, and what any file may do: give an image or a reason, soon, and in little memory."""

from __future__ import annotations

import random
import time

from mmclip.config.imaging import PackSettings
from mmclip.data.image_header import BadImage
from mmclip.imaging.decode import decode
from mmclip.imaging.letterbox import fit, letterbox, place

SETTINGS = PackSettings(size=32, pixel_limit=1_000_000, burned_in="keep")
SECONDS = 20.0
"""Of CPU time that an image may take. Nearly all take milliseconds; CharLS counts to 2^32 in a broken JPEG-LS scan
before it refuses it, 3 seconds on a server's core."""


def mutate(data: bytes, draw: random.Random, start: int) -> bytes:
    """A file with some bytes changed, cut off, left out or put in, from `start` on."""
    changed = bytearray(data)
    for _ in range(draw.choice((1, 1, 2, 4, 16))):
        if len(changed) <= start + 8:
            break
        at = draw.randrange(start, len(changed))
        kind = draw.random()
        if kind < 0.6:
            changed[at] = draw.choice((0, 255, 127, 128, draw.randrange(256)))
        elif kind < 0.7:
            del changed[at:]
        elif kind < 0.85:
            del changed[at : at + draw.randrange(1, 64)]
        else:
            changed[at:at] = draw.randbytes(draw.randrange(1, 32))
    return bytes(changed)


def check_image(data: bytes) -> str:
    """Pack an image as the stage does; returns "packed" or the reason why it cannot be.

    Raises:
        AssertionError: it took too long. Anything else that is raised is a fault as well.
    """
    before = time.process_time()
    try:
        image = decode(data, SETTINGS)
        placement = place(image.header.width, image.header.height, SETTINGS.size)
        fitted = fit(image.pixels, placement, SETTINGS.size)
        letterbox(fitted if image.tone is None else image.tone.show(fitted)[0], placement, SETTINGS.size)
        outcome = "packed"
    except BadImage as bad:
        outcome = bad.reason
    assert time.process_time() - before < SECONDS, outcome
    return outcome
