"""`iocp-chess watch` on a terminal: the board as text, its keys, what a terminal sends taken apart; and where nobody reads its lines."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from chess_client import ChessClient
from commands import COMMAND, TIMEOUT, WINDOWS
from iocp.game.play.outlook import longer
from iocp.game.play.terminal import ENTER, ERASE, ESCAPE, parse
from iocp.game.protocol import Direction, Leave, Moved, Said

pytestmark = pytest.mark.timeout(300)  # a busy machine takes many seconds to start each process

UP, DOWN, LEFT, RIGHT = Direction.UP, Direction.DOWN, Direction.LEFT, Direction.RIGHT


@pytest.mark.parametrize(
    ("typed", "keys"),
    [
        ("", []),
        ("w q", ["w", " ", "q"]),
        ("\x1b[A\x1b[B\x1bOD\x1b[C", [UP, DOWN, LEFT, RIGHT]),
        ("\x1b[1;5C", [RIGHT]),
        ("\x1b[3~\x1b[15~x", ["x"]),
        ("\x1b", [ESCAPE]),
        ("\x1b\x1b[A", [ESCAPE, UP]),
        ("\x1b[", []),
        ("안녕\r\n\x7f\b", ["안", "녕", ENTER, ENTER, ERASE, ERASE]),
    ],
)
def test_what_a_terminal_sends_is_taken_apart(typed, keys):
    assert parse(typed) == keys


def test_a_line_takes_what_can_be_said_up_to_its_length():
    assert longer("a", "b\x07\n가") == "ab가"
    assert longer("x" * 121, "y") == "x" * 121
    # As an input method or the clipboard gives it, all at once.
    assert longer("ab", "가" * 60) == "ab" + "가" * 39


class Watch:
    """The command on a pseudo-terminal; what it draws is kept."""

    def __init__(self, address, name, backend):
        import pty
        import termios

        self.ours, theirs = pty.openpty()
        self.before = termios.tcgetattr(self.ours)
        self.process = subprocess.Popen(
            [*COMMAND, "watch", "--port", str(address[1]), "--name", name, "--backend", backend],
            stdin=theirs, stdout=theirs, stderr=theirs,
            env={**os.environ, "TERM": "xterm-256color", "PYTHONUTF8": "1", "COLUMNS": "80", "LINES": "24"},
        )  # fmt: skip
        os.close(theirs)
        self.shown = b""
        self.watchdog = threading.Timer(TIMEOUT, self.process.kill)
        self.watchdog.start()

    def read_until(self, text):
        while text.encode() not in self.shown:
            assert self._read(), self.shown.decode(errors="replace")

    def _read(self):
        try:
            data = os.read(self.ours, 65536)
        except OSError:
            return False  # Linux says EIO when the other side is closed.
        self.shown += data
        return bool(data)

    def end(self):
        while self._read():
            pass
        code = self.process.wait(TIMEOUT)
        self.watchdog.cancel()
        os.close(self.ours)
        return code


GROUPS = """
import fcntl, os, sys, termios
from iocp.game.play.terminal import Terminal

fcntl.ioctl(0, termios.TIOCSCTTY, 0)
print("in front", Terminal().live, flush=True)
child = os.fork()
if not child:
    os.setpgid(0, 0)
    with Terminal() as terminal:
        print("behind", terminal.live, flush=True)
    os._exit(0)
