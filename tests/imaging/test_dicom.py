"""DICOM files: against pydicom on its own test files and on files written here, and known answers of PS3.3."""

from __future__ import annotations

import io
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pydicom.data
import pytest
from pydicom.pixels import apply_modality_lut, apply_voi_lut
from pydicom.sequence import Sequence
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLosslessSV1,
    RLELossless,
)

from mmclip.config.imaging import PackSettings
from mmclip.data import dicom as tags
from mmclip.data.dicom import read_elements
from mmclip.data.image_header import BadImage, read_header
from mmclip.imaging.decode import Decoded, decode
from mmclip.imaging.dicom import decode_dicom, first_frame
from mmclip.imaging.tone import Table, Tone, Window
from tests.imaging.dicom_files import LOSSLESS, RAW, film, write

LIMIT = 128_000_000
SHIPPED = Path(pydicom.data.__file__).parent
UNSUPPORTED = {
    "liver_1frame.dcm": "unsupported_pixels",  # one bit a pixel
    "liver_expb_1frame.dcm": "unsupported_pixels",
    "examples_palette.dcm": "unsupported_pixels",
    "MR_truncated.dcm": "truncated",
    "badVR.dcm": "broken_header",  # 1A frames
    "JPEG2000-embedded-sequence-delimiter.dcm": "broken_header",  # the codestream's size is overwritten
}


def shipped() -> list[Path]:
    """pydicom's files that have an image, from its package."""
    found = []
    for path in sorted(SHIPPED.rglob("*")):
        if path.is_file() and path.read_bytes()[128:132] == b"DICM":
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                dataset = pydicom.dcmread(path)
            if "Rows" in dataset and "PixelData" in dataset:
                found.append(path)
    return found


SHIPPED_FILES = shipped()


def test_there_are_files_of_every_kind() -> None:
    found = {read_elements(path.read_bytes()).syntax.removeprefix("1.2.840.10008.1.2") for path in SHIPPED_FILES}
    assert len(SHIPPED_FILES) > 90
    assert found == {"", ".1", ".1.99", ".2", ".5", *(f".4.{number}" for number in (50, 51, 70, 81, 80, 90, 91))}


@pytest.mark.parametrize("path", SHIPPED_FILES, ids=lambda path: path.name)
def test_pydicoms_files_as_pydicom_reads_them(path: Path) -> None:
    data = path.read_bytes()
    if path.name in UNSUPPORTED:
        with pytest.raises(BadImage, match=UNSUPPORTED[path.name]):
            decode(data, PackSettings(size=2048))
        return
    stored, _ = decode_dicom(data, 4096)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        dataset = pydicom.dcmread(path)
        if path.name == "JPEG-lossy.dcm":  # pydicom's decoders refuse it; the pixels are those of JPGExtended.dcm
            dataset = pydicom.dcmread(path.with_name("JPGExtended.dcm"))
        expected = dataset.pixel_array
    if int(dataset.get("NumberOfFrames") or 1) > 1:
        expected = expected[0]
    header = read_header(data, LIMIT)
    assert (header.height, header.width) == expected.shape[:2] == stored.shape
    if expected.ndim == 3:  # made red, green and blue by pydicom, where they are not
        grey = expected @ np.array((0.299, 0.587, 0.114))
        assert np.abs(grey - stored).mean() < 1
        return
    if "PixelPaddingValue" in dataset:
        padding = expected == dataset.PixelPaddingValue
        assert (stored[padding] == expected[~padding].min()).all()
        stored = np.where(padding, expected, stored)
    lossy = dataset.file_meta.TransferSyntaxUID == JPEGExtended12Bit  # inverse transforms may differ by one
    assert np.abs(stored.astype(np.int64) - expected).max() <= int(lossy)


@pytest.mark.parametrize("bits", [8, 10, 12, 14, 15, 16])
@pytest.mark.parametrize("syntax", [*RAW, *LOSSLESS], ids=lambda syntax: UID(syntax).name[:28])
def test_every_syntax_gives_back_what_was_written(syntax: UID, bits: int) -> None:
    pixels = film(61, 44, bits)
    assert np.array_equal(decode_dicom(write(pixels, bits, syntax), 64)[0], pixels)


