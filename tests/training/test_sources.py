"""What training reads: which images it leaves out, and says so."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import get_args

import numpy as np
import pytest

from mmclip.config.training import DataSettings, TextMix, View
from mmclip.tables.files import write_table
from mmclip.tables.ingest import IMAGES, VIEWS
from mmclip.training.sources import cut_notes, cut_texts, read_images
from mmclip.training.stage import pretrain
from tests.data.test_alignment import make
from tests.training.conftest import LANGUAGES, SmallData, experiment


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    views = ["PA", "AP", "LATERAL", "FRONTAL", "UNKNOWN", "OTHER", "PA", "LATERAL"]
    rows = [
        {"image_id": f"i{number}", "study_id": f"s{number // 2}", "patient_id": "p", "path": "x", "view": view}
        | {"width": 9, "height": 9, "split": "val" if number > 5 else "train", "sha256": ""}
        for number, view in enumerate(views)
    ]
    write_table(IMAGES.frame(rows), tmp_path / "images.parquet", IMAGES)
    return tmp_path


def test_settings_know_the_views_of_the_tables() -> None:
    assert get_args(View) == VIEWS and set(DataSettings().views) == {*VIEWS} - {"LATERAL", "OTHER"}


def test_lateral_images_are_left_out_and_counted(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "mmclip.training")
    views = DataSettings().views
    assert read_images([folder], views, "train")["image_id"].to_list() == ["i0", "i1", "i3", "i4"]
    assert "2 of 6 images of split train are of views that data.views does not name" in caplog.text
    assert "left out: 1 LATERAL, 1 OTHER" in caplog.text
    caplog.clear()
    assert read_images([folder], ["LATERAL"])["image_id"].to_list() == ["i2", "i7"]
    assert "6 of 8 images are of views" in caplog.text and "2 PA" in caplog.text and "1 FRONTAL" in caplog.text
    caplog.clear()
    assert len(read_images([folder], VIEWS)) == 8 and not caplog.text


def test_the_languages_with_most_cut_texts_come_first() -> None:
    cut = {"eng_Latn": 0.0, "deu_Latn": 0.0312, "tam_Taml": 0.5}
    assert cut_notes(cut, 48) == "texts cut at 48 tokens: tam_Taml 50.0%, deu_Latn 3.1%"
    assert cut_notes({"eng_Latn": 0.0}, 256) == "texts cut at 256 tokens: none"


def test_the_share_of_cut_texts_is_of_what_the_mix_shows() -> None:
    shares = []
    for alone in (True, False):
        mix = TextMix(one=float(alone), several=0, all=float(not alone))
        corpus = make(data=DataSettings(text_mix=mix), max_tokens=10).corpus
        long: dict[str, list[bool]] = {code: [] for code in corpus.languages}
        for text in range(len(corpus)):
            numbers = corpus.sentence[corpus.first[text] : corpus.first[text + 1]]
            tokens = np.diff(corpus.token_first)[numbers]
            long[corpus.languages[corpus.language[text]]].append(
                bool((tokens.max() if alone else tokens.sum()) + 2 > 10)
            )
        shares.append(cut_texts(corpus, mix, 0))
        for code, share in shares[-1].items():
            exact = float(np.mean(long[code]))
            assert share <= exact if alone else share == exact
    assert max(shares[1].values()) > max(shares[0].values())


def test_training_says_which_languages_are_cut(
    small: SmallData, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "mmclip.training")
    settings = experiment(
        "align", model={"text": {"kind": "bag_of_words", "max_tokens": 12}}, optimisation={"steps": 1}
    )
    files = {"ingest": small.ingest, "packs": small.packs, "corpus": small.corpus, "targets": small.targets}
    pretrain(settings, **files, output=tmp_path / "out", checkpoints=tmp_path / "checkpoints")  # type: ignore[arg-type]
    cut = json.loads((tmp_path / "out" / "summary.json").read_text())["cut"]
    assert set(cut) == set(LANGUAGES) and 0 < max(cut.values()) <= 1
    line = cut_notes(cut, 12)
    assert line in caplog.text
    assert f"- {line}" in (tmp_path / "out" / "model" / "README.md").read_text()
