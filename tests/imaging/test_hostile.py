"""Files made to do harm: each is skipped with a reason, and all of them in bounded time and memory."""

from __future__ import annotations

import json
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
import simplejpeg
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
)

from mmclip.config.imaging import PackSettings
from mmclip.data.dicom import read_elements
from mmclip.data.image_header import BadImage
from mmclip.imaging.decode import decode
from mmclip.tables.files import read_table
from mmclip.tables.ingest import SKIPPED
from tests.imaging.dicom_files import film, write
from tests.imaging.test_pack import make

GROWTH = 256
"""MiB by which a process may grow over packing all of them; each claims gigabytes."""
SECONDS = 10
"""Of CPU time for all of them."""


def jpeg(pixels: np.ndarray) -> bytes:
    return bytes(simplejpeg.encode_jpeg(pixels[..., None].copy(), 95, colorspace="GRAY", colorsubsampling="Gray"))


def png(pixels: np.ndarray) -> bytes:
    return bytes(cv2.imencode(".png", pixels)[1])


def chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">L", len(data)) + name + data + struct.pack(">L", zlib.crc32(name + data))


def zeros(megabytes: int) -> bytes:
    """So many zeros, compressed a thousandfold, as blocks of a deflate stream that stand for themselves."""
    packer = zlib.compressobj(9, wbits=-zlib.MAX_WBITS)
    packer.flush(zlib.Z_FULL_FLUSH)
    return (packer.compress(bytes(2**20)) + packer.flush(zlib.Z_FULL_FLUSH)) * megabytes


def deflate_bomb() -> bytes:
    """A deflated DICOM file of a small image, with a gigabyte of zeros in front of its pixels."""
    plain = write(film(30, 40), 12, ExplicitVRLittleEndian)
    elements = read_elements(plain)
    assert elements.start is not None
    meta = write(film(30, 40), 12, DeflatedExplicitVRLittleEndian)
    cut = 132 + 12 + struct.unpack_from("<L", meta, 140)[0]
    at = plain.index(b"\x08\x00\x16\x00")
    private = struct.pack("<HH2sHL", 0x0009, 0x1010, b"OB", 0, 2**30)
    packer = zlib.compressobj(9, wbits=-zlib.MAX_WBITS)
    head = packer.compress(plain[at : plain.index(b"\x28\x00\x02\x00")] + private) + packer.flush(zlib.Z_FULL_FLUSH)
    tail = packer.compress(plain[plain.index(b"\x28\x00\x02\x00") :]) + packer.flush()
    return meta[:cut] + head + zeros(1024) + tail


def with_size(data: bytes, marker: bytes, offset: int) -> bytes:
    at = data.index(marker) + offset
    return data[:at] + b"\xff\xff\xff\xff" + data[at + 4 :]


def many_elements() -> bytes:
    data = write(film(30, 40), 12)
    at = data.index(b"\x28\x00\x02\x00")
    return data[:at] + struct.pack("<HH2sH", 0x0009, 0x1010, b"LO", 0) * 2_000_000 + data[at:]


def deep_sequences() -> bytes:
    data = write(film(30, 40), 12)
    at = data.index(b"\x28\x00\x02\x00")
    nested = struct.pack("<HH2sHL", 0x0008, 0x1140, b"SQ", 0, 2**32 - 1) + struct.pack(
        "<HHL", 0xFFFE, 0xE000, 2**32 - 1
    )
    return data[:at] + nested * 100_000 + data[at:]


def hostile() -> dict[str, tuple[bytes, str]]:
    """Files by name, each with the reason it has to be skipped for."""
    grey, deep = film(60, 50, 8), film(60, 50)
    small_png = png(grey)
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 50, 60, 8, 0, 0, 0, 0))
    png_bomb = small_png[:8] + header + chunk(b"IDAT", b"\x78\xda" + zeros(512)) + chunk(b"IEND", b"")
    text_bomb = small_png[:33] + chunk(b"zTXt", b"a\0\0\x78\xda" + zeros(512)) + small_png[33:]
    return {
        "huge.jpg": (with_size(jpeg(grey), b"\xff\xc0", 5), "too_many_pixels"),
        "huge.png": (small_png[:16] + b"\0\0\xff\xff\0\0\xff\xff" + small_png[24:], "too_many_pixels"),
        "huge.dcm": (write(deep, 12, Rows=65535, Columns=65535), "too_many_pixels"),
        "huge_frame.dcm": (with_size(write(deep, 12, JPEGLosslessSV1), b"\xff\xc3", 5), "broken_header"),
        "huge_ls.dcm": (with_size(write(deep, 12, JPEGLSLossless), b"\xff\xf7", 5), "broken_header"),
        "huge_2000.dcm": (with_size(write(deep, 12, JPEG2000Lossless), b"\xff\x4f\xff\x51", 8), "broken_header"),
        "frames.dcm": (write(deep, 12, NumberOfFrames=1_000_000), "too_many_pixels"),
        "claims.dcm": (write(deep, 12, Rows=9000, Columns=9000), "truncated"),
        "claims_rle.dcm": (write(deep, 12, RLELossless, Rows=9000, Columns=9000), "undecodable"),
        "claims_deflated.dcm": (write(deep, 12, DeflatedExplicitVRLittleEndian, Rows=9000, Columns=9000), "truncated"),
        "deflate_bomb.dcm": (deflate_bomb(), "broken_header"),
        "pixel_bomb.png": (png_bomb, "undecodable"),
        "text_bomb.png": (text_bomb, ""),
        "elements.dcm": (many_elements(), "broken_header"),
        "sequences.dcm": (deep_sequences(), "broken_header"),
        "empty.dcm": (b"", "empty_file"),
        "zeros.png": (bytes(100_000), "not_an_image"),
        "text.jpg": (b"FINDINGS: The lungs are clear.\n", "not_an_image"),
        "one_value.png": (png(np.full((60, 50), 1234, np.uint16)), "constant"),
        "one_value.dcm": (write(np.full((60, 50), 1234, np.uint16), 12), "constant"),
    }