_, status = os.waitpid(child, os.WUNTRACED)
print("stopped", os.WIFSTOPPED(status), flush=True)
os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
print("into a file", Terminal().live, file=sys.stderr, flush=True)
"""


@pytest.mark.skipif(WINDOWS, reason="no pseudo-terminals there")
def test_keys_are_read_only_by_who_is_in_front_and_shows_the_board_there():
    import pty

    ours, theirs = pty.openpty()
    process = subprocess.Popen([sys.executable, "-c", GROUPS], stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True)
    os.close(theirs)
    said = b""
    try:
        while data := os.read(ours, 1024):
            said += data
    except OSError:
        pass  # Linux says EIO when the other side is closed.
    os.close(ours)
    assert process.wait(TIMEOUT) == 0, said.decode()
    assert said.decode().split("\r\n")[:4] == ["in front True", "behind False", "stopped False", "into a file False"]


@pytest.mark.skipif(WINDOWS, reason="no pseudo-terminals there")
def test_on_a_terminal_keys_walk_chat_and_leave(serve, backend):
    pytest.importorskip("rich", reason="needs rich (the extra play)")
    server = serve("--world", "8", "--npcs", "0")
    ben = ChessClient(server.address)
    ben.login("ben", 1)
    watch = Watch(server.address, "홍길동", backend)
    anna = ben.read()
    watch.read_until("enter: chat")
    watch.read_until("◉")
    key, x, y = (b"\x1b[C", anna.x + 1, anna.y) if anna.x < 7 else (b"a", anna.x - 1, anna.y)
    os.write(watch.ours, key)
    assert ben.read()[:3] == Moved(anna.id, x, y, 0)[:3]
    os.write(watch.ours, b"\rhi \xec\x95")
    watch.read_until("say: hi ")
    # The rest of a syllable that came in two parts; q is a letter while a line is typed.
    os.write(watch.ours, b"\x88q\r")
    assert ben.read() == Said(anna.id, "hi 안q")
    watch.read_until("you: hi 안q")
    os.write(watch.ours, b"q")
    assert watch.end() == 0
    assert ben.read() == Leave(anna.id)
    ben.close()
    assert watch.shown.rindex(b"\x1b[?1049l") > watch.shown.index(b"\x1b[?1049h"), "the terminal is as it was"


@pytest.mark.skipif(WINDOWS, reason="no pseudo-terminals there")
def test_ctrl_c_on_a_terminal_leaves_it_as_it_was(serve, backend):
    pytest.importorskip("rich", reason="needs rich (the extra play)")
    import termios

    server = serve("--world", "8")
    watch = Watch(server.address, "anna", backend)
    before = watch.before
    watch.read_until("◉")
    assert termios.tcgetattr(watch.ours)[3] != before[3], "keys come one by one"
    watch.process.send_signal(signal.SIGINT)
    while watch._read():
        pass
    assert watch.process.wait(TIMEOUT) == 0
    assert termios.tcgetattr(watch.ours)[3] == before[3]
    watch.end()


@pytest.mark.skipif(WINDOWS, reason="no file descriptors to close there")
def test_watch_without_standard_output_looks_on(serve):
    server = serve("--world", "8")
    program = shlex.join([*COMMAND, "watch", "--port", str(server.address[1]), "--name", "anna", "--seconds", "1"])
    done = subprocess.run(["sh", "-c", f"exec {program} >&-"], stderr=subprocess.PIPE, text=True, timeout=TIMEOUT, stdin=subprocess.DEVNULL)
    assert done.returncode == 0 and "Traceback" not in done.stderr and "Error" not in done.stderr, done.stderr


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no disk that is always full")
def test_watch_into_a_full_disk_exits_2_and_says_so(serve):
    server = serve("--world", "8")
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [*COMMAND, "watch", "--port", str(server.address[1]), "--name", "anna"],
            stdout=full, stderr=subprocess.PIPE, text=True, timeout=TIMEOUT, stdin=subprocess.DEVNULL,
        )  # fmt: skip
    assert done.returncode == 2 and "cannot be written to standard output" in done.stderr, done.stderr
    assert "Traceback" not in done.stderr and "Exception" not in done.stderr


def test_watch_ends_when_nobody_reads_its_lines_any_more(serve):
    server = serve("--world", "8")
    process = subprocess.Popen(
        [*COMMAND, "watch", "--port", str(server.address[1]), "--name", "anna"],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert "HP " in process.stdout.readline() and "HP " in process.stdout.readline()
    process.stdout.close()
    try:
        assert process.wait(60) == 0
        assert "Traceback" not in process.stderr.read()
    finally:
        process.kill()
        process.wait()
        process.stderr.close()
