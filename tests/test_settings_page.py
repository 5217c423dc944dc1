"""docs/settings.md: it is that of the models, and says of every key what it means."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Literal

import pytest
from pydantic import BaseModel, Field

from mmclip.config.base import Settings
from mmclip.config.reference import Section, Sections, own_fields, page, undescribed
from mmclip.config.root import Config
from mmclip.config.training import ExperimentSettings

PAGE = Path(__file__).resolve().parents[1] / "docs/settings.md"


def test_the_page_is_that_of_the_models() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "docs/settings.md is out of date: make schemas"


@pytest.mark.parametrize("model", [Config, ExperimentSettings])
def test_every_key_is_described(model: type[BaseModel]) -> None:
    assert undescribed(model) == [], "give these keys a description"


def test_links_lead_to_a_heading() -> None:
    text = PAGE.read_text(encoding="utf-8")
    headings = [re.sub(r"[^\w\- ]", "", line.lower()).replace(" ", "-") for line in re.findall("^#+ (.+)$", text, re.M)]
    assert len(headings) == len(set(headings))
    assert set(re.findall(r"\]\(#([^)]+)\)", text)) <= set(headings)


class One(Settings):
    """The first form. More of it."""

    kind: Literal["one"]
    n: int = Field(3, ge=1, description="a | number of <things>")


class Two(One):
    """The second form."""

    kind: Literal["two"]  # type: ignore[assignment]
    unsaid: float = 0.5


class Whole(Settings):
    """All."""

    forms: dict[str, One | Two] = Field({}, description="by name")


def test_keys_are_listed_once_and_by_the_model_that_has_them() -> None:
    sections = Sections()
    sections.add(Section("All", Whole))
    headings = {model: section.heading for model, section in sections.shortened().items()}
    assert headings == {Whole: "All", One: "`forms.<name>`, kind `one`", Two: "`forms.<name>`, kind `two`"}
    assert [name for name, _ in own_fields(Two)] == ["kind", "unsaid"]
    assert undescribed(Whole) == ["Two.unsaid"]
