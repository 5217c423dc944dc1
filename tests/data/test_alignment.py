"""Batches of alignment: pairs are pairs, decoupled labels are the sampled texts', ranks and threads change nothing."""

from __future__ import annotations

from collections import Counter
from dataclasses import fields
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
from torch import Tensor

from mmclip.config.models import ImageTower
from mmclip.config.training import DataSettings, TextMix, Tokenizer
from mmclip.data.alignment import AlignmentBatches
from mmclip.data.batch import Batch
from mmclip.data.corpus import Corpus
from mmclip.data.packed import PackedImages
from mmclip.data.prefetch import prefetch
from mmclip.errors import UserError
from mmclip.observations import OBSERVATIONS
from mmclip.tables.labeling import TARGETS
from mmclip.training.tokenizer import train_tokenizer

LANGUAGES = ("eng_Latn", "deu_Latn")
STUDIES = 30


class Packs(PackedImages):
    """Two data sets in memory: the image of study n is flat at grey level n."""

    def __init__(self) -> None:
        self.datasets = ("one", "two")

    def __contains__(self, image_id: str) -> bool:
        return True

    def known(self, images: pl.DataFrame) -> pl.DataFrame:
        return images

    def dataset_of(self, image_id: str) -> str:
        return "one" if int(image_id[1:]) < 10 else "two"

    def read(self, image_ids: Any) -> list[np.ndarray]:
        return [np.full((16, 16), int(name[1:]), np.uint8) for name in image_ids]

    def order(self, image_ids: Any) -> list[int]:
        return list(range(len(image_ids)))[::-1]


def sentence(study: int, index: int, language: str) -> str:
    return f"{language[:3]} {chr(97 + study)} {'xyz'[index]}."


def label(study: int, index: int) -> list[float]:
    """Every sentence has an entry of its own, so that labels tell which sentences a text holds."""
    out = [0.0] * len(OBSERVATIONS)
    out[1 + index] = study + 1.0
    return out


def make(**changes: Any) -> AlignmentBatches:
    options = {"decoupled": True, "batch_size": 8, "seed": 0, "rank": 0, "ranks": 1} | changes
    data = options.pop("data", DataSettings(text_mix=TextMix(one=1, several=1, all=1)))
    unlabelled: set[int] = options.pop("unlabelled", set())
    texts = pl.DataFrame(
        [
            {
                "study_id": f"s{study:02d}",
                "language": language,
                "sentences": [sentence(study, index, language) for index in range(3)],
                "indices": [0, 1, 2],
            }
            for language in LANGUAGES
            for study in range(STUDIES)
            if (language, study % 3) != ("deu_Latn", 0) and study != 7
        ],
        schema_overrides={"indices": pl.List(pl.Int32)},
    )
    images = pl.DataFrame(
        [{"image_id": f"i{study}", "study_id": f"s{study:02d}"} for study in reversed(range(STUDIES))]
    )
    rows: list[dict[str, object]] = []
    for study in range(STUDIES):
        rows += [
            {"id": f"s{study:02d}/{index}", "kind": "sentence", "vector": label(study, index), "policy": "x"}
            for index in range(3)
        ]
        if study not in unlabelled:
            whole = np.max([label(study, index) for index in range(3)], axis=0).tolist()
            rows.append({"id": f"s{study:02d}", "kind": "study", "vector": whole, "policy": "x"})
    rows.append({"id": "i5", "kind": "image", "vector": [9.0] * len(OBSERVATIONS), "policy": "x"})
    targets = TARGETS.frame(rows)
    corpus = Corpus.build(texts, LANGUAGES, train_tokenizer(texts, Tokenizer(vocabulary=300)), 64, targets)
    return AlignmentBatches(data, ImageTower(size=16), Packs(), images, corpus, targets, **options)


def assert_same(one: Batch, two: Batch) -> None:
    for field in fields(Batch):
        a, b = getattr(one, field.name), getattr(two, field.name)
        assert torch.equal(a, b) if isinstance(a, Tensor) else a == b, field.name


@pytest.mark.parametrize("decoupled", [True, False])
def test_text_labels_follow_the_sampled_sentences(decoupled: bool) -> None:
    batches = make(decoupled=decoupled)
    seen = Counter[int]()
    for step in range(20):
        batch = batches(step)
        for row, name in enumerate(batch.text_ids):
            study, language = int(name[1:3]), name.split("/")[1]
            shown = [index for index in range(3) if batch.text_targets[row, 1 + index]]
            seen[len(shown)] += 1
            assert batch.text_targets[row, 1:4].max() == study + 1 and batch.text_targets[row].sum() == (
                study + 1
            ) * len(shown)
            alone = [batches.corpus.sentence[place] for place in _places(batches.corpus, study, language)]
            ids = [int(batches.corpus.frame_ids[0])]
            for index in shown:
                number = alone[index]
                ids += batches.corpus.tokens[
                    batches.corpus.token_first[number] : batches.corpus.token_first[number + 1]
                ].tolist()
            ids.append(int(batches.corpus.frame_ids[1]))
            assert batch.input_ids[row, : len(ids)].tolist() == ids and batch.attention_mask[row].sum() == len(ids)
            assert batch.languages[row] == language
    assert set(seen) == {1, 2, 3}


def _places(corpus: Corpus, study: int, language: str) -> range:
    number = corpus.studies.index(f"s{study:02d}")
    text = np.flatnonzero((corpus.study == number) & (corpus.language == LANGUAGES.index(language)))[0]
    return range(corpus.first[text], corpus.first[text + 1])


