"""One question, one answer, behind the OpenAI-compatible HTTP interface. Errors hold nothing of either."""

from __future__ import annotations

import http.client
import json
import os
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass, field
from email.message import Message
from typing import IO, Any

from mmclip.config.filtering import Judge
from mmclip.errors import UserError

AGAIN = (408, 409, 425, 429, 500, 502, 503, 504, 529)
"""Status codes after which the same request may succeed later."""

LARGEST = 1 << 20
"""Bytes of an answer that are read; a longer one is no answer."""

LONGEST_PAUSE = 300.0
"""Seconds that a server may ask to wait; more is treated as this."""


class Unanswered(Exception):
    """No answer this time; another attempt may bring one. The message says why, without any text."""

    def __init__(self, reason: str, pause: float = 0.0) -> None:
        super().__init__(reason)
        self.pause = pause


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """Report text goes to the configured address and to no other."""

    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: Message, newurl: str
    ) -> None:
        return None


@dataclass
class Chat:
    """A client of one server and model.

    Attributes:
        settings: address, model, limits.
        sleep, clock: to wait and to tell the time (seconds).
    """

    settings: Judge
    sleep: Callable[[float], None] = time.sleep
    clock: Callable[[], float] = time.monotonic
    _next: float = field(default=float("-inf"), init=False)

    def ask(self, question: str) -> str:
        """The answer to one question, at most `per_minute` times a minute.

        Raises:
            Unanswered: a time-out, an overloaded or failing server, or something that is no answer.
            UserError: the server refuses: the address, the key or the model is wrong.
        """
        self._wait()
        body = json.dumps(
            {"model": self.settings.model, "temperature": 0, "messages": [{"role": "user", "content": question}]}
        )
        request = urllib.request.Request(
            self.settings.url.rstrip("/") + "/chat/completions", data=body.encode(), headers=self._headers()
        )
        return _content(self._send(request))

    def _headers(self) -> dict[str, str]:
        headers = {"Content-Type": "application/json", "Accept": "application/json"}
        key = os.environ.get(self.settings.key_variable, "").strip()
        return headers | {"Authorization": f"Bearer {key}"} if key else headers

    def _wait(self) -> None:
        """Keep the rate: requests start at least a minute / `per_minute` apart."""
        now = self.clock()
        if now < self._next:
            self.sleep(self._next - now)
        self._next = max(now, self._next) + 60.0 / self.settings.per_minute

    def _send(self, request: urllib.request.Request) -> bytes:
        opener = urllib.request.build_opener(_NoRedirect)
        try:
            with opener.open(request, timeout=self.settings.timeout) as response:
                return self._read(response)
        except urllib.error.HTTPError as error:
            with error:
                raise self._refusal(error.code, error.headers) from None
        except (OSError, ValueError, http.client.HTTPException) as error:  # no connection, no name, time-out, not HTTP
            raise Unanswered(f"no answer ({type(error).__name__})") from None

    def _read(self, response: Any) -> bytes:
        """The body, within the time-out as a whole: a server may send a byte now and then for ever."""
        deadline, parts, size = self.clock() + self.settings.timeout, [], 0
        while part := response.read1(1 << 16):
            parts.append(part)
            size += len(part)
            if size > LARGEST:
                raise Unanswered("the answer is too long")
            if self.clock() > deadline:
                raise Unanswered("no complete answer in time")
        return b"".join(parts)

    def _refusal(self, status: int, headers: Message) -> Exception:
        if status in AGAIN:
            return Unanswered(f"status {status}", pause=_seconds(headers.get("Retry-After")))
        remedy = "check validate.judge.url and .model"
        if status in (401, 403):
            remedy = f"put the key into the environment variable {self.settings.key_variable}"
        return UserError(f"validate.judge: {self.settings.url}: the server refuses with status {status}; {remedy}")


def _seconds(value: str | None) -> float:
    """Retry-After in seconds; 0 where it is missing or a date."""
    try:
        return min(max(float(value or 0), 0.0), LONGEST_PAUSE)
    except ValueError:
        return 0.0


def _content(body: bytes) -> str:
    try:
        content = json.loads(body)["choices"][0]["message"]["content"]
    except (ValueError, KeyError, IndexError, TypeError, RecursionError):
        raise Unanswered("the answer is no chat completion") from None
    if not isinstance(content, str):
        raise Unanswered("the answer holds no text")
    return content
