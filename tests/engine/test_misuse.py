"""What programs should not do, or seldom do, and what must not crash or hang then. A review of the core found each of these."""

from __future__ import annotations

import logging
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import iocp
from child_process import Child
from witness import TIMEOUT, Dialer, Witness, in_threads, packet, read_exactly, read_to_end

Serve = Callable[..., iocp.Server]
ClientOf = Callable[..., iocp.Client]

# glibc fills what is freed, so that using it does not go unnoticed; without effect elsewhere.
PERTURBED = {"MALLOC_PERTURB_": "165", "GLIBC_TUNABLES": "glibc.malloc.tcache_count=0"}

CYCLES = """
import gc, sys
import iocp

class Room(iocp.Handler):
    pass

def make(order):
    handler = Room()
    server = iocp.Server(handler, "127.0.0.1", 0, workers=1, backend=sys.argv[1])
    group = server.group()
    handler.room = group
    handler.server = server
    if started:
        with server:
            pass
    things = {"handler": handler, "server": server, "group": group}
    return [things[name] for name in order]

# The collector takes a cycle apart beginning with what it met first: so each of them is once the only one that is known.
gc.collect()
for started in (False, True):
    for order in (["group"], ["server"], ["handler"], ["group", "handler"], ["server", "group"]):
        kept = make(order)
        gc.collect()
        while kept:
            kept.pop()
            gc.collect()
print("survived")
"""


def test_groups_in_reference_cycles_are_collected(backend: str) -> None:
    with Child(CYCLES, backend, **PERTURBED) as child:
        assert child.finish() == 0, child.output
        assert child.output == ["survived"]


BARE = """
import sys
import iocp

kind = getattr(iocp, sys.argv[1])
try:
    bare = kind.__new__(kind)
except TypeError:       # as good
    bare = member = None
for name in sys.argv[2:] or sorted(set(dir(kind)) - {"connect"}) if bare is not None else ():
    if name.startswith("__") and name not in ("__len__", "__contains__", "__repr__", "__enter__", "__exit__", "__hash__"):
        continue
    for arguments in ((), (b"x",), (None,), (bare,), (1.0, print), ("127.0.0.1", 1), (0.001,), (None, None, None)):
        try:
            member = getattr(bare, name)
            if callable(member) and not (name == "wait" and arguments != (0.001,)):
                member(*arguments)
        except Exception:
            pass    # whatever it says
try:
    bare.data = 1
except AttributeError:
    pass
del bare, member
print("survived")
"""


@pytest.mark.parametrize("kind", ["Session", "Timer", "Group", "Engine", "Server", "Client"])
def test_objects_that_were_never_initialised_do_not_crash(kind: str) -> None:
    with Child(BARE, kind, **PERTURBED) as child:
        assert child.finish() == 0, child.output
        assert child.output == ["survived"]


@pytest.mark.parametrize("kind", ["Engine", "Server", "Client"])
def test_connect_of_an_engine_that_was_never_initialised_does_not_crash(kind: str) -> None:
    with Child(BARE, kind, "connect", **PERTURBED) as child:
        assert child.finish() == 0, child.output
        assert child.output == ["survived"]


# The largest that Limits allows, what just overflows nanoseconds in 64 bits, and what wraps to something small.
@pytest.mark.parametrize("seconds", [1e15, 1e10, 2.0**64 / 1e9 + 0.001])
def test_very_long_time_outs_are_long(serve: Serve, client_of: ClientOf, dial: Dialer, seconds: float) -> None:
    limits = iocp.Limits(login_timeout=seconds, idle_timeout=seconds, send_timeout=seconds)
    witness, near = Witness(echo=True), Witness()
    server = serve(witness, limits=limits)
    client = client_of(near, limits=limits)
    peer = dial(server)
    client.connect(*server.address)
    witness.wait_connected(2)
    near.wait_connected()
    later = threading.Event()
    server.call_later(0.05, later.set)  # guards are looked at together with timers
    assert later.wait(TIMEOUT)
    peer.sendall(packet("still here"))
    assert read_exactly(peer, 11) == packet("still here")
    assert not witness.ended and not near.ended
    assert server.stats().sessions == 2 and client.stats().sessions == 1


