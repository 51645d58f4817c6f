"""Players who wander, leave, come back and misbehave, over real sockets, while the oracle compares all that they receive.

    with Trial(World(100, crowd=0), count=200, rate=20.0, backend="epoll") as trial:
        trial.until(lambda: trial.wanderers.actions > 10_000, timeout=60)
        trial.finish()
    assert trial.findings == []

The server, its clients and the oracle live in one process. Clients keep what they receive; a few times a second it is
compared, where the server's handlers run, with the oracle's journal, and dropped. So memory stays bounded.
"""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Callable
from concurrent.futures import Future
from random import Random
from typing import Any, Final

import iocp
from iocp.game.names import encode_name
from iocp.game.protocol import (
    LoginOk,
    ToClient,
    pack_attack,
    pack_login,
    pack_logout,
    pack_say,
    pack_step,
    pack_teleport,
    parse_server,
)
from iocp.game.server import FRAMING
from iocp.game.violation import Violation
from iocp.game.world import World
from oracle import Journal, WatchedServer

NOWHERE: Final = -1
MOST_UNANSWERED: Final = 4
"""Requests that a wanderer has under way before it waits for the server."""
BEAT: Final = 0.02
"""Seconds between two moments at which wanderers act."""
CHECK_EVERY: Final = 0.1
"""Seconds between two comparisons."""


class Line:
    """One connection of a wanderer, and what it received that is not compared yet."""

    def __init__(self, wanderer: Wanderer) -> None:
        self.wanderer = wanderer
        self.session: iocp.Session
        self.received: deque[bytes] = deque()
        self.id = b""
        """Its player's id, packed; empty before its login is answered."""
        self.player = 0
        """The same, for the side that compares."""
        self.rude = False
        """It was cut by its own doing: what it was sent last need not have arrived."""
        self.ended: iocp.Reason | None = None


class Wanderer:
    """One player, always under the same name. What it does is of its own seed's choice."""

    def __init__(self, wanderers: Wanderers, number: int) -> None:
        self.wanderers = wanderers
        self.random = Random(f"{wanderers.seed}/{number}")
        self.name = f"w{number}"
        self.timed = number % 2 == 0
        self.knows = (None, None, 0, 1, 2)[number % 5]
        self.line: Line | None = None
        self.online = False
        self.unanswered = 0
        self.direction = number % 4

    def connect(self) -> None:
        """Log in on a new connection; whoever is online under its name loses the piece."""
        self.online = False
        self.unanswered = 0
        self.line = Line(self)
        self.wanderers.connect(self.line)

    def act(self) -> None:
        """Do something."""
        line = self.line
        if line is None:
            return self.connect()
        if not self.online or self.unanswered >= MOST_UNANSWERED:
            return
        chance = self.random.random()
        if chance < 0.02:
            self._leave(line, chance)
        elif chance < 0.05:
            self._ask(self._teleport())
        elif chance < 0.07:
            self._ask(pack_step(NOWHERE, 9 if self.timed else None))
        elif chance < 0.08:
            self.timed = not self.timed
        elif chance < 0.12 and self.knows:
            line.session.send(pack_attack())
        elif chance < 0.13 and self.knows:
            line.session.send(pack_say(f"{self.name} is here"))
        else:
            if self.random.random() < 0.3:
                self.direction = self.random.randrange(4)
            self._ask(pack_step(self.direction, self.random.getrandbits(32) if self.timed else None))

    def _ask(self, request: bytes) -> None:
        assert self.line is not None
        self.unanswered += 1
        self.line.session.send(request)

    def _teleport(self) -> bytes:
        """To nowhere in particular, or now and then near a place that draws all of them."""
        random, size, radius = self.random, self.wanderers.size, self.wanderers.radius
        if random.random() < 0.8:
            return pack_teleport()
        x, y = random.choice(self.wanderers.spots)
        x, y = x + random.randint(-radius, radius), y + random.randint(-radius, radius)
        return pack_teleport(min(max(x, 0), size - 1), min(max(y, 0), size - 1))

    def _leave(self, line: Line, chance: float) -> None:
        """In one of several ways."""
        self.online = False
        counts = self.wanderers.counts
        if chance < 0.005:
            counts["reset"] += 1
            line.rude = True
            line.session.abort()
        elif chance < 0.010:
            counts["closed"] += 1
            line.rude = True
            line.session.close()
        elif chance < 0.015:
            counts["logged out"] += 1
            line.session.send(pack_logout())
        elif chance < 0.018:
            counts["came again"] += 1
            self.connect()
        else:
            counts["broke the protocol"] += 1
            line.rude = True
            line.session.send(b"\x02\x63")


