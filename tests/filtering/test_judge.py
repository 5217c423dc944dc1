"""The judging model, against a real server on this machine."""

from __future__ import annotations

import csv
import logging
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mmclip.config.filtering import Judge, Validation
from mmclip.errors import UserError
from mmclip.filtering.agreement import measure_agreement
from mmclip.filtering.chat import LARGEST, Chat, Unanswered
from mmclip.filtering.judge import judge
from mmclip.filtering.marking import marks
from mmclip.tables.card import Card
from mmclip.tables.files import write_table
from mmclip.tables.filtering import SAMPLE
from tests.filtering.judge_server import GOOD, Reply, Server, drip, hang_up, say, serving, stall


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with serving() as running:
        yield running


def settings(server: Server, **values: Any) -> Judge:
    return Judge.model_validate(
        {"url": server.url, "timeout": 0.4, "retries": 2, "pause": 0, "per_minute": 1e6, **values}
    )


def card(path: Path, share: str = "public") -> Path:
    values = {"name": path.stem, "kind": "table", "version": "1", "note": "", "licence": "", "share": share}
    empty: dict[str, Any] = {"settings": {}, "sources": {}, "files": {}, "counts": {}}
    path.write_text(Card.model_validate({**values, **empty}).model_dump_json())
    return path


def sample(path: Path, n: int = 6) -> Path:
    rows: list[dict[str, object]] = [
        {
            "item": f"spa_Latn-{number:05d}", "language": "spa_Latn", "study_id": f"s{number}", "index": 0,
            "before": "", "source": f"No effusion {number}.", "after": "", "translation": f"Sin derrame {number}.",
            "kept": number % 2 == 0, "reasons": [] if number % 2 == 0 else ["secret_reason"],
        }
        for number in range(n)
    ]  # fmt: skip
    write_table(SAMPLE.frame(rows), path, SAMPLE)
    return path


def rows(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(path.open(encoding="utf-8")))


def run(server: Server, folder: Path, n: int = 6, **values: Any) -> dict[str, int]:
    path = sample(folder / "sample.parquet", n)
    return judge(settings(server, **values), path, [card(folder / "open.json")], folder / "judged" / "model.csv")


def test_every_item_is_marked_and_the_marks_can_be_imported(server: Server, tmp_path: Path) -> None:
    summary = run(server, tmp_path)
    assert summary == {"items": 6, "asked": 6, "requests": 6, "unanswered": 0}
    output = tmp_path / "judged" / "model.csv"
    assert rows(output)[0] == {
        "item": "spa_Latn-00000", "judge": "glm-4-flash", "accuracy": "5", "fluency": "4", "consistency": "3"
    }  # fmt: skip
    assert stat.S_IMODE(output.stat().st_mode) == 0o600
    found = measure_agreement(Validation(), tmp_path / "sample.parquet", [output], tmp_path / "agreement.json")
    assert found == {"items": 6, "judged": 6, "judges": 1}


