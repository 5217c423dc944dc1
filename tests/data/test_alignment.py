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
from mmclip.data.sampler import Mixture, choose_languages, choose_sentences, language_weights
from mmclip.errors import UserError
from mmclip.observations import OBSERVATIONS
from mmclip.tables.labeling import TARGETS
from mmclip.training.tokenizer import sample_sentences, train_tokenizer
from tests.data.given_texts import GivenTexts

LANGUAGES = ("eng_Latn", "deu_Latn")
STUDIES = 30
STUDIES_TABLE = pl.DataFrame(
    [{"study_id": f"s{study:02d}", "source": "one" if study < 10 else "two"} for study in range(STUDIES)]
)


class Packs(PackedImages):
    """Two data sets in memory: the image of study n is flat at grey level n, and so are its others n + 100, n + 200."""

    def __init__(self) -> None:
        self.datasets = ("one", "two")

    def __contains__(self, image_id: str) -> bool:
        return True

    def known(self, images: pl.DataFrame) -> pl.DataFrame:
        return images

    def dataset_of(self, image_id: str) -> str:
        return "one" if int(image_id[1:]) % 100 < 10 else "two"

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
    limit: int = options.pop("max_tokens", 64)
    more: dict[int, int] = options.pop("more", {})  # study -> how many further images
    silent: set[int] = options.pop("silent", {7})  # studies without a text
    unseen: set[int] = options.pop("unseen", set())  # and without an image
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
            if (language, study % 3) != ("deu_Latn", 0) and study not in silent
        ]
    )
    images = pl.DataFrame(
        [
            {"image_id": f"i{study + 100 * number}", "study_id": f"s{study:02d}"}
            for number in range(3)
            for study in reversed(range(STUDIES))
            if number <= more.get(study, 0) and study not in unseen
        ]
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
    given = GivenTexts(texts, LANGUAGES)
    tokenizer = train_tokenizer(sample_sentences(given, 1000), Tokenizer(vocabulary=300))
    corpus = Corpus.build(given, tokenizer, limit, targets)
    return AlignmentBatches(data, ImageTower(size=16), Packs(), images, corpus, targets, STUDIES_TABLE, **options)


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
    more = {4: 2, 20: 1, 21: 2}
    shuffled = make(data=DataSettings(shuffle_pairs=True), decoupled=False, more=more, batch_size=29)
    told: dict[str, set[str]] = {}
    for step in range(20):
        batch = shuffled(step)
        assert torch.equal(batch.image_study, batch.text_study), "the texts fit what is told of the image"
        told_of = [name[1:3] for name in batch.text_ids]
        assert sorted(told_of) == [f"{study:02d}" for study in range(STUDIES) if study != 7]
        for name, other, target in zip(batch.image_ids, told_of, batch.image_targets, strict=True):
            own = f"{int(name[1:]) % 100:02d}"
            told.setdefault(own, set()).add(other)
            assert target[1:4].max() == (9 if other == "05" else int(other) + 1), "i5 has labels of its own"
    assert all(len(others) == 1 for others in told.values()), "always the same wrong one"
    assert np.mean([others != {own} for own, others in told.items()]) > 0.8


def test_data_set_weights() -> None:
    batches = make(data=DataSettings(image_weights={"one": 1.0}), batch_size=30)
    assert {int(name[1:]) for name in batches(0).image_ids} == set(range(10))
    with pytest.raises(UserError, match="no data set 'three'; there are one, two"):
        make(data=DataSettings(image_weights={"three": 1.0}))


@pytest.mark.parametrize("decoupled", [True, False])
def test_an_epoch_counts_the_studies_that_are_drawn(decoupled: bool) -> None:
    """And as many steps for an objective that cannot use all of them."""
    silent, unlabelled = set(range(5)), set(range(20, 24))
    assert make(decoupled=decoupled, silent=silent, unlabelled=unlabelled, batch_size=5).steps_per_epoch == STUDIES / 5
    only = make(data=DataSettings(image_weights={"one": 2, "two": 0}), decoupled=decoupled, batch_size=5)
    assert only.steps_per_epoch == 2 and all(int(name[1:]) < 10 for name in only.images.ids)


def test_nothing_to_sample_is_an_error() -> None:
    corpus = make().corpus
    images = pl.DataFrame([{"image_id": f"i{study}", "study_id": f"z{study}"} for study in range(10, 30)])
    targets = TARGETS.frame([{"id": "q", "kind": "study", "vector": [0.0] * 14, "policy": "x"}])
    for decoupled, lack in ((True, "soft labels"), (False, "a text of their study")):
        with pytest.raises(UserError, match=f"none of 20 images has {lack}"):
            AlignmentBatches(
                *(DataSettings(), ImageTower(size=16), Packs(), images, corpus, targets, STUDIES_TABLE),
                batch_size=4,
                decoupled=decoupled,
                seed=0,
            )


MORE = {1: 2, 2: 1, 15: 2, 16: 2, 17: 1}


@pytest.mark.parametrize("decoupled", [True, False])
def test_one_image_a_study_draws_what_the_mixtures_draw(decoupled: bool) -> None:
    """Nothing of a draw is about views, data sets of texts or buckets where there is nothing to choose."""
    batches = make(decoupled=decoupled, seed=3)
    sizes = np.bincount(batches.images.dataset).tolist()
    counts = np.bincount(batches.corpus.language).tolist()
    weights = language_weights(counts, batches.data.alpha)
    for step in range(5):
        batch = batches(step)
        images = Mixture(sizes, sizes, 3, "images").take(8 * step, 8)[0]
        assert batch.image_ids == [batches.images.ids[image] for image in images]
        if decoupled:
            texts = Mixture(counts, weights.tolist(), 3, "texts").take(8 * step, 8)[0]
        else:
            options = batches.text_of[batches.images.study[images]]
            texts = options[np.arange(8), choose_languages(options >= 0, weights, 3, "language", step)]
        assert batch.text_study.tolist() == batches.corpus.study[texts].tolist()
        shown, _ = choose_sentences(batches.corpus.counts(texts), batches.data.text_mix, 3, "sentences", step)
        assert (batch.text_targets > 0).sum(dim=1).tolist() == shown.tolist()


@pytest.mark.parametrize("decoupled", [True, False])
def test_studies_with_several_images_do_not_weigh_more(decoupled: bool) -> None:
    batches = make(decoupled=decoupled, more=MORE, batch_size=15, silent=set())
    assert batches.steps_per_epoch == 2 and len(batches.images) == STUDIES + sum(MORE.values())
    seen = Counter[str]()
    for epoch in range(30):
        names = [name for step in (2 * epoch, 2 * epoch + 1) for name in batches(step).image_ids]
        assert sorted(int(name[1:]) % 100 for name in names) == list(range(STUDIES)), "each study once an epoch"
        seen.update(names)
    assert set(seen) == set(batches.images.ids), "and in the end every image"
    again = make(decoupled=decoupled, more=MORE, batch_size=15, silent=set())
    assert_same(again(41), batches(41))


def test_an_image_keeps_its_own_labels_among_others_of_its_study() -> None:
    batches = make(more={5: 2}, batch_size=30)
    found: dict[str, set[float]] = {}
    for step in range(20):
        batch = batches(step)
        for name, target in zip(batch.image_ids, batch.image_targets[:, 1:4].max(dim=1).values, strict=True):
            found.setdefault(name, set()).add(float(target))
    assert found["i5"] == {9.0} and found["i105"] == found["i205"] == {6.0}


def test_pairs_images_alone_and_texts_alone_mix_by_their_weights() -> None:
    """Of data set one only images, of two only texts are left; drawn apart, both are used, each side by its weight."""
    kinds = {"silent": set(range(10)), "unseen": set(range(10, 30))}
    batch = make(batch_size=30, **kinds)(0)
    assert {int(name[1:]) for name in batch.image_ids} == set(range(10))
    assert {int(name[1:3]) for name in batch.text_ids} <= set(range(10, 30))
    data = DataSettings(image_weights={"one": 3, "two": 1}, text_weights={"one": 1, "two": 4})
    mixed = make(data=data, batch_size=30)
    batches = [mixed(step) for step in range(40)]
    images = [int(name[1:]) < 10 for batch in batches for name in batch.image_ids]
    texts = [int(name[1:3]) < 10 for batch in batches for name in batch.text_ids]
    assert abs(np.mean(images) - 0.75) < 0.02 and abs(np.mean(texts) - 0.2) < 0.02
    with pytest.raises(UserError, match=r"data\.text_weights: pairs have the texts of their images"):
        make(data=data, decoupled=False)


def rows_of(batch: Batch) -> list[tuple[str, tuple[int, ...], tuple[float, ...]]]:
    """Each text with its tokens and its labels."""
    return [
        (name, tuple(ids[mask.bool()].tolist()), tuple(target.tolist()))
        for name, ids, mask, target in zip(
            batch.text_ids, batch.input_ids, batch.attention_mask, batch.text_targets, strict=True
        )
    ]


@pytest.mark.parametrize("decoupled", [True, False])
@pytest.mark.parametrize("many", [1, 3])
def test_length_buckets_deal_out_the_same_samples(decoupled: bool, many: int) -> None:
    plain, dealt = (
        make(decoupled=decoupled, data=DataSettings(length_buckets=number, texts_per_image=many)) for number in (1, 4)
    )
    padded = [0, 0]
    for window in range(6):
        one, two = ([batches(4 * window + place) for place in range(4)] for batches in (plain, dealt))
        for side, batches in enumerate((one, two)):
            padded[side] += sum(int((batch.attention_mask == 0).sum()) for batch in batches)
        assert sorted(row for batch in one for row in rows_of(batch)) == sorted(
            row for batch in two for row in rows_of(batch)
        )
        if decoupled:
            assert [batch.image_ids for batch in one] == [batch.image_ids for batch in two]
        else:
            assert sorted(name for batch in one for name in batch.image_ids) == sorted(
                name for batch in two for name in batch.image_ids
            )
            for batch in two:
                assert torch.equal(batch.text_study, batch.image_study.repeat_interleave(many))
    assert padded[1] < padded[0] * (0.6 if decoupled or many == 1 else 1.0)


def test_buckets_do_not_depend_on_ranks_threads_or_where_a_run_began() -> None:
    data = DataSettings(length_buckets=3)
    whole, late = make(data=data), make(data=data)
    assert_same(late(7), whole(7))
    for one, two in zip(prefetch(whole, 0, 9, 0), prefetch(make(data=data), 0, 9, 3), strict=True):
        assert_same(one, two)
    parts = [make(data=data, rank=rank, ranks=2)(4) for rank in range(2)]
    assert [row for part in parts for row in rows_of(part)] == rows_of(whole(4))
    assert torch.equal(torch.cat([part.pixels for part in parts]), whole(4).pixels)
