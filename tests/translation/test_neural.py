"""The NLLB engines on a tiny random model: conversion, language tokens, flags, and equality of the two libraries."""

import json
import os
from pathlib import Path

import pytest

from mmclip.config import translation as config
from mmclip.errors import UserError
from mmclip.translation.convert import MANIFEST, convert
from mmclip.translation.ct2 import CTranslate2, cores
from mmclip.translation.decoding import folder_digest
from mmclip.translation.nllb import Nllb
from mmclip.translation.nllb_transformers import NllbTransformers
from tests.translation.fakes import translate_all

GREEDY = {"beam": 1, "device": "cpu", "retry_ngram": 0}


@pytest.fixture(scope="module")
def converted(tiny_nllb: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("converted") / "nllb"
    convert(tiny_nllb, folder, "float32")
    return folder


def fast(folder: Path, **options: object) -> Nllb:
    return Nllb("nllb", config.Nllb(kind="nllb", model=folder, **{**GREEDY, "workers": 1, **options}))


def reference(folder: Path, **options: object) -> NllbTransformers:
    settings = config.NllbTransformers(kind="nllb-transformers", model=folder, **{**GREEDY, **options})
    return NllbTransformers("reference", settings)


def test_manifest(converted: Path, tiny_nllb: Path) -> None:
    manifest = json.loads((converted / MANIFEST).read_text())
    assert manifest["quantization"] == "float32"
    assert manifest["source_digest"] == folder_digest(tiny_nllb)
    assert {"model.bin", "tokenizer.json", "config.json"} <= {file.name for file in converted.iterdir()}


@pytest.mark.parametrize("target", ["spa_Latn", "zho_Hans"])
def test_greedy_ids_equal_transformers(converted: Path, tiny_nllb: Path, sentences: list[str], target: str) -> None:
    engine, other = fast(converted), reference(tiny_nllb)
    tokenizer = engine._tokenizer
    for tokens in engine._tokenize(sentences, "eng_Latn", target):
        assert (tokens[0], tokens[-1]) == ("eng_Latn", "</s>")
        written = engine._write(engine._translator, [tokens], engine._target_prefix(target), 0)[0]
        ids = other.generate([tokenizer.convert_tokens_to_ids(tokens)], tokenizer.convert_tokens_to_ids(target))[0]
        assert tokenizer.convert_tokens_to_ids(written) == ids
        assert written[0] == target


def test_both_engines_give_the_same_texts_and_flags(converted: Path, tiny_nllb: Path, sentences: list[str]) -> None:
    one = translate_all(fast(converted), sentences, "eng_Latn", "deu_Latn")
    other = translate_all(reference(tiny_nllb), sentences, "eng_Latn", "deu_Latn")
    assert one == other
    flagged = [translated for translated in one if "no_end" in translated.flags]
    assert 0 < len(flagged) < len(one), "the model should end some sentences and not others"
    assert all("length_limit" in translated.flags for translated in flagged)
    assert not any("deu_Latn" in translated.text for translated in one)


def test_batching_changes_nothing(converted: Path, sentences: list[str]) -> None:
    whole = translate_all(fast(converted), sentences, "eng_Latn", "fra_Latn")
    single = translate_all(fast(converted, batch_tokens=1, workers=2), sentences[::-1], "eng_Latn", "fra_Latn")
    assert whole == single[::-1]


def test_one_worker_a_core_of_the_job(converted: Path, sentences: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    available = len(os.sched_getaffinity(0))
    assert cores() == available
    for given, expected in (("1", 1), ("1000", available), ("many", available), ("0", available)):
        monkeypatch.setenv("OMP_NUM_THREADS", given)
        assert cores() == expected
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    engine = fast(converted, workers=0)
    translate_all(engine, sentences[:1], "eng_Latn", "spa_Latn")
    assert engine._translator.num_translators == min(2, available)
    engine.close()
    assert "_translator" not in vars(engine)


def test_a_long_source_is_cut_and_flagged(converted: Path, tiny_nllb: Path) -> None:
    long, short = "No pleural effusion. " * 20, "Unchanged."
    for engine in (fast(converted, max_input=16), reference(tiny_nllb, max_input=16)):
        first, second = translate_all(engine, [long, short], "eng_Latn", "ita_Latn")
        assert "length_limit" in first.flags
        assert ("length_limit" in second.flags) == ("no_end" in second.flags)


def test_digest_follows_options_and_content(converted: Path, tiny_nllb: Path) -> None:
    def digest(**options: object) -> str:
        return fast(converted, **options).digest("eng_Latn", "spa_Latn")

    assert digest() == digest(workers=2, batch_tokens=64)
    assert len({digest(), digest(beam=4), digest(length_factor=3.0), digest(no_repeat_ngram=3)}) == 4
    assert reference(tiny_nllb).digest("eng_Latn", "spa_Latn") != digest()


def test_general_engine_with_a_prefix_in_the_text(converted: Path, sentences: list[str]) -> None:
    settings = config.CTranslate2(
        kind="ct2", model=converted, text_prefix="<2{target}>", codes={"spa_Latn": "es"}, workers=1, **GREEDY
    )
    engine = CTranslate2("ct2", settings)
    assert len(translate_all(engine, sentences, "eng_Latn", "spa_Latn")) == len(sentences)
    plain = engine._tokenizer("<2es> Unchanged.")["input_ids"]
    assert engine._tokenize(["Unchanged."], "eng_Latn", "spa_Latn") == [engine._tokenizer.convert_ids_to_tokens(plain)]


def test_mistakes_are_one_line(tiny_nllb: Path, converted: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no model\.bin there; make it with mmclip convert"):
        translate_all(fast(tiny_nllb), ["Unchanged."], "eng_Latn", "spa_Latn")
    with pytest.raises(UserError, match="holds no tokenizer"):
        translate_all(fast(tmp_path), ["Unchanged."], "eng_Latn", "spa_Latn")
    with pytest.raises(UserError, match="no language xxx_Latn"):
        translate_all(fast(converted), ["Unchanged."], "eng_Latn", "xxx_Latn")
    with pytest.raises(UserError, match=r"no \.safetensors file"):
        convert(tmp_path, tmp_path / "out")
    with pytest.raises(UserError, match="quantization: 'int3' is unknown"):
        convert(tiny_nllb, tmp_path / "out", "int3")
    with pytest.raises(UserError, match="no such folder, and no such model"):
        convert("nobody/nothing", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_conversion_is_atomic(tmp_path: Path, tiny_nllb: Path) -> None:
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "model.safetensors").write_bytes(b"not a model")
    (broken / "config.json").write_text((tiny_nllb / "config.json").read_text())
    with pytest.raises(UserError):
        convert(broken, tmp_path / "out")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["broken"]
