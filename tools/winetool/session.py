"""One Windows program under Wine: its streams, its console, its end.

Standard output must be a pipe: with a file CPython dies at start under Wine (WinError 6). Standard input is a pseudo-
terminal unless there is something to feed, because Wine gives a program a console only if one of its streams is a
terminal, and without a console GenerateConsoleCtrlEvent fails, so nothing about Ctrl-C could be tested. The program
gets a session of its own, so that a Ctrl-C at the keyboard ends the run through `stop` and not by killing half of its
processes.
"""

from __future__ import annotations

import codecs
import contextlib
import os
import pty
import select
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

from toolkit.command import clean_environment
from toolkit.message import ToolError, say

from .home import Home

TIMED_OUT = 124  # the exit code coreutils' `timeout` uses
_SILENT: dict[str, Any] = {name: subprocess.DEVNULL for name in ("stdin", "stdout", "stderr")}


class Arrest(BaseException):
    """SIGTERM or SIGHUP arrived: unwind, clean up, exit with 128 + its number."""


def windows_path(path: Path | str) -> str:
    """Wine shows the Linux file system as drive Z:."""
    return "Z:" + os.path.abspath(path).replace("/", "\\")


def environment(prefix: Path) -> dict[str, str]:
    result = {name: value for name, value in clean_environment().items() if not name.startswith("PIP_")}
    # No screen on purpose: a test that opened a window would hang a build machine.
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "WINELOADER", "WINEARCH"):
        result.pop(name, None)
    result["WINEPREFIX"] = str(prefix)
    result.setdefault("WINEDEBUG", "-all")
    # No .NET and no browser engine, which wineboot would offer to download; no entries in the user's desktop menus.
    result["WINEDLLOVERRIDES"] = "mscoree,mshtml,winemenubuilder.exe="
    result["PYTHONDONTWRITEBYTECODE"] = "1"
    return result


def make_prefix(draft: Path) -> None:
    wine = shutil.which("wine")
    if not wine:
        raise ToolError("wine is missing; run: python tools/wine.py setup")
    # /dev/null, as a pipe would stay open for as long as the services live that wineboot starts.
    code = subprocess.run([wine, "wineboot", "-i"], check=False, env=environment(draft), **_SILENT).returncode
    # The registry is written when the server ends; only then may the folder be renamed.
    stop(draft)
    _server(draft, "-w")
    if code or not (draft / "system.reg").exists():
        raise ToolError(f"wineboot ended with exit code {code}; try: WINEPREFIX=/tmp/prefix wineboot -i")


def stop(prefix: Path) -> None:
    """Ends every process of this prefix, whoever started it."""
    _server(prefix, "-k")


def _server(prefix: Path, option: str) -> None:
    # Exit code 1 says that no server was running, which is as good.
    subprocess.run(["wineserver", option], check=False, env=environment(prefix), **_SILENT)


def capture(home: Home, arguments: Sequence[Path | str], *, timeout: float) -> tuple[int, str]:
    pieces: list[bytes] = []
    code = run(home, arguments, timeout=timeout, stdout=pieces.append)
    return code, b"".join(pieces).decode(errors="replace").replace("\r\n", "\n")


def run(
    home: Home,
    arguments: Sequence[Path | str],
    *,
    timeout: float | None = None,
    cwd: Path | None = None,
    variables: Mapping[str, str] | None = None,
    stdout: Callable[[bytes], object] | None = None,
    stdin: BinaryIO | None = None,
    merged: bool = False,
    grace: float = 0.0,
) -> int:
    """Runs a program to its end and returns its exit code, of which Unix keeps the low eight bits.

    Its output goes live to the tool's own two streams; with `merged` to the first alone, in order; with `stdout` both go there.
    Without `stdin` the program has a console. When the tool is interrupted, the program gets a Ctrl-C and `grace` seconds to
    end by itself.
    """
    wine = shutil.which("wine")
    if not wine:
        raise ToolError("wine is missing; run: python tools/wine.py setup")
    with contextlib.ExitStack() as stack:
        terminal = stack.enter_context(_console()) if stdin is None else subprocess.PIPE
        process = subprocess.Popen(
            [wine, *(str(word) for word in arguments)],
            cwd=cwd,
            env=dict(variables or environment(home.prefix)),
            stdin=terminal,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT if stdout or merged else subprocess.PIPE,
            start_new_session=True,
        )
        ended = threading.Event()
        pumps = []
        for stream, sink in (
            (process.stdout, stdout or writer(sys.stdout.buffer)),
            (process.stderr, writer(sys.stderr.buffer)),
        ):
            if stream is not None:
                stack.enter_context(stream)
                pumps.append(threading.Thread(target=_pump, args=(stream.fileno(), sink, ended), daemon=True))
        for pump in pumps:
            pump.start()
        if stdin is not None:
            assert process.stdin is not None
            threading.Thread(target=_feed, args=(stdin, process.stdin), daemon=True).start()
        try:
            with _arrestable():
                code = process.wait(timeout)
        except subprocess.TimeoutExpired:
            say(f"ended after the time-out of {timeout:.0f} s")
            _end(process, home.prefix)
            code = TIMED_OUT
        except (KeyboardInterrupt, Arrest):
            ended_itself = _ask(process, grace)
            if ended_itself is None:
                _end(process, home.prefix)
                raise
            code = ended_itself
        except BaseException:
            _end(process, home.prefix)
            raise
        finally:
            ended.set()
            for pump in pumps:
                pump.join()
    # A Unix signal ended Wine itself: as a shell would report it.
    return code if code >= 0 else 128 - code


