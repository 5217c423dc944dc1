"""Search: the nearest images by brute force, the page, and what it must not show."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from html import unescape
from pathlib import Path

import numpy as np
import pytest
import torch

from mmclip.config.models import ImageTower, ModelSettings, TextTower
from mmclip.config.report import SearchSettings
from mmclip.config.training import Tokenizer
from mmclip.errors import UserError
from mmclip.models.dual_encoder import DualEncoder
from mmclip.search.nearest import nearest
from mmclip.search.stage import search, search_query
from mmclip.tables.benchmark import Benchmark, Sample, write_benchmark
from mmclip.tables.card import Card
from mmclip.tables.files import write_json, write_table
from mmclip.tables.imaging import INDEX
from mmclip.training.tokenizer import train_tokenizer

PROMPTS = {
    "eng_Latn": {"Edema": ("There is edema.", "Vascular congestion."), "Fracture": ("A broken rib.",)},
    "arb_Arab": {"Edema": ("وذمة رئوية.",), "Fracture": ("كسر في الضلع.",)},
}
IMAGES = 14


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    texts = [text for by_class in PROMPTS.values() for group in by_class.values() for text in group]
    tokenizer = train_tokenizer(texts, Tokenizer(vocabulary=300))
    settings = ModelSettings(
        image=ImageTower(name="test_convnext", size=32), text=TextTower(kind="bag_of_words", width=16), projection=8
    )
    folder = tmp_path_factory.mktemp("model") / "model"
    DualEncoder.create(settings, tokenizer).save_pretrained(folder)
    return folder


def write_data(root: Path, share: str = "public", prompts: dict[str, dict[str, tuple[str, ...]]] = PROMPTS) -> Path:
    """pack/set and ingest/set below `root`, and the benchmark, which holds all but the first two images."""
    folder = root / "pack" / "set"
    folder.mkdir(parents=True)
    pixels = np.random.default_rng(0).integers(0, 256, (IMAGES, 40, 40), dtype=np.uint8)
    np.save(folder / "pixels-00000.npy", pixels, allow_pickle=False)
    shape: dict[str, object] = {"shard": 0, "frames": 1, "width": 40, "height": 40, "scale": 1.0}
    shape |= {"offset_x": 0.0, "offset_y": 0.0, "sha256": ""}
    rows = [{"image_id": f"secret{number:02d}", "row": number, **shape} for number in range(IMAGES)]
    write_table(INDEX.frame(rows), folder / "index.parquet", INDEX)
    card = Card(
        name="set", kind="table", version="", note="simulated, not clinical", licence="", share=share,
        settings={}, sources={}, files={}, counts={},
    )  # fmt: skip
    write_json(card.model_dump(), root / "ingest" / "set" / "card.json")
    samples = [
        Sample(image_id=f"secret{n:02d}", study_id=f"s{n}", patient_id=f"p{n}", label=None if n % 3 == 2 else n % 3)
        for n in range(2, IMAGES)
    ]
    benchmark = Benchmark(
        dataset="set", split="test", test_text="phrasebook", classes=("Edema", "Fracture"), samples=tuple(samples),
        prompts=prompts,
    )  # fmt: skip
    write_benchmark(benchmark, root / "test.json")
    return root


def page_of(model: Path, root: Path, top: int = 5) -> str:
    search(
        SearchSettings(top=top), model, [root / "pack/set"], [root / "ingest/set"], root / "test.json", root / "s.html"
    )
    return (root / "s.html").read_text(encoding="utf-8")


def data_of(page: str) -> dict:  # type: ignore[type-arg]
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL)
    assert found
    return json.loads(found.group(1))  # type: ignore[no-any-return]


def test_nearest_by_brute_force() -> None:
    rng = np.random.default_rng(3)
    sentences, images = rng.normal(size=(4, 6)).astype(np.float32), rng.normal(size=(9, 6)).astype(np.float32)
    images[5] = images[2]
    places, cosines = nearest(sentences, images, 7)
    for q in range(4):
        scores = [float(sentences[q] @ image) for image in images]
        wanted = sorted(range(9), key=lambda i: (-scores[i], i))[:7]
        assert places[q].tolist() == wanted
        np.testing.assert_allclose(cosines[q], [scores[i] for i in wanted], rtol=1e-5)
    assert nearest(sentences, images, 99)[0].shape == (4, 9)


def test_the_page_holds_each_sentences_nearest_images(model: Path, tmp_path: Path) -> None:
    root = write_data(tmp_path)
    data = data_of(page_of(model, root))
    encoder = DualEncoder.from_pretrained(model)
    pixels = np.load(root / "pack/set/pixels-00000.npy")[2:]
    vectors = encoder.encode_image(pixels).numpy()
    assert data["searched"] == 12
    assert [language["code"] for language in data["languages"]] == ["eng_Latn", "arb_Arab"]
    assert [(query["label"], sorted(query["texts"])) for query in data["queries"]] == [
        (0, ["arb_Arab", "eng_Latn"]), (0, ["eng_Latn"]), (1, ["arb_Arab", "eng_Latn"]),
    ]  # fmt: skip
    for query in data["queries"]:
        for code, text in query["texts"].items():
            scores = vectors @ encoder.encode_text([text]).numpy()[0]
            order = np.argsort(-scores, kind="stable")[:5]
            hits = query["hits"][code]
            assert [cosine for _, cosine in hits] == pytest.approx(scores[order].tolist(), abs=6e-4)
            labels = [None if (n + 2) % 3 == 2 else (n + 2) % 3 for n in order]
            assert [data["images"][place]["label"] for place, _ in hits] == labels


def test_the_browser_runs_the_pages_own_script_only(model: Path, tmp_path: Path) -> None:
    page = page_of(model, write_data(tmp_path))
    script = re.findall(r"<script>(.*?)</script>", page, re.DOTALL)
    assert len(script) == 1
    digest = base64.b64encode(hashlib.sha256(script[0].encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in unescape(page)
    assert "secret" not in page and not re.search(r"https?://", page)


def test_a_prompt_cannot_end_the_script(model: Path, tmp_path: Path) -> None:
    evil = "</script><script>alert(1)</script>"
    page = page_of(model, write_data(tmp_path, prompts={"eng_Latn": {"Edema": (evil,), "Fracture": ("x",)}}))
    assert "<script>alert" not in page
    assert data_of(page)["queries"][0]["texts"]["eng_Latn"] == evil


def test_nothing_of_a_restricted_data_set_is_shown(model: Path, tmp_path: Path) -> None:
    page = page_of(model, write_data(tmp_path, share="restricted"))
    assert "data:image" not in page and "<script" not in page and "secret" not in page
    assert "set is restricted: none of its images may be shown" in page


def test_a_query_finds_its_images(model: Path, tmp_path: Path) -> None:
    root = write_data(tmp_path)
    found = search_query(model, root / "pack/set", "There is edema.", 3)
    encoder = DualEncoder.from_pretrained(model)
    scores = (
        encoder.encode_image(np.load(root / "pack/set/pixels-00000.npy")).numpy()
        @ encoder.encode_text(["There is edema."])[0].numpy()
    )
    order = np.argsort(-scores, kind="stable")[:3]
    assert [name for name, _ in found] == [f"secret{number:02d}" for number in order]
    assert [score for _, score in found] == pytest.approx(scores[order].tolist(), abs=1e-5)
    with pytest.raises(UserError, match="it is empty"):
        search_query(model, root / "pack/set", "  ", 3)


def test_a_benchmark_of_another_data_set_is_refused(model: Path, tmp_path: Path) -> None:
    root = write_data(tmp_path)
    with pytest.raises(UserError, match="'set' is not among --packs"):
        search(SearchSettings(), model, [], [root / "ingest/set"], root / "test.json", root / "s.html")
    assert not (root / "s.html").exists()
