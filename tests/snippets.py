"""Runs a Markdown page as its reader would: writes its files, types its commands into its terminals, compares what they print.

What a page's fenced blocks mean:

    ```python title="echo.py"       a file; so is every other block with a title, but for consoles
    ```python                       a program that is run at once, and must end well; a ```text block right behind it is what it prints
    ```console title="terminal 1"   lines that begin with "$ " are commands, the others what they print, "^C" is Ctrl-C
    anything else                   to be read only

A command that still runs at the end of its block goes on while other blocks are done, if a later block of the same terminal begins
without a command; otherwise it must have ended, with exit code 0. In what is printed "..." as a line of its own stands for any lines,
and "…" within a line for anything. A port that a page uses (3500 to 3509) is replaced by a free one.

A comment before a block changes what is done with it: `<!-- test: numbers vary; exit 1 -->`

    numbers vary        numbers are compared by their place only, and blanks by there being some
    exit N              the exit code of its last command
    may also say TEXT   lines with this text may come anywhere, as those that only a slow machine has
    add WORDS           words added to its commands, for a machine that is busy
    linux, io_uring     only there
    needs MODULE        only where this module, or this program, is installed
    no IOCP_BACKEND     the commands choose their backend themselves
    not run: REASON     not at all
"""

from __future__ import annotations

import importlib.util
import os
import queue
import re
import shlex
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import iocp
from ports import free_port

SECONDS = 100.0
"""Until what a page says must have come: also where the start of a process takes many of them."""
_FENCE = re.compile(r"^(?P<indent> *)(?P<ticks>`{3,})(?P<language>[\w+-]*)(?P<rest>[^`]*)$")
_DIRECTIVE = re.compile(r"^ *<!-- test: (.*) -->$")
_PORT = re.compile(r"\b350\d\b")
_BACKENDS = re.compile(r"\b(io_uring|epoll|iocp)\b")
_MODULES = {"iocp-load": "iocp.load", "iocp-chess": "iocp.game", "pip": "pip"}
# A process group of its own keeps a Ctrl-C for the child from the tests themselves, but Windows starts such a group with Ctrl-C
# switched off.
_FLAGS = getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0)
_WINDOWS = "import ctypes, runpy, sys; ctypes.windll.kernel32.SetConsoleCtrlHandler(None, 0); sys.argv = sys.argv[1:]; "


class PageError(AssertionError):
    """The page is not true; the text names the line."""


@dataclass(frozen=True)
class Block:
    """A fenced block: its place, language, title, lines, and what the comment before it says."""

    line: int
    language: str
    title: str
    lines: tuple[str, ...]
    directives: dict[str, str] = field(default_factory=dict)
    follows: bool = False
    """Whether nothing but blank lines stands between this block and the one before."""

    @property
    def text(self) -> str:
        return "\n".join(self.lines) + "\n"

    @property
    def runs(self) -> bool:
        """Whether it is for running, and not only to be read."""
        return self.language in ("python", "console") and "not run" not in self.directives


def blocks_of(markdown: str) -> list[Block]:
    """All fenced blocks of a page, in their order."""
    found: list[Block] = []
    lines = markdown.splitlines()
    directives: dict[str, str] = {}
    at, follows = 0, False
    while at < len(lines):
        if match := _DIRECTIVE.match(lines[at]):
            directives = _directives(match[1], at + 1)
        elif match := _FENCE.match(lines[at]):
            end = next(index for index in range(at + 1, len(lines)) if lines[index].strip() == match["ticks"])
            title = re.search(r'title="([^"]*)"', match["rest"])
            body = tuple(line[len(match["indent"]) :] for line in lines[at + 1 : end])
            found.append(Block(at + 1, match["language"], title[1] if title else "", body, directives, follows))
            directives, follows, at = {}, True, end
        elif lines[at].strip():
            follows = False
            directives = {}
        at += 1
    return found


def _directives(text: str, line: int) -> dict[str, str]:
    known = ("numbers vary", "exit", "may also say", "add", "linux", "io_uring", "needs", "no IOCP_BACKEND", "not run")
    result = {}
    for part in [text] if text.startswith("not run") else text.split(";"):
        name = next((name for name in known if part.strip().startswith(name)), None)
        if name is None:
            raise PageError(f"line {line}: no such directive: {part.strip()!r}; there are {', '.join(known)}")
        result[name] = part.strip()[len(name) :].lstrip(": ")
    return result


