"""What the core's tests share: a blocking client, a handler that keeps a record, and servers whose counters must balance.

Nothing here sleeps in order to wait: a test waits for something its handler was told, or for a counter, and fails with what it
has seen when that does not come within TIMEOUT.
"""

from __future__ import annotations

import errno
import socket
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

import iocp
from ports import reset_when_closed

TIMEOUT = 30.0
"""Of a socket call and of a wait: long enough for Wine on a busy machine, since it is only ever used up by a failure."""

# One worker is the lecture's single-thread mode, two make every race possible that more would.
each_worker_count = pytest.mark.parametrize("workers", [1, 2])

pack = iocp.Framing().pack


class Peer:
    """One connection to a server, from outside: a blocking socket with a time-out."""

    def __init__(self, address: tuple[str, int], *, source: str | None = None, receive_buffer: int = 0) -> None:
        self.socket = socket.socket(socket.AF_INET6 if ":" in address[0] else socket.AF_INET, socket.SOCK_STREAM)
        self.socket.settimeout(TIMEOUT)
        if receive_buffer:  # before connecting: the window is agreed on then
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        if source:
            self.socket.bind((source, 0))
        self.socket.connect(address)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def __enter__(self) -> Peer:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def address(self) -> tuple[str, int]:
        name: tuple[str, int] = self.socket.getsockname()[:2]
        return name

    def send(self, *packets: bytes) -> None:
        self.socket.sendall(b"".join(packets))

    def send_what_fits(self, data: bytes) -> int:
        """Send until the system takes no more at once; how many bytes it took."""
        self.socket.settimeout(0)
        sent = 0
        try:
            while sent < len(data):
                sent += self.socket.send(data[sent : sent + 65536])
        except BlockingIOError:
            pass
        finally:
            self.socket.settimeout(TIMEOUT)
        return sent

    def receive(self, count: int) -> bytes:
        """Exactly `count` bytes. Raises EOFError when the connection ends before."""
        data = bytearray()
        while len(data) < count:
            more = self.socket.recv(min(count - len(data), 1 << 20))
            if not more:
                raise EOFError(f"the server ended the connection after {len(data)} of {count} bytes")
            data += more
        return bytes(data)

    def packet(self) -> bytes:
        """The next packet of the default framing: one byte of length that counts itself."""
        header = self.receive(1)
        return header + self.receive(header[0] - 1)

    def echo(self, packet: bytes) -> None:
        self.send(packet)
        assert self.receive(len(packet)) == packet

    def receive_all(self) -> bytes:
        """All bytes up to the end of the stream. A reset is an error here."""
        data = bytearray()
        while more := self.socket.recv(1 << 20):
            data += more
        return bytes(data)

    def wait_for_end(self) -> None:
        """Throw away what comes until the server has ended the connection, in whichever way."""
        try:
            self.receive_all()
        except ConnectionError:
            pass

    def finish(self) -> None:
        """End our half of the stream. No error if the server has ended it all already."""
        try:
            self.socket.shutdown(socket.SHUT_WR)
        except OSError as error:
            if error.errno not in (errno.ENOTCONN, errno.ECONNRESET, getattr(errno, "WSAENOTCONN", 0)):
                raise

    def reset(self) -> None:
        """End it with a reset instead of an orderly end."""
        reset_when_closed(self.socket)
        self.socket.close()

    def close(self) -> None:
        self.socket.close()


class Steady:
    """A peer that speaks again and again, so that a server with this idle time-out must not cut it.

    It may, if the machine has kept the peer from speaking for that long: that is seen here, and is no failure.
    """

    def __init__(self, address: tuple[str, int], idle_timeout: float) -> None:
        self.idle_timeout = idle_timeout
        self.cut = False
        self.spoke = time.perf_counter()  # before the server can know of it
        self.peer = Peer(address)

    def echo(self, packet: bytes) -> None:
        if self.cut:
            threading.Event().wait(0.01)  # nothing to do but to leave the others the processor
            return
        began = time.perf_counter()
        try:
            self.peer.echo(packet)
            self.spoke = began
        except (ConnectionError, EOFError):
            assert time.perf_counter() - self.spoke >= self.idle_timeout, "cut, though it has spoken"
            self.cut = True

    def __enter__(self) -> Steady:
        return self

    def __exit__(self, *_: object) -> None:
        self.peer.close()


class Recorder(iocp.Handler):
    """Keeps what it is told, in its order; a test waits for a state of that record."""

    def __init__(self) -> None:
        self.changed = threading.Condition()
        self.events: list[tuple[str, int]] = []
        self.sessions: dict[int, iocp.Session] = {}
        self.packets: dict[int, list[bytes]] = defaultdict(list)
        self.reasons: dict[int, iocp.Reason] = {}

    def note(self, kind: str, session: iocp.Session) -> None:
        with self.changed:
            self.events.append((kind, session.id))
            self.changed.notify_all()

    def on_connect(self, session: iocp.Session) -> None:
        self.sessions[session.id] = session
        self.note("connect", session)

    def on_packet(self, session: iocp.Session, packet: bytes) -> None:
        self.packets[session.id].append(packet)
        self.note("packet", session)

    def on_disconnect(self, session: iocp.Session, reason: iocp.Reason) -> None:
        assert session.id not in self.reasons, "on_disconnect was called twice"
        self.reasons[session.id] = reason
        self.note("disconnect", session)

    def wait_until(self, condition: Callable[[], object]) -> None:
        """Wait until `condition()` is true: looked at after each callback, and now and then for what no callback tells of."""
        deadline = time.monotonic() + TIMEOUT
        with self.changed:
            while not condition():
                assert time.monotonic() < deadline, f"not in time; seen: {self.events[-20:]}, ended: {self.reasons}"
                self.changed.wait(0.002)

    def session_of(self, peer: Peer) -> iocp.Session:
        """The session at the other end of `peer`, once it is connected."""
        found: list[iocp.Session] = []

        def look() -> bool:
            found[:] = [session for session in list(self.sessions.values()) if session.address == peer.address]
            return bool(found)

        self.wait_until(look)
        return found[-1]

    def reason_of(self, session: iocp.Session) -> iocp.Reason:
        """Why `session` ended, once it has."""
        self.wait_until(lambda: session.id in self.reasons)
        return self.reasons[session.id]


class Echo(Recorder):
    """Answers each packet with itself. It keeps no packets, of which some tests have very many."""

    def on_packet(self, session: iocp.Session, packet: bytes) -> None:
        session.send(packet)


def serve(balanced: list[iocp.Engine], handler: iocp.Handler, backend: str, workers: int = 2, **options: Any) -> iocp.Server:
    """A running server that the `balanced` fixture stops and looks over."""
    server = iocp.Server(handler, workers=workers, backend=backend, **options)
    balanced.append(server)
    server.start()
    return server


@contextmanager
def threads(count: int, target: Callable[[int], None]) -> Iterator[None]:
    """Run `target(0)` ... `target(count - 1)` on threads while the block runs; what they raise fails the test."""
    failed: list[BaseException] = []

    def run(number: int) -> None:
        try:
            target(number)
        except BaseException as error:
            failed.append(error)

    running = [threading.Thread(target=run, args=(number,), daemon=True) for number in range(count)]
    for thread in running:
        thread.start()
    try:
        yield
    finally:
        for thread in running:
            thread.join(2 * TIMEOUT)
    assert not any(thread.is_alive() for thread in running), "a thread of the test hangs"
    if failed:
        raise failed[0]
