"""Free-threaded Python: importing the package leaves the interpreter lock off, and the default still lets one handler run at a time."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import threading
from collections.abc import Callable
from typing import Any

import pytest

import iocp
from witness import TIMEOUT, Dialer, Witness, in_threads, packet, read_exactly, until

Serve = Callable[..., iocp.Server]

free_threaded = pytest.mark.skipif(
    not sysconfig.get_config_var("Py_GIL_DISABLED"), reason="this Python has the interpreter lock by design"
)


@free_threaded
@pytest.mark.parametrize("module", ["iocp", "iocp.game", "iocp.load", "iocp.game.cli"])
def test_import_does_not_bring_the_lock_back(module: str) -> None:
    # A module that is not declared safe turns the lock on, with a warning, and this program sees to it that nothing forbids it.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHON_GIL"}
    code = f"import sys; import {module}; print(sys._is_gil_enabled())"
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, env=environment)
    assert (done.returncode, done.stdout.strip()) == (0, "False"), done.stderr


def test_game_code_without_locks_counts_right_by_default(serve: Serve, dial: Dialer) -> None:
    """What needs a lock elsewhere, as `+=` on an attribute does, needs none in handlers, timers and posted calls."""

    class Counting(iocp.Handler):
        total = 0

        def add(self) -> None:
            for _ in range(100):
                self.total += 1

        def on_packet(self, session: iocp.Session, packet: bytes) -> None:
            self.add()
            session.send(packet)

    handler = Counting()
    server = serve(handler, workers=4)
    came: list[int] = []

    def play(number: int) -> None:
        peer = dial(server)
        for _ in range(50):
            server.post(handler.add)
            server.call_later(0.0, handler.add)
            peer.sendall(packet("x") * 4)
            read_exactly(peer, 8)
        came.append(number)

    in_threads(6, play)
    until(server, lambda: handler.total == 6 * 50 * 6 * 100)
    assert len(came) == 6


def test_an_engine_says_whether_handlers_may_overlap(backend: str) -> None:
    assert [iocp.Server(iocp.Handler(), backend=backend, concurrent=asked).concurrent for asked in (False, True)] == [False, True]
    assert not iocp.Server(iocp.Handler(), backend=backend).concurrent and not iocp.Client(iocp.Handler(), backend=backend).concurrent


@pytest.mark.parametrize("turn", range(20))
def test_connect_races_with_the_stop_of_an_engine_that_was_never_started(backend: str, turn: int) -> None:
    """Either it raises, or the session's end is told: nobody opens a socket on a port that is closed."""
    witness = Witness()
    client = iocp.Client(witness, backend=backend)
    made: list[iocp.Session] = []

    def work(number: int) -> None:
        if number == 0:
            client.stop()
            return
        for _ in range(5):
            try:
                made.append(client.connect("127.0.0.1", 9))
            except RuntimeError as error:
                assert "stop" in str(error)

    in_threads(4, work)
    assert all(session.closed for session in made)
    assert {session.id for session, _ in witness.ended} == {session.id for session in made}
    stats = client.stats()
    assert (stats.sessions, stats.ops_in_flight, stats.buffers_in_use) == (0, 0, 0)


def test_a_timer_is_cancelled_by_many_threads_while_it_fires(serve: Serve) -> None:
    """However many say so, and whenever: it is let go of once, and is not called again when cancel() was called in a handler."""
    server = serve(Witness(), workers=4, concurrent=True)
    timers: list[iocp.Timer] = []
    fired: list[int] = []

    def cancel(number: int) -> None:
        for timer in timers:
            timer.cancel()
            assert not timer.active

    for turn in range(20):
        before = len(timers)
        timers += [server.call_every(0.001, fired.append, turn) for _ in range(20)]
        in_threads(4, cancel)
        assert len(timers) == before + 20
    until(server, lambda: server.stats().timers <= 1)  # the one that looks
    count = len(fired)
    came = threading.Event()
    server.call_later(0.05, came.set)
    assert came.wait(TIMEOUT)
    # At most one call per worker was under way when the last cancel() returned; one that lives on would be called 50 times.
    assert len(fired) - count <= server.workers


def test_data_is_read_and_written_by_many_threads(serve: Serve, dial: Dialer) -> None:
    """Whoever reads session.data gets an object that somebody put there, alive."""
    server = serve(Witness())
    peer = dial(server)
    until(server, lambda: len(server.sessions()) == 1)
    (session,) = server.sessions()
    session.data = (0, [0])

    def work(number: int) -> None:
        for turn in range(20_000):
            value: Any = session.data
            assert value[1] == [value[0]]
            session.data = (turn, [turn])

    in_threads(4, work)
    peer.close()
