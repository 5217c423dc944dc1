"""The user's image files: whether each lies where it may, what its header says, and its checksum."""

from __future__ import annotations

import hashlib
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from mmclip.data.image_header import BadImage, read_header
from mmclip.ingest.threads import in_threads
from mmclip.ingest.views import view_of

_FILE_LIMIT = 512 * 2**20
"""Bytes of the largest file that is read; the pixel limit at 16 bits takes half of it."""


@dataclass(frozen=True)
class ImageFile:
    """A file that can be used: its absolute path, size in pixels and SHA-256, and the view that its header states."""

    path: Path
    width: int
    height: int
    sha256: str
    view: str = "UNKNOWN"


def inspect_all(
    names: Iterable[str], root: Path, pixel_limit: int, workers: int, keep_burned_in: bool = False
) -> Iterator[ImageFile | BadImage]:
    """For every name in turn the file, or why it cannot be used.

    Args:
        names: paths relative to `root`, or absolute ones below it.
        workers: threads; reading and hashing wait for the disk.
        keep_burned_in: also use DICOM files whose pixels hold text about the patient.
    """
    resolved = root.resolve()
    yield from in_threads(lambda name: _inspect(name, resolved, pixel_limit, keep_burned_in), names, workers)


def _inspect(name: str, root: Path, pixel_limit: int, keep_burned_in: bool) -> ImageFile | BadImage:
    try:
        path = inside(name, root)
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise BadImage("missing_file")
        if status.st_size > _FILE_LIMIT:
            raise BadImage("file_too_large")
        data = path.read_bytes()
        header = read_header(data, pixel_limit)
        if header.burned_in and not keep_burned_in:
            raise BadImage("burned_in_annotation")
    except BadImage as bad:
        return bad
    except PermissionError:
        return BadImage("unreadable_file")
    except (OSError, ValueError, RuntimeError):  # no such file, a NUL in the name, a loop of links
        return BadImage("missing_file")
    return ImageFile(path, header.width, header.height, hashlib.sha256(data).hexdigest(), view_of(header.view))


def inside(name: str, root: Path) -> Path:
    """The file's own path, links followed, if it lies below `root` (itself resolved).

    Raises:
        BadImage: outside_root.
        OSError, ValueError: there is no such file.
    """
    path = (root / name).resolve(strict=True)
    if not path.is_relative_to(root):
        raise BadImage("outside_root")
    return path
