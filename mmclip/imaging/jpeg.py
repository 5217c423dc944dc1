"""Grey pixels of a JPEG image of 8 bits, as small as will do."""

from __future__ import annotations

import numpy as np
import simplejpeg

from mmclip.data.image_header import BadImage
from mmclip.imaging.tone import Gray

_REDUCTIONS = (4, 2)
"""How much smaller a JPEG may be decoded, the best first. Powers of two only: at 3/8 or 5/8 the result differs from
averaging the full image by up to 1.7 grey levels in the mean, here by about 0.5 at most (films enlarged to 512 to
2,500 pixels, with noise of 4 levels, packed at 256)."""

_MARGIN = 2
"""Pixels, at least, of the decoded image for each packed one along an edge, so that averaging does the rest."""


def decode_jpeg(data: bytes, size: int, height: int, width: int) -> Gray:
    """Pixels, at half or a quarter of the size where the image is much larger than `size`, which saves time.

    Args:
        size: the edge that the longer side will have.
        height, width: as the header says.

    Raises:
        BadImage: truncated or undecodable.
    """
    longer = max(height, width)
    reduction = next((factor for factor in _REDUCTIONS if longer >= factor * _MARGIN * size), 1)
    wanted = {"min_height": -(-height // reduction), "min_width": -(-width // reduction)}
    try:
        pixels = simplejpeg.decode_jpeg(data, "GRAY", min_factor=1, **wanted)
    except ValueError as error:
        raise BadImage("truncated" if "Premature end" in str(error) else "undecodable") from error
    return np.asarray(pixels[..., 0], dtype=np.uint8)