def attach(home: Home, arguments: Sequence[Path | str]) -> int:
    """Runs a program on the tool's own terminal, which Wine then drives as a Windows console."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the program
    try:
        command = ["wine", *(str(word) for word in arguments)]
        return subprocess.run(command, check=False, env=environment(home.prefix)).returncode
    finally:
        signal.signal(signal.SIGINT, before)


def writer(target: BinaryIO) -> Callable[[bytes], object]:
    """A sink that passes text on at once, with Unix line ends."""
    # Incremental, as a \r\n may be cut in two by the pipe.
    decoder = codecs.lookup("utf-8").incrementaldecoder(errors="replace")
    held = ""

    def write(data: bytes) -> None:
        nonlocal held
        text = held + decoder.decode(data, final=not data)
        held = "\r" if data and text.endswith("\r") else ""
        text = text[: len(text) - len(held)].replace("\r\n", "\n")
        try:
            target.write(text.encode())
            target.flush()
        except BrokenPipeError:
            pass  # the reader (`| head`) left; the program still runs to its end, its exit code counts

    return write


def _pump(source: int, sink: Callable[[bytes], object], ended: threading.Event) -> None:
    """Copies until end of file, or until the program has ended and the pipe is silent.

    End of file alone would come two seconds late: Wine's services are started by the first program and inherit its pipe.
    """
    while True:
        over = ended.is_set()
        readable, _, _ = select.select([source], [], [], 0.0 if over else 0.05)
        if readable:
            data = os.read(source, 1 << 16)
            if not data:
                break
            sink(data)
        elif over:
            break
    sink(b"")


def _feed(source: BinaryIO, target: BinaryIO) -> None:
    with contextlib.suppress(OSError), target:
        while data := os.read(source.fileno(), 1 << 16):
            target.write(data)
            target.flush()


@contextlib.contextmanager
def _console() -> Iterator[int]:
    """A terminal nobody looks at. What Wine's console host writes to it is thrown away, or it would block."""
    master, slave = pty.openpty()

    def drain() -> None:
        with contextlib.suppress(OSError):  # the last holder of the other side closed it
            while os.read(master, 1 << 12):
                pass
        os.close(master)

    threading.Thread(target=drain, daemon=True).start()
    try:
        yield slave
    finally:
        os.close(slave)


@contextlib.contextmanager
def _arrestable() -> Iterator[None]:
    """Turns SIGTERM and SIGHUP into an exception: a time-out or a cancelled build job must not leave Wine processes behind."""

    def arrest(number: int, frame: object) -> None:
        raise Arrest(number)

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, arrest) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _ask(process: subprocess.Popen[bytes], grace: float) -> int | None:
    """Lets the program stop as it would on Windows: Wine turns a SIGINT into CTRL_C_EVENT for its handlers, console or not."""
    if not grace:
        return None
    with contextlib.suppress(subprocess.TimeoutExpired, KeyboardInterrupt, Arrest), _arrestable():
        process.send_signal(signal.SIGINT)
        return process.wait(grace)
    return None


def _end(process: subprocess.Popen[bytes], prefix: Path) -> None:
    stop(prefix)
    deadline = time.monotonic() + 5
    while process.poll() is None:
        if time.monotonic() > deadline:
            process.kill()
        time.sleep(0.05)