@pytest.mark.parametrize("syntax", [*RAW, JPEG2000Lossless, RLELossless], ids=lambda syntax: UID(syntax).name[:28])
@pytest.mark.parametrize("bits", [8, 12, 16])
def test_signed_values(syntax: UID, bits: int) -> None:
    middle = 2 ** (bits - 1)
    pixels = (film(40, 50, bits).astype(np.int64) - middle).astype(np.int8 if bits == 8 else np.int16)
    assert np.array_equal(decode_dicom(write(pixels, bits, syntax), 64)[0], pixels)


@pytest.mark.parametrize(("syntax", "bits"), [(JPEGBaseline8Bit, 8), (JPEGExtended12Bit, 12)])
def test_lossy_jpeg_is_near(syntax: UID, bits: int) -> None:
    pixels = film(64, 80, bits)
    found = decode_dicom(write(pixels, bits, syntax), 256)[0]
    assert np.abs(found.astype(float) - pixels).mean() < 2**bits / 100


def test_a_large_jpeg_comes_at_a_quarter() -> None:
    data = write(film(1600, 1200, 8), 8, JPEGBaseline8Bit)
    assert decode_dicom(data, 128)[0].shape == (400, 300)


def shown(data: bytes, **settings: Any) -> tuple[np.ndarray, Decoded]:
    image = decode(data, PackSettings(**settings))
    assert image.tone is not None
    return image.tone.show(image.pixels)[0], image


@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
@pytest.mark.parametrize("function", [None, "LINEAR", "LINEAR_EXACT", "SIGMOID"])
@pytest.mark.parametrize(("slope", "intercept"), [(None, None), (1, -1024), (2.5, 10)])
def test_window_and_rescaling_as_pydicom_applies_them(
    photometric: str, function: str | None, slope: float | None, intercept: float | None
) -> None:
    given = {"RescaleSlope": slope, "RescaleIntercept": intercept, "VOILUTFunction": function}
    chosen: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    data = write(film(50, 60), 12, WindowCenter=1500, WindowWidth=2000, PhotometricInterpretation=photometric, **chosen)
    dataset = pydicom.dcmread(io.BytesIO(data))
    values = apply_voi_lut(apply_modality_lut(dataset.pixel_array, dataset), dataset)
    # pydicom maps to the range of the rescaled values
    low, high = 0 * (slope or 1) + (intercept or 0), 4095 * (slope or 1) + (intercept or 0)
    expected = (values - low) / (high - low) * 255
    if photometric == "MONOCHROME1":
        expected = 255 - expected
    grey, _ = shown(data)
    assert grey.dtype == np.uint8
    assert np.abs(grey - expected).max() <= 1.0 and np.abs(grey - expected).mean() < 0.4


def test_a_linear_window_by_hand() -> None:
    values = np.array([[-1, 0, 0.5, 127.5, 128, 255, 300]])
    # PS3.3, C.11.2.1.2: center 128 and width 256 leave 8-bit values as they are
    np.testing.assert_allclose(Window(128, 256).levels(values) * 255, [[0, 0, 0.5, 127.5, 128, 255, 255]])
    assert Window(10, 1).levels(np.array([9.4, 9.5, 9.6])).tolist() == [0, 0, 1]
    assert Window(10, 2, "LINEAR_EXACT").edges() == (9, 11)
    assert Window(10, 2, "SIGMOID").levels(np.array([10.0])).tolist() == [0.5]
    assert np.isfinite(Window(10, 1e-9, "SIGMOID").levels(np.array([-1e30, 1e30]))).all()


def lut(descriptor: list[int], data: list[int]) -> pydicom.Dataset:
    item = pydicom.Dataset()
    item.add_new(0x00283002, "US", descriptor)
    item.add_new(0x00283006, "US", data)
    return item


@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
def test_a_look_up_table_comes_before_the_window(photometric: str) -> None:
    entries = (np.sqrt(np.linspace(0, 1, 3000)) * 1023).astype(int).tolist()
    data = write(
        film(50, 60),
        12,
        VOILUTSequence=Sequence([lut([3000, 500, 10], entries)]),
        WindowCenter=1,
        WindowWidth=5000,
        PhotometricInterpretation=photometric,
    )
    dataset = pydicom.dcmread(io.BytesIO(data))
    expected = apply_voi_lut(dataset.pixel_array, dataset).astype(float) / 1023 * 255
    expected = 255 - expected if photometric == "MONOCHROME1" else expected
    assert np.abs(shown(data)[0] - expected).max() <= 0.51