class Wanderers(iocp.Handler):
    """`count` wanderers; together they do `rate` things per second and wanderer, if the server keeps up."""

    def __init__(self, count: int, rate: float, seed: int, world: World) -> None:
        self.rate = rate
        self.seed = seed
        self.size, self.radius = world.size, world.view.radius
        random = Random(seed)
        self.spots = [(random.randrange(self.size), random.randrange(self.size)) for _ in range(3)]
        self.wanderers = [Wanderer(self, number) for number in range(count)]
        self.counts: Counter[str] = Counter()
        """Ways of leaving."""
        self.actions = 0
        self.cut = 0
        """Connections that the server cut for no reason that the wanderer knows of."""
        self.failed = 0
        """Connections that could not be made."""
        self.lines: deque[Line] = deque()
        """New connections, for the side that compares."""
        self.acting = True
        self.gathering = False
        """All who are not connected come back, and do nothing else."""
        self._engine: iocp.Engine
        self._address: tuple[str, int]
        self._turn = 0
        self._due = 0.0

    # The library's side

    def on_connect(self, session: iocp.Session) -> None:
        """Log in."""
        line: Line = session.data
        session.send(pack_login(encode_name(line.wanderer.name), line.wanderer.knows))

    def on_packet(self, session: iocp.Session, packet: bytes) -> None:
        """Keep it; see whether it is an answer."""
        line: Line = session.data
        line.received.append(packet)
        if packet[1] == ToClient.MOVE:
            if packet[2:6] == line.id and line.wanderer.unanswered:
                line.wanderer.unanswered -= 1
        elif packet[1] == ToClient.LOGIN_OK:
            line.id = packet[2:6]
            if line is line.wanderer.line:
                line.wanderer.online = True

    def on_disconnect(self, session: iocp.Session, reason: iocp.Reason) -> None:
        """A connection ended, or could not be made."""
        line: Line = session.data
        if reason in (iocp.Reason.CONNECT_FAILED, iocp.Reason.CONNECT_TIMEOUT):
            self.failed += 1
        if reason is iocp.Reason.PEER_RESET and not line.rude:
            self.cut += 1
        if line is line.wanderer.line:
            line.wanderer.line = None
            line.wanderer.online = False
        line.ended = reason

    # Acting

    def start(self, engine: iocp.Engine, address: tuple[str, int]) -> None:
        """Begin, through `engine`, whose handler this is."""
        self._engine, self._address = engine, address
        engine.call_every(BEAT, self._beat)

    def connect(self, line: Line) -> None:
        """Open a connection."""
        self.counts["connected"] += 1
        self.lines.append(line)
        line.session = self._engine.connect(*self._address[:2], data=line)

    def _beat(self) -> None:
        if self.gathering:
            for wanderer in self.wanderers:
                if wanderer.line is None:
                    wanderer.connect()
        if not self.acting:
            return
        self._due = min(self._due + self.rate * len(self.wanderers) * BEAT, len(self.wanderers))
        while self._due >= 1.0:
            self._due -= 1.0
            self._turn = (self._turn + 1) % len(self.wanderers)
            self.wanderers[self._turn].act()
            self.actions += 1

    def ask_all(self) -> None:
        """All who are online ask where they are."""
        for wanderer in self.wanderers:
            if wanderer.online and wanderer.line is not None:
                wanderer.unanswered = 1
                wanderer.line.session.send(pack_step(NOWHERE))

    def log_out(self) -> None:
        """All who are online leave, and stay away."""
        self.gathering = False
        for wanderer in self.wanderers:
            wanderer.online = False
            if wanderer.line is not None:
                wanderer.line.session.send(pack_logout())


