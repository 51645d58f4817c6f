"""A generator in a process of its own, seen from the parent: the same interpreter, orders and reports over pipes, on every system."""

from __future__ import annotations

import pickle
import subprocess
import sys
from collections import deque
from queue import SimpleQueue
from threading import Thread
from typing import IO, Any, Final, cast

from ..children import popen_options
from .generator import Told
from .messages import read_message, write_message
from .settings import Settings

_STOP: Final = 12.0
"""Seconds for a process to end in: its connections have ten to end theirs."""
_LAST_LINES: Final = 5
"""Of what it wrote to standard error, shown if it fails."""


class GeneratorProcess:
    """Player `share` of each `settings.processes`. `heard` gets (share, what it says), and (share, None) when it has ended."""

    def __init__(self, settings: Settings, share: int, heard: SimpleQueue[tuple[int, Told | None]]) -> None:
        self._settings = settings
        self._share = share
        self._heard = heard
        self._process: subprocess.Popen[bytes] | None = None
        self._threads: list[Thread] = []
        self._complaints: deque[str] = deque(maxlen=_LAST_LINES)

    @property
    def number(self) -> int | None:
        """The system's, of the process; None: not started."""
        return self._process.pid if self._process is not None else None

    def start(self) -> None:
        """Start it; it says something as soon as it is there."""
        self._process = subprocess.Popen(
            [sys.executable, "-m", "iocp.load.child"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            **popen_options(),
        )
        self._threads = [Thread(target=listen, daemon=True) for listen in (self._listen, self._listen_to_complaints)]
        for thread in self._threads:
            thread.start()
        self._write((self._settings, self._share))

    def tell(self, order: str, *arguments: Any) -> None:
        """See Generator."""
        self._write((order, *arguments))

    def request_stop(self) -> None:
        """Let it end."""
        if self._process is not None:
            try:
                self._stream("stdin").close()
            except OSError:
                pass  # it is gone, with orders unread

    def stop(self) -> None:
        """End it, by force if it does not want to."""
        self.request_stop()
        process = self._process
        if process is None:
            return
        try:
            process.wait(_STOP)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        for thread in self._threads:
            thread.join()
        self._stream("stdout").close()
        self._stream("stderr").close()
        self._process = None

    def how_it_ended(self) -> str:
        """In words, after it has: the exit code and its last lines."""
        assert self._process is not None
        try:
            code = self._process.wait(_STOP)
        except subprocess.TimeoutExpired:
            return "closed its pipe"
        self._threads[1].join(_STOP)
        return " ".join([f"ended in the middle, exit code {code}", *self._complaints])

    def _stream(self, name: str) -> IO[bytes]:
        return cast(IO[bytes], getattr(self._process, name))

    def _write(self, message: object) -> None:
        try:
            write_message(self._stream("stdin"), message)
        except (OSError, ValueError):
            pass  # it has ended, which the thread that listens notices

    def _listen(self) -> None:
        stream = self._stream("stdout")
        try:
            while True:
                self._heard.put((self._share, read_message(stream)))
        except (EOFError, OSError, pickle.UnpicklingError):
            self._heard.put((self._share, None))

    def _listen_to_complaints(self) -> None:
        for line in self._stream("stderr"):
            self._complaints.append(line.decode("utf-8", "replace").strip())
