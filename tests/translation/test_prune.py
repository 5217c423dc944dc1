"""Which pieces stay when a model's output layer is cut to some languages."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from mmclip.commands.texts import app
from mmclip.config import translation as config
from mmclip.errors import UserError
from mmclip.languages import TARGETS
from mmclip.translation.convert import MANIFEST, convert
from mmclip.translation.nllb import Nllb
from mmclip.translation.prune import SCRIPTS, kept_pieces
from tests.translation.fakes import translate_all

SPECIAL = ("<s>", "<pad>", "</s>", "<unk>")
VOCABULARY = (
    *SPECIAL, "▁the", "▁l'", "ção", "▁", ".", "1", "٢", "▁(", "µ", "▁легк", "и", "▁رئة", "肺", "▁胸腔", "です", "▁폐",
    "फेफड़े", "▁ปอด", "▁πνε", "▁ريهx", "eng_Latn", "spa_Latn", "rus_Cyrl", "tha_Thai", "<mask>", "madeupword0",
)  # fmt: skip


def kept(*targets: str, used: set[str] | None = None) -> set[str]:
    return {VOCABULARY[row] for row in kept_pieces(VOCABULARY, SPECIAL, targets, used)}


EVERYWHERE = {*SPECIAL, "▁the", "▁l'", "ção", "▁", ".", "1", "٢", "▁(", "µ", "▁πνε"}


@pytest.mark.parametrize(
    "target, more",
    [
        ("spa_Latn", {"spa_Latn"}),
        ("rus_Cyrl", {"▁легк", "и", "rus_Cyrl"}),
        ("arb_Arab", {"▁رئة", "▁ريهx"}),
        ("zho_Hans", {"肺", "▁胸腔"}),
        ("jpn_Jpan", {"肺", "▁胸腔", "です"}),
        ("kor_Hang", {"肺", "▁胸腔", "▁폐"}),
        ("hin_Deva", {"फेफड़े"}),
    ],
)
def test_scripts(target: str, more: set[str]) -> None:
    assert kept(target) == EVERYWHERE | more


def test_pieces_of_texts() -> None:
    found = kept("spa_Latn", "rus_Cyrl", used={"▁легк", "▁胸腔"})
    assert "▁легк" in found and "и" in found, "used, and a single letter"
    assert "▁the" not in found and "▁胸腔" not in found
    assert {"▁(", "1", ".", "spa_Latn", *SPECIAL} <= found


def test_every_language_has_its_script() -> None:
    assert {code.split("_")[1] for code in TARGETS} <= set(SCRIPTS)


def nllb(folder: Path, **options: object) -> Nllb:
    values = {"beam": 4, "device": "cpu", "workers": 1, "retry_ngram": 0, **options}
    return Nllb("nllb", config.Nllb(kind="nllb", model=folder, **values))


def test_a_cut_model_writes_the_same(tiny_nllb: Path, sentences: list[str], tmp_path: Path) -> None:
    """The vocabulary is Latin throughout, so only other languages' tokens and made-up words go."""
    convert(tiny_nllb, tmp_path / "whole", "float32")
    manifest = convert(tiny_nllb, tmp_path / "cut", "float32", languages=("spa_Latn", "rus_Cyrl"))
    rows = json.loads((tmp_path / "whole" / MANIFEST).read_text())["output_rows"]
    assert manifest["output_rows"] < rows - 190
    assert manifest["languages"] == ["rus_Cyrl", "spa_Latn"]
    for target in ("spa_Latn", "rus_Cyrl"):
        whole, cut = (
            translate_all(nllb(tmp_path / name, beam=1), sentences, "eng_Latn", target) for name in ("whole", "cut")
        )
        same = sum(one == other for one, other in zip(whole, cut, strict=True))
        assert same >= len(sentences) - 2, "a random model may also write made-up words"


def test_a_cut_model_refuses_other_languages(tiny_nllb: Path, tmp_path: Path) -> None:
    convert(tiny_nllb, tmp_path / "cut", "int8", languages=("spa_Latn",))
    with pytest.raises(UserError, match=r"cut to other languages than deu_Latn; .*--languages 'spa_Latn deu_Latn'"):
        translate_all(nllb(tmp_path / "cut"), ["Unchanged."], "eng_Latn", "deu_Latn")


def test_mistakes_are_one_line(tiny_nllb: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="convert: the model has no language xxx_Latn"):
        convert(tiny_nllb, tmp_path / "out", languages=("xxx_Latn",))
    with pytest.raises(UserError, match="name the languages too"):
        convert(tiny_nllb, tmp_path / "out", texts=(tmp_path / "texts.txt",))
    (tmp_path / "texts.txt").write_bytes(b"\xff\xfe")
    with pytest.raises(UserError, match=r"texts\.txt: cannot be read as UTF-8"):
        convert(tiny_nllb, tmp_path / "out", languages=("spa_Latn",), texts=(tmp_path / "texts.txt",))
    with pytest.raises(UserError, match="device: 'tpu' is unknown"):
        convert(tiny_nllb, tmp_path / "out", device="tpu")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("device, quantization", [("cpu", "int8"), ("cuda", "bfloat16")])
def test_weights_go_by_the_device(tiny_nllb: Path, tmp_path: Path, device: str, quantization: str) -> None:
    assert convert(tiny_nllb, tmp_path / "out", device=device)["quantization"] == quantization


def test_through_the_command(tiny_nllb: Path, tmp_path: Path) -> None:
    arguments = ["convert", str(tiny_nllb), "-o", str(tmp_path / "cut"), "--languages", "spa_Latn rus_Cyrl"]
    done = CliRunner().invoke(app, [*arguments, "--device", "cpu"])
    assert done.exit_code == 0, done.output
    assert "quantization: int8" in done.output and "languages: ['rus_Cyrl', 'spa_Latn']" in done.output
