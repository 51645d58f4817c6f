"""Scripted players on the library's client side: they log in, walk at random, and check all that they are told.

One `iocp.Client` drives any number of them (ConnectEx, lecture row 2):

    players = Players(40, rate=2.0, seed=1, world=24)
    with iocp.Client(players, framing=FRAMING) as client:
        players.arrive(client, *server.address)
        players.wait(lambda: players.online == 40, timeout=20)
        ...
        assert players.settle(timeout=20) and not players.violations

Each player keeps its own view of the others from `enter`, `move` and `leave`, and holds the server to the six rules
of lecture row 18 and to row 24: nobody enters twice, or out of its sight, moves or leaves unseen, or jumps; its own
moves are answered in order, with its own `move_time`, from where it stood; moves come in its own kind, timed or untimed.
`settle()` then compares all the views with where the players are.

Callbacks run on the client's worker, one at a time. The methods of `Players` that say so are for other threads.
"""

from __future__ import annotations

import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from functools import partial
from random import Random
from typing import Final, Literal, NamedTuple, TypeVar

import iocp

from .names import encode_name
from .protocol import (
    O_PLAYER,
    Enter,
    Leave,
    LoginOk,
    Moved,
    pack_login,
    pack_logout,
    pack_step,
    parse_server,
)
from .terrain import Terrain
from .violation import ProtocolError
from .world import MAX_VIEW

Kinds = Literal["timed", "untimed", "mixed"]
T = TypeVar("T")

NOWHERE: Final = -1
"""A direction that there is not: the answer tells that all sent before it has arrived."""
_STEPS: Final = ((0, -1), (0, 1), (-1, 0), (1, 0))
_MOST_UNANSWERED: Final = 100
"""Moves that a player has under way before it waits for the server."""
_CROWD: Final = 40
"""Pieces in sight, well below the number from which the server tells of moves at ticks."""
_MOST_KEPT: Final = 100
"""Violations whose text is kept; all are counted."""


@dataclass(slots=True)
class Seen:
    """What a player was told of another piece: the raw name field, the tile, and what it is (0: a player)."""

    name: bytes
    x: int
    y: int
    o_type: int = O_PLAYER


class Step(NamedTuple):
    """A move under way; `sent` in seconds of `time.perf_counter`."""

    direction: int
    move_time: int | None
    sent: float


