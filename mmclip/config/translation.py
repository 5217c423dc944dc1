"""Settings of the translation stage: engines by name, and which language uses which."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, get_args

from pydantic import Field, model_validator

from mmclip.config.base import Settings
from mmclip.languages import language

FaultKind = Literal["loop", "truncate", "drop_negation", "swap_side", "change_number", "copy", "wrong_language"]
"""Ways in which a translation engine goes wrong."""

FAULT_KINDS: tuple[FaultKind, ...] = get_args(FaultKind)


NLLB_SIZES = (
    "facebook/nllb-200-distilled-600M",
    "facebook/nllb-200-distilled-1.3B",
    "facebook/nllb-200-1.3B",
    "facebook/nllb-200-3.3B",
)
"""Models that `mmclip convert` makes into folders for the engine ``nllb``, by their names on the Hugging Face hub; the
first is the paper's. All have one licence: CC-BY-NC 4.0, and are not meant for medical text."""


class Faults(Settings):
    """Faults injected into the phrase book's translations, so that the filter has something known to find."""

    rate: float = Field(default=0.06, ge=0, le=1, description="share of sentences; 0 injects none")
    kinds: tuple[FaultKind, ...] = Field(default=FAULT_KINDS, min_length=1, description="which are injected")


class Memory(Settings):
    """Translations that are already known: the embedded phrase book, or a file.

    The file is UTF-8 with one translation a line, ``source<TAB>language<TAB>translation``.
    """

    kind: Literal["memory"]
    file: Path | None = Field(default=None, description="none: the embedded phrase book")
    fallback: str | None = Field(default=None, description="engine for unknown sentences; none: they stay empty")
    faults: Faults = Field(default=Faults(), description="only ever injected into the phrase book")


class Command(Settings):
    """Programs that read one sentence a line and write one translation a line.

    A pipeline is a list of command lines, each fed by the one before: ``[apertium eng-spa, apertium spa-ita]``. They
    are started directly, without a shell.
    """

    kind: Literal["command"]
    pipelines: dict[str, list[str]] = Field(description="language -> command lines", min_length=1)
    persistent: bool = Field(
        default=False,
        description="keep the programs running; they must answer each line at once and leave a number as it is",
    )
    markers: bool = Field(
        default=False, description="put a numbered line before each sentence and require it back unchanged"
    )
    timeout: float = Field(default=60.0, gt=0, description="seconds to start and to answer a call")
    timeout_per_sentence: float = Field(default=1.0, ge=0, description="seconds more for each sentence of the call")
    batch: int = Field(
        default=1024, ge=1, description="sentences a call, at most; fewer as long as a call takes more than seconds"
    )

    @model_validator(mode="after")
    def _check(self) -> Command:
        for code, commands in self.pipelines.items():
            language(code, "pipelines")
            if not commands or not all(command.strip() for command in commands):
                raise ValueError(f"pipelines.{code}: name at least one command")
        return self


Quantization = Literal["float32", "float16", "bfloat16", "int16", "int8", "int8_float32", "int8_float16"]
"""Types of a converted model's weights."""


class Decoding(Settings):
    """How a neural engine searches, and when it gives up."""

    beam: int = Field(default=4, ge=1, description="beam width; 1 is greedy")
    no_repeat_ngram: int = Field(default=0, ge=0, description="n-grams that may not repeat; 0 allows all")
    repetition_penalty: float = Field(default=1.0, ge=1.0, description="of tokens that were written before; 1: none")
    retry_ngram: int = Field(
        default=4,
        ge=0,
        description="what loops or does not end is translated again, with no n-gram of so many tokens twice; 0: not",
    )
    max_input: int = Field(default=510, ge=8, description="source tokens; more are cut off and flagged")
    length_factor: float = Field(default=2.0, gt=0, description="output tokens a source token, at most")
    length_constant: int = Field(default=16, ge=1, description="output tokens beyond that")
    batch_tokens: int = Field(default=2048, ge=1, description="source tokens a batch, at most; 16384 on a large GPU")

    def max_output(self, source_tokens: int) -> int:
        """Tokens after which the decoder of a source of this length is stopped."""
        return int(self.length_factor * source_tokens) + self.length_constant


