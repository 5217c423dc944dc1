"""Language modelling of reports: settings and files in, a Hugging Face folder out."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch
from transformers import PreTrainedTokenizerFast

from mmclip.config.training import ExperimentSettings, LanguageModelling
from mmclip.data.corpus import Corpus
from mmclip.data.masking import MaskedBatches
from mmclip.data.ragged import Ints
from mmclip.data.texts import DistinctTexts, SplitTexts, Texts
from mmclip.errors import NothingToSample, UserError
from mmclip.tables.files import atomic, write_json
from mmclip.training.checkpoint import Checkpoints, run_digest
from mmclip.training.distributed import World, barrier, join_world
from mmclip.training.loop import train
from mmclip.training.sources import count_steps, cut_notes, cut_texts, input_files, read_studies, text_tower_files
from mmclip.training.text import (
    LanguageModel,
    TextTask,
    masked_language_model,
    save_language_model,
    score_languages,
)
from mmclip.training.text_alignment import score_retrieval, translated_sentences
from mmclip.training.tokenizer import own_tokenizer

log = logging.getLogger("mmclip.training")


def pretrain_text(
    settings: ExperimentSettings,
    ingest: Sequence[Path],
    corpus: Sequence[Path],
    output: Path,
    checkpoints: Path,
    threads: int | None = None,
) -> dict[str, Any]:
    """Train a text encoder by MLM and TLM on the training split, after training a tokenizer where none is given.

    Args:
        settings: of an experiment with task text.
        ingest: folders of the data sets, with studies.parquet.
        corpus: corpus shards, of the variant and languages that the settings name.
        output: folder to write: ``model/`` (for ``AutoModel``), metrics.json (on the validation split, by language,
            before and after: hidden tokens predicted, and English sentences found in it), training_curve.json.
        checkpoints: folder of checkpoints; a stopped run goes on from there.
        threads: CPU threads, where the settings leave it open.

    Returns:
        a summary: texts, languages, vocabulary, steps, parameters.

    Raises:
        UserError: the settings do not fit the data, or training diverges or is stopped.
    """
    if settings.task != "text":
        raise UserError(f"task: {settings.task!r} is not trained by pretrain-text, which does text")
    if threads is not None:
        torch.set_num_threads(threads)
    with join_world() as world:
        studies = read_studies(ingest)
        languages = settings.data.chosen_languages()
        texts = SplitTexts(corpus, studies, "train", languages)
        tower = settings.model.text
        tokenizer = own_tokenizer(settings, texts)
        learned = DistinctTexts(texts) if settings.language_modelling.distinct else texts
        batches = _batches(settings, learned, studies, tokenizer, world)
        torch.manual_seed(settings.seed)
        module = LanguageModel(masked_language_model(tower, tokenizer), settings.optimisation.precision == "bf16")
        module.to(world.device)
        held_out = _HeldOut.read(settings, corpus, studies, tokenizer, world)
        before = held_out.score(module) if held_out else {}
        steps = count_steps(settings.optimisation, len(batches.corpus) / settings.optimisation.batch_size)
        summary: dict[str, Any] = {
            "texts": len(batches.corpus),
            "sentences": len(batches.corpus.sentence),
            "languages": list(languages),
            "vocabulary": len(tokenizer),
            "steps": steps,
            "batch_size": settings.optimisation.batch_size,
            "parameters": sum(parameter.numel() for parameter in module.parameters()),
        }
        log.info(
            "pretrain-text: %s", ", ".join(f"{name} {value}" for name, value in summary.items() if name != "languages")
        )
        summary["cut"] = cut_texts(batches.corpus, settings.data.text_mix, settings.seed)
        log.info("pretrain-text: %s", cut_notes(summary["cut"], tower.max_tokens))
        inputs = [*input_files(ingest, "studies.parquet"), *corpus, *text_tower_files(tower)]
        store = Checkpoints(checkpoints, run_digest(settings, inputs), settings.saving.keep)
        task = TextTask(module, batches)
        curve = train(task, settings.optimisation, settings.saving, steps, settings.seed, store, world)
        after = held_out.score(task.module) if held_out else {}
        if world.rank == 0:
            with atomic(output) as folder:
                folder.mkdir()
                save_language_model(task.module, tokenizer, folder / "model")
                write_json({"split": "val", "before": before, "after": after, **summary}, folder / "metrics.json")
                write_json(curve, folder / "training_curve.json")
        barrier()
    return summary


def _batches(
    settings: ExperimentSettings,
    texts: Texts,
    studies: pl.DataFrame,
    tokenizer: PreTrainedTokenizerFast,
    world: World,
) -> MaskedBatches:
    corpus = Corpus.build(texts, tokenizer, settings.model.text.max_tokens)
    special = set(tokenizer.all_special_ids)
    return MaskedBatches(
        settings.data,
        settings.language_modelling,
        corpus,
        _source_languages(corpus, studies),
        ordinary=np.array([number for number in range(len(tokenizer)) if number not in special], np.int64),
        mask_id=tokenizer.mask_token_id,
        batch_size=settings.optimisation.batch_size,
        seed=settings.seed,
        rank=world.rank,
        ranks=world.size,
    )


@dataclass(frozen=True)
class _HeldOut:
    """Texts of the validation split, some of their sentences in pairs by language, and what is asked of them."""

    settings: LanguageModelling
    batches: MaskedBatches
    pairs: dict[str, tuple[list[str], list[str]]]
    tokenizer: PreTrainedTokenizerFast

    @classmethod
    def read(
        cls,
        settings: ExperimentSettings,
        files: Sequence[Path],
        studies: pl.DataFrame,
        tokenizer: PreTrainedTokenizerFast,
        world: World,
    ) -> _HeldOut | None:
        """None where the validation split has no text."""
        try:
            texts = SplitTexts(files, studies, "val", settings.data.chosen_languages())
        except NothingToSample as error:
            log.info("pretrain-text: no validation (%s)", error)
            return None
        batches = _batches(settings, texts, studies, tokenizer, world)
        pairs = translated_sentences(texts, settings.language_modelling.retrieve)
        return cls(settings.language_modelling, batches, pairs, tokenizer)

    def score(self, module: LanguageModel) -> dict[str, dict[str, float]]:
        """By language how well hidden tokens are predicted, and English sentences found."""
        rows = score_languages(module, self.batches, self.settings.evaluate)
        found = score_retrieval(module.model.base_model, self.tokenizer, self.pairs)
        return {language: row | found.get(language, {}) for language, row in rows.items()}


def _source_languages(corpus: Corpus, studies: pl.DataFrame) -> Ints:
    """Number of the language each study was written in; the first where that is not among the corpus's."""
    numbers = {code: number for number, code in enumerate(corpus.languages)}
    written = dict(studies.select("study_id", "language").iter_rows())
    return np.array([numbers.get(written[study], 0) for study in corpus.studies], np.int64)