def test_a_table_of_modality_values() -> None:
    entries = (np.linspace(0, 1, 4096) ** 2 * 60000).astype(int).tolist()
    table = lut([4096, 0, 16], entries)
    table.ModalityLUTType = "OD"
    data = write(film(50, 60), 12, ModalityLUTSequence=Sequence([table]), WindowCenter=30000, WindowWidth=60000)
    dataset = pydicom.dcmread(io.BytesIO(data))
    values = apply_modality_lut(dataset.pixel_array, dataset).astype(float)
    expected = np.clip((values - 29999.5) / 59999 + 0.5, 0, 1) * 255
    assert np.abs(shown(data)[0] - expected).max() <= 0.51


def test_without_a_window_the_percentiles_count() -> None:
    pixels = film(100, 100)
    pixels[0, :3] = 4095
    grey, image = shown(write(pixels, 12))
    assert image.tone == Tone() and grey.min() == 0 and grey.max() == 255
    low, high = np.percentile(pixels, (0.1, 99.9))
    assert np.abs(grey - np.clip((pixels - low) / (high - low), 0, 1) * 255).max() <= 0.51
    assert (shown(write(pixels, 12, PhotometricInterpretation="MONOCHROME1"))[0] == 255 - grey).mean() > 0.99


@pytest.mark.parametrize(("center", "width"), [(-5000, 10), (1e9, 5), ("", ""), (1500, 0), (1500, -3)])
def test_a_window_that_shows_nothing_is_not_used(center: float | str, width: float | str) -> None:
    pixels = film(100, 100)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        grey, _ = shown(write(pixels, 12, WindowCenter=center, WindowWidth=width))
    assert np.array_equal(grey, shown(write(pixels, 12))[0])


def test_the_first_of_several_windows_counts() -> None:
    data = write(film(50, 60), 12, WindowCenter=[1500, 100], WindowWidth=[2000, 7])
    assert np.array_equal(shown(data)[0], shown(write(film(50, 60), 12, WindowCenter=1500, WindowWidth=2000))[0])


def test_eight_bits_are_grey_levels_already() -> None:
    pixels = film(40, 40, 8)
    assert np.array_equal(shown(write(pixels, 8))[0], pixels)
    assert np.array_equal(shown(write(pixels, 8, PhotometricInterpretation="MONOCHROME1"))[0], 255 - pixels)


def test_missing_tags_have_defaults() -> None:
    pixels = film(40, 50)
    bare = write(
        pixels, 12, SamplesPerPixel=None, PhotometricInterpretation=None, HighBit=None, PixelRepresentation=None
    )
    assert np.array_equal(decode_dicom(bare, 64)[0], pixels)
    assert np.array_equal(decode_dicom(write(pixels, 12, BitsStored=None, HighBit=None), 64)[0], pixels)
    for name in ("Rows", "Columns", "BitsAllocated"):
        with pytest.raises(BadImage, match="broken_header"):
            decode(write(pixels, 12, **{name: None}), PackSettings())


def test_what_lies_above_the_stored_bits_is_left_out() -> None:
    pixels = film(40, 50)
    assert np.array_equal(decode_dicom(write(pixels | 0x7000, 12), 64)[0], pixels)
    high = write(pixels << 4, 12, HighBit=15)
    assert np.array_equal(decode_dicom(high, 64)[0], pixels)


def test_padding_is_no_darker_than_the_film() -> None:
    pixels = np.clip(film(40, 50), 500, 3000)
    pixels[:5] = 4095
    stored = decode_dicom(write(pixels, 12, PixelPaddingValue=4095), 64)[0]
    assert (stored[:5] == pixels[5:].min()).all() and np.array_equal(stored[5:], pixels[5:])
    data = write(
        pixels, 12, PixelPaddingValue=4000, PixelPaddingRangeLimit=4095, PhotometricInterpretation="MONOCHROME1"
    )
    assert (decode_dicom(data, 64)[0][:5] == pixels[5:].max()).all()
    assert (shown(data)[0][:5] == 0).all()


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, JPEGLosslessSV1, RLELossless, JPEG2000Lossless])
def test_of_several_frames_the_first(syntax: UID) -> None:
    frames = np.stack([film(30, 40, seed=seed) for seed in range(3)])
    data = write(frames, 12, syntax)
    image = decode(data, PackSettings())
    assert np.array_equal(image.pixels, frames[0]) and image.header.frames == 3
    with pytest.raises(BadImage, match="several_frames"):
        decode(data, PackSettings(multi_frame="skip"))


