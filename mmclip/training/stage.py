"""Image-text pretraining: settings and files in, a model's folder out."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from mmclip.config.augmentation import Augmentation
from mmclip.config.training import ExperimentSettings
from mmclip.data.alignment import AlignmentBatches
from mmclip.data.corpus import Corpus
from mmclip.data.packed import PackedImages
from mmclip.data.texts import SplitTexts
from mmclip.errors import NothingToSample, UserError
from mmclip.models.dual_encoder import DualEncoder
from mmclip.models.tokenizer import load_tokenizer
from mmclip.tables.files import atomic, read_table, write_json
from mmclip.tables.labeling import TARGETS
from mmclip.training.align import Aligner, AlignTask, is_decoupled, make_objectives
from mmclip.training.card import model_card
from mmclip.training.checkpoint import Checkpoints, run_digest
from mmclip.training.distributed import World, barrier, join_world
from mmclip.training.loop import train
from mmclip.training.sources import (
    count_steps,
    cut_notes,
    cut_texts,
    input_files,
    read_images,
    read_studies,
    tower_files,
)
from mmclip.training.tokenizer import own_tokenizer

log = logging.getLogger("mmclip.training")

UNCHANGED = Augmentation(name="none")


def pretrain(
    settings: ExperimentSettings,
    *,
    ingest: Sequence[Path],
    packs: Sequence[Path],
    corpus: Sequence[Path],
    targets: Path,
    output: Path,
    checkpoints: Path,
    text_model: Path | None = None,
    threads: int | None = None,
) -> dict[str, Any]:
    """Train a dual encoder. Only the training split is learned from; the test split is never read.

    Args:
        settings: of an experiment with task align.
        ingest: folders of the data sets, with studies.parquet and images.parquet.
        packs: folders of the packed data sets.
        corpus: corpus shards, of the variant and languages that the settings name.
        targets: soft labels of images or studies, and of sentences.
        output: folder to write: ``model/``, training_curve.json, summary.json.
        checkpoints: folder of checkpoints; a stopped run goes on from there.
        text_model: the folder of `pretrain_text`'s model, which replaces the settings' text tower.
        threads: CPU threads, where the settings leave it open.

    Returns:
        a summary: images, texts, languages, steps, parameters.

    Raises:
        UserError: the settings do not fit the data, or training diverges or is stopped.
    """
    if settings.task != "align":
        raise UserError(f"task: {settings.task!r} is not trained by pretrain, which does align")
    if settings.text_experiment is not None and text_model is None:
        raise UserError(
            f"text_experiment: {settings.text_experiment!r} is not at hand; give the folder of its model as "
            "--text-model, or set text_experiment to null to start as model.text says"
        )
    if threads is not None:
        torch.set_num_threads(threads)
    with join_world() as world:
        objectives = make_objectives(settings)
        sources = _Sources(settings, ingest, packs, corpus, targets, text_model)
        decoupled = is_decoupled(settings, objectives)
        batches = sources.batches("train", decoupled, world)
        torch.manual_seed(settings.seed)
        model = DualEncoder.create(settings.model, sources.tokenizer, text_model)
        task = AlignTask(
            Aligner(model, objectives, settings.optimisation.precision == "bf16", settings.optimisation.micro_batch),
            batches,
            sources.validation(decoupled, world),
        )
        steps = count_steps(settings.optimisation, batches.steps_per_epoch)
        summary = {
            "images": len(batches.images),
            "texts": len(batches.corpus),
            "languages": list(batches.corpus.languages),
            "sampling": "decoupled" if decoupled else "paired",
            "steps": steps,
            "batch_size": settings.optimisation.batch_size,
            "parameters": sum(parameter.numel() for parameter in model.parameters()),
        }
        log.info("pretrain: %s", ", ".join(f"{name} {value}" for name, value in summary.items() if name != "languages"))
        cut = cut_texts(batches.corpus, settings.data.text_mix, settings.seed)
        log.info("pretrain: %s", cut_notes(cut, batches.corpus.max_tokens))
        summary["cut"] = cut
        shown = settings.data.model_dump(mode="json", include={"views", "augmentation"})
        summary["pixels"] = {
            "datasets": [folder.name for folder in packs],
            "size": settings.model.image.size,
            "seed": settings.seed,
            **shown,
        }
        files = [*input_files(ingest, "studies.parquet", "images.parquet"), *input_files(packs, "index.parquet")]
        files += [*corpus, targets, *tower_files(settings.model, text_model)]
        store = Checkpoints(checkpoints, run_digest(settings, files), settings.saving.keep)
        notes = [cut_notes(cut, batches.corpus.max_tokens)]
        card = model_card(output.name, settings, summary, batches.corpus, sources.targets, ingest, text_model, notes)
        del sources  # with its tables, in which every sentence has an id
        curve = train(task, settings.optimisation, settings.saving, steps, settings.seed, store, world)
        if world.rank == 0:
            with atomic(output) as folder:
                folder.mkdir()
                model.save_pretrained(folder / "model", card)
                write_json(curve, folder / "training_curve.json")
                write_json(summary, folder / "summary.json")
        barrier()
    return summary


class _Sources:
    """The data of an alignment experiment, read once for both splits."""

    def __init__(
        self,
        settings: ExperimentSettings,
        ingest: Sequence[Path],
        packs: Sequence[Path],
        corpus: Sequence[Path],
        targets: Path,
        text_model: Path | None,
    ) -> None:
        self.settings = settings
        self.files = corpus
        self.images = {split: read_images(ingest, settings.data.views, split) for split in ("train", "val")}
        self.packs = PackedImages(packs)
        self.studies = read_studies(ingest)
        self.targets = read_table(targets, TARGETS)
        self.languages = settings.data.chosen_languages()
        self.train_texts = SplitTexts(corpus, self.studies, "train", self.languages)
        self.tokenizer = load_tokenizer(text_model) if text_model else own_tokenizer(settings, self.train_texts)

    def batches(self, split: str, decoupled: bool, world: World, data: Any = None) -> AlignmentBatches:
        """Batches of a split."""
        texts = self.train_texts if split == "train" else SplitTexts(self.files, self.studies, split, self.languages)
        model = self.settings.model
        return AlignmentBatches(
            data or self.settings.data,
            model.image,
            self.packs,
            self.images[split],
            Corpus.build(texts, self.tokenizer, model.text.max_tokens, self.targets),
            self.targets,
            self.studies,
            batch_size=self.settings.optimisation.batch_size,
            decoupled=decoupled,
            seed=self.settings.seed,
            rank=world.rank,
            ranks=world.size,
        )

    def validation(self, decoupled: bool, world: World) -> AlignmentBatches | None:
        """Batches of the validation split with unchanged images; None where it has nothing for this experiment."""
        changes = {"augmentation": UNCHANGED, "shuffle_pairs": False, "length_buckets": 1}
        plain = self.settings.data.model_copy(update=changes)
        try:
            return self.batches("val", decoupled, world, plain)
        except NothingToSample as error:
            log.info("pretrain: no validation (%s)", error)
            return None
