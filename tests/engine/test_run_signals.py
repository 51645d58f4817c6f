"""Signals and a bare `Server.run()`, in processes of their own: it takes none away from the program, and loses none."""

from __future__ import annotations

import signal
import socket
import sys

import pytest

import iocp
from child_process import Child, posix, started
from witness import TIMEOUT, Witness, packet, read_exactly

SERVE = """
import logging, os, signal, sys
import iocp

class Talks(iocp.Handler):
    def on_packet(self, session, packet):
        if packet == b"\\5busy":
            print("in the handler")
            while True:
                pass
        elif packet == b"\\4log":
            raise ValueError("to be logged")
        session.send(packet)

    def on_disconnect(self, session, reason):
        print("ended", reason.name)

class Interrupted(logging.Handler):
    def emit(self, record):
        os.kill(os.getpid(), signal.SIGTERM)
        # The signal's handler runs here, as soon as Python looks for it.
        while True:
            pass

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

LEAVE = "signal.signal(signal.SIGTERM, lambda *_: sys.exit(7))"
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
            # While it waits: in the middle of a print, a line of the output would break off.
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


@posix
@pytest.mark.parametrize("place", ["the wait", "a handler", "the log"])
def test_a_signal_handler_that_exits_ends_the_run_wherever_it_comes(backend: str, place: str) -> None:
    log = "\nlogging.getLogger('iocp').addHandler(Interrupted())" if place == "the log" else ""
    with Child(SERVE + LEAVE + log + RUN, backend) as child:
        with socket.create_connection(("127.0.0.1", started(child)), timeout=TIMEOUT) as peer:
            if place == "a handler":
                peer.sendall(packet("busy"))
                child.line("in the handler")
            elif place == "the log":
                peer.sendall(packet("log"))
            if place != "the log":
                child.process.send_signal(signal.SIGTERM)
            assert child.finish() == 7
        assert child.output[-1] == "over False 0"
        if place == "a handler":    # and not with HANDLER_ERROR: the session has nothing to do with it
            assert child.output[-2] == "ended SERVER_STOPPED"


def test_a_callback_that_exits_ends_the_run_after_a_clean_stop(backend: str) -> None:
    with Child(SERVE + "server.post(sys.exit, 3)" + RUN, backend) as child:
        assert child.finish() == 3
        assert child.output[-1] == "over False 0"


def test_an_exit_goes_through_the_run_inside_a_callback_of_another_run(backend: str, balanced: list[iocp.Engine]) -> None:
    inner = iocp.Client(Witness(), backend=backend, workers=1)
    outer = iocp.Client(Witness(), backend=backend, workers=1)
    balanced += [inner, outer]
    outer.post(inner.run)
    inner.post(sys.exit, 3)
    for engine in (inner, outer):
        engine.call_later(TIMEOUT, engine.request_stop)     # should it end nothing
    with pytest.raises(SystemExit):
        outer.run()
    assert not inner.running and not outer.running