class Player:
    """One scripted player and what it sees. `walks` False: it stands and looks on."""

    def __init__(self, players: Players, name: str, timed: bool, walks: bool, random: Random) -> None:
        self.players = players
        self.name = encode_name(name)
        self.timed = timed
        self.walks = walks
        self.session: iocp.Session | None = None
        self.id = 0
        """Its piece, from its login_ok until its connection ends; else 0."""
        self.x = self.y = 0
        self.view: dict[int, Seen] = {}
        self.under_way: deque[Step] = deque()
        self.leaving = False
        self._shown = False
        self._random = random
        self._timer: iocp.Timer | None = None

    # What it does

    def connected(self) -> None:
        """Log in."""
        assert self.session is not None
        self.session.send(pack_login(self.name))

    def walk(self) -> None:
        """Move at the players' rate from now on, from a random moment within the first interval."""
        rate = self.players.rate
        if self.walks and rate > 0 and self._timer is None:
            engine = self.players.engine
            self._timer = engine.call_later(self._random.random() / rate, self._first_step, 1 / rate)

    def _first_step(self, interval: float) -> None:
        self._timer = self.players.engine.call_every(interval, self.step)
        self.step()

    def stand(self) -> None:
        """Move no more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def step(self) -> None:
        """One move in a random direction."""
        if len(self.under_way) < _MOST_UNANSWERED:
            self.send_step(self._random.randrange(4))

    def send_step(self, direction: int) -> None:
        """A move; its answer will be checked."""
        if self.session is None or not self.id:
            return
        now = time.perf_counter()
        move_time = int(now * 1_000_000) & 0xFFFF_FFFF if self.timed else None
        self.under_way.append(Step(direction, move_time, now))
        self.players.unanswered += 1
        self.session.send(pack_step(direction, move_time))

    def log_out(self) -> None:
        """Leave cleanly: the server then ends the connection."""
        self.leaving = True
        self.stand()
        if self.session is not None:
            self.session.send(pack_logout())

    def ended(self) -> None:
        """The connection is gone, and with it what was under way."""
        self.stand()
        self.players.unanswered -= len(self.under_way)
        self.under_way.clear()
        self.view.clear()
        self.session = None
        self.id = 0

    # What it is told

    def told(self, packet: bytes) -> None:
        """Check one packet of the server against all before it."""
        try:
            news = parse_server(packet)
        except ProtocolError as error:
            return self.complain(str(error))
        if isinstance(news, Moved):
            if news.id == self.id:
                self._moved(news)
            else:
                self._saw_move(news)
        elif isinstance(news, Enter):
            if news.id in self.view or news.id == self.id:
                self.complain(f"{news.id} entered twice")
            # Its own step comes behind what it brought into sight, so here it may still stand a tile behind.
            if not self._sees(news.x, news.y, 1):
                self.complain(f"{news.id} entered at {news.x},{news.y}, out of sight from {self.x},{self.y}")
            self.view[news.id] = Seen(news.name, news.x, news.y, news.o_type)
        elif isinstance(news, Leave):
            if self.view.pop(news.id, None) is None:
                self.complain(f"{news.id} left without having entered")
        elif isinstance(news, LoginOk) and not self.id:
            self.id, self.x, self.y = news.id, news.x, news.y
            self.players.online += 1
            if self.players.walking:
                self.walk()
        else:
            self.complain(f"unexpected {news}")

    def _moved(self, news: Moved) -> None:
        step = self.under_way[0] if self.under_way else None
        if self.players.monsters and (
            step is None
            or (self.timed and news.move_time == 0 and step.move_time != 0)
            or (not self.timed and (news.x, news.y) not in self._possible(step.direction))
        ):
            # A monster has killed it: it appears elsewhere.
            self.players.carried_off += 1
            self.x, self.y = news.x, news.y
            return
        if step is None:
            return self.complain("an answer to no move")
        self.under_way.popleft()
        self._shown = True
        self.players.answered(time.perf_counter() - step.sent)
        if news.move_time != step.move_time:
            self.complain(f"move_time {step.move_time} came back as {news.move_time}")
        if (news.x, news.y) not in self._possible(step.direction):
            self.complain(f"moved {step.direction} from {self.x},{self.y} and is at {news.x},{news.y}")
        if (news.x, news.y) != (self.x, self.y):
            self.players.moves += 1
        self.x, self.y = news.x, news.y

    def _sees(self, x: int, y: int, slack: int = 0) -> bool:
        """Whether x, y is in sight; with `slack`, or so many tiles beyond."""
        view = self.players.sight + slack
        return abs(x - self.x) <= view and abs(y - self.y) <= view

    def _possible(self, direction: int) -> list[tuple[int, int]]:
        """Where it may stand after a move: on the next tile if that is open, else where it stood."""
        here = (self.x, self.y)
        if not 0 <= direction < 4:
            return [here]
        x, y = self.x + _STEPS[direction][0], self.y + _STEPS[direction][1]
        terrain = self.players.terrain
        if terrain is None:
            return [here] if min(x, y) < 0 else [(x, y), here]
        return [(x, y) if terrain.is_open(x, y) else here]

    def _saw_move(self, news: Moved) -> None:
        if self._shown and (news.move_time is not None) != self.timed:
            self.complain(f"a move of {news.id} came in the wrong size")
        if news.move_time:
            self.complain(f"a move of {news.id} came with move_time {news.move_time}")
        seen = self.view.get(news.id)
        if seen is None:
            return self.complain(f"{news.id} moved without having entered")
        # One of a crowd is told of moves at ticks; and whoever died is elsewhere.
        crowded = len(self.view) >= _CROWD or self.players.monsters
        if abs(seen.x - news.x) + abs(seen.y - news.y) != 1 and not crowded:
            self.complain(f"{news.id} jumped from {seen.x},{seen.y} to {news.x},{news.y}")
        seen.x, seen.y = news.x, news.y

    def complain(self, text: str) -> None:
        """Note a violation."""
        self.players.complain(f"player {self.id} {self.name.rstrip(bytes(1)).decode()}: {text}")


class Players(iocp.Handler):
    """`count` players on one client engine, named p1, p2, ...

    rate: moves per second and player. seed: of all their choices. kinds: whether they send timed moves, untimed
    ones, or every other one either. terrain: the server's, so that borders and obstacles can be checked. sight: how
    far they see, in tiles. crowd: the most pieces that one is told of. monsters: whether there are any, which may kill players.
    watcher: the first player is one more that stands and looks on, named `watcher`.
    """

    def __init__(
        self,
        count: int,
        *,
        rate: float = 2.0,
        seed: int = 1,
        kinds: Kinds = "mixed",
        terrain: Terrain | None = None,
        sight: int = MAX_VIEW,
        crowd: int = 0,
        monsters: bool = False,
        watcher: bool = False,
    ) -> None:
        self.rate = rate
        self.terrain = terrain
        self.sight = sight
        self.crowd = crowd or sys.maxsize
        self.monsters = monsters
        self.walking = True
        self.engine: iocp.Engine
        """From `arrive` on."""
        self.players: list[Player] = []
        if watcher:
            self.players.append(Player(self, "watcher", kinds != "untimed", False, Random(seed)))
        for number in range(1, count + 1):
            timed = kinds == "timed" or (kinds == "mixed" and number % 2 == 1)
            self.players.append(Player(self, f"p{number}", timed, True, Random(f"{seed}/{number}")))
        self.online = 0
        self.unanswered = 0
        self.moves = 0
        """Accepted moves of all players."""
        self.answers = 0
        self.slowest = self.total_wait = 0.0
        """Seconds from sending a move to its answer: the longest, the sum of all."""
        self.carried_off = 0
        """Times that a player was killed, and appeared elsewhere."""
        self.violations = 0
        self.complaints: list[str] = []
        """The first violations in words."""
        self._waiting: list[tuple[Callable[[], bool], threading.Event]] = []

    # The library's side

    def on_connect(self, session: iocp.Session) -> None:
        """A player's connection is made."""
        player: Player = session.data
        player.connected()

    def on_packet(self, session: iocp.Session, packet: bytes) -> None:
        """One whole packet of the server."""
        player: Player = session.data
        player.told(packet)
        if self._waiting:
            self._look()

    def on_disconnect(self, session: iocp.Session, reason: iocp.Reason) -> None:
        """A player's connection ended, or could not be made."""
        player: Player = session.data
        if not player.leaving and reason is not iocp.Reason.SERVER_STOPPED:
            player.complain(f"connection ended: {reason.name}" + (f" ({session.error})" if session.error else ""))
        if player.id:
            self.online -= 1
        player.ended()
        self._look()

    # Kept by the players

    def answered(self, seconds: float) -> None:
        """A move was answered after `seconds`."""
        self.unanswered -= 1
        self.answers += 1
        self.total_wait += seconds
        self.slowest = max(self.slowest, seconds)

    def complain(self, text: str) -> None:
        """Count a violation and keep its text."""
        self.violations += 1
        if len(self.complaints) < _MOST_KEPT:
            self.complaints.append(text)

    # For other threads

    def arrive(self, engine: iocp.Engine, host: str, port: int, within: float = 0.0) -> None:
        """Connect all of them through `engine`, whose handler this is, spread over `within` seconds. On any thread."""
        self.engine = engine
        self.engine.post(self._arrive, host, port, within)

    def _arrive(self, host: str, port: int, within: float) -> None:
        for number, player in enumerate(self.players):
            self.engine.call_later(number * within / len(self.players), self._connect, player, host, port)

    def _connect(self, player: Player, host: str, port: int) -> None:
        player.session = self.engine.connect(host, port, data=player)

    def ask(self, question: Callable[[], T], timeout: float = 20.0) -> T:
        """The answer of `question()`, called where handlers run. On any other thread. Raises TimeoutError."""
        future: Future[T] = Future()

        def answer() -> None:
            try:
                future.set_result(question())
            except Exception as error:
                future.set_exception(error)

        self.engine.post(answer)
        return future.result(timeout)

    def wait(self, condition: Callable[[], bool], timeout: float = 20.0) -> bool:
        """Wait until `condition()`, called where handlers run after each packet, is true; False after `timeout` seconds.

        On any other thread.
        """
        entry = (condition, threading.Event())
        self.engine.post(self._wait, entry)
        if entry[1].wait(timeout):
            return True
        self.engine.post(self._forget, entry)
        return False

    def _wait(self, entry: tuple[Callable[[], bool], threading.Event]) -> None:
        self._waiting.append(entry)
        self._look()

    def _forget(self, entry: tuple[Callable[[], bool], threading.Event]) -> None:
        if entry in self._waiting:
            self._waiting.remove(entry)

    def _look(self) -> None:
        for entry in self._waiting[:]:
            if entry[0]():
                entry[1].set()
                self._waiting.remove(entry)

    def settle(self, timeout: float = 20.0) -> bool:
        """Stand still, wait until all that was sent has arrived, and compare what all see. On any other thread.

        False if it took longer than `timeout` seconds. What is wrong in the views is added to `violations`.
        """
        deadline = time.monotonic() + timeout
        self.ask(self._stand, timeout)
        # First every move has been answered, then every move of others has been seen: the answer to a second
        # question comes after all that the server had sent by then. Where monsters carry players off meanwhile, or a
        # crowd is told at ticks, it may take some more.
        looks: list[Callable[[], object]] = [lambda: None, self._look_around]
        while True:
            for look in looks:
                self.ask(look, timeout)
                if not self.wait(lambda: self.unanswered == 0, deadline - time.monotonic()):
                    return False
            differences = self.ask(self.compare, timeout)
            if not differences or time.monotonic() > deadline - timeout / 2:
                break
            looks = [self._look_around]
        for difference in differences:
            self.ask(partial(self.complain, difference), timeout)
        return True

    def _stand(self) -> None:
        self.walking = False
        for player in self.players:
            player.stand()

    def _look_around(self) -> None:
        for player in self.players:
            player.send_step(NOWHERE)

    def compare(self) -> list[str]:
        """Every difference between what each sees and where the others are. Where handlers run."""
        true = {player.id: Seen(player.name, player.x, player.y) for player in self.players if player.id}
        found = []
        for player in self.players:
            if not player.id:
                continue
            who = f"player {player.id} at {player.x},{player.y}"
            in_sight = {id for id, other in true.items() if id != player.id and player._sees(other.x, other.y)}
            if len(player.view) > self.crowd:
                found.append(f"{who}: was told of {len(player.view)}, more than {self.crowd}")
            if len(player.view) < self.crowd:
                found += [f"{who}: does not see {id} at {true[id].x},{true[id].y}" for id in in_sight - player.view.keys()]
            for id, seen in player.view.items():
                if not player._sees(seen.x, seen.y):
                    found.append(f"{who}: sees {id} at {seen.x},{seen.y}, out of its sight")
                elif seen.o_type == O_PLAYER and id not in true:
                    found.append(f"{who}: sees {id}, who is not one of the players")
                elif seen.o_type == O_PLAYER and seen != true[id]:
                    found.append(f"{who}: sees {id} as {seen}, not {true[id]}")
        return found

    def others_in_sight(self) -> int:
        """How many views of another player all of them have together. Where handlers run."""
        return sum(seen.o_type == O_PLAYER for player in self.players for seen in player.view.values())

    def log_out(self, which: Callable[[Player], bool] = lambda player: True) -> None:
        """Log out those players. On any other thread."""

        def log_out() -> None:
            for player in self.players:
                if which(player):
                    player.log_out()

        self.ask(log_out)
