"""Everything at once: threads of the program's own call all that may be called on any thread, at a server whose workers run handlers
at the same time, while clients come and go. At the end every counter balances, and each promise was kept for each session, timer
and posted call.

IOCP_STRESS_SECONDS=60 makes each storm last that long; a second or so is enough for the suite. It is meant for free-threaded Python
(`python tools/freethreaded.py stress`), and for the sanitizers; with the interpreter lock it finds what a switch of threads uncovers.
"""

from __future__ import annotations

import itertools
import os
import random
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator

import pytest

import iocp
from witness import TIMEOUT, until

Serve = Callable[..., iocp.Server]
ClientOf = Callable[..., iocp.Client]

SECONDS = float(os.environ.get("IOCP_STRESS_SECONDS", "1.0"))
PEERS = 24
PACKET = b"\x06\x00"
TICK = b"\x02t"


def numbered(number: int) -> bytes:
    """A packet that says where in its stream it belongs."""
    return PACKET + number.to_bytes(4, "little")


@pytest.fixture(autouse=True)
def switching() -> Iterator[None]:
    """Threads of a Python with the lock take turns far more often than every 5 ms."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-4)
    yield
    sys.setswitchinterval(before)


class Book:
    """What the server keeps in session.data: how far the session's stream has come, and whether a handler is inside."""

    __slots__ = ("came", "ended", "inside", "left")

    def __init__(self) -> None:
        self.came = 0
        self.left = 0
        self.inside = False
        self.ended = False


class Arena(iocp.Handler):
    """The server's side. It notes what breaks a promise; nothing here is guarded by a lock of its own but what many threads count."""

    def __init__(self, concurrent: bool) -> None:
        self.concurrent = concurrent
        self.books: dict[int, Book] = {}
        self.wrong: list[str] = []
        self.began: list[int] = []
        self.ended: list[int] = []
        self.handlers_inside = 0
        self.post: Callable[[], None] = lambda: None

    def enter(self, session: iocp.Session) -> Book:
        # The program's threads write session.data too: they put in what they took out, or something that says whose it is.
        book = self.books[session.id]
        if book.inside:
            self.wrong.append("two handlers of one session at once")
        book.inside = True
        if not self.concurrent:
            self.handlers_inside += 1
            if self.handlers_inside != 1:
                self.wrong.append("two handlers at once without being asked to")
        return book

    def leave(self, book: Book) -> None:
        if not self.concurrent:
            self.handlers_inside -= 1
        book.inside = False

    def on_connect(self, session: iocp.Session) -> None:
        if session.id in self.books:
            self.wrong.append("an id given twice")
        self.books[session.id] = Book()
        book = self.enter(session)
        self.began.append(session.id)
        session.data = (session.id, 0)
        self.leave(book)

    def on_packet(self, session: iocp.Session, packet: bytes) -> None:
        book = self.enter(session)
        if book.ended:
            self.wrong.append("on_packet after on_disconnect")
        if packet != numbered(book.came):
            self.wrong.append(f"packet {packet!r} where number {book.came} should be")
        book.came += 1
        session.send(packet)
        if book.came % 16 == 0:
            self.post()
        self.leave(book)

    def on_disconnect(self, session: iocp.Session, reason: iocp.Reason) -> None:
        book = self.enter(session)
        if book.ended:
            self.wrong.append("on_disconnect twice")
        book.ended = True
        self.ended.append(session.id)
        self.leave(book)


class Visitors(iocp.Handler):
    """The peers: each sends its stream with a window of packets under way, and another comes when one has left."""

    def __init__(self, address: Callable[[], tuple[str, int]]) -> None:
        self.address = address
        self.wrong: list[str] = []
        self.welcome = True
        self.echoes = itertools.count()
        self.answered = 0  # about as many

    def come(self, engine: iocp.Engine) -> None:
        if self.welcome:
            try:
                engine.connect(*self.address(), timeout=TIMEOUT, data=Book())
            except RuntimeError:
                pass  # it stops

    def on_connect(self, session: iocp.Session) -> None:
        book = session.data
        for _ in range(8):
            session.send(numbered(book.left))
            book.left += 1

    def on_packet(self, session: iocp.Session, packet: bytes) -> None:
        book = session.data
        if len(packet) != 6:
            return  # not of its stream: a broadcast
        if packet != numbered(book.came):
            self.wrong.append(f"answer {packet!r} where number {book.came} should be")
        book.came += 1
        self.answered = next(self.echoes)
        if book.came == 400:
            session.close()
        session.send(numbered(book.left))
        book.left += 1

    def on_disconnect(self, session: iocp.Session, reason: iocp.Reason) -> None:
        self.come(session.engine)


