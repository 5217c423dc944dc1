"""A model whose weights hold nan is refused, whatever the task: nan compares as neither better nor worse."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import torch

from mmclip.config.evaluation import EvaluateSettings
from mmclip.errors import UserError
from mmclip.evaluation.finite import FiniteEncoder, check_finite
from mmclip.evaluation.stage import embed, evaluate
from mmclip.models.dual_encoder import DualEncoder
from tests.evaluation.small_phantom import Phantom
from tests.evaluation.toy_encoder import ToyEncoder


@pytest.fixture(scope="module")
def broken(model_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Tower -> the model with one nan in that tower's projection."""
    folders = {}
    for tower in ("image", "text"):
        model = DualEncoder.from_pretrained(model_folder)
        with torch.no_grad():
            (model.image_projection if tower == "image" else model.text_projection).linear.weight[0, 0] = np.nan
        folders[tower] = tmp_path_factory.mktemp(tower) / tower
        model.save_pretrained(folders[tower])
    return folders


def refused(model: Path, task: str, phantom: Phantom, settings: EvaluateSettings, output: Path) -> str:
    with pytest.raises(UserError, match=f"^{re.escape(str(model))}: the embedding of .* is not finite") as error:
        evaluate(settings, str(model), task, phantom.benchmarks, [phantom.pack], output, None, "x", 0)
    assert "\n" not in str(error.value) and not output.exists()
    return str(error.value)


@pytest.mark.parametrize("task", ["zero_shot", "retrieval", "linear_probe", "audit"])
def test_the_first_image_is_named(
    broken: dict[str, Path], phantom: Phantom, settings: EvaluateSettings, task: str, tmp_path: Path
) -> None:
    message = refused(broken["image"], task, phantom, settings, tmp_path / "metrics.json")
    split = phantom.benchmarks["train" if task == "linear_probe" else "test"]
    first = (split.samples if task == "retrieval" else split.labelled)[0]
    assert f"the embedding of image {first.image_id!r} is" in message


@pytest.mark.parametrize("task", ["zero_shot", "retrieval", "text", "audit"])
def test_the_first_text_is_named_and_not_shown(
    broken: dict[str, Path], phantom: Phantom, settings: EvaluateSettings, task: str, tmp_path: Path
) -> None:
    message = refused(broken["text"], task, phantom, settings, tmp_path / "metrics.json")
    assert re.search(r"embedding of (prompt|parallel sentence|negation pair) \d+ (of '.*' )?in \w+ is", message)
    test = phantom.benchmarks["test"]
    prompts = [one for by_class in test.prompts["eng_Latn"].values() for one in by_class]
    assert not any(text in message for text in [*prompts, *test.texts["eng_Latn"].values()])


@pytest.mark.parametrize(("tower", "name"), [("image", "image '"), ("text", "row 1 is")])
def test_embeddings_are_not_written_either(
    broken: dict[str, Path], tower: str, name: str, phantom: Phantom, tmp_path: Path
) -> None:
    (tmp_path / "texts.txt").write_text("No effusion.\n")
    inputs = {"images": phantom.pack} if tower == "image" else {"texts": tmp_path / "texts.txt"}
    with pytest.raises(UserError, match=f"embedding of {name}"):
        embed(str(broken[tower]), tmp_path / "out.npy", **inputs)
    assert not (tmp_path / "out.npy").exists()


def test_a_text_is_named_by_what_it_is(phantom: Phantom) -> None:
    test = phantom.benchmarks["test"]
    study = test.samples[0].study_id
    names = {
        test.texts["deu_Latn"][study]: "the text of study '.*' in deu_Latn",
        test.prompts["deu_Latn"]["Edema"][1]: "prompt 2 of 'Edema' in deu_Latn",
        test.negations["eng_Latn"][2][1]: "negation pair 3 in eng_Latn",
        "a sentence of no benchmark": "the embedding of a text is",
    }
    toy = ToyEncoder({text: [np.nan, 1.0] for text in names} | {"good": [1.0, 0.0]})
    encoder = FiniteEncoder(toy, "toy", test)
    for text, name in names.items():
        with pytest.raises(UserError, match=rf"toy: .*{name}.*\(1 of 2 are not\)"):
            encoder.texts(["good", text])
    assert encoder.texts(["good"]).tolist() == [[1.0, 0.0]]


def test_infinity_and_a_broken_scale_are_refused(phantom: Phantom) -> None:
    vectors = np.array([[1.0, 0.0], [np.inf, 0.0]], dtype=np.float32)
    with pytest.raises(UserError, match="embedding of b is not finite"):
        check_finite(vectors, ["a", "b"], "m")
    assert check_finite(vectors[:1], ["a"], "m") is not None
    toy = ToyEncoder({"x": [1.0]})
    toy.logit_scale = float("nan")
    with pytest.raises(UserError, match="logit scale is nan"):
        FiniteEncoder(toy, "m", phantom.benchmarks["test"])