def test_the_model_is_asked_blind_and_by_its_name(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JUDGE_KEY", "k123")
    run(server, tmp_path, 1, model="some-model", key_variable="JUDGE_KEY")
    asked = server.asked[0]
    assert (asked["model"], asked["temperature"], server.paths[0]) == ("some-model", 0, "/v1/chat/completions")
    assert server.keys == ["Bearer k123"]
    text = asked["messages"][0]["content"]
    assert "Sin derrame 0." in text and "Spanish" in text and "follow no instruction" in text
    assert "kept" not in text and "secret_reason" not in text and "s0" not in text


def test_without_a_key_none_is_sent(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MMCLIP_JUDGE_KEY", raising=False)
    run(server, tmp_path, 1)
    assert server.keys == [None]


FAILURES: dict[str, Reply] = {
    "stalls": stall(1.0),
    "is overloaded": say(b"", 503),
    "says too many requests": say(b"", 429, {"Retry-After": "0"}),
    "hangs up": hang_up,
    "drips": drip,
    "talks something else": lambda handler: handler.wfile.write(b"SMTP ready\r\n\r\n") and None,
    "answers no JSON": say(b"<html>sorry</html>"),
    "answers other JSON": say(b'{"choices": []}'),
    "answers null": say(None),
    "answers nonsense": say("As a language model I like it."),
    "answers other marks": say('{"accuracy": 6, "fluency": 4, "consistency": 3}'),
    "answers half a mark": say('{"accuracy": 4.5, "fluency": 4, "consistency": 3}'),
    "answers too few marks": say('{"accuracy": 4}'),
    "answers true": say('{"accuracy": true, "fluency": 4, "consistency": 3}'),
    "answers without end": say(b" " * (LARGEST + 10)),
    "answers deep JSON": say(b"[" * 100_000),
}


@pytest.mark.parametrize("failure", FAILURES)
def test_a_failing_answer_is_asked_for_again(server: Server, tmp_path: Path, failure: str) -> None:
    server.replies = [FAILURES[failure]]
    assert run(server, tmp_path, 2) == {"items": 2, "asked": 2, "requests": 3, "unanswered": 0}


def test_a_server_that_asks_to_wait_is_waited_for(server: Server, tmp_path: Path) -> None:
    server.replies = [say(b"", 429, {"Retry-After": "7"}), say(b"", 429, {"Retry-After": "99999"})]
    waited: list[float] = []
    client = Chat(settings(server), sleep=waited.append)
    judge(settings(server), sample(tmp_path / "s", 1), [card(tmp_path / "c.json")], tmp_path / "m.csv", chat=client)
    assert [seconds for seconds in waited if seconds >= 1] == [7, 300]


def test_pauses_double(server: Server, tmp_path: Path) -> None:
    server.replies = [say("no"), say("no"), say("no")]
    waited: list[float] = []
    chosen = settings(server, pause=2, retries=3)
    client = Chat(chosen, sleep=waited.append)
    judge(chosen, sample(tmp_path / "s", 1), [card(tmp_path / "c.json")], tmp_path / "m.csv", chat=client)
    assert [seconds for seconds in waited if seconds >= 1] == [2, 4, 8]


def test_the_rate_is_kept(server: Server) -> None:
    now, waited = [0.0], []

    def sleep(seconds: float) -> None:
        waited.append(seconds)
        now[0] += seconds

    client = Chat(settings(server, per_minute=30), sleep=sleep, clock=lambda: now[0])
    for _ in range(3):
        client.ask("?")
    assert waited == [2, 2]


@pytest.mark.parametrize(("status", "remedy"), [(401, "MMCLIP_JUDGE_KEY"), (403, "KEY"), (404, "url"), (400, "model")])
def test_a_refusal_ends_it_at_once(server: Server, tmp_path: Path, status: int, remedy: str) -> None:
    server.otherwise = say(b"No effusion 0.", status)
    with pytest.raises(UserError, match=rf"status {status}.*{remedy}") as caught:
        run(server, tmp_path)
    assert len(server.asked) == 1 and "effusion" not in str(caught.value)


def test_a_redirect_is_not_followed(server: Server, tmp_path: Path) -> None:
    with serving() as other:
        server.otherwise = say(b"", 302, {"Location": f"{other.url}/chat/completions"})
        with pytest.raises(UserError, match="status 302"):
            run(server, tmp_path, 1)
        assert other.asked == []


def test_an_unreachable_server_leaves_all_unanswered(tmp_path: Path) -> None:
    with serving() as gone:
        pass
    with pytest.raises(UserError, match="2 of 2 items have no usable answer"):
        run(gone, tmp_path, 2, retries=0)


def test_a_stopped_run_asks_only_what_is_left(server: Server, tmp_path: Path) -> None:
    server.replies = [say(), say(), say(), say(b"", 401)]
    with pytest.raises(UserError, match="401"):
        run(server, tmp_path)
    answers = tmp_path / "judged" / "model.csv.answers.jsonl"
    content = answers.read_text()
    assert len(content.splitlines()) == 3 and "derrame" not in content
    assert stat.S_IMODE(answers.stat().st_mode) == 0o600
    answers.write_text(content + '{"key": "cut off')
    assert run(server, tmp_path) == {"items": 6, "asked": 3, "requests": 3, "unanswered": 0}
    assert run(server, tmp_path)["asked"] == 0
    assert len(rows(tmp_path / "judged" / "model.csv")) == 6


def test_another_model_is_asked_anew(server: Server, tmp_path: Path) -> None:
    server.replies = [say(), say(b"", 401)]
    with pytest.raises(UserError):
        run(server, tmp_path, 2)
    assert run(server, tmp_path, 2, model="other")["asked"] == 2


def test_few_unanswered_items_are_left_out_and_counted(server: Server, tmp_path: Path) -> None:
    server.replies = [say("nonsense")]
    assert run(server, tmp_path, 4, retries=0, most_unanswered=0.25)["unanswered"] == 1
    assert len(rows(tmp_path / "judged" / "model.csv")) == 3


def test_restricted_data_stay_unless_the_config_says_otherwise(server: Server, tmp_path: Path) -> None:
    path, cards = sample(tmp_path / "s"), [card(tmp_path / "a.json"), card(tmp_path / "mine.json", "restricted")]
    for given in (cards, []):
        with pytest.raises(UserError, match=r"send_restricted"):
            judge(settings(server), path, given, tmp_path / "m.csv")
    assert server.asked == []
    judge(settings(server, send_restricted=True), path, cards, tmp_path / "m.csv")
    assert len(server.asked) == 6


def test_no_text_is_logged(server: Server, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    server.replies = [say("Sin derrame 0. bad"), say(b"", 500)]
    with caplog.at_level(logging.DEBUG):
        run(server, tmp_path)
    assert "derrame" not in caplog.text and "attempt 1 of 3" in caplog.text


@pytest.mark.parametrize(
    "answer", [GOOD, f"```json\n{GOOD}\n```", f"I think {{so}}. {GOOD}", f'{{"accuracy": 1}} {GOOD} {{"x": 1}}']
)
def test_marks_are_found_in_an_answer(answer: str) -> None:
    assert marks(answer) == {"accuracy": 5, "fluency": 4, "consistency": 3}


def test_marks_in_words_are_none() -> None:
    with pytest.raises(Unanswered):
        marks("accuracy 5, fluency 4, consistency 3")


def test_the_address_is_checked() -> None:
    for url in ("ftp://x", "file:///etc/passwd", "localhost:8000"):
        with pytest.raises(ValueError, match="url"):
            Judge(url=url)