class Storm:
    """The program's threads, each with a way of its own to disturb the server."""

    def __init__(self, server: iocp.Server, client: iocp.Client, arena: Arena, visitors: Visitors) -> None:
        self.server = server
        self.client = client
        self.arena = arena
        self.visitors = visitors
        self.over = threading.Event()
        self.failures: list[BaseException] = []
        self.groups = [server.group() for _ in range(3)]
        self.ran: list[int] = []
        self.asked = itertools.count()
        self.posted: list[int] = []
        self.fired: list[int] = []
        self.timers: list[tuple[int, iocp.Timer]] = []  # those that the timers' threads share, to cancel each other's
        self.spared: list[int] = []
        arena.post = self.post

    def post(self) -> None:
        number = next(self.asked)
        self.server.post(self.ran.append, number)
        self.posted.append(number)

    def run(self, seconds: float) -> None:
        ways = [self.meddle, self.meddle, self.group, self.group, self.time, self.time, self.count, self.call]
        threads = [
            threading.Thread(target=self.repeat, args=(way, random.Random(number)), name=f"storm-{number}", daemon=True)
            for number, way in enumerate(ways)
        ]
        for thread in threads:
            thread.start()
        self.over.wait(seconds)
        # On a busy machine that may not have been long enough for anything to happen.
        deadline = time.monotonic() + TIMEOUT
        while not self.over.is_set() and time.monotonic() < deadline and not self.has_raged():
            self.over.wait(0.01)
        self.over.set()
        for thread in threads:
            thread.join(TIMEOUT)
            assert not thread.is_alive(), f"{thread.name} hangs"
        if self.failures:
            raise self.failures[0]

    def has_raged(self) -> bool:
        return len(self.arena.began) > 2 * PEERS and self.visitors.answered > 16 * PEERS

    def repeat(self, way: Callable[[random.Random], None], chance: random.Random) -> None:
        try:
            while not self.over.is_set():
                way(chance)
                # Not every core is theirs: the workers and the peers need some of two.
                self.over.wait(chance.random() * 0.002)
        except BaseException as failure:
            self.failures.append(failure)
            self.over.set()

    def meddle(self, chance: random.Random) -> None:
        """Sessions: send, read and write what belongs to them, end some."""
        sessions = self.server.sessions()
        for session in chance.sample(sessions, min(8, len(sessions))):
            session.send(TICK)
            session.send(bytearray(TICK))
            name, turn = session.data or (session.id, 0)
            if name != session.id:
                self.arena.wrong.append("data of another session")
            session.data = (session.id, turn + 1)
            assert session.queued >= 0 and str(session.id) in repr(session)
            if session.closed:
                continue
            assert session.address[0] == "127.0.0.1"
            try:
                assert session.local_address == self.server.address
            except OSError:
                assert session.closed
            fate = chance.random()
            if fate < 0.03:
                session.close()
            elif fate < 0.05:
                session.abort()
        for session in chance.sample(sessions, min(2, len(sessions))):
            session.send(bytes(2000)[:0])  # nothing is nothing
            session.send(b"\xd0\x07" + bytes(1998))

    def group(self, chance: random.Random) -> None:
        """Groups: two threads and the workers change the same three, others are made and dropped."""
        sessions = self.server.sessions()
        passing = self.server.group()
        for session in sessions[:8]:
            group = chance.choice([*self.groups, passing])
            chance.choice((group.add, group.add, group.discard))(session)
            assert isinstance(session in group, bool)
        group = chance.choice(self.groups)
        assert 0 <= group.send(TICK) <= 4 * PEERS
        assert all(isinstance(member, iocp.Session) for member in group.sessions())
        assert len(group) <= 8 * PEERS
        passing.send(TICK, exclude=sessions[0] if sessions else None)
        del passing  # with members in it
        self.server.broadcast(bytes([2, chance.randrange(256)]) if chance.random() < 0 else TICK)
        self.server.multicast(sessions[:5], TICK)

    def time(self, chance: random.Random) -> None:
        """Timers: each fires once at most, those nobody cancels exactly once; two threads cancel each other's."""
        for _ in range(4):
            number = next(self.asked)
            timer = self.server.call_later(chance.random() * 0.01, self.fired.append, number)
            if chance.random() < 0.5:
                self.timers.append((number, timer))
            else:
                self.spared.append(number)
        for number, timer in self.timers[-6:]:
            if chance.random() < 0.5:
                timer.cancel()
                assert not timer.active
        every = self.server.call_every(0.001, int)
        self.over.wait(0.001)
        every.cancel()

    def count(self, chance: random.Random) -> None:
        """Statistics: what only grows never shrinks."""
        before, after = self.server.stats(), self.server.stats()
        for name in ("accepted", "packets_received", "packets_queued", "bytes_received", "callbacks", "timers_fired", "posted"):
            assert getattr(before, name) <= getattr(after, name), name
        assert after.sessions >= 0 and after.buffers_in_use >= 0
        assert self.client.stats().handler_errors == 0

    def call(self, chance: random.Random) -> None:
        """Posted calls, each of which runs once; and one more visitor now and then."""
        for _ in range(5):
            self.post()
        if chance.random() < 0.05:
            self.visitors.come(self.client)
        assert self.server.running


