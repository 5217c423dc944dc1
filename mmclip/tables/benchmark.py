"""A benchmark as an artefact: the samples of a split, their classes, the prompts, and hashes of both."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from mmclip.errors import UserError
from mmclip.tables.files import PRIVATE, write_text


class Sample(BaseModel):
    """An image of the benchmark; `label` is the number of its class, or None where only retrieval uses it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    image_id: str
    study_id: str
    patient_id: str
    label: int | None


class Benchmark(BaseModel):
    """What a model is scored on.

    Attributes:
        dataset, split: what the samples are.
        test_text: where the sentences come from: phrasebook (held-out wordings), mt:<engine>, or native (written in
            their language); texts excepted, where `texts_from` says so.
        classes: their names; a sample's `label` points here.
        prompts: language -> class -> sentences.
        texts: language -> study -> text, for retrieval of studies.
        texts_from: language -> where its texts come from, as `test_text`; joined by ``+`` where it is several.
        negations: language -> pairs of a sentence that states a finding and one that denies it.
        parallel: language -> sentences, the same meanings in the same order in every language.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    dataset: str
    split: str
    test_text: str
    classes: tuple[str, ...]
    samples: tuple[Sample, ...]
    prompts: dict[str, dict[str, tuple[str, ...]]]
    texts: dict[str, dict[str, str]] = {}
    texts_from: dict[str, str] = {}
    negations: dict[str, tuple[tuple[str, str], ...]] = {}
    parallel: dict[str, tuple[str, ...]] = {}

    @model_validator(mode="after")
    def _consistent(self) -> Benchmark:
        for sample in self.samples:
            if sample.label is not None and not 0 <= sample.label < len(self.classes):
                raise ValueError(
                    f"image {sample.image_id!r}: label {sample.label}; there are {len(self.classes)} classes"
                )
        for language, by_class in self.prompts.items():
            for name in self.classes:
                if not by_class.get(name):
                    raise ValueError(f"prompts: {language}: class {name!r} has none; give at least one sentence")
        if len({len(sentences) for sentences in self.parallel.values()}) > 1:
            raise ValueError("parallel: the languages have different numbers of sentences; they must correspond")
        return self

    @property
    def split_hash(self) -> str:
        """Hash of the samples and their classes, 16 hexadecimal digits."""
        return _hash([(sample.image_id, sample.label) for sample in self.samples] + [self.classes])

    @property
    def prompt_hash(self) -> str:
        """Hash of everything a text tower reads."""
        return _hash([self.prompts, self.texts, self.negations, self.parallel])

    @property
    def labelled(self) -> list[Sample]:
        """The samples that have a class."""
        return [sample for sample in self.samples if sample.label is not None]


def _hash(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:16]


def write_benchmark(benchmark: Benchmark, path: Path) -> None:
    """Write it as JSON, readable by its owner only: it holds report text."""
    write_text(benchmark.model_dump_json(indent=1), path, mode=PRIVATE)


def read_benchmark(path: Path) -> Benchmark:
    """Read a benchmark.

    Raises:
        UserError: the file is missing or is no benchmark.
    """
    try:
        return Benchmark.model_validate_json(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise UserError(f"{path}: no such file; `mmclip benchmark` makes it from an ingested data set") from error
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: not UTF-8 text, so not a benchmark; `mmclip benchmark` makes one") from error
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(map(str, first["loc"])) or "file"
        raise UserError(f"{path}: not a benchmark: {key}: {first['msg']}") from error