def test_paired_batches_are_true_pairs_in_any_language() -> None:
    batches = make(decoupled=False)
    languages = Counter[str]()
    for step in range(12):
        batch = batches(step)
        assert torch.equal(batch.image_study, batch.text_study)
        assert [name[1:3] for name in batch.text_ids] == [f"{int(name[1:]):02d}" for name in batch.image_ids]
        assert "i7" not in batch.image_ids, "its study has no text"
        languages.update(batch.languages)
    assert min(languages.values()) > 20


def test_decoupled_batches_use_every_labelled_image_and_every_text() -> None:
    batches = make(unlabelled={3})
    names, texts, pairs = set(), set(), 0
    for step in range(30):
        batch = batches(step)
        names.update(batch.image_ids)
        texts.update(batch.text_ids)
        pairs += int((batch.image_study == batch.text_study).sum())
    assert names == {f"i{study}" for study in range(STUDIES)} - {"i3"}
    assert len(texts) == len(batches.corpus)
    assert pairs < 40, "images and texts are drawn apart"


def test_an_images_own_labels_go_before_its_studys() -> None:
    batches = make()
    rows = {name: batches.images.targets[number] for number, name in enumerate(batches.images.ids)}
    assert rows["i5"].tolist() == [9.0] * 14 and rows["i6"][1:4].tolist() == [7.0] * 3


@pytest.mark.parametrize("decoupled", [True, False])
def test_batches_are_functions_of_the_step(decoupled: bool) -> None:
    one, two = make(decoupled=decoupled), make(decoupled=decoupled)
    two(11)
    for step in (5, 0, 7):
        assert_same(one(step), two(step))
    assert one(0).image_ids != make(decoupled=decoupled, seed=1)(0).image_ids


def test_threads_do_not_change_batches() -> None:
    batches = make()
    for one, two in zip(prefetch(batches, 0, 9, 0), prefetch(make(), 0, 9, 4), strict=True):
        assert_same(one, two)


@pytest.mark.parametrize("ranks", [2, 3])
@pytest.mark.parametrize("decoupled", [True, False])
def test_ranks_share_out_the_same_batch(ranks: int, decoupled: bool) -> None:
    whole = make(decoupled=decoupled)(4)
    parts = [make(decoupled=decoupled, rank=rank, ranks=ranks)(4) for rank in range(ranks)]
    for field in ("pixels", "image_targets", "text_targets", "image_study", "text_study"):
        assert torch.equal(torch.cat([getattr(part, field) for part in parts]), getattr(whole, field))
    for name in ("image_ids", "text_ids", "languages"):
        assert [item for part in parts for item in getattr(part, name)] == getattr(whole, name)
    rows = [
        row[: int(mask.sum())].tolist()
        for part in parts
        for row, mask in zip(part.input_ids, part.attention_mask, strict=True)
    ]
    assert rows == [
        row[: int(mask.sum())].tolist() for row, mask in zip(whole.input_ids, whole.attention_mask, strict=True)
    ]


@pytest.mark.parametrize("decoupled", [True, False])
def test_several_texts_for_each_image(decoupled: bool) -> None:
    data = DataSettings(texts_per_image=3)
    batch = make(decoupled=decoupled, data=data)(2)
    assert len(batch.image_ids) == 8 and len(batch.text_ids) == len(batch.text_targets) == len(batch.input_ids) == 24
    if not decoupled:
        assert torch.equal(batch.text_study, batch.image_study.repeat_interleave(3))
    parts = [make(decoupled=decoupled, data=data, rank=rank, ranks=2)(2) for rank in range(2)]
    assert [name for part in parts for name in part.text_ids] == batch.text_ids
    assert torch.equal(torch.cat([part.text_targets for part in parts]), batch.text_targets)


def test_shuffled_pairs_are_wrong_pairs_with_all_images() -> None:
    true = dict(zip(make().images.ids, make().images.study.tolist(), strict=True))
    shuffled = make(data=DataSettings(shuffle_pairs=True), decoupled=False)
    moved = [true[name] != study for name, study in zip(shuffled.images.ids, shuffled.images.study, strict=True)]
    assert np.mean(moved) > 0.8 and sorted(shuffled.images.study) == sorted(set(true.values()) - {true["i7"]})


def test_data_set_weights() -> None:
    batches = make(data=DataSettings(image_weights={"one": 1.0}), batch_size=30)
    assert {int(name[1:]) for name in batches(0).image_ids} == set(range(10))
    with pytest.raises(UserError, match="no data set 'three'; there are one, two"):
        make(data=DataSettings(image_weights={"three": 1.0}))


def test_nothing_to_sample_is_an_error() -> None:
    corpus = make().corpus
    images = pl.DataFrame([{"image_id": f"i{study}", "study_id": f"z{study}"} for study in range(10, 30)])
    targets = TARGETS.frame([{"id": "q", "kind": "study", "vector": [0.0] * 14, "policy": "x"}])
    for decoupled, lack in ((True, "soft labels"), (False, "a text of their study")):
        with pytest.raises(UserError, match=f"none of 20 images has {lack}"):
            AlignmentBatches(
                *(DataSettings(), ImageTower(size=16), Packs(), images, corpus, targets),
                batch_size=4,
                decoupled=decoupled,
                seed=0,
            )
