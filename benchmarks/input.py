"""How fast images become batches: packing once and reading back, beside what is usual; and what training needs.

    python benchmarks/input.py [--films 12] [--rounds 3] [--json FILE] [--check [--idle]]

All on one thread, in images a second of processor time, so that other jobs on the machine disturb little; the best of
some rounds, in which the ways take turns. Files lie in the page cache. Films are made here: 2,544 x 3,056 pixels,
smooth shapes with grain, about 1.4 MB as JPEG. torchvision's way is that of its ImageFolder: PIL, red, green and blue,
and transforms v2 image by image; it is also measured in grey, which is what mmclip makes. `--check` exits 1 unless the
ratios and the error below hold, and with `--idle` also the rate, which asks for a machine without other jobs.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import os
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import cv2
import imagecodecs
import numpy as np
import pydicom
import simplejpeg
import torch
from PIL import Image
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.pixels import apply_modality_lut, apply_voi_lut
from pydicom.uid import UID, ExplicitVRLittleEndian, JPEGLosslessSV1
from torchvision.transforms import v2

from mmclip.config.augmentation import Augmentation
from mmclip.config.imaging import PackSettings
from mmclip.data.augment import augment
from mmclip.data.packed import PackedImages
from mmclip.data.randomness import UInts, id_hashes
from mmclip.imaging.array_file import ArrayFile
from mmclip.imaging.block import Entry, pack_block
from mmclip.imaging.decode import decode
from mmclip.imaging.letterbox import fit, letterbox, place
from mmclip.tables.files import write_json, write_table
from mmclip.tables.imaging import INDEX, array_name

HEIGHT, WIDTH, PACKED, TRAINED, BATCH = 3056, 2544, 256, 224, 256
SETTINGS = PackSettings(size=PACKED)
CHANGES = Augmentation(name="paper")
"""Affine, flip, crop and colour jitter, as torchvision does them here too."""
REQUIRED = {
    "read packed / 256-px JPEG + torchvision v2": 12.0,
    "read packed / full JPEG + torchvision v2": 150.0,
    "pack JPEG / the same through PIL": 1.6,
    "raw DICOM / pydicom + float + PIL": 2.0,
    "JPEG-lossless DICOM / pydicom's default": 2.5,
}
REQUIRED_RATE = 6000.0
LARGEST_ERROR = 0.2
LARGEST_GROWTH = 16.0
"""MiB of anonymous memory over all later rounds."""

NEED = (2 * 650, 2 * 1000)
"""Images a second that two A100 take at most: an estimate. Published rates of training Swin-T at 224 px are 649 on an
RTX 3090 (timm's results) and about 1,000 on an A100 (Keras, perhaps inference); with a text tower in the step it is
less."""


@dataclass(frozen=True)
class Files:
    """The same films in several forms."""

    jpegs: list[Path]
    entries: list[Entry]
    small: list[bytes]
    raw: list[Path]
    lossless: list[Path]


def film(seed: int) -> np.ndarray:
    """12 bits, [HEIGHT, WIDTH]."""
    rng = np.random.default_rng(seed)
    coarse = rng.uniform(300, 3800, (9, 8)).astype(np.float32)
    fine = rng.normal(0, 120, (96, 80)).astype(np.float32)
    shape = sum(cv2.resize(part, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC) for part in (coarse, fine))
    grain = rng.standard_normal((HEIGHT, WIDTH), dtype=np.float32) * 24
    return np.clip(shape + grain, 0, 4095).astype(np.uint16)


def dicom(pixels: np.ndarray, syntax: UID) -> bytes:
    """A file as a detector writes it, with rescaling and a window."""
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = syntax
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID = UID("1.2.840.10008.5.1.4.1.1.1.1")
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID = UID("1.2.3")
    dataset.Rows, dataset.Columns = pixels.shape
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation, dataset.PixelRepresentation = 1, "MONOCHROME1", 0
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 16, 12, 11
    dataset.WindowCenter, dataset.WindowWidth, dataset.RescaleSlope, dataset.RescaleIntercept = 2048, 4096, 1, 0
    dataset.PixelData = pixels.tobytes()
    if syntax == JPEGLosslessSV1:
        dataset.PixelData = encapsulate(
            [imagecodecs.jpeg8_encode(pixels, lossless=True, bitspersample=12, predictor=1)]
        )
        dataset["PixelData"].is_undefined_length = True
    dataset["PixelData"].VR = "OB" if syntax == JPEGLosslessSV1 else "OW"
    file = io.BytesIO()
    dataset.save_as(file, enforce_file_format=True)
    return file.getvalue()


def encode_jpeg(pixels: np.ndarray) -> bytes:
    grey = np.ascontiguousarray(pixels[..., None])
    return bytes(simplejpeg.encode_jpeg(grey, 95, colorspace="GRAY", colorsubsampling="Gray"))


def make_files(folder: Path, count: int) -> Files:
    """`count` films as JPEG and small JPEG, a third of them as DICOM."""
    files = Files([], [], [], [], [])
    for number in range(count):
        deep = film(number)
        grey = (deep >> 4).astype(np.uint8)
        files.jpegs.append(folder / f"{number}.jpg")
        data = encode_jpeg(grey)
        files.jpegs[-1].write_bytes(data)
        files.entries.append(Entry(str(number), files.jpegs[-1], hashlib.sha256(data).hexdigest()))
        placement = place(WIDTH, HEIGHT, PACKED)
        files.small.append(encode_jpeg(letterbox(fit(grey, placement, PACKED), placement, PACKED)))
        if number < max(2, count // 3):
            for paths, syntax in ((files.raw, ExplicitVRLittleEndian), (files.lossless, JPEGLosslessSV1)):
                paths.append(folder / f"{number}-{'raw' if paths is files.raw else 'lossless'}.dcm")
                paths[-1].write_bytes(dicom(deep, syntax))
    return files


def pack_ours(files: Files, folder: Path) -> np.ndarray:
    """As the stage does: read, checksum, decode, resize, letterbox, checksum, write."""
    block = pack_block(files.entries, SETTINGS)
    with ArrayFile(folder / "ours.npy", PACKED) as array:
        array.append(block.pixels)
    return block.pixels


def pack_pil(files: Files, folder: Path) -> np.ndarray:
    """The same through PIL."""
    squares = []
    placement = place(WIDTH, HEIGHT, PACKED)
    for path in files.jpegs:
        data = path.read_bytes()
        hashlib.sha256(data).hexdigest()
        inner = (round(WIDTH * placement.scale), round(HEIGHT * placement.scale))
        small = Image.open(io.BytesIO(data)).convert("L").resize(inner, Image.Resampling.BILINEAR)
        square = Image.new("L", (PACKED, PACKED))
        square.paste(small, (placement.offset_x, placement.offset_y))
        squares.append(np.asarray(square))
        hashlib.sha256(squares[-1].tobytes()).hexdigest()
    with ArrayFile(folder / "pil.npy", PACKED) as array:
        array.append(np.stack(squares))
    return np.stack(squares)


def ours_dicom(paths: list[Path]) -> list[np.ndarray]:
    """Read, decode, shrink and window, without checksums."""
    shown = []
    for path in paths:
        image = decode(path.read_bytes(), SETTINGS)
        placement = place(image.header.width, image.header.height, PACKED)
        assert image.tone is not None
        shown.append(image.tone.show(fit(image.pixels, placement, PACKED))[0])
    return shown


def pydicom_dicom(paths: list[Path], floats: bool) -> list[np.ndarray]:
    """Through pydicom's pixel_array: with floats and PIL as is usual, or windowed by its own functions after area."""
    shown = []
    placement = place(WIDTH, HEIGHT, PACKED)
    for path in paths:
        dataset = pydicom.dcmread(path)
        pixels = dataset.pixel_array
        if floats:
            slope, width = float(dataset.RescaleSlope), float(dataset.WindowWidth)
            low = float(dataset.WindowCenter) - width / 2 - float(dataset.RescaleIntercept)
            grey = 255 - np.clip((pixels.astype(np.float32) - low / slope) * (255 * slope / width), 0, 255)
            inner = (round(WIDTH * placement.scale), round(HEIGHT * placement.scale))
            image = Image.fromarray(grey.astype(np.uint8)).resize(inner, Image.Resampling.BILINEAR)
            shown.append(np.asarray(image))
        else:
            small = fit(pixels, placement, PACKED)
            values = apply_voi_lut(apply_modality_lut(small, dataset), dataset)
            shown.append(np.asarray(255 - values / 4095 * 255).astype(np.uint8))
    return shown


def v2_augmentation() -> Callable[[Any], Any]:
    return v2.Compose(
        [
            v2.RandomAffine(
                10, translate=(0.0625, 0.0625), scale=(0.8, 1.1), interpolation=v2.InterpolationMode.BILINEAR
            ),
            v2.RandomHorizontalFlip(),
            v2.RandomCrop(TRAINED),
            v2.ColorJitter(brightness=0.2, contrast=0.2),
            v2.PILToTensor(),
        ]
    )


def small_jpegs(files: Files, change: Callable[[Any], Any], mode: str) -> torch.Tensor:
    return torch.stack([change(Image.open(io.BytesIO(data)).convert(mode)) for data in files.small])


def full_jpegs(files: Files, change: Callable[[Any], Any]) -> torch.Tensor:
    shrink = v2.Resize((PACKED, PACKED), antialias=True)
    return torch.stack([change(shrink(Image.open(path).convert("RGB"))) for path in files.jpegs])


def write_pack(folder: Path, rows: int = 4096) -> tuple[PackedImages, list[str]]:
    """A pack of `rows` squares with grain."""
    rng = np.random.default_rng(0)
    folder.mkdir()
    names = [f"i{number}" for number in range(rows)]
    row = {
        "shard": 0,
        "frames": 1,
        "width": 1,
        "height": 1,
        "scale": 1.0,
        "offset_x": 0.0,
        "offset_y": 0.0,
        "sha256": "",
    }
    write_table(
        INDEX.frame([{"image_id": name, "row": at, **row} for at, name in enumerate(names)]),
        folder / "index.parquet",
        INDEX,
    )
    with ArrayFile(folder / array_name(0), PACKED) as array:
        for _ in range(0, rows, BATCH):
            array.append(rng.integers(0, 256, (BATCH, PACKED, PACKED), dtype=np.uint8))
    return PackedImages([folder]), names


def read_packed(packs: PackedImages, names: list[str], hashes: UInts, epoch: int) -> np.ndarray:
    """A batch at random places: gathered in order, augmented, uint8."""
    chosen = np.random.default_rng(epoch).choice(len(names), BATCH, replace=False)
    ids = [names[number] for number in chosen]
    rounds = np.full(BATCH, epoch)
    return augment(packs.read(ids), CHANGES, TRAINED, 0, hashes[chosen], rounds, packs.order(ids))


def anonymous_mib() -> float:
    """Memory of this process that is not of mapped files."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("RssAnon"):
            return int(line.split()[1]) / 1024
    return 0.0


def measure(files: Files, folder: Path, rounds: int) -> dict[str, Any]:
    """Images a second of each way, the error of packing, and the growth of memory."""
    packs, names = write_pack(folder / "pack")
    hashes, change = id_hashes(names), v2_augmentation()
    ways: dict[str, tuple[Callable[[int], Any], int]] = {
        "read packed": (lambda number: read_packed(packs, names, hashes, number), BATCH),
        "256-px JPEG + torchvision v2": (lambda _: small_jpegs(files, change, "RGB"), len(files.small)),
        "the same in grey": (lambda _: small_jpegs(files, change, "L"), len(files.small)),
        "full JPEG + torchvision v2": (lambda _: full_jpegs(files, change), len(files.jpegs)),
        "pack JPEG": (lambda _: pack_ours(files, folder), len(files.jpegs)),
        "the same through PIL": (lambda _: pack_pil(files, folder), len(files.jpegs)),
        "raw DICOM": (lambda _: ours_dicom(files.raw), len(files.raw)),
        "pydicom + float + PIL": (lambda _: pydicom_dicom(files.raw, True), len(files.raw)),
        "JPEG-lossless DICOM": (lambda _: ours_dicom(files.lossless), len(files.lossless)),
        "pydicom's default": (lambda _: pydicom_dicom(files.lossless, False), len(files.lossless)),
    }
    best = dict.fromkeys(ways, float("inf"))
    memory = 0.0
    for number in range(rounds + 1):
        for name, (run, count) in ways.items():
            repeat = 8 if name == "read packed" else 1
            start = time.process_time()
            for part in range(repeat):
                run(number * repeat + part)
            if number:  # the first round warms up
                best[name] = min(best[name], (time.process_time() - start) / count / repeat)
        memory = memory or anonymous_mib()
    placement = place(WIDTH, HEIGHT, PACKED)
    exact = [
        letterbox(fit(simplejpeg.decode_jpeg(path.read_bytes(), "GRAY")[..., 0], placement, PACKED), placement, PACKED)
        for path in files.jpegs
    ]
    rates = {name: 1 / seconds for name, seconds in best.items()}
    same = np.stack(ours_dicom(files.lossless)).astype(int) - np.stack(pydicom_dicom(files.lossless, False))
    return {
        "rates": rates,
        "ratios": {name: rates[name.split(" / ")[0]] / rates[name.split(" / ")[1]] for name in REQUIRED},
        "error": float(np.abs(pack_ours(files, folder).astype(int) - np.stack(exact)).mean()),
        "lossless_difference": int(np.abs(same).max()),
        "growth_mib": anonymous_mib() - memory,
        "jpeg_mb": float(np.mean([path.stat().st_size for path in files.jpegs])) / 1e6,
    }


def show(found: dict[str, Any]) -> None:
    for name, rate in found["rates"].items():
        print(f"{name:32} {rate:10,.1f} images/s of one core")
    for name, ratio in found["ratios"].items():
        print(f"{name:48} {ratio:7.1f} x (at least {REQUIRED[name]:g})")
    print(f"mean error of packed JPEG: {found['error']:.3f} grey levels (at most {LARGEST_ERROR:g})")
    print(f"memory grew by {found['growth_mib']:.1f} MiB over the rounds (at most {LARGEST_GROWTH:g})")
    low, high = NEED
    rate = found["rates"]["read packed"]
    print(f"2 x A100 need {low:,} to {high:,} images/s for the image tower alone (an estimate from published rates):")
    print(
        f"{low / rate:.2f} to {high / rate:.2f} cores read packed images for them; full JPEGs with torchvision would "
        f"take {low / found['rates']['full JPEG + torchvision v2']:.0f} to "
        f"{high / found['rates']['full JPEG + torchvision v2']:.0f} cores"
    )


def failures(found: dict[str, Any], idle: bool) -> list[str]:
    failed = [name for name, least in REQUIRED.items() if found["ratios"][name] < least]
    failed += ["error"] * (found["error"] > LARGEST_ERROR) + ["memory"] * (found["growth_mib"] > LARGEST_GROWTH)
    failed += ["lossless DICOM differs from pydicom's"] * (found["lossless_difference"] > 1)
    return failed + ["rate of reading"] * (idle and found["rates"]["read packed"] < REQUIRED_RATE)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--films", type=int, default=12)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--idle", action="store_true")
    given = parser.parse_args()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        found = measure(make_files(folder, given.films), folder, given.rounds)
    show(found)
    if given.json:
        write_json(found, given.json)
    failed = failures(found, given.idle)
    if given.check and failed:
        raise SystemExit(f"not reached: {json.dumps(failed)}")


if __name__ == "__main__":
    main()