@pytest.mark.timeout(120 + 4 * SECONDS)
@pytest.mark.parametrize("concurrent", [True, False])
def test_storm_of_every_call_on_every_thread(serve: Serve, client_of: ClientOf, concurrent: bool) -> None:
    arena = Arena(concurrent)
    server = serve(arena, workers=4, concurrent=concurrent, limits=iocp.Limits.none())
    visitors = Visitors(lambda: server.address)
    client = client_of(visitors, workers=2, concurrent=True)
    for _ in range(PEERS):
        visitors.come(client)
    until(server, lambda: server.stats().sessions >= PEERS)
    storm = Storm(server, client, arena, visitors)
    storm.run(SECONDS)

    # The storm is over: what was asked for comes, and then nothing is under way any more.
    visitors.welcome = False
    for session in client.sessions():
        session.close()
    until(client, lambda: client.stats().sessions == 0)
    until(server, lambda: server.stats().sessions == 0)
    until(server, lambda: len(storm.ran) >= len(storm.posted))
    until(server, lambda: set(storm.spared) <= set(storm.fired))
    assert server.stats().handler_errors == client.stats().handler_errors == 0
    client.stop()
    server.stop()
    assert not arena.wrong, Counter(arena.wrong).most_common(5)
    assert not visitors.wrong, visitors.wrong[:5]
    assert Counter(storm.ran) == Counter(storm.posted)
    fired = Counter(storm.fired)
    assert set(fired.values()) <= {1}
    assert fired.keys() <= {*storm.spared, *(number for number, _ in storm.timers)}
    assert Counter(arena.began) == Counter(arena.ended)
    assert len(arena.began) == server.stats().accepted > PEERS
    assert all(len(group) == 0 for group in storm.groups)
    assert server.stats().timers == client.stats().timers == 0
    assert next(visitors.echoes) > 8 * PEERS


def test_engines_come_and_go_on_many_threads(backend: str) -> None:
    """Start and stop are for any thread, of several at once: every engine ends, and its counters balance."""
    over = time.monotonic() + min(SECONDS, 10.0)
    failures: list[BaseException] = []

    def live(number: int) -> None:
        chance = random.Random(number)
        try:
            while time.monotonic() < over:
                server = iocp.Server(iocp.Handler(), "127.0.0.1", 0, workers=2, concurrent=True, backend=backend)
                enders = [threading.Thread(target=server.stop) for _ in range(2)]
                if chance.random() < 0.8:
                    server.start()
                    server.connect(*server.address)
                    server.post(server.broadcast, TICK)
                    server.call_later(100.0, int)
                for thread in enders:
                    thread.start()
                server.stop()
                for thread in enders:
                    thread.join(TIMEOUT)
                stats = server.stats()
                assert (stats.sessions, stats.ops_in_flight, stats.buffers_in_use, stats.timers) == (0, 0, 0, 0), stats
                assert not server.running
        except BaseException as failure:
            failures.append(failure)

    threads = [threading.Thread(target=live, args=(number,), daemon=True) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10.0 + TIMEOUT)
        assert not thread.is_alive()
    if failures:
        raise failures[0]