class Trial:
    """A server with `world`, `count` wanderers, and the oracle. speed: of the world's clock. options: of `ChessServer`."""

    def __init__(
        self,
        world: World,
        count: int,
        rate: float,
        *,
        seed: int = 1,
        backend: Any = None,
        workers: int = 2,
        speed: float = 1.0,
        **options: Any,
    ) -> None:
        self._speed = speed
        self._stopped_at: float | None = None
        self.handler = WatchedServer(world, clock=self._clock, **options)
        assert isinstance(self.handler.truth, Journal)
        self.journal: Journal = self.handler.truth
        limits = iocp.Limits.none()
        self.server = iocp.Server(
            self.handler, "127.0.0.1", 0, workers=workers, backend=backend, framing=FRAMING, limits=limits
        )
        self.wanderers = Wanderers(count, rate, seed, world)
        self.client = iocp.Client(self.wanderers, backend=backend, framing=FRAMING, limits=limits)
        self._lines: list[Line] = []
        self._checks = 0

    @property
    def findings(self) -> list[str]:
        """What is wrong."""
        return self.journal.findings

    def __enter__(self) -> Trial:
        self.server.start()
        self.client.start()
        self.server.call_every(CHECK_EVERY, self._check)
        self.wanderers.start(self.client, self.server.address)
        return self

    def __exit__(self, *error: object) -> None:
        self.wanderers.acting = self.wanderers.gathering = False
        self.ask(lambda: None, self.client)  # Nobody is acting any more.
        self.client.stop()
        self.server.stop()

    def _clock(self) -> float:
        return time.monotonic() * self._speed if self._stopped_at is None else self._stopped_at

    def _stop_clock(self) -> None:
        """No monster moves any more."""
        self._stopped_at = self._clock()

    def _check(self) -> None:
        """Compare what has been received. Where the server's handlers run, so that the journal does not change meanwhile."""
        while self.wanderers.lines:
            self._lines.append(self.wanderers.lines.popleft())
        still = []
        for line in self._lines:
            ended = line.ended
            packets = [line.received.popleft() for _ in range(len(line.received))]
            if packets and not line.player:
                hello = parse_server(packets[0])
                if isinstance(hello, LoginOk):
                    line.player = hello.id
                else:
                    self.journal.find(f"{line.wanderer.name} was told {hello} first")
            if line.player and packets:
                self.journal.take(line.player, packets)
            if ended is None:
                still.append(line)
            elif line.player:
                self.journal.end(line.player, complete=ended is iocp.Reason.PEER_CLOSED and not line.rude)
        self._lines = still
        self._checks += 1
        if self._checks % 10 == 0:
            self.journal.compare()
        if self._checks % 100 == 0:
            self.journal.sweep()

    # On another thread

    def until(self, condition: Callable[[], bool], timeout: float = 120.0) -> None:
        """Wait until `condition()`, called where the server's handlers run, is true. Raises TimeoutError.

        Returns early when there is a finding.
        """
        deadline = time.monotonic() + timeout
        while not self.ask(lambda: condition() or bool(self.findings)):
            if time.monotonic() > deadline:
                raise TimeoutError(f"not within {timeout} s; not told all: {self.journal.behind()[:10]}")
            time.sleep(CHECK_EVERY)

    def ask(self, question: Callable[[], Any], engine: iocp.Engine | None = None) -> Any:
        """The answer of `question()`, called where the handlers of `engine`, or of the server, run."""
        future: Future[Any] = Future()

        def answer() -> None:
            try:
                future.set_result(question())
            except Exception as error:
                future.set_exception(error)

        (engine or self.server).post(answer)
        return future.result(120.0)

    def finish(self, timeout: float = 120.0) -> int:
        """Let all come back and stand still, compare everything, let all leave, and compare again. How many were online."""
        wanderers, journal = self.wanderers, self.journal

        def stand() -> None:
            wanderers.acting, wanderers.gathering = False, True

        def quiet() -> bool:
            """All are online, no connection is under way, and all have received all."""
            self._check()
            here = all(wanderer.online for wanderer in wanderers.wanderers)
            going = [line for line in self._lines if line.wanderer.line is not line or not line.wanderer.online]
            return here and not wanderers.lines and not going and not journal.behind()

        self.ask(stand, self.client)
        self.ask(self._stop_clock)
        self.until(quiet, timeout)
        # The answer comes after all that was sent, also what should not have been.
        self.ask(wanderers.ask_all, self.client)
        self.until(lambda: quiet() and not any(each.online and each.unanswered for each in wanderers.wanderers), timeout)
        compared: int = self.ask(journal.compare)
        self.ask(self._look_at_the_end)
        self.ask(wanderers.log_out, self.client)

        def empty() -> bool:
            self._check()
            return not self._lines and not self.handler.world.players

        self.until(empty, timeout)
        for _ in range(3):
            self.ask(journal.sweep)
        if journal.streams and not self.findings:
            journal.find(f"{len(journal.streams)} streams have no end")
        return compared

    def _look_at_the_end(self) -> None:
        online = sum(wanderer.online for wanderer in self.wanderers.wanderers)
        if len(self.handler.world.players) != online:
            self.journal.find(f"{len(self.handler.world.players)} are on the board and {online} are connected")
        cheats = self.handler.counts.violations[Violation.CHEATING]
        if self.wanderers.cut > cheats:
            self.journal.find(f"{self.wanderers.cut} connections were cut without a reason, {cheats} for cheating")
        if self.wanderers.failed:
            self.journal.find(f"{self.wanderers.failed} connections could not be made")
        errors = self.server.stats().handler_errors + self.client.stats().handler_errors
        if errors:
            self.journal.find(f"{errors} errors in handlers")