class _Local(Decoding):
    """A neural engine on this machine."""

    device: Literal["auto", "cpu", "cuda"] = Field(
        default="auto", description="auto: a GPU where there is one; the workflow asks for one unless it is cpu"
    )


class CTranslate2(_Local):
    """Any model that `mmclip convert` has made, or any other CTranslate2 folder with a Hugging Face tokenizer.

    OPUS-MT models (CC-BY 4.0) need nothing more; many-to-many ones name the target in the text: `text_prefix`
    ``>>{target}<<`` (OPUS-MT) or ``<2{target}>`` (MADLAD-400, Apache-2.0), with `codes` for their names of languages.
    """

    kind: Literal["ct2"]
    model: Path = Field(description="folder of the converted model")
    tokenizer: Path | None = Field(default=None, description="none: the model's folder")
    text_prefix: str = Field(default="", description="put before each sentence; {target} is the language's code")
    codes: dict[str, str] = Field(default={}, description="FLORES-200 code -> the model's code")
    compute_type: str = Field(default="default", description="CTranslate2's; default: as converted")
    workers: int = Field(default=0, ge=0, description="parallel batches; 0: one a core of the job (on a GPU: one)")


class Nllb(_Local):
    """NLLB-200 in CTranslate2. Its weights are CC-BY-NC 4.0 and not meant for medical text; none are shipped."""

    kind: Literal["nllb"]
    model: Path = Field(description="folder made by mmclip convert")
    tokenizer: Path | None = Field(default=None, description="none: the model's folder")
    compute_type: str = Field(default="default", description="CTranslate2's; default: as converted")
    workers: int = Field(default=0, ge=0, description="parallel batches; 0: one a core of the job (on a GPU: one)")


class NllbTransformers(_Local):
    """NLLB-200 in Hugging Face Transformers: the reference that the fast one is compared with."""

    kind: Literal["nllb-transformers"]
    model: Path = Field(description="Hugging Face folder with safetensors")


EngineSettings = Annotated[Memory | Command | CTranslate2 | Nllb | NllbTransformers, Field(discriminator="kind")]


class Translation(Settings):
    """The translation stage."""

    engines: dict[str, EngineSettings] = Field(
        default={"phrasebook": Memory(kind="memory")}, min_length=1, description="engines by name"
    )
    engine: str = Field(default="phrasebook", description="the engine of every language that names no other")
    engines_by_language: dict[str, str] = Field(default={}, description="language -> engine")
    block: int = Field(
        default=1024, ge=1, description="distinct sentences that are claimed, and given to the engine, at once"
    )
    max_characters: int = Field(
        default=2000, ge=100, description="longer sentences are none: they are left untranslated, and flagged"
    )
    store: Path | None = Field(
        default=None, description="folder of the store of translations; none: .store beside the results"
    )
    store_shared: bool = Field(
        default=False, description="the store lies on a network file system: safe there, but slower"
    )

    @model_validator(mode="after")
    def _check(self) -> Translation:
        names = {"engine": self.engine}
        names |= {f"engines_by_language.{code}": name for code, name in self.engines_by_language.items()}
        for name, settings in self.engines.items():
            if isinstance(settings, Memory) and settings.fallback is not None:
                names[f"engines.{name}.fallback"] = settings.fallback
        for key, name in names.items():
            if name not in self.engines:
                raise ValueError(f"{key}: there is no engine {name!r}; engines: {', '.join(self.engines)}")
        for code in self.engines_by_language:
            language(code, "engines_by_language")
        for name in self.engines:
            self._chain(name)
        return self

    def _chain(self, name: str) -> None:
        seen: list[str] = []
        while name not in seen:
            seen.append(name)
            settings = self.engines[name]
            if not isinstance(settings, Memory) or settings.fallback is None:
                return
            name = settings.fallback
        raise ValueError(f"engines.{name}.fallback: {' -> '.join([*seen, name])} goes round in a circle")

    def engine_of(self, code: str) -> str:
        """Name of the engine that translates into a language."""
        return self.engines_by_language.get(code, self.engine)
