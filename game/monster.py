"""A monster that is awake, and what its script can make it do (lecture row 26).

A script's `step(me)` is called with one of these. What a script may use are the attributes and methods below that
have no leading underscore; the tiles' x and y are there to read. Sleeping monsters are no objects (`monsters.py`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from .path import find_path
from .piece import MONSTER_IDS, Piece, Player

if TYPE_CHECKING:
    from .kinds import Kind

# By Direction: up, down, left, right (wire.md).
STEPS: Final = ((0, -1), (0, 1), (-1, 0), (1, 0))
_RESIGNED: Final = 5
"""Steps until a way is looked for again where there was none."""
_PATIENCE: Final = 3
"""Tiles that whoever is chased may be off the end of a way found, before a new one is looked for."""


class Monster(Piece):
    """One monster. `number` counts from 0 over all monsters; `kind` is its script's."""

    __slots__ = ("_foe", "_memory", "_no_way", "_way", "home_x", "home_y", "kind", "number")

    def __init__(self, number: int, kind: Kind, home_x: int, home_y: int) -> None:
        super().__init__(MONSTER_IDS + number, kind.packed_name, kind.o_type)
        self.number = number
        self.kind = kind
        self.level = kind.level
        self.health = self.most_health = kind.health
        self.home_x, self.home_y = home_x, home_y
        """Where it appeared first, and appears again after its death."""
        self._foe: Player | None = None
        self._way: list[tuple[int, int]] | None = None
        self._no_way = 0
        """Steps for which no way is looked for, after none was found."""
        self._memory: dict[str, object] | None = None

    @property
    def text(self) -> str:
        """Its kind's name, for people."""
        return self.kind.name

    @property
    def memory(self) -> dict[str, object]:
        """For the script's own use; gone when the monster falls asleep."""
        if self._memory is None:
            self._memory = {}
        return self._memory

    @property
    def angry_at(self) -> Player | None:
        """Who hit it last, while that player is on the board and in its sight."""
        foe = self._foe
        if foe is not None and (not foe.online or foe.distance(self.x, self.y) > self.kind.world.view.radius):
            self._foe = foe = None
        return foe

    @angry_at.setter
    def angry_at(self, player: Player | None) -> None:
        self._foe = player

    def random(self) -> float:
        """A number from 0 to below 1, of the world's seed. Scripts use this and no other, so that replays are exact."""
        return self.kind.world.random()

    def nearest(self, within: int) -> Player | None:
        """The nearest player who sees it, `within` so many tiles; of several the one who saw it first."""
        best, least = None, within + 1
        x, y = self.x, self.y
        for audience in self.audience:
            if not audience:
                continue
            for player in audience.values():
                distance = max(abs(player.x - x), abs(player.y - y))
                if distance < least:
                    best, least = player, distance
        return best

    def walk(self, direction: int) -> bool:
        """One tile up, down, left or right (0 to 3). False if there is an obstacle or the board's end."""
        dx, dy = STEPS[direction]
        x, y = self.x + dx, self.y + dy
        world = self.kind.world
        if world.blocked[(y + 1) * world.stride + x + 1]:
            return False
        world.view.step(self, x, y, None)
        return True

    def wander(self, within: int = 0) -> bool:
        """One tile in a random direction; with `within`, only so far from its home. False if it stays where it is."""
        direction = int(self.kind.world.random() * 4)
        if within:
            dx, dy = STEPS[direction]
            if abs(self.x + dx - self.home_x) > within or abs(self.y + dy - self.home_y) > within:
                return False
        return self.walk(direction)

    def chase(self, player: Player) -> bool:
        """One tile nearer to `player`, round obstacles by the shortest way (A*). False if there is no way, or it is there."""
        return self._approach(player.x, player.y)

    def go_home(self) -> bool:
        """One tile nearer to its home. False if there is no way, or it is there."""
        return self._approach(self.home_x, self.home_y)

    def reaches(self, player: Player) -> bool:
        """Whether `player` stands on its tile or on one of the four next to it."""
        return abs(player.x - self.x) + abs(player.y - self.y) <= 1

    def attack(self, player: Player) -> bool:
        """Hit `player`. False if that is out of reach."""
        if not self.reaches(player) or not player.online:
            return False
        self.kind.world.combat.hit_player(self, player)
        return True

    def say(self, text: str) -> None:
        """Say it to the players who see it, and whose clients know chat."""
        self.kind.world.say(self, text)

    def _approach(self, x: int, y: int) -> bool:
        way = self._way
        if way is not None:
            # On its way round something: the way's end may have moved a little since it was found.
            end = way[0]
            if abs(end[0] - x) + abs(end[1] - y) <= _PATIENCE and abs(way[-1][0] - self.x) + abs(way[-1][1] - self.y) == 1:
                return self._follow(way)
            self._way = None
        dx, dy = x - self.x, y - self.y
        if not dx and not dy:
            return False
        along, across = (3 if dx > 0 else 2), (1 if dy > 0 else 0)
        first = along if abs(dx) >= abs(dy) else across
        if self.walk(first):
            return True
        if self._no_way:
            self._no_way -= 1
            return False
        world = self.kind.world
        found = find_path(world.terrain, (self.x, self.y), (x, y), within=4 * world.view.radius)
        if not found:
            self._no_way = _RESIGNED
            return False
        found.reverse()
        return self._follow(found)

    def _follow(self, way: list[tuple[int, int]]) -> bool:
        x, y = way.pop()
        self._way = way or None
        self.kind.world.view.step(self, x, y, None)
        return True
