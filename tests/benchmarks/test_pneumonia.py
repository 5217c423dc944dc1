"""The benchmark on real radiographs: its statistics, its settings, and the sentences that are made from labels."""

from __future__ import annotations

import numpy as np
import pneumonia
import pytest
import real_radiographs
from sklearn.metrics import roc_auc_score
from study_runs import merged

from mmclip.config.base import parse
from mmclip.config.documents import read_yaml
from mmclip.config.training import ExperimentSettings
from mmclip.labeling.extractor import label_sentence
from mmclip.metrics.bootstrap import Interval
from mmclip.observations import PRESENT
from mmclip.tables.evaluation import Metric


def test_aurocs_are_those_of_scikit_learn() -> None:
    random = np.random.default_rng(0)
    positive = random.random(40) < 0.3
    scores = random.integers(0, 12, (3, 2, 40)).astype(float)  # with ties
    found = pneumonia.aurocs(scores, positive)
    assert found.shape == (3, 2)
    for place in np.ndindex(3, 2):
        assert found[place] == pytest.approx(roc_auc_score(positive, scores[place]))
    assert np.isnan(pneumonia.aurocs(scores, np.ones(40, bool))).all()


def test_recall_counts_ranks_of_the_drawn() -> None:
    ranks = np.array([[1, 5, 11], [2, 10, 1]])
    statistic = pneumonia.recall_of(ranks)
    assert statistic(np.arange(2), np.arange(3)).tolist() == pytest.approx([2 / 6, 4 / 6, 5 / 6])
    assert statistic(np.array([0, 0]), np.array([2, 2, 0])).tolist() == pytest.approx([1 / 3, 1 / 3, 1 / 3])


def test_a_row_is_over_seeds_and_patients() -> None:
    values = {"task": "zero_shot", "dataset": "d", "test_text": "native", "language": "none", "split": "test", "n": 4}
    hashes = {"split_hash": "s", "model_digest": "m", "config_digest": "c", "seed": 0}
    like = Metric.model_validate(
        {"experiment": "a_seed0", "metric": "accuracy", "value": 1, "k": 5, **values, **hashes}
    )
    row = pneumonia.as_row(like, Interval(0.5, 0.4, 0.6), experiment="a", task="audit")
    assert (row.experiment, row.task, row.value, row.low, row.high, row.k) == ("a", "audit", 0.5, 0.4, 0.6, None)
    assert row.interval == "seeds+patients" and row.split_hash == "s"


@pytest.mark.parametrize("variant", pneumonia.VARIANTS)
def test_the_models_have_settings_that_training_takes(variant: str) -> None:
    template = read_yaml(real_radiographs.TEMPLATES / "experiment.yaml")
    settings = parse(ExperimentSettings, merged(template, pneumonia.VARIANTS[variant]))
    assert settings.optimisation.learning_rate > 0 and settings.model.text.kind == "pretrained"


def test_no_prompt_is_among_the_sentences_made_from_labels() -> None:
    wordings = read_yaml(real_radiographs.TEMPLATES / "sentences.yaml")
    prompts = read_yaml(real_radiographs.TEMPLATES / "prompts.yaml")["eng_Latn"]
    made = {sentence.lower() for own in wordings.values() for sentence in own}
    asked = {sentence.lower() for own in prompts.values() for sentence in own}
    assert len(made) == 12 and len(asked) == 6 and not made & asked


@pytest.mark.parametrize("label", ["Normal", "Bacterial Pneumonia", "Viral Pneumonia"])
def test_a_made_sentence_says_its_label(label: str) -> None:
    for sentence in read_yaml(real_radiographs.TEMPLATES / "sentences.yaml")[label]:
        found = {name for name, state in label_sentence(sentence).items() if state == PRESENT}
        assert found - {"Lung Opacity"} == ({"No Finding"} if label == "Normal" else {"Pneumonia"}), sentence


@pytest.mark.needs("real_data")
def test_every_labelled_training_image_has_one_sentence() -> None:
    made = real_radiographs.made_sentences()
    images = real_radiographs.metadata().filter(split="train")
    labelled_images = images.filter(images["pneumonia"].is_not_null())["id"]
    assert made["id"].to_list() == [f"made_{image}" for image in labelled_images] and len(made) == 339
    assert made.equals(real_radiographs.made_sentences())
    assert made["text"].value_counts()["count"].min() > 10
