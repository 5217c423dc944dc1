"""A chain of programs, each reading what the one before writes: lines in, as many lines out."""

from __future__ import annotations

import contextlib
import os
import selectors
import shlex
import signal
import subprocess
import time
from collections.abc import Sequence

from mmclip.errors import UserError

_READ = 1 << 16


class PipelineFailure(Exception):
    """The programs died, hung, or answered with another number of lines. The message holds no text of theirs."""


class Pipeline:
    """Programs connected by pipes, started when they are first asked.

    Args:
        commands: command lines, split as a shell would but run without one.
        persistent: keep them running between calls; else they are started for each call and see its end.
    """

    def __init__(self, commands: Sequence[str], persistent: bool) -> None:
        self._commands = [shlex.split(command) for command in commands]
        self._persistent = persistent
        self._processes: list[subprocess.Popen[bytes]] = []

    def ask(self, lines: Sequence[str], seconds: float) -> list[str]:
        """The answer to each line.

        Raises:
            PipelineFailure: see there; the programs have been stopped, the next call starts them anew.
            UserError: a program cannot be started.
        """
        try:
            if any(process.poll() is not None for process in self._processes):
                self.stop()
            if not self._processes:
                self._start()
            answers = self._exchange("".join(f"{line}\n" for line in lines).encode(), len(lines), seconds)
            out = [line.removesuffix(b"\r").decode("utf-8") for line in answers.removesuffix(b"\n").split(b"\n")]
            if len(out) != len(lines):
                raise PipelineFailure(f"{len(lines)} lines in, {len(out)} lines out")
            return out
        except UnicodeDecodeError as error:
            self.stop()
            raise PipelineFailure("its output is not UTF-8") from error
        except PipelineFailure:
            self.stop()
            raise

    def stop(self) -> None:
        """Kill the programs and all that they have started."""
        for process in self._processes:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            for stream in (process.stdin, process.stdout):
                if stream is not None:
                    with contextlib.suppress(OSError):
                        stream.close()
        self._processes = []

    def _start(self) -> None:
        feed: int | None = subprocess.PIPE
        for command in self._commands:
            try:
                process = subprocess.Popen(
                    command,
                    bufsize=0,
                    stdin=feed,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.DEVNULL,
                    start_new_session=True,
                    env={**os.environ, "LC_ALL": "C.UTF-8"},
                )
            except OSError as error:
                self.stop()
                raise UserError(
                    f"translation command {command[0]!r} cannot be started ({error.strerror}); "
                    "install it or correct the pipeline"
                ) from error
            if self._processes:
                previous = self._processes[-1].stdout
                assert previous is not None
                previous.close()  # the child holds it now; it must see the end when its predecessor stops
            self._processes.append(process)
            assert process.stdout is not None
            feed = process.stdout.fileno()

    def _exchange(self, data: bytes, lines: int, seconds: float) -> bytes:
        """Write all while reading all, so that neither side waits for the other for ever."""
        deadline = time.monotonic() + seconds
        sink, tap = self._processes[0].stdin, self._processes[-1].stdout
        assert sink is not None and tap is not None
        for stream in (sink, tap):
            os.set_blocking(stream.fileno(), False)
        answer, written = bytearray(), 0
        with selectors.DefaultSelector() as selector:
            selector.register(tap, selectors.EVENT_READ)
            selector.register(sink, selectors.EVENT_WRITE)
            while not (self._persistent and answer.count(b"\n") >= lines):
                ready = selector.select(max(0.0, deadline - time.monotonic()))
                if not ready and time.monotonic() >= deadline:
                    raise PipelineFailure(f"no answer within {seconds:.0f} s")
                for entry, _ in ready:
                    if entry.fileobj is tap:
                        chunk = os.read(tap.fileno(), _READ)
                        if not chunk:
                            return self._ended(bytes(answer), deadline)
                        answer += chunk
                    else:
                        with contextlib.suppress(BrokenPipeError):
                            written += os.write(sink.fileno(), data[written : written + _READ])
                            if written < len(data):
                                continue
                        selector.unregister(sink)
                        if not self._persistent:
                            sink.close()
        return bytes(answer)

    def _ended(self, answer: bytes, deadline: float) -> bytes:
        """All that was said by programs that have closed their output."""
        try:
            codes = [process.wait(max(0.1, deadline - time.monotonic())) for process in self._processes]
        except subprocess.TimeoutExpired as error:
            raise PipelineFailure("it closed its output but did not end") from error
        self.stop()
        if self._persistent or any(codes):
            raise PipelineFailure(f"it ended with exit status {next(filter(None, codes), 0)}")
        return answer