class _Process:
    """One command. Its lines, errors included, are read by a thread of their own."""

    def __init__(self, command: list[str], folder: Path, environment: dict[str, str], line: int) -> None:
        self.line = line
        self.said: list[str] = []
        self._lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._process = subprocess.Popen(
            command, cwd=folder, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            text=True, encoding="utf-8", errors="replace", creationflags=_FLAGS, start_new_session=os.name == "posix",
        )  # fmt: skip
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stdout
        for line in self._process.stdout:
            self._lines.put(line.rstrip())
        self._lines.put(None)

    def next(self, deadline: float) -> str | None:
        """The next line, None at the end."""
        try:
            line = self._lines.get(timeout=max(0.0, deadline - time.monotonic()))
        except queue.Empty:
            raise PageError(f"line {self.line}: nothing more was printed in {SECONDS:g} s, after:\n" + "\n".join(self.said)) from None
        if line is None:
            self._lines.put(None)
        else:
            self.said.append(line)
        return line

    def interrupt(self) -> None:
        self._process.send_signal(getattr(signal, "CTRL_C_EVENT", signal.SIGINT))

    def wait(self) -> int:
        try:
            return self._process.wait(SECONDS)
        except subprocess.TimeoutExpired:
            raise PageError(f"line {self.line}: did not end in {SECONDS:g} s, after:\n" + "\n".join(self.said)) from None

    def kill(self) -> None:
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait(SECONDS)
        self._reader.join(SECONDS)
        if self._process.stdout:
            self._process.stdout.close()


class PageRun:
    """One run of a page in `folder`, with `backend` for what it starts. Use it as a context: processes end with it."""

    def __init__(self, page: Path, folder: Path, backend: str) -> None:
        self._blocks = blocks_of(page.read_text(encoding="utf-8"))
        self._folder = folder
        self._backend = backend
        self._ports: dict[str, str] = {}
        self._running: dict[str, _Process] = {}
        self.skipped: list[str] = []
        """What was left out here, and why."""

    def run(self) -> None:
        """All blocks in their order. Raises PageError, an AssertionError, at the first that is not true."""
        for index, block in enumerate(self._blocks):
            reason = self._reason_to_skip(block)
            if reason is not None:
                if block.runs:
                    self.skipped.append(f"line {block.line}: {reason}")
            elif block.language == "console":
                self._console(block, self._continued(index))
            elif block.title:
                path = self._folder / block.title
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(self._ported(block.text), encoding="utf-8")
            elif block.language == "python":
                self._program(block, index)
        if self._running:
            raise PageError(f"{', '.join(self._running)}: what was started there is never ended")

    def __enter__(self) -> PageRun:
        return self

    def __exit__(self, *_: object) -> None:
        for process in self._running.values():
            process.kill()

    def _reason_to_skip(self, block: Block) -> str | None:
        said = block.directives
        if "not run" in said:
            return said["not run"]
        if "linux" in said and sys.platform != "linux":
            return "Linux only"
        if "io_uring" in said and "io_uring" not in iocp.available_backends():
            return "io_uring only"
        missing = [name for name in said.get("needs", "").split() if not _installed(name)]
        return f"needs {', '.join(missing)}" if missing else None

    def _continued(self, index: int) -> bool:
        """Whether what still runs at the end of this block is looked at again in a later one."""
        title = self._blocks[index].title
        for later in self._blocks[index + 1 :]:
            if later.language == "console" and later.title == title and self._reason_to_skip(later) is None:
                return not later.lines[0].startswith("$ ")
        return False

    # Commands

    def _console(self, block: Block, continued: bool) -> None:
        process = self._running.pop(block.title, None)
        expected: list[str] = []
        for number, line in enumerate(block.lines, block.line + 1):
            if line.startswith("$ "):
                if process is not None:
                    self._finish(process, expected, block, 0)
                expected = []
                process = self._start(line[2:], block, number)
                # So that it is ended whatever happens here.
                self._running[block.title] = process
            elif process is None:
                raise PageError(f"line {number}: nothing runs in {block.title!r} that could print {line!r}")
            elif line == "^C":
                self._match(process, expected, block)
                expected = []
                process.interrupt()
            else:
                expected.append(line)
        if process is None:
            raise PageError(f"line {block.line}: a console without a command")
        self._running[block.title] = process
        if continued:
            self._match(process, expected, block)
        else:
            self._finish(process, expected, block, int(block.directives.get("exit", 0)))
            del self._running[block.title]

    def _start(self, text: str, block: Block, line: int) -> _Process:
        words = shlex.split(self._ported(text)) + shlex.split(self._ported(block.directives.get("add", "")))
        environment = self._environment(block)
        while words and re.match(r"\w+=", words[0]):
            name, _, value = words.pop(0).partition("=")
            environment[name] = value
        return _Process(command_of(words), self._folder, environment, line)

    def _environment(self, block: Block) -> dict[str, str]:
        environment = environment_of(self._backend)
        if "no IOCP_BACKEND" in block.directives:
            del environment["IOCP_BACKEND"]
        return environment

    def _program(self, block: Block, index: int) -> None:
        path = self._folder / f"line{block.line}.py"
        path.write_text(self._ported(block.text), encoding="utf-8")
        process = self._running["program"] = _Process(command_of(["python", path.name]), self._folder, self._environment(block), block.line)
        shown = self._blocks[index + 1] if index + 1 < len(self._blocks) else None
        if shown is not None and shown.follows and shown.language == "text" and not shown.title:
            self._finish(process, list(shown.lines), shown, 0)
        else:
            self._finish(process, ["..."], block, 0)
        del self._running["program"]

    def _finish(self, process: _Process, expected: list[str], block: Block, code: int) -> None:
        self._match(process, expected, block, to_the_end=True)
        ended = process.wait()
        if ended != code:
            raise PageError(f"line {process.line}: exit code {ended}, not {code}, after:\n" + "\n".join(process.said))

    def _match(self, process: _Process, expected: Iterable[str], block: Block, to_the_end: bool = False) -> None:
        """Read what the page shows; up to the end of the process if `to_the_end`."""
        deadline = time.monotonic() + SECONDS
        skipping = False
        may_come = block.directives.get("may also say", "")
        for wanted in [*expected, *([None] if to_the_end else [])]:
            if wanted == "...":
                skipping = True
                continue
            while True:
                line = process.next(deadline)
                if line is not None and may_come and may_come in line:
                    continue
                if line is None and wanted is None:
                    return
                if line is not None and wanted is not None and self._same(wanted, line, block):
                    break
                if line is None or not skipping:
                    said = "\n".join(process.said)
                    raise PageError(f"line {process.line}: the page shows {wanted or 'its end'!r}, but it printed:\n{said}")
            skipping = False

    def _same(self, wanted: str, line: str, block: Block) -> bool:
        wanted = self._ported(wanted.rstrip())
        if "no IOCP_BACKEND" not in block.directives:
            wanted, line = _BACKENDS.sub("BACKEND", wanted), _BACKENDS.sub("BACKEND", line)
        if "numbers vary" in block.directives:
            wanted, line = _masked(wanted), _masked(line)
        pattern = ".*".join(re.escape(part) for part in wanted.split("…"))
        return re.fullmatch(pattern, line) is not None

    def _ported(self, text: str) -> str:
        return _PORT.sub(lambda port: self._ports.setdefault(port[0], str(free_port())), text)


