"""Worker threads: how many, their names, what may overlap and what never does, order per connection."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

import iocp
from witness import TIMEOUT, Dialer, Witness, in_threads, packet, read_exactly, until

Serve = Callable[..., iocp.Server]


@pytest.mark.parametrize("workers", [1, 2, 4])
def test_workers_are_threads_with_names(serve: Serve, workers: int) -> None:
    server = serve(Witness(), workers=workers)
    names = {f"iocp-worker-{number}" for number in range(workers)}
    assert server.workers == server.stats().workers == workers
    assert {thread.name for thread in threading.enumerate() if thread.name.startswith("iocp-worker")} == names


@pytest.mark.skipif(sys.platform != "linux", reason="the names that a debugger sees are in /proc on Linux only")
def test_debuggers_see_the_names_of_workers(serve: Serve) -> None:
    server = serve(Witness(), workers=4)

    def names() -> list[str]:
        found = [(task / "comm").read_text().strip() for task in Path("/proc/self/task").iterdir()]
        return sorted(name for name in found if name.startswith("iocp-worker"))

    # A thread names itself when it begins to run, which may be after start() returned.
    until(server, lambda: names() == [f"iocp-worker-{number}" for number in range(4)])


def test_zero_workers_means_one_for_each_processor(serve: Serve) -> None:
    server = serve(Witness(), workers=0)
    assert server.workers >= 1
    if sys.platform == "linux":
        assert server.workers == len(os.sched_getaffinity(0))


class Overlap(Witness):
    """Every callback holds a place in `inside` while it runs, and lets other threads run meanwhile."""

    def __init__(self) -> None:
        super().__init__()
        self.guard = threading.Lock()
        self.inside: dict[object, int] = {}
        self.most = 0
        self.most_of_one = 0
        self.calls = 0

    def work(self, who: object) -> None:
        with self.guard:
            self.inside[who] = self.inside.get(who, 0) + 1
            self.most = max(self.most, sum(self.inside.values()))
            self.most_of_one = max(self.most_of_one, self.inside[who])
        threading.Event().wait(0.0005)
        with self.guard:
            self.inside[who] -= 1
            self.calls += 1

    def on_connect(self, session: iocp.Session) -> None:
        self.work(session)
        super().on_connect(session)

    def on_packet(self, session: iocp.Session, packet: bytes) -> None:
        self.work(session)
        session.send(packet)

    def on_disconnect(self, session: iocp.Session, reason: iocp.Reason) -> None:
        self.work(session)
        super().on_disconnect(session, reason)


def drive(server: iocp.Server, witness: Overlap, dial: Dialer) -> None:
    """Eight connections with 20 packets each, sent one by one and all at once in turn; posts and timers in between."""

    def play(number: int) -> None:
        peer = dial(server)
        for count in (1, 1, 1, 1, 16):
            peer.sendall(packet("x") * count)
            server.post(witness.work, "post")
            server.call_later(0.001, witness.work, "timer")
            read_exactly(peer, 2 * count)
        peer.close()

    in_threads(8, play)
    witness.wait_ended(8)
    # What was posted and timed last may come after the last session's end.
    until(server, lambda: witness.calls == 8 * 22 + 8 * 5 * 2)


@pytest.mark.parametrize("workers", [2, 4])
def test_handlers_never_overlap_by_default(serve: Serve, dial: Dialer, workers: int) -> None:
    witness = Overlap()
    drive(serve(witness, workers=workers), witness, dial)
    assert witness.most == 1


def test_concurrent_handlers_overlap_but_never_for_one_session(serve: Serve, dial: Dialer) -> None:
    witness = Overlap()
    server = serve(witness, workers=4, concurrent=True)
    drive(server, witness, dial)
    del witness.inside["post"], witness.inside["timer"]
    assert all(count == 0 for count in witness.inside.values())


def test_concurrent_handlers_of_two_sessions_can_wait_for_each_other(serve: Serve, dial: Dialer) -> None:
    meeting = threading.Barrier(2)

    class Meeting(Witness):
        def on_packet(self, session: iocp.Session, packet: bytes) -> None:
            self.note("arrived")
            meeting.wait(TIMEOUT)
            session.send(packet)

    witness = Meeting()
    server = serve(witness, workers=2, concurrent=True)
    peers = [dial(server) for _ in range(2)]
    witness.wait_connected(2)
    # One after the other and in different turns, so that no single worker gets both at once.
    peers[0].sendall(packet("a"))
    witness.wait_for(lambda: witness.seen)
    peers[1].sendall(packet("b"))
    assert [read_exactly(peer, 2) for peer in peers] == [packet("a"), packet("b")]


def test_handlers_of_one_session_never_overlap_when_concurrent(serve: Serve, dial: Dialer) -> None:
    witness = Overlap()
    server = serve(witness, workers=4, concurrent=True)
    peer = dial(server)
    for _ in range(100):
        peer.sendall(packet("x"))
    read_exactly(peer, 200)
    peer.close()
    witness.wait_ended()
    assert witness.most == witness.most_of_one == 1
    assert witness.calls == 102


@pytest.mark.parametrize("concurrent", [False, True])
def test_order_of_each_connection_with_many_workers(serve: Serve, dial: Dialer, concurrent: bool) -> None:
    witness = Witness(echo=True)
    server = serve(witness, workers=4, concurrent=concurrent)
    rounds, burst = 20, 50

    def play(number: int) -> None:
        peer = dial(server)
        for turn in range(rounds):
            data = b"".join(packet(f"{number}:{turn * burst + i:05}") for i in range(burst))
            peer.sendall(data)
            assert read_exactly(peer, len(data)) == data

    in_threads(6, play)
    by_session: dict[iocp.Session, list[bytes]] = {}
    for session, data in witness.packets:
        by_session.setdefault(session, []).append(data[3:])
    assert len(by_session) == 6
    for packets in by_session.values():
        assert packets == [f"{i:05}".encode()[-len(packets[0]) :] for i in range(rounds * burst)]


def test_workers_receive_and_send_while_a_handler_runs(serve: Serve, dial: Dialer) -> None:
    """The kernel's part goes on beside a slow handler: what the other sessions were sent leaves meanwhile."""
    entered, leave = threading.Event(), threading.Event()

    class Slow(Witness):
        def on_packet(self, session: iocp.Session, packet: bytes) -> None:
            entered.set()
            leave.wait(TIMEOUT)

    witness = Slow()
    server = serve(witness, workers=2)
    slow, other = dial(server), dial(server)
    sessions = witness.wait_connected(2)
    slow.sendall(packet("x"))
    assert entered.wait(TIMEOUT)
    try:
        for session in sessions:
            session.send(packet("meanwhile"))
        assert read_exactly(other, 10) == packet("meanwhile")
    finally:
        leave.set()
    assert read_exactly(slow, 10) == packet("meanwhile")
