"""The card of a data set: what it is, where its bytes come from, and whether any of it may be shown."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from mmclip.errors import UserError


class Card(BaseModel):
    """card.json.

    Attributes:
        note: what a reader must know, as "simulated, not clinical".
        forbids: what the licence or data use agreement forbids, a line each.
        origin: where the data set comes from.
        share: ``restricted`` where no picture, id or sentence of it may leave the private report.
        settings: those that decided the content.
        sources: sha256 of the files it was read from, by name.
        files: sha256 of the tables beside the card, by name.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    kind: str
    version: str
    note: str
    licence: str
    forbids: tuple[str, ...] = ()
    origin: str = ""
    share: Literal["public", "restricted"]
    settings: dict[str, Any]
    sources: dict[str, str]
    files: dict[str, str]
    counts: dict[str, Any]


def read_card(path: Path | str) -> Card:
    """Read card.json.

    Raises:
        UserError: the file is missing or is no card.
    """
    try:
        return Card.model_validate_json(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise UserError(f"{path}: no such file; every ingested data set has a card") from error
    except (ValidationError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: not a data set's card; run ingest again") from error
