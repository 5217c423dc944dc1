"""A real HTTP server on this machine that answers like a chat model, or fails in one of the ways servers fail."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

GOOD = '{"accuracy": 5, "fluency": 4, "consistency": 3}'

Reply = Callable[[BaseHTTPRequestHandler], None]


def say(content: Any = GOOD, status: int = 200, headers: dict[str, str] | None = None) -> Reply:
    """Answer with a chat completion, or with `content` as it is where it is bytes."""

    def reply(handler: BaseHTTPRequestHandler) -> None:
        body = content if isinstance(content, bytes) else json.dumps(
            {"choices": [{"message": {"role": "assistant", "content": content}}]}
        ).encode()  # fmt: skip
        handler.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **(headers or {})}.items():
            handler.send_header(name, value)
        handler.end_headers()
        handler.wfile.write(body)

    return reply


def stall(seconds: float) -> Reply:
    """Say nothing for so long."""
    return lambda handler: time.sleep(seconds)


def hang_up(handler: BaseHTTPRequestHandler) -> None:
    """Close the connection in the middle of the answer."""
    handler.send_response(200)
    handler.send_header("Content-Length", "1000")
    handler.end_headers()
    handler.wfile.write(b"{")


def drip(handler: BaseHTTPRequestHandler) -> None:
    """A byte now and then, for ever."""
    handler.send_response(200)
    handler.end_headers()
    for _ in range(100):
        handler.wfile.write(b" ")
        handler.wfile.flush()
        time.sleep(0.05)


@dataclass
class Server:
    """What was asked, and what will be replied: the replies in turn, then `otherwise`."""

    url: str = ""
    replies: list[Reply] = field(default_factory=list)
    otherwise: Reply = field(default_factory=say)
    asked: list[dict[str, Any]] = field(default_factory=list)
    keys: list[str | None] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)


@contextmanager
def serving() -> Iterator[Server]:
    """A server on a free port of 127.0.0.1."""
    state = Server()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            state.asked.append(json.loads(body))
            state.keys.append(self.headers.get("Authorization"))
            state.paths.append(self.path)
            try:
                (state.replies.pop(0) if state.replies else state.otherwise)(self)
            except OSError:
                self.close_connection = True  # the client has gone

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    state.url = f"http://127.0.0.1:{server.server_port}/v1"
    try:
        yield state
    finally:
        server.shutdown()
        server.server_close()
