"""How `iocp-chess serve` ends when something is in its way: a script without end, a second signal, output that nobody takes."""

from __future__ import annotations

import sqlite3
import subprocess

import pytest
from chess_client import ChessClient
from commands import COMMAND, TIMEOUT, WINDOWS, run, stop, terminate
from iocp.game.protocol import LoginOk
from ports import taken_port

pytestmark = pytest.mark.timeout(300)  # a busy Wine takes many seconds to start each process

ENDLESS = """
SECONDS = 0.1
heard = []

def step(me):
    while heard:
        pass
    heard.append(me)
    me.say("now")
"""


@pytest.fixture
def stuck(serve, tmp_path):
    """A server that one player is on, whose handlers have come to a script without end; and the file of its players."""
    pytest.importorskip("sqlalchemy", reason="needs SQLAlchemy (the extra db)")
    (tmp_path / "bird.py").write_text(ENDLESS)
    database = tmp_path / "players.db"
    world = ("--world", "12", "--view", "12", "--npcs", "1", "--scripts", str(tmp_path), "--move-interval", "0")
    server = serve(*world, "--db", str(database))
    anna = ChessClient(server.address)
    anna.login("anna", 1)
    while getattr(anna.read(), "text", None) != "now":
        pass
    anna.socket.settimeout(2.0)
    with pytest.raises(TimeoutError):
        while True:
            anna.step(3)
    yield server, database
    anna.close()


def players(database):
    with sqlite3.connect(database) as connection:
        return [name for (name,) in connection.execute("select name from player")]


def test_a_script_without_end_costs_nobody_what_is_kept(stuck):
    server, database = stuck
    code, _, errors = server.end(stop)
    assert code == 1 and "Does a script of the monsters never end?" in errors and "Traceback" not in errors
    assert players(database) == ["anna"]


@pytest.mark.skipif(WINDOWS, reason="Windows has no SIGTERM from outside: TerminateProcess asks nobody")
def test_second_sigterm_saves_as_a_second_ctrl_c_does(stuck):
    server, database = stuck
    terminate(server.process)
    with pytest.raises(subprocess.TimeoutExpired):
        server.process.wait(1.0)
    code, _, errors = server.end(terminate)
    # Python takes two that come together, to a process that stood still, for one; which then waits for its 5 seconds.
    assert code in (130, 1) and "Traceback" not in errors
    assert players(database) == ["anna"]


def test_status_lines_that_nobody_reads_stop_nothing(serve):
    server = serve("--status", "0.1", "--world", "8")
    server.process.stderr.close()
    server.process.stderr = None
    with pytest.raises(subprocess.TimeoutExpired):
        server.process.wait(2.0)
    anna = ChessClient(server.address)
    assert isinstance(anna.login("anna"), LoginOk)
    anna.close()
    assert server.end(stop)[0] == 0


@pytest.mark.skipif(WINDOWS, reason="there is no /dev/full")
@pytest.mark.parametrize("redirection, code", [(">/dev/full", 2), ("2>/dev/full", 0), ("2>&-", 0)])
def test_output_that_cannot_be_written_is_no_traceback(backend, redirection, code):
    """Standard output says where it listens; without that nobody could find a free port. What else is lost is only a line."""
    command = [*COMMAND, "serve", "--port", "0", "--world", "8", "--db", "none", "--backend", backend, "--status", "0.1", "--until-eof"]
    done = subprocess.run(
        ["sh", "-c", f'exec "$0" "$@" {redirection}', *command], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=TIMEOUT
    )
    assert done.returncode == code and "Traceback" not in done.stderr
    assert code == 0 or "nothing can be written to standard output" in done.stderr


def test_a_start_that_fails_leaves_the_earlier_recording(backend, tmp_path):
    pytest.importorskip("prometheus_client", reason="needs prometheus-client (the extra metrics)")
    recording = tmp_path / "game.rec"
    recording.write_bytes(b"of an earlier game")
    with taken_port() as port:
        done = run("serve", "--port", "0", "--db", "none", "--backend", backend, "--metrics", str(port), "--record", str(recording))
    assert done.returncode == 2 and "--metrics" in done.stderr
    assert recording.read_bytes() == b"of an earlier game" and list(tmp_path.iterdir()) == [recording]
