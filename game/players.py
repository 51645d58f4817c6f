"""Scripted players on the library's client side, and what they know together.

One `iocp.Client` drives any number of them (ConnectEx, lecture row 2):

    players = Players(40, rate=2.0, seed=1, terrain=terrain)
    with iocp.Client(players, framing=FRAMING) as client:
        players.arrive(client, *server.address)
        players.wait(lambda: players.online == 40, timeout=20)
        ...
        assert players.settle(timeout=20) and not players.violations

`settle()` compares the view that each keeps of the others (player.py) with where these are.

Callbacks run on the client's worker, one at a time. The methods of `Players` that say so are for other threads.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from functools import partial
from random import Random
from typing import Final, Literal, TypeVar

import iocp

from .player import NOWHERE, Player, Seen
from .protocol import O_PLAYER
from .terrain import Terrain
from .world import MAX_VIEW

Kinds = Literal["timed", "untimed", "mixed"]
T = TypeVar("T")

_MOST_KEPT: Final = 100
"""Violations whose text is kept; all are counted."""


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
            in_sight = {id for id, other in true.items() if id != player.id and player.sees(other.x, other.y)}
            if len(player.view) > self.crowd:
                found.append(f"{who}: was told of {len(player.view)}, more than {self.crowd}")
            if len(player.view) < self.crowd:
                found += [f"{who}: does not see {id} at {true[id].x},{true[id].y}" for id in in_sight - player.view.keys()]
            for id, seen in player.view.items():
                if not player.sees(seen.x, seen.y):
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
