"""A Python process of its own, for what only a whole process can show: signals, exit codes, limits, memory."""

from __future__ import annotations

import os
import queue
import signal
import subprocess
import sys
import threading

import pytest

from witness import TIMEOUT

posix = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no signals that another process can send but Ctrl-C")

# A process group of its own keeps a Ctrl-C for the child from the tests themselves, but Windows starts such a group with
# Ctrl-C switched off; Ctrl-Break, which is never off, does not arrive under Wine 8.
_FLAGS = getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0)
_CTRL_C_ON = "import ctypes\nctypes.windll.kernel32.SetConsoleCtrlHandler(None, 0)\n" if sys.platform == "win32" else ""


class Child:
    """Runs `code`. What it prints, errors included, is read line by line."""

    def __init__(self, code: str, *arguments: object, **environment: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-u", "-c", _CTRL_C_ON + code, *map(str, arguments)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            encoding="utf-8",
            creationflags=_FLAGS,
            env={**os.environ, **environment},
        )
        self.output: list[str] = []
        self._lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout
        for line in self.process.stdout:
            self._lines.put(line.rstrip("\n"))
        self._lines.put(None)

    def line(self, beginning: str = "") -> str:
        """The next line that begins so; the ones before it are only kept in `output`."""
        while True:
            try:
                line = self._lines.get(timeout=TIMEOUT)
            except queue.Empty:
                line = None
            assert line is not None, f"no line {beginning!r}; the child said:\n" + "\n".join(self.output)
            self.output.append(line)
            if line.startswith(beginning):
                return line

    def write(self, text: str) -> None:
        assert self.process.stdin
        self.process.stdin.write(text)
        self.process.stdin.flush()

    def interrupt(self) -> None:
        """Ctrl-C."""
        self.process.send_signal(signal.CTRL_C_EVENT if sys.platform == "win32" else signal.SIGINT)

    def ended_within(self, seconds: float) -> bool:
        try:
            self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            return False
        return True

    def finish(self, timeout: float = TIMEOUT) -> int:
        """Wait for the end and return the exit code; the rest of the output is in `output` then."""
        try:
            code = self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"the child did not end in {timeout} s; it said:\n" + "\n".join(self.output)) from None
        self._reader.join(TIMEOUT)
        while (line := self._lines.get(timeout=TIMEOUT)) is not None:
            self.output.append(line)
        return code

    def __enter__(self) -> Child:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(TIMEOUT)
        for stream in (self.process.stdin, self.process.stdout):
            if stream:
                stream.close()


def started(child: Child) -> int:
    """The port of a child's server, once it has said that it listens there."""
    return int(child.line("listening").split()[1])
