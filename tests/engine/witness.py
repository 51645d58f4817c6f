"""What the engine's tests watch with: a handler that remembers what it was told, plain sockets, and waiting without sleeping."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable

import pytest

import iocp

TIMEOUT = 30.0
"""Seconds until a test gives up: for a machine that is busy with other things, or runs Wine."""


def packet(body: bytes | str) -> bytes:
    """The default framing's packet with this body."""
    return iocp.Framing().pack(body.encode() if isinstance(body, str) else body)


class Witness(iocp.Handler):
    """Remembers every callback. `wait_for` waits until a condition on what it remembers holds."""

    def __init__(self, echo: bool = False) -> None:
        self.echo = echo
        self.changed = threading.Condition()
        self.connected: list[iocp.Session] = []
        self.packets: list[tuple[iocp.Session, bytes]] = []
        self.ended: list[tuple[iocp.Session, iocp.Reason]] = []
        self.seen: list[object] = []
        """Whatever a test lets it `note`."""

    def note(self, what: object) -> None:
        with self.changed:
            self.seen.append(what)
            self.changed.notify_all()

    def on_connect(self, session: iocp.Session) -> None:
        with self.changed:
            self.connected.append(session)
            self.changed.notify_all()

    def on_packet(self, session: iocp.Session, packet: bytes) -> None:
        if self.echo:
            session.send(packet)
        with self.changed:
            self.packets.append((session, packet))
            self.changed.notify_all()

    def on_disconnect(self, session: iocp.Session, reason: iocp.Reason) -> None:
        with self.changed:
            self.ended.append((session, reason))
            self.changed.notify_all()

    def wait_for(self, condition: Callable[[], object], timeout: float = TIMEOUT) -> None:
        with self.changed:
            assert self.changed.wait_for(condition, timeout), f"not in time; {self.summary()}"

    def wait_connected(self, count: int = 1) -> list[iocp.Session]:
        self.wait_for(lambda: len(self.connected) >= count)
        return self.connected[:count]

    def wait_ended(self, count: int = 1) -> list[iocp.Reason]:
        self.wait_for(lambda: len(self.ended) >= count)
        return [reason for _, reason in self.ended]

    def wait_packets(self, count: int = 1) -> list[bytes]:
        self.wait_for(lambda: len(self.packets) >= count)
        return [data for _, data in self.packets]

    def summary(self) -> str:
        ended = [reason.name for _, reason in self.ended[:10]]
        return f"{len(self.connected)} connected, {len(self.packets)} packets, ended {ended}, seen {self.seen[:10]}"


def until(engine: iocp.Engine, condition: Callable[[], object]) -> None:
    """Wait for what no callback tells of, such as a counter: the engine's own timer looks at it."""
    came = threading.Event()
    timer = engine.call_every(0.001, lambda: came.set() if condition() else None)
    try:
        assert came.wait(TIMEOUT), f"this did not come true in time; {engine.stats()}"
    finally:
        timer.cancel()


class Dialer:
    """Connects blocking sockets and closes them at the end."""

    def __init__(self) -> None:
        self.sockets: list[socket.socket] = []

    def __call__(self, server: iocp.Server, host: str | None = None) -> socket.socket:
        address = server.address
        made = socket.create_connection((host or address[0], address[1]), timeout=TIMEOUT)
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sockets.append(made)
        return made

    def close(self) -> None:
        for made in self.sockets:
            made.close()


def read_exactly(peer: socket.socket, size: int) -> bytes:
    data = bytearray()
    while len(data) < size:
        more = peer.recv(size - len(data))
        assert more, f"the connection ended after {len(data)} of {size} bytes"
        data += more
    return bytes(data)


def read_to_end(peer: socket.socket) -> bytes:
    """All that comes until the other side ends the connection, in order or by a reset."""
    data = bytearray()
    while True:
        try:
            more = peer.recv(65536)
        except (ConnectionResetError, ConnectionAbortedError):
            return bytes(data)
        if not more:
            return bytes(data)
        data += more


def in_threads(count: int, work: Callable[[int], object]) -> None:
    """Run `work(0)` ... `work(count - 1)` at the same time; what one of them raises is raised here."""
    failures: list[BaseException] = []
    ready = threading.Barrier(count)

    def run(number: int) -> None:
        try:
            ready.wait(TIMEOUT)
            work(number)
        except BaseException as failure:
            failures.append(failure)

    threads = [threading.Thread(target=run, args=(number,), name=f"test-{number}", daemon=True) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(TIMEOUT)
        assert not thread.is_alive(), f"{thread.name} did not end in time"
    if failures:
        raise failures[0]


class Pulse:
    """Counts the seconds in which the machine had no time for this process: who measures how long something takes can leave them out."""

    def __init__(self) -> None:
        self.lost = 0.0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._beat, daemon=True)

    def _beat(self) -> None:
        last = time.perf_counter()
        while not self._over.wait(0.01):
            now = time.perf_counter()
            self.lost += max(0.0, now - last - 0.01)
            last = now
        self.lost += max(0.0, time.perf_counter() - last - 0.01)

    def __enter__(self) -> Pulse:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()


def has_ipv6() -> bool:
    try:
        with socket.create_server(("::1", 0), family=socket.AF_INET6):
            return True
    except OSError:
        return False


ipv6 = pytest.mark.skipif(not has_ipv6(), reason="this machine has no ::1")
