"""The oracle for sight in a crowd, where by plan not all that is in sight is told, and moves are told at ticks.

Each packet is judged by where things stand when it is sent: an enter must be of something in sight, not told of yet, and
must fit under the cap; a move must say where a piece stands that was told of; a leave of something that is still in
sight is right only if more is in sight than may be told. Between two calls nobody is told of anything out of sight,
and whoever does not see a crowd is up to date. `check_settled` is for when nothing has moved for more than a second.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from iocp.game.agenda import TICK
from iocp.game.crowd import TICKED_FROM
from iocp.game.protocol import Enter, Leave, Moved, ToClient, parse_server
from iocp.game.world import World
from oracle import Sight
from truth import Place, Truth

FLUSH_EVERY: Final = 5 * TICK
"""Seconds after which a move must have been told, one tick more than the plan says, for what a float loses."""


class CrowdOracle(Truth):
    """For a world whose plan against crowds sets in."""

    def __init__(self, world: World, timed: bool = True) -> None:
        super().__init__(world, timed)
        self.most = world.view.most
        self.ticked_from = min(TICKED_FROM, self.most)
        self.sights: dict[int, Sight] = {}
        self.ticked: dict[int, bool] = {}
        """Who hears of moves at ticks."""
        self.moved_at: dict[int, float] = {}
        """When each piece moved last, on the world's clock."""
        self.told = 0
        """Packets judged."""

    def begins(self) -> None:
        self.receive()

    def changed(self, id: int, before: Place | None, after: Place | None) -> None:
        self.moved_at[id] = self.world.now
        if id in self.world.players and before is None:
            self.sights[id], self.ticked[id] = Sight(), False
        elif id in self.sights and after is None:
            del self.sights[id], self.ticked[id]

    def take(self, id: int, packets: Iterable[bytes]) -> None:
        for packet in packets:
            self.told += 1
            sight = self.sights.get(id)
            if sight is None:
                if packet[1] != ToClient.LOGIN_FAIL:
                    self.find(f"{id} is told {parse_server(packet)} and is not on the board")
                continue
            finding = sight.take(packet) or self._judge(id, sight, packet)
            if finding:
                self.find(f"{self.name(id)} at {self.at[id]} was told {finding}")
            if len(sight.told) >= self.ticked_from:
                self.ticked[id] = True
            elif len(sight.told) < max(1, self.ticked_from * 3 // 4):
                self.ticked[id] = False

    def _judge(self, id: int, sight: Sight, packet: bytes) -> str | None:
        news = parse_server(packet)
        if isinstance(news, Enter):
            if news.id not in self.in_sight(id):
                return f"{news}, which is out of sight"
            if news[1:] != (*self.looks[news.id], *self.at[news.id]):
                return f"{news}, which is at {self.at[news.id]}"
            if len(sight.told) > self.most:
                return f"{news}, as the {len(sight.told)}th"
        elif isinstance(news, Moved) and (news.x, news.y) != self.at[news.id]:
            return f"{news}, which is at {self.at[news.id]}"
        elif isinstance(news, Leave) and news.id in self.in_sight(id) and len(self.in_sight(id)) <= self.most:
            return f"{news}, which is in sight, with only {len(self.in_sight(id))} there"
        return None

    def check(self) -> None:
        self.check_board()
        fresh = self.world.now - FLUSH_EVERY
        for id, sight in self.sights.items():
            if not sight.told.keys() <= self.in_sight(id):
                self.find(f"{self.name(id)} was not told that {sight.told.keys() - self.in_sight(id)} are out of sight")
            if sight.told.keys() != self.world.players[id].told.keys():
                self.find(f"the server believes of {self.name(id)} what is not so")
            late = [
                self.name(other) for other, seen in sight.told.items()
                if seen[2:] != self.at.get(other) and not (self.ticked[id] and self.moved_at.get(other, 0.0) > fresh)
            ]  # fmt: skip
            if late:
                self.find(f"{self.name(id)} has not been told where {late} are")

    def check_settled(self) -> None:
        """All in sight are told, or as many as may be, the nearest."""
        for id, sight in self.sights.items():
            seen = self.in_sight(id)
            missing = seen - sight.told.keys()
            if missing and len(sight.told) < self.most:
                self.find(f"{self.name(id)} has room and is not told of {[self.name(other) for other in missing]}")
            elif missing:
                far, near = max(map(self._from(id), sight.told)), min(map(self._from(id), missing))
                if near < far:
                    self.find(f"{self.name(id)} is told of one {far} tiles away and not of one {near} tiles away")

    def _from(self, id: int):
        x, y = self.at[id]
        return lambda other: max(abs(self.at[other][0] - x), abs(self.at[other][1] - y))
