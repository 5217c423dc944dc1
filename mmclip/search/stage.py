"""Search: images by a sentence, on one page for the benchmark's sentences, and one by one for any other."""

from __future__ import annotations

import base64
import hashlib
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from mmclip.config.report import SearchSettings
from mmclip.data.packed import PackedImages
from mmclip.data.thumbnail import data_uri, read_pictures
from mmclip.errors import UserError
from mmclip.languages import LANGUAGES
from mmclip.models.dual_encoder import DualEncoder
from mmclip.search.nearest import Embeddings, nearest
from mmclip.tables.benchmark import Benchmark, Sample, read_benchmark
from mmclip.tables.card import read_card
from mmclip.tables.files import write_text

log = logging.getLogger("mmclip.search")

TEMPLATES = Path(__file__).parent / "templates"


def search(
    settings: SearchSettings, model: Path, packs: Sequence[Path], ingest: Sequence[Path], benchmark: Path, output: Path
) -> dict[str, Any]:
    """Write a page on which one picks a language and a sentence and sees the nearest test images.

    The answers are computed here, for the benchmark's prompts in every language; the page needs no model, no server
    and no network. Of a restricted data set nothing is shown: the page then only says so.

    Args:
        model: folder of a dual encoder.
        packs, ingest: folders of the packed and of the ingested data sets, with the same names.
        benchmark: the benchmark of the test split.
        output: the HTML page.

    Returns:
        a summary: images searched, images shown, sentences, languages.

    Raises:
        UserError: the benchmark's data set is not among the packs.
    """
    tested = read_benchmark(benchmark)
    pack = {folder.name: folder for folder in packs}.get(tested.dataset)
    folder = {one.name: one for one in ingest}.get(tested.dataset)
    if pack is None or folder is None:
        raise UserError(f"{benchmark}: its data set {tested.dataset!r} is not among --packs and --ingest; add it")
    card = read_card(folder / "card.json")
    if card.share == "public":
        data = _answers(settings, DualEncoder.from_pretrained(model), PackedImages([pack]), folder, tested)
    else:
        data = {"languages": [], "classes": [], "queries": [], "images": [], "searched": 0}
    write_text(_page(settings, tested, card.note, data), output)
    summary = {
        "searched": data["searched"],
        "shown": len(data["images"]),
        "sentences": sum(len(query["texts"]) for query in data["queries"]),
        "languages": len(data["languages"]),
    }
    log.info("search: %s", ", ".join(f"{name} {value}" for name, value in summary.items()))
    return summary


def search_query(model: Path, pack: Path, query: str, k: int) -> list[tuple[str, float]]:
    """The `k` images of a pack nearest to a sentence in any language: (image id, cosine), the nearest first.

    Raises:
        UserError: the query is empty, or there is no such model or pack.
    """
    if not query.strip():
        raise UserError("--query: it is empty; give a sentence")
    images = PackedImages([pack])
    ids, encoder = images.ids(), DualEncoder.from_pretrained(model)
    if not ids:
        return []
    places, cosines = nearest(encoder.encode_text([query]).numpy(), _embed(encoder, images, ids), k)
    return [(ids[place], float(cosine)) for place, cosine in zip(places[0], cosines[0], strict=True)]


def _embed(encoder: DualEncoder, images: PackedImages, ids: Sequence[str], block: int = 512) -> Embeddings:
    """[N, D] embeddings of images, read block by block."""
    blocks = (ids[start : start + block] for start in range(0, len(ids), block))
    return np.concatenate([encoder.encode_image(np.stack(images.read(part))).numpy() for part in blocks])


def _answers(
    settings: SearchSettings, encoder: DualEncoder, images: PackedImages, ingested: Path, tested: Benchmark
) -> dict[str, Any]:
    """What the page's script shows: languages, sentences with their hits, and the pictures that any of them needs."""
    samples = [sample for sample in tested.samples if sample.image_id in images]
    if not samples:
        raise UserError(f"{tested.dataset}: none of the benchmark's images is in the pack; pack the data set again")
    languages = [code for code in LANGUAGES if code in tested.prompts]
    asked = [
        (number, place, code)
        for number, name in enumerate(tested.classes)
        for place in range(max(len(tested.prompts[code][name]) for code in languages))
        for code in languages
        if place < len(tested.prompts[code][name])
    ]
    texts = [tested.prompts[code][tested.classes[number]][place] for number, place, code in asked]
    vectors = _embed(encoder, images, [sample.image_id for sample in samples])
    hits, cosines = nearest(encoder.encode_text(texts).numpy(), vectors, settings.top)
    shown = {int(row): place for place, row in enumerate(dict.fromkeys(hits.ravel().tolist()))}
    queries: dict[tuple[int, int], dict[str, Any]] = {}
    for (number, place, code), text, rows, scores in zip(asked, texts, hits, cosines, strict=True):
        query = queries.setdefault((number, place), {"label": number, "texts": {}, "hits": {}})
        query["texts"][code] = text
        query["hits"][code] = [[shown[int(row)], round(float(s), 3)] for row, s in zip(rows, scores, strict=True)]
    return {
        "languages": [
            {"code": code, "name": (one := LANGUAGES[code]).name, "iso": one.iso, "direction": one.direction}
            for code in languages
        ],
        "classes": list(tested.classes),
        "queries": list(queries.values()),
        "images": _pictures(images, ingested, [samples[row] for row in shown], settings.thumbnail),
        "searched": len(samples),
    }


def _pictures(images: PackedImages, ingested: Path, samples: Sequence[Sample], edge: int) -> list[dict[str, Any]]:
    pixels = read_pictures(images, ingested, [sample.image_id for sample in samples])
    return [{"source": data_uri(one, edge), "label": sample.label} for sample, one in zip(samples, pixels, strict=True)]


def _page(settings: SearchSettings, tested: Benchmark, note: str, data: dict[str, Any]) -> str:
    """The page; its one script is named by its hash, so that the browser runs nothing else."""
    environment = Environment(loader=FileSystemLoader(TEMPLATES), autoescape=True, undefined=StrictUndefined)
    style, script = ((TEMPLATES / name).read_text(encoding="utf-8") for name in ("search.css", "search.js"))
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return environment.get_template("search.html.j2").render(
        settings=settings,
        benchmark=tested,
        note=note,
        data=data,
        style=Markup(style),
        script=Markup(script),
        digest=digest,
    )
