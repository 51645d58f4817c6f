"""Guards of several workers: one of them must not cut whose packet another one has not come to yet."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import pytest

import iocp
from witness import TIMEOUT, Dialer, Witness, packet, read_exactly

LIMIT = 1.0
"""Seconds: on a machine too slow to have the packets on their way by then the test says nothing."""


class Held(Witness):
    """Echoes. The first packet of all is held until it may go on, with whatever its worker has behind it."""

    def __init__(self) -> None:
        super().__init__(echo=True)
        self.holds, self.go_on = threading.Event(), threading.Event()
        self.first = threading.Lock()

    def on_packet(self, session: iocp.Session, packet: bytes) -> None:
        if self.first.acquire(blocking=False):
            self.holds.set()
            self.go_on.wait(2 * TIMEOUT)
        super().on_packet(session, packet)


class Busy:
    """A call that keeps a worker until it is let go."""

    def __init__(self, server: iocp.Server) -> None:
        self.entered, self.leave = threading.Event(), threading.Event()
        server.post(self)
        assert self.entered.wait(TIMEOUT)

    def __call__(self) -> None:
        self.entered.set()
        self.leave.wait(2 * TIMEOUT)


@pytest.mark.parametrize("limit", ["login_timeout", "idle_timeout"])
def test_packets_that_wait_for_a_busy_worker_are_in_time(
    serve: Callable[..., iocp.Server], dial: Dialer, limit: str
) -> None:
    handler = Held()
    chosen: dict[str, float | None] = {"login_timeout": None, "idle_timeout": None, limit: LIMIT}
    server = serve(handler, workers=2, concurrent=True, limits=iocp.Limits(**chosen))
    began = time.perf_counter()
    # More than one of each worker's, wherever connections are spread; on Windows any worker takes any.
    peers = [dial(server) for _ in range(16)]
    handler.wait_connected(len(peers))
    early, late = peers[:8], peers[8:]
    calls = [Busy(server), Busy(server)]
    try:
        # While both are busy: so that whoever comes first finds more than one in its batch.
        for peer in early:
            peer.sendall(packet("early"))
        calls[0].leave.set()
        assert handler.holds.wait(TIMEOUT)
        calls[1].leave.set()
        # Now the one is busy with the first of its batch, and the other one is free.
        for peer in late:
            peer.sendall(packet("late"))
        in_time = time.perf_counter() - began < LIMIT
        # Later than all limits: whoever was to be cut by the free one has been.
        over = threading.Event()
        server.call_later(LIMIT + 0.05, over.set)
        assert over.wait(TIMEOUT)
    finally:
        for call in calls:
            call.leave.set()
        handler.go_on.set()
    if not in_time:
        return
    handler.wait_packets(len(peers))
    if limit == "login_timeout":    # idle they are again, after that
        for peer in peers:
            answer = packet("early" if peer in early else "late")
            assert read_exactly(peer, len(answer)) == answer
        assert not handler.ended
