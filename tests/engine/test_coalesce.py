"""`coalesce`: what goes to other sessions waits while there is more to receive, and only then."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable

import pytest

import iocp
from witness import TIMEOUT, Dialer, packet, read_exactly

Serve = Callable[..., iocp.Server]
SENDERS = 200 if sys.platform == "win32" else 600
"""On Linux more than two batches of completions."""


class Relay(iocp.Handler):
    """Sends all it gets to the first session, and holds the worker in its first handler until it is let go."""

    def __init__(self) -> None:
        self.sessions: list[iocp.Session] = []
        self.held, self.let_go, self.arrived = threading.Event(), threading.Event(), threading.Event()

    def on_connect(self, session: iocp.Session) -> None:
        self.sessions.append(session)
        if len(self.sessions) == SENDERS + 2:
            self.arrived.set()

    def on_packet(self, session: iocp.Session, packet: bytes) -> None:
        if packet.endswith(b"hold"):
            self.held.set()
            self.let_go.wait(TIMEOUT)
        else:
            session.engine.multicast(self.sessions[:1], packet)


def sends_of_a_storm(serve: Serve, dial: Dialer, coalesce: float) -> tuple[int, float]:
    """How many sends a peer gets the packets of very many others in, who all send at the same moment; and how long that took."""
    relay = Relay()
    server = serve(relay, workers=1, coalesce=coalesce)
    listener = dial(server)
    # The server's first session is the listener's only when it is accepted before the others are.
    deadline = time.monotonic() + TIMEOUT
    while not relay.sessions:
        assert time.monotonic() < deadline
        time.sleep(0.001)
    holder = dial(server)
    others = [dial(server) for _ in range(SENDERS)]
    assert relay.arrived.wait(TIMEOUT)
    holder.sendall(packet("hold"))
    assert relay.held.wait(TIMEOUT)
    for number, other in enumerate(others):
        other.sendall(packet(f"{number:04}"))
    began = time.monotonic()
    relay.let_go.set()
    received = read_exactly(listener, SENDERS * len(packet("0000")))
    took = time.monotonic() - began
    size = len(packet("0000"))
    assert sorted(received[at : at + size] for at in range(0, len(received), size)) == [
        packet(f"{number:04}") for number in range(SENDERS)
    ]
    server.stop()       # a send is counted a moment after its bytes have arrived
    return server.stats().sends, took


@pytest.mark.skipif(sys.platform == "win32", reason="zero-byte receives complete one by one there, so a batch's size is not known")
def test_packets_to_one_session_from_several_batches_leave_in_one_send(serve: Serve, dial: Dialer) -> None:
    # A batch is of 256. io_uring by itself would give 20 at a time (IO_LOCAL_TW_DEFAULT_MAX of Linux 6.13 and later).
    assert 3 <= sends_of_a_storm(serve, dial, 0)[0] <= 6
    sends, took = sends_of_a_storm(serve, dial, 1.0)
    assert sends == 1 or took >= 1.0


def test_nothing_is_lost_of_a_storm(serve: Serve, dial: Dialer) -> None:
    assert sends_of_a_storm(serve, dial, 0.01)[0] >= 1


@pytest.mark.parametrize("workers", [1, 2])
def test_nothing_waits_when_nothing_else_is_to_be_done(serve: Serve, dial: Dialer, workers: int) -> None:
    relay = Relay()
    server = serve(relay, workers=workers, coalesce=1.0)
    listener, sender = dial(server), dial(server)
    began = time.monotonic()
    for number in range(60):
        sender.sendall(packet(f"{number:04}"))
    # Whichever of the two was accepted first gets them.
    size = len(packet("0000"))
    both = [listener, sender]
    target = both[0] if reads_from(both, size) == 0 else both[1]
    read_exactly(target, 59 * size)
    for number in range(60):
        sender.sendall(packet(f"{number:04}"))
        assert read_exactly(target, size) == packet(f"{number:04}")
    assert time.monotonic() - began < 30, "60 times a second would be a minute"


def reads_from(peers: list, size: int) -> int:
    """Which of these peers is sent something; its first `size` bytes are read."""
    import select

    ready, _, _ = select.select(peers, [], [], TIMEOUT)
    assert ready
    read_exactly(ready[0], size)
    return peers.index(ready[0])


@pytest.mark.parametrize(("coalesce", "error"), [(-0.1, ValueError), (1.5, ValueError), ("1", TypeError), (float("nan"), ValueError)])
@pytest.mark.parametrize("make", [iocp.Server, iocp.Client])
def test_a_wrong_coalesce_is_named(make: Callable[..., iocp.Engine], coalesce: object, error: type[Exception]) -> None:
    with pytest.raises(error, match="coalesce"):
        make(iocp.Handler(), coalesce=coalesce)
