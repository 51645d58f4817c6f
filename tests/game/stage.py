"""A chess server without a network, whose clients' packets go to the oracle after every call."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import count
from random import Random
from typing import Any

import iocp
from iocp.game.agenda import TICK
from iocp.game.kinds import SCRIPTS, Kind, read_scripts
from iocp.game.names import encode_name
from iocp.game.piece import Player
from iocp.game.protocol import (
    ServerPacket,
    pack_attack,
    pack_login,
    pack_logout,
    pack_step,
    pack_teleport,
    parse_server,
)
from iocp.game.rescue import Record
from iocp.game.terrain import Terrain
from iocp.game.world import World
from oracle import Journal, WatchedServer
from stand_ins import Engine, Session
from truth import Place, Truth

UP, DOWN, LEFT, RIGHT = range(4)
NOWHERE = -1
STONE = 'NAME = "stone"\nO_TYPE = 7\nSECONDS = 0.1\n\n\ndef step(me):\n    pass\n'
"""The script of a monster that does nothing."""


def shipped_kinds() -> list[Kind]:
    """The kinds that come with the game."""
    return [Kind(name, source) for name, source in read_scripts(SCRIPTS).items()]


class GivenPlaces(Terrain):
    """An open board whose first random places are given."""

    places: Iterator[Place] = iter(())

    def random_open(self, generator: Random) -> Place:
        return next(self.places, None) or super().random_open(generator)


class Stage:
    """A world of `size` tiles, with `monsters` of `kinds` (stones, if not given), as many anywhere or one on each tile given.

    After each call every client must have been told exactly what it should: `check()` raises AssertionError.
    """

    def __init__(
        self,
        size: int = 40,
        *,
        radius: int = 7,
        crowd: int = 0,
        seed: int = 1,
        terrain: Terrain | None = None,
        monsters: int | Sequence[Place] = 0,
        kinds: list[Kind] | None = None,
        timed: bool = True,
        truth: type[Truth] = Journal,
        move_interval: float = 0.0,
    ) -> None:
        if not isinstance(monsters, int):
            terrain = GivenPlaces.open_board(size)
            terrain.places = iter(monsters)
            monsters = len(monsters)
        self.world = World(size, seed, view=radius, crowd=crowd, terrain=terrain, move_interval=move_interval)
        if monsters:
            self.world.populate(monsters, kinds or [Kind("stone", STONE)])
        self.time = 100.0
        self.truth = truth(self.world, timed)
        self.truth.receive = self.receive
        self.engine = Engine()
        self.server = WatchedServer(self.world, self.truth, timed=timed, clock=lambda: self.time)
        self.server.on_start(self.engine)
        self.sessions: dict[int, Any] = {}
        """Open connections, by id."""
        self.told: dict[int, list[ServerPacket]] = {}
        """What each was told since `news` was last asked for it."""
        self._ids = count(1)

    def monster(self, number: int) -> Any:
        """Monster `number`, if it is awake, else None."""
        return self.world.monsters.awake.get(number)

    # What clients do

    def login(
        self, name: str, at: Place | None = None, *, timed: bool | None = None, knows: int | None = None, check: bool = True
    ) -> Player:
        """A new client logs in, on tile `at` if given. timed: it shows its kind at once."""
        session: Any = Session(next(self._ids))
        if at is not None:
            self.world.records[name] = Record(name, *at, 100, 1, 0)
        self.sessions[session.id] = session
        self.told[session.id] = []
        self.server.on_connect(session)
        self.server.on_packet(session, pack_login(encode_name(name), knows))
        player: Player = session.data
        if timed is not None:
            self.server.on_packet(session, pack_step(NOWHERE, 1 if timed else None))
        if check:
            self.check()
        return player

    def send(self, player: Player, *packets: bytes) -> None:
        """The client sends these."""
        for packet in packets:
            self.server.on_packet(player.session, packet)
        self.check()

    def step(self, player: Player, *directions: int) -> None:
        """Steps of the client's own kind, one after another."""
        for direction in directions:
            self.send(player, pack_step(direction, 7 if player.timed else None))

    def teleport(self, player: Player, x: int | None = None, y: int | None = None) -> None:
        """A teleport, which is never too soon."""
        player.limits.next_teleport = 0.0
        self.send(player, pack_teleport(x, y))

    def attack(self, player: Player) -> None:
        """An attack on all around, which is never too soon."""
        player.limits.next_attack = 0.0
        self.send(player, pack_attack())

    def logout(self, player: Player) -> None:
        """A clean logout."""
        self.send(player, pack_logout())

    def cut(self, player: Player) -> None:
        """Its connection is reset."""
        self._end(player.id, iocp.Reason.PEER_RESET)
        self.check()

    def ticks(self, count: int = 1) -> None:
        """Let that many ticks of the world's clock pass."""
        for _ in range(count):
            self.wait(TICK)

    def wait(self, seconds: float) -> None:
        """Let that time pass, and then a tick."""
        self.time += seconds
        self.server.tick(self.time)
        self.check()

    # What they are told

    def news(self, player: Player) -> list[ServerPacket]:
        """What it was told since this was last called."""
        news, self.told[player.id] = self.told[player.id], []
        return news

    def hush(self) -> None:
        """Forget what all were told so far."""
        for news in self.told.values():
            news.clear()

    def check(self) -> None:
        """Nothing is wrong so far, and each client sees exactly what there is."""
        self.receive()
        for id, session in list(self.sessions.items()):
            if session.end is not None:
                self._end(id, session.end)
        self.truth.check()
        assert self.truth.findings == [], self.truth.findings

    def receive(self) -> None:
        """Give the oracle what the clients were sent."""
        for id, session in self.sessions.items():
            if session.sent:
                packets = session.packets()
                session.sent.clear()
                self.told[id] += map(parse_server, packets)
                self.truth.take(id, packets)

    def _end(self, id: int, reason: iocp.Reason) -> None:
        self.receive()
        session = self.sessions.pop(id)
        logged_in = session.data.text_name != ""
        self.server.on_disconnect(session, reason)
        if logged_in:
            self.truth.end(id, complete=reason is iocp.Reason.CLOSED)
