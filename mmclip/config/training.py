"""Settings of an experiment: what is trained, on what, how long, with which objectives."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from mmclip.config.augmentation import Augmentation
from mmclip.config.base import Settings
from mmclip.config.label_sources import DEFAULT_SOURCES, LabelSource
from mmclip.config.models import ModelSettings
from mmclip.languages import LANGUAGES
from mmclip.observations import OBSERVATIONS

Weight = Annotated[float, Field(ge=0)]
View = Literal["AP", "PA", "FRONTAL", "LATERAL", "OTHER", "UNKNOWN"]


class ObjectiveSettings(Settings):
    """One objective of an alignment experiment; the total loss is the weighted sum."""

    name: str = Field(description="a name that mmclip.objectives.registry knows")
    weight: float = Field(1.0, ge=0, description="of its loss in the sum")
    settings: dict[str, Any] = Field({}, description="the objective's own parameters")


class TextMix(Settings):
    """How much of a report one sampled text holds: probabilities, which are scaled to sum to 1."""

    one: float = Field(0.5, ge=0, description="one of its sentences")
    several: float = Field(0.25, ge=0, description="two or more, but not all")
    all: float = Field(0.25, ge=0, description="the whole report")

    @model_validator(mode="after")
    def _not_all_zero(self) -> TextMix:
        if self.one + self.several + self.all <= 0:
            raise ValueError("one, several and all are all zero; at least one must be positive")
        return self


class DataSettings(Settings):
    """Which images and texts are sampled, and how."""

    variant: Literal["filtered", "unfiltered", "oracle"] = Field("filtered", description="which corpus")
    languages: tuple[str, ...] | None = Field(None, description="FLORES-200 codes; none means all")
    exclude_languages: tuple[str, ...] = Field((), description="FLORES-200 codes that are left out of `languages`")
    alpha: float = Field(0.3, ge=0, le=1, description="a language of n texts is drawn in proportion to n^alpha (XLM-R)")
    texts_per_image: int = Field(
        1, ge=1, description="texts of a step for each image: a small text tower in many languages gains by several"
    )
    text_mix: TextMix = TextMix()
    views: tuple[View, ...] = Field(
        ("AP", "PA", "FRONTAL", "UNKNOWN"),
        min_length=1,
        description="views of the images that are trained on; UNKNOWN is where the source does not tell",
    )
    image_weights: dict[str, Weight] = Field(
        {}, description="data set -> share of images; empty means by their number (a study counts once)"
    )
    text_weights: dict[str, Weight] = Field(
        {},
        description="data set -> share of a language's texts; empty means by their number. Only where images and texts "
        "are drawn apart",
    )
    length_buckets: int = Field(
        1, ge=1, description="batches drawn together, whose texts are dealt out by length; 1 leaves them as drawn"
    )
    shuffle_pairs: bool = Field(False, description="control: images get the reports and targets of other studies")
    augmentation: Augmentation = Augmentation()

    @field_validator("languages", "exclude_languages")
    @classmethod
    def _known(cls, value: tuple[str, ...] | None) -> tuple[str, ...] | None:
        unknown = [code for code in value or () if code not in LANGUAGES]
        if unknown:
            raise ValueError(f"{unknown[0]!r} is not a language of mmclip (FLORES-200 code)")
        return value

    def chosen_languages(self) -> tuple[str, ...]:
        """The languages that texts are sampled from, in the order of :data:`mmclip.languages.LANGUAGES`."""
        wanted = self.languages if self.languages is not None else tuple(LANGUAGES)
        return tuple(code for code in LANGUAGES if code in wanted and code not in self.exclude_languages)


class Optimisation(Settings):
    """AdamW with warm-up and cosine decay. The defaults are MedCLIP's published script's."""

    steps: int | None = Field(None, ge=1, description="optimiser steps; give steps or epochs")
    epochs: float | None = Field(
        None,
        gt=0,
        description="passes over the studies with images, be they all of use to the objective or not; for task text, "
        "over the texts",
    )
    batch_size: int = Field(100, ge=1, description="images of a step over all ranks; times data.texts_per_image, texts")
    learning_rate: float = Field(5e-5, gt=0, description="its peak, after the warm-up")
    weight_decay: float = Field(1e-4, ge=0, description="not applied to biases, norms and the logit scale")
    betas: tuple[float, float] = Field((0.9, 0.98), description="AdamW's decay of the two moments")
    warmup: float = Field(0.1, ge=0, le=1, description="share of the steps in which the rate rises from 0")
    final_rate: float = Field(0.0, ge=0, le=1, description="share of the learning rate left at the end")
    micro_batch: int | None = Field(
        None,
        ge=1,
        description="task align: images, and texts, that a rank embeds at once; embeddings are cached, so that the "
        "memory is that of a micro-batch while all of the batch are negatives; costs a second forward pass",
    )
    clip: float = Field(1.0, ge=0, description="largest norm of the gradient; 0 does not clip")
    ema: float = Field(
        0.0, ge=0, lt=1, description="decay of the moving average of the weights that becomes the model; 0: none"
    )
    precision: Literal["fp32", "bf16"] = Field("bf16", description="of the towers; losses are in fp32")
    freeze: tuple[str, ...] = Field((), description="modules and parameters, by their names, that are not trained")
    threads: int | None = Field(None, ge=1, description="CPU threads; none leaves it to torch")
    workers: int = Field(1, ge=0, description="threads that prepare batches; the batches do not depend on it")

    @model_validator(mode="after")
    def _one_length(self) -> Optimisation:
        if (self.steps is None) == (self.epochs is None):
            raise ValueError("give either steps or epochs")
        return self


class Tokenizer(Settings):
    """A Unigram tokenizer, trained on the corpus where the text tower brings none."""

    vocabulary: int = Field(8000, ge=300, description="number of pieces, special tokens included")
    sentences: int = Field(200_000, ge=1, description="distinct sentences it is trained on, evenly over the languages")


class LanguageModelling(Settings):
    """Masked and translation language modelling (Lample and Conneau 2019)."""

    mask: float = Field(
        0.15, gt=0, lt=1, description="share of tokens to predict; of these 80 % masked, 10 % random, 10 % kept"
    )
    translation: bool = Field(True, description="every other step pairs a sentence with its translation (TLM)")
    reset_positions: bool = Field(
        False, description="positions of the second sentence start again, as XLM's do and XLM-R's never did"
    )
    distinct: bool = Field(
        False,
        description="learn from each distinct sentence once, however often reports repeat it (Lee et al. 2022)",
    )
    pack: bool = Field(
        False, description="fill rows with several texts of a language up to model.text.max_tokens, as XLM's streams do"
    )
    evaluate: int = Field(64, ge=1, description="validation texts a language that are scored before and after")
    retrieve: int = Field(
        256,
        ge=2,
        description="distinct English validation sentences whose translation is looked for among as many, by language",
    )


class Classify(Settings):
    """Label classifiers for uncertain labels (Irvin et al. 2019, section 4)."""

    label_sources: tuple[LabelSource, ...] = Field(
        DEFAULT_SOURCES,
        min_length=1,
        description="which labels of an image or its study it learns from, the first that it has",
    )
    multiclass: tuple[str, ...] = Field(
        ("Cardiomegaly", "Pleural Effusion"),
        description="with three classes (U-MultiClass); the others ignore uncertain labels (U-SelfTrained)",
    )
    unmentioned: Literal["absent", "ignore"] = Field(
        "absent", description="what an observation is that no label mentions"
    )
    folds: int = Field(
        5, ge=2, description="every training image is predicted by a classifier that never saw its patient"
    )
    release: Literal["out_of_fold", "in_sample"] = Field(
        "out_of_fold",
        description="in_sample: the naive form, one classifier that predicts the images it was trained on, as it is",
    )

    @field_validator("multiclass")
    @classmethod
    def _known(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        unknown = [name for name in value if name not in OBSERVATIONS]
        if unknown:
            raise ValueError(f"{unknown[0]!r} is not one of the 14 observations")
        return value


class Saving(Settings):
    """When the run writes things down."""

    every: int = Field(500, ge=1, description="steps between checkpoints")
    keep: int = Field(2, ge=1, description="checkpoints kept")
    log_every: int = Field(20, ge=1, description="steps between lines of the training curve")
    validate_every: int = Field(0, ge=0, description="steps between validations; 0 validates only at the end")
    wandb: bool = Field(
        False, description="also log to Weights & Biases, which must be installed; offline unless WANDB_MODE says else"
    )


class ExperimentSettings(Settings):
    """An experiment file: config/experiments/<name>.yaml (paper scale) or config/demo/<name>.yaml (small)."""

    task: Literal["align", "classify", "text"] = Field(
        "align", description="image-text alignment, label classifiers, or language modelling"
    )
    seed: int = Field(0, ge=0, description="of all draws; the run's `seed` is added")
    model: ModelSettings = ModelSettings()
    text_experiment: str | None = Field(
        None, description="the experiment of task text whose encoder is the text tower; none starts as model.text says"
    )
    objectives: tuple[ObjectiveSettings, ...] = ()
    sampling: Literal["auto", "paired", "decoupled"] = Field(
        "auto", description="auto: decoupled if every objective allows it, paired otherwise"
    )
    data: DataSettings = DataSettings()
    optimisation: Optimisation = Optimisation(epochs=10)
    tokenizer: Tokenizer = Tokenizer()
    language_modelling: LanguageModelling = LanguageModelling()
    classify: Classify = Classify()
    saving: Saving = Saving()

    @model_validator(mode="after")
    def _objectives(self) -> ExperimentSettings:
        if self.task == "align" and not self.objectives:
            raise ValueError("task align needs at least one entry under objectives")
        if self.task != "align" and self.objectives:
            raise ValueError(f"objectives belong to task align, not to task {self.task}")
        strangers = [] if self.task == "align" else self._only_aligned()
        if strangers:
            raise ValueError(f"{strangers[0]} belongs to task align, not to task {self.task}")
        if not self.data.chosen_languages():
            raise ValueError("data.languages without data.exclude_languages leaves no language")
        return self

    def _only_aligned(self) -> list[str]:
        """What is set of the keys that no other task reads."""
        keys = {
            "data": ("image_weights", "text_weights", "texts_per_image", "length_buckets", "shuffle_pairs"),
            "optimisation": ("micro_batch",),
            "saving": ("validate_every",),
        }
        found = []
        for part, names in keys.items():
            plain = type(getattr(self, part)).model_fields
            found += [f"{part}.{name}" for name in names if getattr(getattr(self, part), name) != plain[name].default]
        return found
