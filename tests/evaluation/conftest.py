"""A simulated data set, really ingested and packed; its benchmarks; a tiny model."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from mmclip.config.evaluation import EvaluateSettings, PhantomBenchmark
from mmclip.config.imaging import PackSettings
from mmclip.config.ingest import PhantomSource, SplitShares
from mmclip.config.models import ImageTower, ModelSettings, TextTower
from mmclip.config.training import Tokenizer
from mmclip.evaluation.benchmark import phantom_benchmark
from mmclip.imaging.stage import pack
from mmclip.ingest.stage import ingest
from mmclip.models.dual_encoder import DualEncoder
from mmclip.phantom import phrasebook
from mmclip.training.tokenizer import train_tokenizer
from tests.evaluation.small_phantom import LANGUAGES, Phantom


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """Models this small only wait for a second thread."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def phantom(tmp_path_factory: pytest.TempPathFactory) -> Phantom:
    root = tmp_path_factory.mktemp("phantom")
    source = PhantomSource(n=60, size=64, splits=SplitShares(train=0.4, val=0.3, test=0.3))
    ingest("phantom", source, root / "ingested")
    pack(PackSettings(size=32), root / "ingested" / "images.parquet", root / "pack")
    made = {
        split: phantom_benchmark(PhantomBenchmark(), "phantom", root / "ingested", split, LANGUAGES)
        for split in ("train", "val", "test")
    }
    return Phantom(root / "ingested", root / "pack", made)


@pytest.fixture(scope="session")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dual encoder with fresh weights, saved."""
    sentences = [sentence for code in LANGUAGES for sentence in phrasebook.prompts(code, "Edema")]
    torch.manual_seed(0)
    settings = ModelSettings(
        image=ImageTower(name="test_convnext", size=32),
        text=TextTower(kind="scratch", layers=1, width=16, heads=2, feedforward=32, max_tokens=32),
        projection=8,
    )
    folder = tmp_path_factory.mktemp("model") / "model"
    DualEncoder.create(settings, train_tokenizer(sentences, Tokenizer(vocabulary=300))).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def settings() -> EvaluateSettings:
    return EvaluateSettings(
        benchmarks={"phantom": PhantomBenchmark()},
        resamples=20,
        tune_epochs=1,
        batch_size=16,
        probe_fractions=(0.5, 1.0),
    )