SCRIPT = """
import json, resource, sys, time
from pathlib import Path
from mmclip.config.imaging import PackSettings
from mmclip.config.ingest import parse_source
from mmclip.imaging import stage
from mmclip.ingest import stage as reading
before, start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
table, output = Path(sys.argv[1]), Path(sys.argv[2])
if table.suffix == ".csv":
    columns = {"id": "id", "image": "id"}
    source = parse_source({"kind": "table", "file": table, "columns": columns, "error_budget": 1.0, "workers": 1})
    reading.ingest("hostile", source, output)
else:
    stage.pack(PackSettings(size=32, error_budget=1.0), table, output)
grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
print(json.dumps({"seconds": time.process_time() - start, "grown": grown}))
"""


def run_bounded(table: Path, output: Path) -> dict[str, str]:
    """What is skipped of a table, and why, by a process of its own that may not take long nor much memory."""
    child = subprocess.run([sys.executable, "-c", SCRIPT, table, output], check=True, capture_output=True, text=True)
    measured = json.loads(child.stdout.splitlines()[-1])
    assert measured["seconds"] < SECONDS and measured["grown"] < GROWTH, measured
    return dict(read_table(output / "skipped.parquet", SKIPPED).iter_rows())


def test_each_is_skipped_with_a_reason_in_little_time_and_memory(tmp_path: Path) -> None:
    files = hostile()
    table = make(tmp_path / "set", {name: data for name, (data, _) in files.items()})
    skipped = run_bounded(table, tmp_path / "pack")
    assert skipped == {name: reason for name, (_, reason) in files.items() if reason}


def test_what_a_header_tells_is_skipped_before_packing(tmp_path: Path) -> None:
    files = hostile()
    for name, (data, _) in files.items():
        (tmp_path / name).write_bytes(data)
    (tmp_path / "studies.csv").write_text("\n".join(["id", *files]) + "\n")
    skipped = run_bounded(tmp_path / "studies.csv", tmp_path / "ingest")
    told = ("too_many_pixels", "empty_file", "not_an_image")
    assert skipped.items() >= {(name, reason) for name, (_, reason) in files.items() if reason in told}
    assert all(reason == files[name][1] for name, reason in skipped.items())
    skipped |= run_bounded(tmp_path / "ingest/images.parquet", tmp_path / "pack")
    assert skipped == {name: reason for name, (_, reason) in files.items() if reason}


@pytest.mark.parametrize(
    "syntax",
    [
        ExplicitVRLittleEndian,
        DeflatedExplicitVRLittleEndian,
        JPEGLosslessSV1,
        JPEG2000Lossless,
        RLELossless,
        None,
        "png",
    ],
)
def test_truncated_at_every_thousandth_byte(syntax: str | None) -> None:
    pixels = film(200, 160, 8 if syntax is None else 12)
    whole = jpeg(pixels) if syntax is None else png(pixels) if syntax == "png" else write(pixels, 12, syntax)
    settings = PackSettings(size=32)
    assert decode(whole, settings).pixels.size
    for length in range(0, len(whole) - 1, 1000):
        try:
            decode(whole[:length], settings)
        except BadImage as bad:
            assert bad.reason in (
                "empty_file",
                "not_an_image",
                "broken_header",
                "no_pixels",
                "truncated",
                "undecodable",
            )
        else:
            # OpenJPEG makes what it can of the resolution levels that are there
            assert syntax == JPEG2000Lossless, length


REASONS = ("empty_file", "not_an_image", "broken_header", "no_pixels", "truncated", "undecodable")


@pytest.mark.slow
def test_jpeg_ls_and_baseline_truncated_at_every_thousandth_byte() -> None:
    for syntax, bits in ((JPEGLSLossless, 12), (JPEGBaseline8Bit, 8)):
        whole = write(film(200, 160, bits), bits, syntax)
        for length in range(0, len(whole) - 1, 1000):
            with pytest.raises(BadImage):
                decode(whole[:length], PackSettings(size=32))


def test_a_bomb_grows_with_the_image_and_not_with_what_it_claims() -> None:
    bomb = deflate_bomb()
    assert len(bomb) < 2 * 2**20
    assert len(read_elements(bomb, 2400).data) <= 4 * 2**20 + 2400
