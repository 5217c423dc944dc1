"""Label classifiers: policies, folds over patients, predictions."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch

from mmclip.config.models import ImageTower
from mmclip.config.training import Classify
from mmclip.data.labels import first_source, image_labels
from mmclip.data.packed import PackedImages
from mmclip.errors import UserError
from mmclip.models.label_classifier import LabelClassifier
from mmclip.observations import COLUMNS, OBSERVATIONS
from mmclip.tables.files import read_table, read_tables, write_table
from mmclip.tables.ingest import VIEWS
from mmclip.tables.labeling import LABELS, PREDICTIONS
from mmclip.training import out_of_fold
from mmclip.training.classify import (
    IGNORED,
    ClassifyBatch,
    Classifying,
    ClassifyTask,
    class_targets,
    fold_of,
)
from mmclip.training.classify_stage import predict_labels
from mmclip.training.distributed import World
from mmclip.training.sources import read_images
from tests.training.conftest import SmallData, experiment

CARDIOMEGALY, EDEMA = OBSERVATIONS.index("Cardiomegaly"), OBSERVATIONS.index("Edema")


LEARNS = {"steps": 60, "learning_rate": 1e-2, "batch_size": 16}


def label_row(name: str, kind: str = "study", **states: int | None) -> dict[str, object]:
    return {"id": name, "kind": kind, "label_source": "rules", **dict.fromkeys(COLUMNS), **states}


def test_classes_follow_the_policy_of_each_observation() -> None:
    labels = LABELS.frame([label_row(str(state), cardiomegaly=state, edema=state) for state in (1, 0, -1, None)])
    settings = Classify(multiclass=("Cardiomegaly",))
    classes = class_targets(labels, settings)
    assert classes[:, CARDIOMEGALY].tolist() == [1, 0, 2, 0]
    assert classes[:, EDEMA].tolist() == [1, 0, IGNORED, 0]
    blank = class_targets(labels, Classify(multiclass=(), unmentioned="ignore"))
    assert blank[:, EDEMA].tolist() == [1, 0, IGNORED, IGNORED]


def test_two_way_loss_is_binary_cross_entropy_and_three_way_is_softmax() -> None:
    torch.manual_seed(0)
    model = LabelClassifier(ImageTower(name="test_convnext", size=32))
    module = Classifying(model, ["Cardiomegaly"], bf16=False).eval()
    pixels = torch.randn(3, 1, 32, 32)
    classes = torch.full((3, 14), IGNORED)
    classes[:, EDEMA] = torch.tensor([0, 1, 1])
    classes[:, CARDIOMEGALY] = torch.tensor([2, IGNORED, 0])
    loss = module(ClassifyBatch(pixels, classes, ["a", "b", "c"]), 0)["classify_loss"]
    with torch.no_grad():
        scores = model(pixels)
    two = torch.nn.functional.binary_cross_entropy_with_logits(
        scores[:, EDEMA, 1] - scores[:, EDEMA, 0], torch.tensor([0.0, 1.0, 1.0]), reduction="sum"
    )
    logs = scores[:, CARDIOMEGALY].log_softmax(dim=1)
    torch.testing.assert_close(loss.detach(), (two - logs[0, 2] - logs[2, 0]) / 5)
    torch.autograd.backward(loss)
    assert all(torch.isfinite(parameter.grad).all() for parameter in module.parameters() if parameter.grad is not None)


def test_presence_leaves_the_uncertain_class_out() -> None:
    model = LabelClassifier(ImageTower(name="test_convnext", size=32)).eval()
    pixels = torch.randn(2, 1, 32, 32)
    probability = model(pixels).softmax(dim=2)
    expected = probability[..., 1] / (probability[..., 0] + probability[..., 1])
    torch.testing.assert_close(model.presence_logits(pixels).sigmoid(), expected.detach())


def test_folds_are_of_patients_and_nearly_equal() -> None:
    folds = [fold_of(f"p{number}", 3) for number in range(3000)]
    assert min(np.bincount(folds)) > 900
    assert folds == [fold_of(f"p{number}", 3) for number in range(3000)]


def fitted_patients(small: SmallData) -> set[str]:
    """Those of the training split, but for the ones who have an image in another split too, as some have here."""
    images = read_images(small.ingest, VIEWS)
    held_out = set(images.filter(pl.col("split") != "train")["patient_id"])
    fitted = set(images["patient_id"]) - held_out
    assert fitted and held_out & set(images.filter(pl.col("split") == "train")["patient_id"])
    return fitted


def test_predictions_are_out_of_fold_and_right(
    small: SmallData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained: list[tuple[str, set[str]]] = []
    init = ClassifyTask.__init__

    def remember(self: ClassifyTask, settings, images: pl.DataFrame, *rest) -> None:  # type: ignore[no-untyped-def]
        init(self, settings, images, *rest)
        trained.append((self.name, set(images["patient_id"])))

    monkeypatch.setattr(ClassifyTask, "__init__", remember)
    settings = experiment("classify", classify={"folds": 3}, optimisation=LEARNS)
    out = tmp_path / "predictions.parquet"
    summary = predict_labels(settings, small.ingest, small.packs, small.labels, out, tmp_path / "checkpoints", 1)
    table = read_table(out, PREDICTIONS)
    assert summary["observations"] == ["cardiomegaly", "edema"] and len(table) == 40
    assert table["atelectasis"].null_count() == 40
    fitted = fitted_patients(small)
    assert len(trained) == 3
    for number, (_, patients) in enumerate(trained):
        assert patients == {patient for patient in fitted if fold_of(patient, 3) != number}
    level = np.array([int(name[1:]) % 4 for name in table["image_id"]])
    edema = table["edema"].to_numpy()
    assert edema[level % 2 == 1].mean() > edema[level % 2 == 0].mean() + 0.2, "odd grey levels have edema"


def test_temperatures_are_fitted_on_training_patients_of_other_folds(
    small: SmallData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each with its own log-odds and labels: the images that the other classifiers left out."""
    fit, seen = out_of_fold.fit_temperatures, []

    def remember(logits: np.ndarray, truth: np.ndarray) -> np.ndarray:  # type: ignore[type-arg]
        seen.append((logits.copy(), truth.copy()))
        return fit(logits, truth)

    monkeypatch.setattr(out_of_fold, "fit_temperatures", remember)
    settings = experiment("classify", classify={"folds": 3})
    out = tmp_path / "predictions.parquet"
    summary = predict_labels(settings, small.ingest, small.packs, small.labels, out, tmp_path / "checkpoints", 1)
    images = read_images(small.ingest, VIEWS).filter(pl.col("patient_id").is_in(list(fitted_patients(small))))
    fold = np.array([fold_of(patient, 3) for patient in images["patient_id"]])
    assert [len(logits) for logits, _ in seen] == [int((fold != number).sum()) for number in range(3)]
    labels = first_source(read_tables(list(small.labels), LABELS), ["rules"])
    classes = class_targets(image_labels(images, labels), settings.classify)
    for number, (_, truth) in enumerate(seen):
        assert np.array_equal(truth, classes[fold != number])
    own = fit(*seen[1])
    table = read_table(out, PREDICTIONS).filter(pl.col("image_id").is_in(images["image_id"].to_list()))
    odds = np.log(table["edema"].to_numpy().astype(float) / (1 - table["edema"].to_numpy())) * own[EDEMA]
    raw = dict(zip(images["image_id"], odds, strict=True))
    place = [k for k, number in enumerate(fold[fold != 0]) if number == 1]
    names = images["image_id"].to_numpy()[fold == 1]
    np.testing.assert_allclose([raw[name] for name in names], seen[0][0][place, EDEMA], atol=1e-3)
    assert set(summary["temperatures"]) == {"cardiomegaly", "edema"}