class Broken(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        raise LookupError("in the filter")


class Failing(Witness):
    def on_packet(self, session: iocp.Session, packet: bytes) -> None:
        if packet[1:] == b"fail":
            raise ZeroDivisionError
        session.send(packet)


@pytest.fixture
def broken_log() -> Iterator[None]:
    """The core's log has a filter that raises."""
    logger, broken = logging.getLogger("iocp"), Broken()
    logger.addFilter(broken)
    yield
    logger.removeFilter(broken)


@pytest.mark.parametrize("concurrent", [False, True])
def test_log_filter_that_raises_does_not_stop_the_workers(
    serve: Serve, dial: Dialer, broken_log: None, monkeypatch: pytest.MonkeyPatch, concurrent: bool
) -> None:
    monkeypatch.setattr(sys, "unraisablehook", lambda told: None)
    witness = Failing()
    server = serve(witness, workers=2, concurrent=concurrent)
    for count in (1, 2, 3):  # more often than there are workers to lose
        peer = dial(server)
        peer.sendall(packet("fail"))
        assert read_to_end(peer) == b""
        assert witness.wait_ended(count) == [iocp.Reason.HANDLER_ERROR] * count
    for _ in range(4):
        peer = dial(server)
        peer.sendall(packet("fine"))
        assert read_exactly(peer, 5) == packet("fine")
    server.stop()
    assert server.stats().handler_errors == 3


def test_what_a_log_filter_raises_is_told_to_the_unraisable_hook(
    serve: Serve, dial: Dialer, broken_log: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[object] = []
    monkeypatch.setattr(sys, "unraisablehook", lambda what: told.append(what.exc_type))
    witness = Failing()
    server = serve(witness)
    dial(server).sendall(packet("fail"))
    witness.wait_ended()
    server.stop()
    assert told == [LookupError]


@pytest.mark.parametrize("workers", [1, 4])
def test_client_with_connections_stopped_before_its_start(
    backend: str, serve: Serve, balanced: list[iocp.Engine], workers: int
) -> None:
    witness = Witness()
    server = serve(Witness())
    client = iocp.Client(witness, workers=workers, backend=backend)
    sessions = [client.connect(*server.address) for _ in range(2 * workers)]
    in_threads(1, lambda number: client.stop())
    balanced.append(client)
    assert {session for session, _ in witness.ended} == set(sessions)
    assert [reason for _, reason in witness.ended] == [iocp.Reason.SERVER_STOPPED] * len(sessions)
    assert client.stats().ops_in_flight == 0


@pytest.mark.parametrize("workers", [1, 4])
def test_on_start_that_raises_after_it_connected(
    backend: str, serve: Serve, balanced: list[iocp.Engine], workers: int
) -> None:
    class Failing(Witness):
        def on_start(self, engine: iocp.Engine) -> None:
            for _ in range(2 * workers):
                self.note(engine.connect(*server.address))
            raise LookupError("not today")

    witness = Failing()
    server = serve(Witness())
    client = iocp.Client(witness, workers=workers, backend=backend)

    def start(number: int) -> None:
        with pytest.raises(LookupError, match="not today"):
            client.start()

    in_threads(1, start)
    balanced.append(client)
    assert not client.running
    assert {session for session, _ in witness.ended} == set(witness.seen)
    assert [reason for _, reason in witness.ended] == [iocp.Reason.SERVER_STOPPED] * 2 * workers
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("iocp-worker-") and thread.name[-1] > "1"]


LATE_SIGNAL = """
import os, signal, sys
import iocp
from iocp.runner import serve, stopping_on_signals

server = iocp.Server(iocp.Handler(), "127.0.0.1", 0, workers=int(sys.argv[1]), backend=sys.argv[2])
server.post(server.request_stop)
came = 0
try:
    with stopping_on_signals(server):
        serve(server)
        # Its port is closed, and the signals' handlers are not yet taken back.
        for _ in range(3):
            os.kill(os.getpid(), signal.SIGINT)
            came += 1
except KeyboardInterrupt:
    print("interrupted", came >= 1)
with iocp.Server(iocp.Handler(), "127.0.0.1", 0, backend=sys.argv[2]):
    print("survived")
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows cannot send itself a signal: os.kill() ends the process there")
@pytest.mark.parametrize("workers", [1, 2])
def test_signals_after_the_port_was_closed(backend: str, workers: int) -> None:
    with Child(LATE_SIGNAL, workers, backend, **PERTURBED) as child:
        assert child.finish() == 0, child.output
        assert child.output == ["interrupted True", "survived"]
