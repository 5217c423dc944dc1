"""The command line: the commands of `mmclip.commands`, put together. What a stage imports is loaded when it runs."""

from __future__ import annotations

import logging
import os
import signal
import sys

import typer

from mmclip.commands import data, evaluation, jobs, machine, models, texts, training
from mmclip.errors import UserError, is_disk_full
from mmclip.lifeline import follow_controller

# Nothing but `mmclip fetch` asks the hub for anything; it reads this when it is first imported, which no command does.
os.environ.setdefault("HF_HUB_OFFLINE", "1")

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Multilingual image-text pretraining on chest radiographs: from reports and images to a model and its report.",
)
for topic in (data, texts, training, evaluation, models, machine, jobs):
    app.add_typer(topic.app)


def main() -> None:
    """Run a command; a user's mistake ends it with one line and exit status 2."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s: %(message)s", datefmt="%H:%M:%S")
    follow_controller()
    try:
        app()
    except UserError as error:
        print(f"mmclip: {error}", file=sys.stderr)
        sys.exit(2)
    except Exception as error:
        if not is_disk_full(error):
            raise
        print(f"mmclip: the disk is full ({error}); free space or choose another folder", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(128 + signal.SIGINT)
