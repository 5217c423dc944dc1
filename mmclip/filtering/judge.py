"""A language model as one more judge of the validation sample. It is off until the config names its address."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import logging
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mmclip.config.filtering import Judge
from mmclip.errors import UserError
from mmclip.filtering.chat import Chat, Unanswered
from mmclip.filtering.criteria import CRITERIA
from mmclip.filtering.marking import marks, question
from mmclip.languages import ENGLISH
from mmclip.tables.card import read_card
from mmclip.tables.files import PRIVATE, locked, make_private_file, read_table, write_text
from mmclip.tables.filtering import SAMPLE

log = logging.getLogger("mmclip.validate")


def judge(
    settings: Judge,
    sample: Path,
    cards: Sequence[Path],
    output: Path,
    source_language: str = ENGLISH,
    chat: Chat | None = None,
) -> dict[str, int]:
    """Have a model mark the validation sample; writes the CSV that people's marks come in.

    Each answer is kept at once in ``<output>.answers.jsonl`` (marks only, no text): a run that was stopped, or whose
    limits were changed, asks only what is left.

    Args:
        sample: a SAMPLE table.
        cards: the cards of all data sets that it was drawn from.
        output: item, judge, accuracy, fluency, consistency.
        chat: the client; none: one of the settings.

    Returns:
        Numbers of items, of those asked for now, of requests, and of items without a usable answer.

    Raises:
        UserError: restricted data that the settings do not let go, a server that refuses, or too many unanswered items.
    """
    _may_send(settings, cards)
    items = read_table(sample, SAMPLE).select(
        "item", "language", "before", "source", "after", "translation"
    ).to_dicts()  # fmt: skip
    questions = {item["item"]: question(item, source_language) for item in items}
    answers = output.with_name(f"{output.name}.answers.jsonl")
    output.parent.mkdir(parents=True, exist_ok=True)
    with locked(answers):
        answered, counts = _ask_all(settings, chat or Chat(settings), questions, answers)
        unanswered = len(items) - len(answered)
        if unanswered > settings.most_unanswered * len(items):
            raise UserError(
                f"validate.judge: {unanswered} of {len(items)} items have no usable answer (most_unanswered is "
                f"{settings.most_unanswered}); run it again: the others are kept in {answers}"
            )
        write_text(_csv(settings.model, answered), output, mode=PRIVATE)
    return {"items": len(items), **counts, "unanswered": unanswered}


def _may_send(settings: Judge, cards: Sequence[Path]) -> None:
    """Refuse restricted data, and data without a card, unless the settings say otherwise."""
    if settings.send_restricted:
        return
    restricted = [read_card(path).name for path in cards if read_card(path).share == "restricted"]
    if restricted or not cards:
        what = f"data set {restricted[0]!r} is restricted" if restricted else "no card says that the data is public"
        raise UserError(
            f"validate.judge: {what}, and its sentences would go to {settings.url}; "
            "set validate.judge.send_restricted only where the data's licence allows that address"
        )


def _ask_all(
    settings: Judge, chat: Chat, questions: Mapping[str, str], answers: Path
) -> tuple[dict[str, dict[str, int]], dict[str, int]]:
    """item -> its marks, in the sample's order; and how many items were asked, with how many requests."""
    keys = {item: _key(settings, text) for item, text in questions.items()}
    known, counts = _kept(answers), Counter(asked=0, requests=0)
    make_private_file(answers)
    with answers.open("a", encoding="utf-8") as kept:
        for item, text in questions.items():
            if keys[item] in known:
                continue
            counts["asked"] += 1
            found = _ask(settings, chat, text, counts)
            if found is not None:
                known[keys[item]] = found
                kept.write(json.dumps({"key": keys[item], "marks": found}) + "\n")
                kept.flush()
                os.fsync(kept.fileno())
    return {item: known[key] for item, key in keys.items() if key in known}, dict(counts)


def _ask(settings: Judge, chat: Chat, text: str, counts: Counter[str]) -> dict[str, int] | None:
    """The marks of one item; None where no attempt brought any."""
    for attempt in range(settings.retries + 1):
        counts["requests"] += 1
        try:
            return marks(chat.ask(text))
        except Unanswered as error:
            log.info("attempt %d of %d: %s", attempt + 1, settings.retries + 1, error)
            if attempt < settings.retries:
                chat.sleep(max(error.pause, settings.pause * 2**attempt))
    return None


def _key(settings: Judge, text: str) -> str:
    """What an answer belongs to: the model and the very question, so that a changed sample or prompt asks again."""
    return hashlib.sha256(f"{settings.url}\0{settings.model}\0{text}".encode()).hexdigest()[:32]


def _kept(answers: Path) -> dict[str, dict[str, int]]:
    """The answers of a stopped run; a last line that was cut off does not count."""
    out: dict[str, dict[str, int]] = {}
    if not answers.is_file():
        return out
    content = answers.read_bytes()
    os.truncate(answers, content.rfind(b"\n") + 1)
    for line in content.splitlines():
        try:
            row: dict[str, Any] = json.loads(line)
            out[row["key"]] = marks(json.dumps(row["marks"]))
        except (ValueError, KeyError, TypeError, Unanswered):
            continue
    return out


def _csv(model: str, answered: Mapping[str, Mapping[str, int]]) -> str:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["item", "judge", *CRITERIA])
    for item, row in answered.items():
        writer.writerow([item, model, *(row[name] for name in CRITERIA)])
    return out.getvalue()
