"""Language modelling of reports: MLM, and TLM on sentences with their translations (Lample and Conneau 2019)."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from transformers import AutoModelForMaskedLM, PreTrainedTokenizerFast, XLMRobertaForMaskedLM

from mmclip.config.models import TextTower
from mmclip.data.masking import NOT_MASKED, MaskedBatch, MaskedBatches
from mmclip.errors import UserError
from mmclip.models.text_encoder import load_pretrained, prepare_backbone, scratch_config
from mmclip.models.towers import write_text_tower
from mmclip.training.distributed import global_mean


def masked_language_model(settings: TextTower, tokenizer: PreTrainedTokenizerFast) -> Any:
    """A Hugging Face model with a language-modelling head: pretrained, or small and fresh; with frozen layers and
    activations computed again as the settings say.

    Raises:
        UserError: the tower is a bag of words, the pretrained model cannot be loaded, or it has fewer layers.
    """
    if settings.kind == "bag_of_words":
        raise UserError("model.text.kind: a bag of words has no language model; use pretrained or scratch")
    if settings.kind == "scratch":
        model = XLMRobertaForMaskedLM(scratch_config(settings, tokenizer))
    else:
        model = load_pretrained(AutoModelForMaskedLM, settings.name, settings)
    prepare_backbone(model.base_model, settings)
    return model


class LanguageModel(nn.Module):
    """A masked language model with its loss; the vocabulary's scores are computed at hidden tokens only.

    Args:
        model: a Hugging Face masked language model of the RoBERTa or BERT family.
        bf16: run it under bfloat16 autocast.
    """

    def __init__(self, model: Any, bf16: bool) -> None:
        super().__init__()
        head = getattr(model, "lm_head", None) or getattr(model, "cls", None)
        if not isinstance(head, nn.Module):
            raise UserError(
                f"model.text.name: {type(model).__name__} has no language-modelling head that is known here"
            )
        self.model = model
        self.bf16 = bf16

    def scores(self, batch: MaskedBatch) -> Tensor:
        """Scores of the vocabulary at the hidden tokens, float32 [hidden, vocabulary]."""
        positions = {} if batch.position_ids is None else {"position_ids": batch.position_ids}
        head = getattr(self.model, "lm_head", None) or self.model.cls
        with torch.autocast(batch.input_ids.device.type, torch.bfloat16, enabled=self.bf16):
            states = self.model.base_model(
                input_ids=batch.input_ids, attention_mask=batch.attention_mask, **positions
            ).last_hidden_state
            scores: Tensor = head(states[batch.labels != NOT_MASKED])
        return scores.float()

    def forward(self, batch: MaskedBatch, step: int) -> dict[str, Tensor]:
        """Mean cross-entropy over the hidden tokens of all ranks, as ``mlm_loss`` or ``tlm_loss``, and accuracy."""
        truth = batch.labels[batch.labels != NOT_MASKED]
        if len(batch.input_ids):
            scores = self.scores(batch)
            loss = nn.functional.cross_entropy(scores, truth, reduction="sum")
            right = (scores.detach().argmax(dim=1) == truth).float().sum()
        else:  # a batch of fewer rows than ranks: encoders refuse to encode nothing
            loss = 0.0 * next(self.parameters()).sum()
            right = loss.detach()
        return {
            f"{batch.kind}_loss": global_mean(loss, len(truth)),
            f"{batch.kind}_accuracy": global_mean(right, len(truth)),
        }


class TextTask:
    """Language modelling as the training loop sees it."""

    name = "pretrain-text"

    def __init__(self, module: LanguageModel, batches: MaskedBatches) -> None:
        self.module: Any = module
        self._batches = batches

    def batch(self, step: int) -> MaskedBatch:
        """This rank's part of the batch of a step."""
        return self._batches(step)

    def ids(self, batch: MaskedBatch) -> list[str]:
        """The text ids of a batch."""
        return batch.text_ids

    def after_step(self) -> None:
        """Nothing has to hold."""

    def validate(self) -> dict[str, float]:
        """Languages are scored before and after training, so nothing here."""
        return {}


def score_languages(module: LanguageModel, batches: MaskedBatches, texts: int) -> dict[str, dict[str, float]]:
    """How well hidden tokens are predicted, by language, always with the same tokens hidden.

    Args:
        batches: of the validation split.
        texts: at most so many of each language.

    Returns:
        language -> mlm_loss, mlm_accuracy, mlm_tokens, and the same of tlm where there are translations.
    """
    module.eval()
    device = next(module.parameters()).device
    corpus = batches.corpus
    out: dict[str, dict[str, float]] = {}
    makers: list[Callable[[np.ndarray, int, str], MaskedBatch]] = [batches.singles]
    if batches.settings.translation and batches.translated:
        makers.append(batches.pairs)
    for number, language in enumerate(corpus.languages):
        chosen = np.flatnonzero(corpus.language == number)[:texts]
        for make in makers if len(chosen) else []:
            batch = make(chosen, number, "evaluate").to(device)
            truth = batch.labels[batch.labels != NOT_MASKED]
            if not len(truth):
                continue
            with torch.inference_mode():
                scores = module.scores(batch)
            row = out.setdefault(language, {})
            row[f"{batch.kind}_loss"] = float(nn.functional.cross_entropy(scores, truth))
            row[f"{batch.kind}_accuracy"] = float((scores.argmax(dim=1) == truth).float().mean())
            row[f"{batch.kind}_tokens"] = len(truth)
    return out


def save_language_model(module: LanguageModel, tokenizer: PreTrainedTokenizerFast, folder: Path) -> None:
    """Write the model as a Hugging Face folder that ``AutoModel`` and ``AutoModelForMaskedLM`` read."""
    write_text_tower(module.model, tokenizer, folder)