def environment_of(backend: str) -> dict[str, str]:
    """What a page's programs are started with."""
    environment = {**os.environ, "IOCP_BACKEND": backend, "PYTHONUNBUFFERED": "1", "PYTHONUTF8": "1", "COLUMNS": "130"}
    # What is installed is enough: this finds out whether a name is wrong, not whether an index can be reached.
    return environment | {"PIP_NO_INDEX": "1", "PIP_DISABLE_PIP_VERSION_CHECK": "1", "NO_COLOR": "1"}


def command_of(words: list[str]) -> list[str]:
    """The command as this machine has it: this Python, and what is installed in it, whatever PATH says."""
    program, rest = words[0], words[1:]
    if program in _MODULES:
        program, rest = "python", ["-m", _MODULES[program], *rest]
    if program != "python":
        return [program, *rest]
    if sys.platform != "win32":
        return [sys.executable, *rest]
    if rest[0] == "-c":
        return [sys.executable, "-c", _WINDOWS + rest[1], *rest[2:]]
    if rest[0] == "-m":
        return [sys.executable, "-c", f"{_WINDOWS}runpy.run_module({rest[1]!r}, run_name='__main__', alter_sys=True)", *rest[1:]]
    return [sys.executable, "-c", f"{_WINDOWS}runpy.run_path({rest[0]!r}, run_name='__main__')", *rest]


def _masked(text: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r"\d[\d,.:]*", "#", text)).strip()


def _installed(name: str) -> bool:
    return shutil.which(name) is not None or importlib.util.find_spec(name) is not None


def pages(root: Path) -> Iterator[Path]:
    """The pages whose blocks are run."""
    yield root / "docs" / "index.md"
    yield root / "docs" / "tutorial.md"
    yield from sorted((root / "docs" / "howto").glob("*.md"))
