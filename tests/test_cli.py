"""The command line asks no hub for anything, but for `mmclip fetch`."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest


@pytest.fixture
def hub() -> Iterator[tuple[str, list[str]]]:
    """A hub that has nothing: its address, and the paths that were asked for."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_error(404)

        do_HEAD = do_GET

        def log_message(self, format: str, *arguments: object) -> None:
            """Say nothing."""

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", asked
    server.shutdown()
    thread.join()
    server.server_close()


def python(code: str, tmp_path: Path, endpoint: str = "", **environment: str) -> subprocess.CompletedProcess[str]:
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("HF_", "TRANSFORMERS_"))}
    more = {"HF_HOME": str(tmp_path / "home"), "HF_ENDPOINT": endpoint, **environment}
    return subprocess.run([sys.executable, "-c", code], env=kept | more, capture_output=True, text=True, check=False)


OFFLINE = "import huggingface_hub.constants as c; print(c.HF_HUB_OFFLINE)"


def test_commands_are_offline_unless_the_user_says_otherwise(tmp_path: Path) -> None:
    import_cli = "import sys, mmclip.cli; assert 'huggingface_hub' not in sys.modules; "
    assert python(OFFLINE, tmp_path).stdout == "False\n", "the library leaves the user's choice alone"
    done = python(import_cli + OFFLINE, tmp_path)
    assert done.stdout == "True\n", done.stderr
    assert python(import_cli + OFFLINE, tmp_path, HF_HUB_OFFLINE="0").stdout == "False\n"


COMMAND = "import sys; sys.argv = ['mmclip', {}]; from mmclip.cli import main; main()"


def test_fetch_asks_the_hub_and_nothing_else_does(hub: tuple[str, list[str]], tmp_path: Path) -> None:
    endpoint, asked = hub
    settings = '{"library": "hugging_face", "name": "somebody/tower"}'
    code = "import mmclip.cli, json; from mmclip.config.models import ImageTower; "
    code += "from mmclip.models.image_encoder import ImageEncoder; "
    done = python(code + f"ImageEncoder(ImageTower(**json.loads({settings!r})))", tmp_path, endpoint)
    assert "UserError" in done.stderr and asked == []
    done = python(COMMAND.format("'fetch', 'somebody/tower'"), tmp_path, endpoint)
    assert done.returncode == 2 and "cannot be fetched" in done.stderr
    assert any("somebody/tower" in path for path in asked)
