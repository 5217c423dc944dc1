"""DICOM files as a test needs them, written by pydicom."""

from __future__ import annotations

import io
import warnings
from typing import Any

import imagecodecs
import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
)

RAW = (ImplicitVRLittleEndian, ExplicitVRLittleEndian, DeflatedExplicitVRLittleEndian, ExplicitVRBigEndian)
LOSSLESS = (JPEGLossless, JPEGLosslessSV1, JPEGLSLossless, JPEG2000Lossless, RLELossless)
LOSSY = (JPEGBaseline8Bit, JPEGExtended12Bit)


def film(height: int, width: int, bits: int = 12, seed: int = 0) -> np.ndarray:
    """A smooth image with noise, of so many bits."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[:height, :width]
    wave = np.sin(rows / 17 + 1) * np.cos(columns / 23) * 0.35 + 0.5
    top = 2**bits - 1
    values = np.clip(wave * top + rng.normal(0, top / 100, (height, width)), 0, top)
    return values.astype(np.uint8 if bits <= 8 else np.uint16)


def write(pixels: np.ndarray, bits: int, syntax: UID = ExplicitVRLittleEndian, **tags: Any) -> bytes:
    """A DICOM file with these pixels [height, width] or, for several frames, [frames, height, width].

    Args:
        bits: stored.
        tags: further elements by keyword; None leaves one out.
    """
    frames = pixels if pixels.ndim == 3 else pixels[None]
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = syntax
    dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = UID("1.2.840.10008.5.1.4.1.1.1.1")
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = UID("1.2.3.4")
    dataset.Rows, dataset.Columns = frames.shape[1:]
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = frames.itemsize * 8, bits, bits - 1
    dataset.PixelRepresentation = int(frames.dtype.kind == "i")
    if pixels.ndim == 3:
        dataset.NumberOfFrames = len(frames)
    for name, value in tags.items():
        if value is None:
            delattr(dataset, name)
        else:
            setattr(dataset, name, value)
    if syntax in RAW:
        order = ">" if syntax == ExplicitVRBigEndian else "<"
        dataset.PixelData = frames.astype(frames.dtype.newbyteorder(order)).tobytes()
        if len(dataset.PixelData) % 2:
            dataset.PixelData += b"\0"
    else:
        dataset.PixelData = encapsulate([_encode(frame, bits, syntax) for frame in frames])
    dataset["PixelData"].VR = "OW" if frames.itemsize > 1 and syntax in RAW else "OB"
    dataset["PixelData"].is_undefined_length = syntax not in RAW
    file = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        dataset.save_as(file, enforce_file_format=True)
    return file.getvalue()


def _encode(frame: np.ndarray, bits: int, syntax: UID) -> bytes:
    if syntax in (JPEGLossless, JPEGLosslessSV1):
        predictor = 1 if syntax == JPEGLosslessSV1 else 4
        data = imagecodecs.jpeg8_encode(
            frame.view(f"u{frame.itemsize}"), lossless=True, bitspersample=bits, predictor=predictor
        )
    elif syntax in LOSSY:
        data = imagecodecs.jpeg8_encode(frame, level=95, bitspersample=bits)
    elif syntax == JPEGLSLossless:
        data = imagecodecs.jpegls_encode(frame.view(f"u{frame.itemsize}"))
    elif syntax == JPEG2000Lossless:
        data = imagecodecs.jpeg2k_encode(frame, level=0, codecformat="J2K", reversible=True)
    else:
        from pydicom.pixels.encoders import RLELosslessEncoder

        data = RLELosslessEncoder.encode(
            frame.tobytes(),
            rows=frame.shape[0],
            columns=frame.shape[1],
            samples_per_pixel=1,
            bits_allocated=frame.itemsize * 8,
            bits_stored=bits,
            pixel_representation=int(frame.dtype.kind == "i"),
            photometric_interpretation="MONOCHROME2",
            number_of_frames=1,
        )
    return bytes(data)
