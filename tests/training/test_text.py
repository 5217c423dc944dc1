"""Language modelling: what is hidden, how translations are paired, what is reported."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import AutoModel, AutoModelForMaskedLM, AutoTokenizer

from mmclip.config.training import DataSettings, LanguageModelling, TextMix, Tokenizer
from mmclip.data.corpus import Corpus
from mmclip.data.masking import NOT_MASKED, MaskedBatches, mask_tokens
from mmclip.data.randomness import id_hashes
from mmclip.data.texts import SplitTexts, with_places
from mmclip.errors import UserError
from mmclip.models.dual_encoder import DualEncoder
from mmclip.training.sources import read_studies
from mmclip.training.text import LanguageModel, masked_language_model
from mmclip.training.text_alignment import (
    nearest_is_translation,
    parallel_sentences,
    sentence_features,
    translated_sentences,
)
from mmclip.training.text_stage import pretrain_text
from mmclip.training.tokenizer import SPECIAL, sample_sentences, train_tokenizer
from tests.data.given_texts import GivenTexts
from tests.training.conftest import LANGUAGES, SENTENCES, SmallData, experiment

SCRIPTS = {
    "eng_Latn": "No pleural effusion or pneumothorax.",
    "spa_Latn": "Índice cardiotorácico normal, sin derrame.",
    "fra_Latn": "Épanchement pleural gauche, œdème à l’hilum.",
    "deu_Latn": "Größe des Herzens: 15,5 cm; kein Ödem.",
    "ita_Latn": "Non c'è versamento; perché così?",
    "por_Latn": "Não há derrame pleural à direita.",
    "nld_Latn": "Geen pleuravocht, hart niet vergroot.",
    "pol_Latn": "Płyn w jamie opłucnowej, zagęszczenie w płacie.",
    "ces_Latn": "Srdeční stín je zvětšený, žádný výpotek.",
    "ron_Latn": "Fără revărsat pleural; țesuturi și oase normale.",
    "rus_Cyrl": "Плевральный выпот не выявлен, ё и й.",
    "ukr_Cyrl": "Плеврального випоту немає, її об’єм.",
    "tur_Latn": "Plevral sıvı yok; kalp büyük değil, İyi.",
    "arb_Arab": "لا يوجد انصباب جنبي، القلب متضخم.",
    "pes_Arab": "افیوژن پلورال دیده نمی‌شود؛ قلب بزرگ است.",
    "hin_Deva": "फुफ्फुस में कोई द्रव नहीं है।",
    "zho_Hans": "未见胸腔积液，心影增大（15.5 cm）。",
    "jpn_Jpan": "胸水はありません。心臓は「拡大」しています。",
    "kor_Hang": "흉막 삼출은 보이지 않습니다.",
    "vie_Latn": "Không có tràn dịch màng phổi, bóng tim to.",
    "ind_Latn": "Tidak ada efusi pleura; jantung membesar.",
}


def test_a_trained_tokenizer_keeps_every_script() -> None:
    tokenizer = train_tokenizer(list(SCRIPTS.values()), Tokenizer(vocabulary=600))
    for text in SCRIPTS.values():
        ids = tokenizer(text)["input_ids"]
        assert tokenizer.unk_token_id not in ids
        assert tokenizer.decode(ids, skip_special_tokens=True) == text
    assert tokenizer("a", "b")["input_ids"][0] == tokenizer.cls_token_id
    assert [tokenizer.convert_tokens_to_ids(name) for name in SPECIAL.values()] == [0, 1, 2, 3, 4]


def test_a_tokenizer_learns_from_the_same_sentences_of_texts_in_any_order() -> None:
    rows = [
        (f"s{study:02d}", code, [text, f"{text} {study % 9}"]) for study in range(30) for code, text in SCRIPTS.items()
    ]
    texts = pl.DataFrame(rows, schema=["study_id", "language", "sentences"], orient="row")
    texts = texts.with_columns(indices=pl.lit([0, 1]))
    chosen = sample_sentences(GivenTexts(texts, list(SCRIPTS)), 3 * len(SCRIPTS))
    other_way = GivenTexts(texts.reverse(), list(reversed(SCRIPTS)))
    assert chosen == sample_sentences(other_way, 3 * len(SCRIPTS))
    assert len(set(chosen)) == len(chosen) == 3 * len(SCRIPTS)
    for text in SCRIPTS.values():
        wordings = {text, *(f"{text} {number}" for number in range(9))}
        by_hash = sorted(wordings, key=lambda one: (int(id_hashes([one])[0]), one))
        assert [one for one in chosen if one in wordings] == by_hash[:3]
    few = sample_sentences(GivenTexts(texts, [*SCRIPTS, "xxx_Latn"]), 10**6)
    assert sorted(few) == sorted({text for _, _, both in rows for text in both}), (
        "a language without texts has no share"
    )


def test_a_saved_tokenizer_is_the_same(tmp_path: Path) -> None:
    tokenizer = train_tokenizer(list(SCRIPTS.values()), Tokenizer(vocabulary=600))
    tokenizer.save_pretrained(tmp_path)
    loaded = AutoTokenizer.from_pretrained(tmp_path)
    for text in SCRIPTS.values():
        assert loaded(text)["input_ids"] == tokenizer(text)["input_ids"]


def test_a_vocabulary_below_the_alphabet_is_refused() -> None:
    characters = "".join(chr(number) for number in range(0x4E00, 0x4E00 + 900))
    with pytest.raises(UserError, match=r"tokenizer\.vocabulary: 300 does not fit"):
        train_tokenizer([characters], Tokenizer(vocabulary=300))


@given(seed=st.integers(0, 1000), share=st.floats(0.01, 0.9))
def test_masks_never_touch_specials(seed: int, share: float) -> None:
    random = np.random.default_rng(seed)
    ids = random.integers(0, 30, (6, 15))
    hidden, labels = mask_tokens(ids, (0, 1, 2), share, 4, np.arange(5, 30), random)
    special = np.isin(ids, (0, 1, 2))
    assert (hidden[special] == ids[special]).all() and (labels[special] == NOT_MASKED).all()
    chosen = labels != NOT_MASKED
    assert (labels[chosen] == ids[chosen]).all()
    assert (hidden[~chosen] == ids[~chosen]).all()
    assert not np.isin(hidden[chosen & (hidden != ids)], (0, 1, 2, 3)).any()


def test_masks_are_eighty_ten_ten() -> None:
    ids = np.full((400, 500), 7)
    hidden, labels = mask_tokens(ids, (0,), 0.15, 4, np.arange(1000, 2000), np.random.default_rng(0))
    chosen = labels != NOT_MASKED
    assert chosen.mean() == pytest.approx(0.15, abs=0.003)
    shares = [(hidden[chosen] == 4).mean(), (hidden[chosen] >= 1000).mean(), (hidden[chosen] == 7).mean()]
    np.testing.assert_allclose(shares, [0.8, 0.1, 0.1], atol=0.01)
    assert len(np.unique(hidden[hidden >= 1000])) > 800


def batches(small: SmallData, **changes: Any) -> tuple[MaskedBatches, Any]:
    studies = read_studies(small.ingest)
    texts = SplitTexts(small.corpus, studies, "train", LANGUAGES)
    tokenizer = train_tokenizer(sample_sentences(texts, 1000), Tokenizer(vocabulary=400))
    corpus = Corpus.build(texts, tokenizer, 250)
    mix = TextMix(one=1, several=1, all=1)
    settings = LanguageModelling(**changes)
    made = MaskedBatches(
        DataSettings(text_mix=mix), settings, corpus, np.zeros(len(corpus.studies), np.int64),
        ordinary=np.arange(5, len(tokenizer)), mask_id=4, batch_size=16, seed=0,
    )  # fmt: skip
    return made, tokenizer


TRANSLATION = {text: index for texts in SENTENCES.values() for index, text in enumerate(texts)}


def test_pairs_are_translations_in_both_orders(small: SmallData) -> None:
    made, tokenizer = batches(small)
    orders, kinds = set(), []
    for step in range(10):
        batch = made(step)
        kinds.append(batch.kind)
        if batch.kind == "mlm":
            continue
        whole = torch.where(batch.labels == NOT_MASKED, batch.input_ids, batch.labels)
        for row, language in zip(whole, batch.languages, strict=True):
            ids = row[row != tokenizer.pad_token_id].tolist()
            assert ids[0] == 0 and ids[-1] == 2 and ids.count(2) == 3
            middle = ids.index(2)
            assert ids[middle + 1] == 2
            sides = [tokenizer.decode(part) for part in (ids[1:middle], ids[middle + 2 : -1])]
            source = next(number for number, side in enumerate(sides) if side.isascii())
            orders.add(source)
            english, other = sides[source], sides[1 - source]
            assert language != "eng_Latn" and any(text in other for text in SENTENCES[language])
            numbers = [
                [TRANSLATION[text] for text in SENTENCES[code] if text in side]
                for code, side in (("eng_Latn", english), (language, other))
            ]
            assert sorted(numbers[0]) == sorted(numbers[1])
    assert kinds == ["mlm", "tlm"] * 5 and orders == {0, 1}


def test_positions_of_the_second_sentence_may_start_again(small: SmallData) -> None:
    made, _ = batches(small, reset_positions=True)
    batch = made(1)
    assert batch.position_ids is not None
    for ids, places, mask in zip(batch.input_ids, batch.position_ids, batch.attention_mask, strict=True):
        second = ids.tolist().index(2) + 1
        length = int(mask.sum())
        assert places[:second].tolist() == list(range(2, 2 + second))
        assert places[second:length].tolist() == list(range(2, 2 + length - second))
        assert set(places[length:].tolist()) <= {1}


def pieces(ids: list[int]) -> list[tuple[int, ...]]:
    """The texts or pairs of a row, by the start token of each."""
    starts = [place for place, token in enumerate(ids) if token == 0]
    return [tuple(ids[start:end]) for start, end in zip(starts, [*starts[1:], len(ids)], strict=True)]


@pytest.mark.parametrize("step", [0, 1])
def test_packed_rows_hold_the_same_texts_up_to_the_limit(small: SmallData, step: int) -> None:
    plain, packed = (batches(small, pack=pack)[0](step) for pack in (False, True))
    whole = [torch.where(one.labels == NOT_MASKED, one.input_ids, one.labels) for one in (plain, packed)]
    texts = [
        sorted(
            piece for row, mask in zip(ids, one.attention_mask, strict=True) for piece in pieces(row[mask > 0].tolist())
        )
        for ids, one in zip(whole, (plain, packed), strict=True)
    ]
    assert texts[0] == texts[1] and sorted(plain.text_ids) == sorted(packed.text_ids)
    assert len(packed.input_ids) < len(plain.input_ids) / 2 and packed.input_ids.shape[1] <= 250
    hidden = [sorted(one.labels[one.labels != NOT_MASKED].tolist()) for one in (plain, packed)]
    assert hidden[0] == hidden[1], "the same tokens are hidden"
    assert len(packed.languages) == len(packed.input_ids)


@pytest.mark.parametrize("pack", [False, True])
def test_ranks_share_the_rows_of_a_batch(small: SmallData, pack: bool) -> None:
    made, _ = batches(small, pack=pack)
    whole = made(1)
    parts = []
    for rank in range(5):
        made.rank, made.ranks = rank, 5
        parts.append(made(1))
    assert sorted(text for part in parts for text in part.text_ids) == sorted(whole.text_ids)
    counts = [len(part.input_ids) for part in parts]
    assert sum(counts) == len(whole.input_ids) and max(counts) - min(counts) <= 1
    labels = [one.labels[one.labels != NOT_MASKED] for one in (whole, *parts)]
    assert sorted(torch.cat(labels[1:]).tolist()) == sorted(labels[0].tolist())


def test_a_rank_without_a_row_has_no_loss(small: SmallData) -> None:
    made, tokenizer = batches(small)
    made.rank, made.ranks = 40, 41
    batch = made(0)
    assert len(batch.input_ids) == 0
    tower = experiment("text").model.text.model_copy(update={"max_tokens": 250})
    losses = LanguageModel(masked_language_model(tower, tokenizer), bf16=True)(batch, 0)
    losses["mlm_loss"].backward()  # type: ignore[no-untyped-call]
    assert losses["mlm_loss"] == 0


def test_frozen_layers_learn_nothing_and_activations_are_computed_again(small: SmallData) -> None:
    made, tokenizer = batches(small)
    changes = {"max_tokens": 250, "layers": 2, "frozen_layers": 1, "checkpointing": True}
    model = masked_language_model(experiment("text").model.text.model_copy(update=changes), tokenizer)
    assert model.base_model.is_activation_checkpointing
    LanguageModel(model, bf16=False)(made(0), 0)["mlm_loss"].backward()  # type: ignore[no-untyped-call]
    learned = {name for name, parameter in model.base_model.named_parameters() if parameter.grad is not None}
    assert learned and all(name.startswith("encoder.layer.1.") for name in learned)
    assert model.lm_head.dense.weight.grad is not None


def test_languages_are_drawn_by_the_power_of_their_share(small: SmallData) -> None:
    made, _ = batches(small)
    counts = np.bincount(made.corpus.language)
    expected = counts**0.3 / (counts**0.3).sum()
    drawn = [code for step in range(0, 400, 2) for code in made(step).languages]
    shares = [drawn.count(code) / len(drawn) for code in LANGUAGES]
    np.testing.assert_allclose(shares, expected, atol=0.02)


def test_both_sides_of_a_pair_are_hidden(small: SmallData) -> None:
    made, _ = batches(small)
    sides = np.zeros(2)
    for step in range(1, 20, 2):
        batch = made(step)
        whole = torch.where(batch.labels == NOT_MASKED, batch.input_ids, batch.labels)
        for row, labels in zip(whole.tolist(), batch.labels, strict=True):
            middle = row.index(2)
            hidden = (labels != NOT_MASKED).numpy()
            sides += [hidden[:middle].sum(), hidden[middle:].sum()]
    assert sides.min() > 0.3 * sides.sum()


def test_the_loss_is_cross_entropy_at_hidden_tokens(small: SmallData) -> None:
    made, tokenizer = batches(small)
    tower = experiment("text").model.text.model_copy(update={"dropout": 0.0, "max_tokens": 250})
    torch.manual_seed(0)
    model = masked_language_model(tower, tokenizer)
    batch = made(1)
    losses = LanguageModel(model, bf16=False)(batch, 1)
    full = model(input_ids=batch.input_ids, attention_mask=batch.attention_mask, labels=batch.labels)
    torch.testing.assert_close(losses["tlm_loss"], full.loss)
    hidden = batch.labels != NOT_MASKED
    right = (full.logits.argmax(dim=-1) == batch.labels)[hidden].float().mean()
    torch.testing.assert_close(losses["tlm_accuracy"], right)


def test_pretraining_learns_reports_and_saves_a_tower(small: SmallData, tmp_path: Path) -> None:
    text = {
        "kind": "scratch",
        "layers": 1,
        "width": 48,
        "heads": 2,
        "feedforward": 96,
        "max_tokens": 40,
        "dropout": 0.0,
    }
    settings = experiment(
        "text",
        model={"text": text},
        optimisation={"steps": 150, "learning_rate": 5e-3, "batch_size": 32},
        tokenizer={"vocabulary": 300},
    )
    summary = pretrain_text(settings, small.ingest, small.corpus, tmp_path / "out", tmp_path / "checkpoints", 1)
    assert summary["steps"] == 150 and summary["texts"] > 60
    metrics = json.loads((tmp_path / "out" / "metrics.json").read_text())
    for language in LANGUAGES:
        before, after = metrics["before"][language], metrics["after"][language]
        assert after["mlm_loss"] < before["mlm_loss"] - 0.5 and after["mlm_accuracy"] > before["mlm_accuracy"]
        assert after["mlm_tokens"] == before["mlm_tokens"] and "tlm_loss" in after
        assert (after.get("sentences") == 4) == (language != "eng_Latn"), "four sentences, each looked for once"
        assert language == "eng_Latn" or 0 <= after["sentence_recall"] <= 1
    curve = json.loads((tmp_path / "out" / "training_curve.json").read_text())
    assert curve[-1]["step"] == 150 and {"mlm_loss", "tlm_loss", "mlm_accuracy"} <= curve[0].keys()
    assert isinstance(AutoModelForMaskedLM.from_pretrained(tmp_path / "out" / "model"), torch.nn.Module)
    tower = AutoModel.from_pretrained(tmp_path / "out" / "model", add_pooling_layer=False)
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "out" / "model")
    dual = DualEncoder.create(settings.model, tokenizer, tmp_path / "out" / "model")
    weights = dual.text.backbone.state_dict()  # type: ignore[union-attr]
    assert all(torch.equal(weights[name], value) for name, value in tower.state_dict().items())


def test_a_model_is_continued_where_it_was(small: SmallData, tmp_path: Path) -> None:
    """As XLM-R is: its weights and its tokenizer, from a folder."""
    first = experiment("text", model={"text": {"kind": "scratch", "layers": 1, "width": 16, "heads": 2,
                                               "feedforward": 32, "max_tokens": 40, "dropout": 0.0}})  # fmt: skip
    pretrain_text(first, small.ingest, small.corpus, tmp_path / "one", tmp_path / "checkpoints", 1)
    text = {"kind": "pretrained", "name": str(tmp_path / "one/model"), "max_tokens": 40, "dropout": 0.0}
    second = experiment("text", model={"text": text}, optimisation={"steps": 40})
    pretrain_text(second, small.ingest, small.corpus, tmp_path / "two", tmp_path / "checkpoints", 1)
    one, two = (json.loads((tmp_path / name / "metrics.json").read_text()) for name in ("one", "two"))
    assert two["before"] == one["after"] and two["vocabulary"] == one["vocabulary"]
    means = [np.mean([row["mlm_loss"] for row in two[when].values()]) for when in ("before", "after")]
    assert means[1] < means[0]


def test_parallel_sentences_are_distinct_on_both_sides() -> None:
    rows = [
        ("a", "eng_Latn", ["No effusion.", "Clear."], [0, 1]),
        ("a", "deu_Latn", ["Kein Erguss.", "Frei."], [0, 1]),
        ("b", "eng_Latn", ["No effusion.", "Lungs are clear."], [0, 1]),
        ("b", "deu_Latn", ["Kein Erguß.", "Frei."], [0, 1]),
        ("c", "eng_Latn", ["Untranslated."], [0]),
    ]
    texts = pl.DataFrame(rows, schema=["study_id", "language", "sentences", "indices"], orient="row")
    codes = ["deu_Latn", "eng_Latn", "fra_Latn"]
    english, german = translated_sentences(GivenTexts(texts, codes), 10).pop("deu_Latn")
    assert len(english) == len(set(english)) == len(german) == len(set(german)) == 2
    assert "No effusion." in english and "Frei." in german and "Untranslated." not in english
    given = GivenTexts(texts, codes)
    both = [with_places(given.of(code)).reverse() for code in ("eng_Latn", "deu_Latn")]
    assert parallel_sentences(both[0], both[1], 10) == (english, german)
    assert len(parallel_sentences(both[0], both[1], 1)[0]) == 1
    assert translated_sentences(given, 1) == {}, "of one sentence nothing can be asked"
    assert translated_sentences(GivenTexts(texts, ["deu_Latn"]), 10) == {}


def test_retrieval_is_the_share_of_translations_found_first() -> None:
    english = np.eye(4, dtype=np.float32)
    other = english[[0, 1, 3, 2]]
    assert nearest_is_translation(english, other).tolist() == [1, 1, 0, 0]
    alike = np.ones((4, 4), np.float32)
    assert nearest_is_translation(alike, alike).tolist() == [0, 0, 0, 0], "a tie is no find"


def test_sentence_features_do_not_depend_on_the_batch(small: SmallData) -> None:
    _, tokenizer = batches(small)
    tower = experiment("text").model.text.model_copy(update={"dropout": 0.0})
    torch.manual_seed(0)
    backbone = masked_language_model(tower, tokenizer).base_model.eval()
    sentences = [text for texts in SENTENCES.values() for text in texts]
    together = sentence_features(backbone, tokenizer, sentences)
    alone = np.concatenate([sentence_features(backbone, tokenizer, [text]) for text in sentences])
    np.testing.assert_allclose(together, alone, atol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(together, axis=1), 1, atol=1e-6)


def test_language_modelling_of_a_bag_of_words_is_refused(small: SmallData, tmp_path: Path) -> None:
    settings = experiment("text", model={"text": {"kind": "bag_of_words", "width": 16, "heads": 2}})
    with pytest.raises(UserError, match="a bag of words has no language model"):
        pretrain_text(settings, small.ingest, small.corpus, tmp_path / "out", tmp_path / "checkpoints")
    with pytest.raises(UserError, match="task: 'align' is not trained by pretrain-text"):
        pretrain_text(experiment("align"), small.ingest, small.corpus, tmp_path / "out", tmp_path / "checkpoints")