def test_a_frame_in_several_fragments() -> None:
    data = write(film(30, 40), 12, JPEGLosslessSV1)
    elements = read_elements(data)
    assert elements.start is not None
    whole = first_frame(elements, 1)
    cut = [whole[:100], whole[100:300], whole[300:]]
    fragments = b"".join(b"\xfe\xff\x00\xe0" + len(part).to_bytes(4, "little") + part for part in [b"", *cut])
    again = data[: elements.start] + fragments + b"\xfe\xff\xdd\xe0\0\0\0\0"
    assert first_frame(read_elements(again), 1) == whole
    assert np.array_equal(decode_dicom(again, 64)[0], film(30, 40))


def test_burned_in_annotation_is_honoured() -> None:
    data = write(film(30, 40), 12, BurnedInAnnotation="YES", ViewPosition="PA")
    assert read_header(data, LIMIT).burned_in and read_header(data, LIMIT).view == "PA"
    with pytest.raises(BadImage, match="burned_in_annotation"):
        decode(data, PackSettings())
    assert decode(data, PackSettings(burned_in="keep")).pixels.shape == (30, 40)
    decode(write(film(30, 40), 12, BurnedInAnnotation="NO"), PackSettings())


def test_what_cannot_be_read_has_a_reason() -> None:
    pixels = film(30, 40)
    strange = write(pixels, 12).replace(b"1.2.840.10008.1.2.1\0", b"1.2.840.10008.1.2.9\0")
    cases = {
        "no_pixels": write(pixels, 12)[: write(pixels, 12).index(b"\xe0\x7f\x10\x00")],
        "unsupported_pixels": write(pixels, 12, PhotometricInterpretation="PALETTE COLOR"),
        "truncated": write(pixels, 12)[:-10],
        "undecodable": write(pixels, 12, JPEGLosslessSV1)[:-400],
        "broken_header": write(pixels, 12, BitsStored=17),
    }
    for reason, data in cases.items():
        with pytest.raises(BadImage, match=f"{reason}|truncated"):
            decode(data, PackSettings())
    with pytest.raises(BadImage):
        decode(strange, PackSettings())


def test_a_header_of_another_size_than_its_codestream_is_refused() -> None:
    pixels = film(30, 40)
    for syntax in (JPEGLosslessSV1, JPEG2000Lossless, JPEGBaseline8Bit):
        bits = 8 if syntax == JPEGBaseline8Bit else 12
        image = pixels if bits == 12 else film(30, 40, 8)
        with pytest.raises(BadImage, match="broken_header"):
            decode(write(image, bits, syntax, Rows=31), PackSettings())


def test_executables_with_a_dicom_preamble_are_no_images() -> None:
    for start in (b"MZ", b"\x7fELF"):
        data = start + write(film(30, 40), 12)[len(start) :]
        with pytest.raises(BadImage, match="not_an_image"):
            read_header(data, LIMIT)


def test_sequences_in_front_are_passed_over() -> None:
    inner = pydicom.Dataset()
    inner.Rows = 7
    outer = pydicom.Dataset()
    outer.ReferencedImageSequence = Sequence([inner, inner])
    outer["ReferencedImageSequence"].is_undefined_length = True
    for syntax in RAW:
        data = write(film(30, 40), 12, syntax, ReferencedStudySequence=Sequence([outer]))
        assert read_header(data, LIMIT).height == 30
        assert np.array_equal(decode_dicom(data, 64)[0], film(30, 40))


def test_a_deflated_file_is_unpacked_no_further_than_its_size() -> None:
    data = write(film(30, 40), 12, DeflatedExplicitVRLittleEndian)
    elements = read_elements(data, 0)
    assert len(elements.data) <= 4 * 2**20 and elements.integer(tags.ROWS) == 30


def test_a_table_clips_at_its_ends() -> None:
    table = Table(10, np.array([5, 6, 7], np.uint16), 8)
    assert table.lookup(np.array([0.0, 10, 11.4, 99])).tolist() == [5, 5, 6, 7]
