"""One scripted player: it logs in, walks at random, and checks all that it is told.

It keeps its own view of the others from `enter`, `move` and `leave`, and holds the server to the six rules of lecture
row 18 and to row 24: nobody enters twice, or out of its sight, moves or leaves unseen, or jumps; its own moves are
answered in order, with its own `move_time`, from where it stood; moves come in its own kind, timed or untimed.

Its methods are for the thread on which the handlers of its `Players` (players.py) run.
"""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING, Final, NamedTuple

import iocp

from .names import encode_name
from .protocol import O_PLAYER, Enter, Leave, LoginOk, Moved, pack_login, pack_logout, pack_step, parse_server
from .violation import ProtocolError

if TYPE_CHECKING:
    from .players import Players

NOWHERE: Final = -1
"""A direction that there is not: the answer tells that all sent before it has arrived."""
_STEPS: Final = ((0, -1), (0, 1), (-1, 0), (1, 0))
_MOST_UNANSWERED: Final = 100
"""Moves that a player has under way before it waits for the server."""
_CROWD: Final = 40
"""Pieces in sight, well below the number from which the server tells of moves at ticks."""


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
            if not self.sees(news.x, news.y, 1):
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

    def sees(self, x: int, y: int, slack: int = 0) -> bool:
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
