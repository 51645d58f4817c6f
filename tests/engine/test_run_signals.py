"""Signals and a bare `Server.run()`, in processes of their own: it takes none away from the program, and loses none."""

from __future__ import annotations

import signal
import socket
import sys

import pytest

from child_process import Child, started
from witness import TIMEOUT, packet, read_exactly

posix = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no signals that another process can send but Ctrl-C")

SERVE = """
import signal, sys
import iocp

class Talks(iocp.Handler):
    def on_packet(self, session, packet):
        session.send(packet)

    def on_disconnect(self, session, reason):
        print("ended", reason.name)

server = iocp.Server(Talks(), "127.0.0.1", 0, workers=1, backend=sys.argv[1])
"""

RUN = """
# Made by the worker: so the server runs, and waits for what comes next.
server.post(lambda: print("listening", server.address[1]))
try:
    server.run()
finally:
    print("over", server.running, server.stats().ops_in_flight)
"""

STOP = "lambda *_: server.request_stop()"


@posix
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_that_nobody_handles_ends_the_process(backend: str, number: signal.Signals) -> None:
    default = f"signal.signal({int(number)}, signal.SIG_DFL)"
    with Child(SERVE + default + RUN, backend) as child:
        started(child)
        child.process.send_signal(number)
        assert child.finish() == -number


@posix
def test_a_signal_that_the_program_ignores_is_ignored(backend: str) -> None:
    with Child(SERVE + "signal.signal(signal.SIGTERM, signal.SIG_IGN)" + RUN, backend) as child:
        address = ("127.0.0.1", started(child))
        child.process.send_signal(signal.SIGTERM)
        with socket.create_connection(address, timeout=TIMEOUT) as peer:
            peer.sendall(packet("here"))
            assert read_exactly(peer, 5) == packet("here")
        child.process.send_signal(signal.SIGINT)
        assert child.finish() != 0
        assert "KeyboardInterrupt" in child.output and "over False 0" in child.output


@posix
def test_a_handler_that_is_installed_while_the_server_runs_is_called(backend: str) -> None:
    with Child(SERVE + f"server.post(signal.signal, signal.SIGTERM, {STOP})" + RUN, backend) as child:
        started(child)
        child.process.send_signal(signal.SIGTERM)
        assert child.finish() == 0
        assert child.output[-1] == "over False 0"


@posix
def test_a_handler_that_is_removed_while_the_server_runs_is_not_called(backend: str) -> None:
    code = f"signal.signal(signal.SIGTERM, {STOP})\nserver.post(signal.signal, signal.SIGTERM, signal.SIG_DFL)"
    with Child(SERVE + code + RUN, backend) as child:
        started(child)
        child.process.send_signal(signal.SIGTERM)
        assert child.finish() == -signal.SIGTERM


AFTERWARDS = """
server.post(server.request_stop)
server.run()
assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
try:
    signal.raise_signal(signal.SIGINT)
except KeyboardInterrupt:
    print("interrupted")
signal.raise_signal(signal.SIGTERM)
"""


@posix
def test_after_the_run_signals_mean_what_they_meant_before(backend: str) -> None:
    with Child(SERVE + AFTERWARDS, backend) as child:
        assert child.finish() == -signal.SIGTERM
        assert child.output == ["interrupted"]