def test_in_sample_is_the_naive_form(small: SmallData, tmp_path: Path) -> None:
    """One classifier, which predicts what it was trained on better than what it never saw."""
    out, found = tmp_path / "predictions.parquet", {}
    random = np.random.default_rng(0)
    rows = [label_row(f"s{number:03d}", edema=int(random.integers(2))) for number in range(40)]
    write_table(LABELS.frame(rows), tmp_path / "labels.parquet", LABELS)
    truth = np.array([row["edema"] for row in rows])
    fitted = read_images(small.ingest, VIEWS)["patient_id"].is_in(list(fitted_patients(small))).to_numpy()
    plain = {"rotate": 0, "scale": (1, 1), "translate": 0, "brightness": 0, "contrast": 0}
    for release in ("in_sample", "out_of_fold"):
        settings = experiment(
            "classify",
            classify={"release": release, "folds": 2},
            optimisation=LEARNS | {"steps": 120},
            data={"augmentation": plain},
        )
        arguments = (small.ingest, small.packs, [tmp_path / "labels.parquet"], out, tmp_path / release, 1)
        summary = predict_labels(settings, *arguments)
        assert summary["folds"] == (1 if release == "in_sample" else 2)
        edema = read_table(out, PREDICTIONS)["edema"].to_numpy()
        found[release] = np.abs(edema - truth)[fitted].mean()
    assert found["in_sample"] < 0.25 < 0.4 < found["out_of_fold"], "labels drawn at random can only be remembered"


def test_labels_that_fit_nothing_are_an_error(small: SmallData, tmp_path: Path) -> None:
    path = tmp_path / "labels.parquet"
    write_table(LABELS.frame([label_row("elsewhere", edema=1)]), path, LABELS)
    with pytest.raises(UserError, match="none of the training images"):
        predict_labels(experiment("classify"), small.ingest, small.packs, [path], tmp_path / "out", tmp_path / "ck")


def test_batches_are_functions_of_the_step(small: SmallData) -> None:
    packs = PackedImages(small.packs)
    labels = first_source(read_tables(list(small.labels), LABELS), ["rules"])
    labelled = image_labels(read_images(small.ingest, VIEWS, "train"), labels)
    alone = World(0, 1, torch.device("cpu"))
    tasks = [ClassifyTask(experiment("classify"), labelled, packs, 0, alone) for _ in range(2)]
    tasks[0].batch(9)
    one, two = tasks[0].batch(4), tasks[1].batch(4)
    assert (
        torch.equal(one.pixels, two.pixels) and torch.equal(one.classes, two.classes) and one.image_ids == two.image_ids
    )
    assert not math.isclose(float(one.pixels.float().std()), 0)


def test_a_study_with_several_images_counts_once(small: SmallData) -> None:
    packs = PackedImages(small.packs)
    labels = first_source(read_tables(list(small.labels), LABELS), ["rules"])
    labelled = image_labels(read_images(small.ingest, VIEWS, "train"), labels).head(12)
    merged = labelled.with_columns(
        study_id=pl.when(pl.int_range(pl.len()) < 7).then(pl.lit("one")).otherwise("study_id")
    )
    many = set(merged["image_id"].head(7))
    task = ClassifyTask(
        experiment("classify", optimisation={"batch_size": 6}), merged, packs, 0, World(0, 1, torch.device("cpu"))
    )
    seen: set[str] = set()
    for step in range(80):
        names = task.batch(step).image_ids
        assert len(many.intersection(names)) == 1 and len(set(names)) == 6
        seen.update(names)
    assert seen == set(merged["image_id"])
