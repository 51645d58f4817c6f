"""All monsters of a world, asleep or awake (lecture row 26: several hundred thousand).

A sleeping monster is a number: its place, home, health and kind lie in flat arrays, a sector knows its number, and
nothing else mentions it, no timer either. It wakes when it comes into a player's sight, as a `Monster`, and from
then on takes a step every so often, as its script says. When it is to take one and no player sees it, it falls asleep again.
"""

from __future__ import annotations

import logging
from array import array
from bisect import bisect_right
from collections.abc import Callable, Sequence
from itertools import accumulate
from typing import TYPE_CHECKING, Final

from .agenda import ticks
from .monster import Monster

if TYPE_CHECKING:
    from .kinds import Kind
    from .world import World

log = logging.getLogger("iocp.game")

RESPAWN_TICKS: Final = ticks(30.0)
"""From a monster's death to its return."""


class Monsters:
    """The monsters of `world`; numbers count from 0."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.x, self.y = array("h"), array("h")
        """Where those asleep stand."""
        self._home_x, self._home_y = array("h"), array("h")
        self._health = array("h")
        self._kind = array("B")
        self.kinds: list[Kind] = []
        self.awake: dict[int, Monster] = {}
        self.dead = 0
        self.steps = 0
        """Steps taken by scripts since the start."""
        self.kills = 0

    def __len__(self) -> int:
        return len(self.x)

    @property
    def asleep(self) -> int:
        """How many sleep."""
        return len(self.x) - len(self.awake) - self.dead

    def populate(self, count: int, kinds: Sequence[Kind], progress: Callable[[float], object] = lambda done: None) -> None:
        """Put `count` sleeping monsters of these kinds, by their shares, on random open tiles.

        `progress` is called with the part done, from 0 to 1. Once, before any player is on the board.
        """
        if len(kinds) > 255 or not kinds or not any(kind.share for kind in kinds):
            raise ValueError(f"there must be 1 to 255 kinds of monsters, one with a share: {len(kinds)} given")
        self.kinds = list(kinds)
        for kind in kinds:
            kind.world = self._world
        shares = list(accumulate(kind.share for kind in kinds))
        random, terrain, sectors = self._world.random, self._world.terrain, self._world.view.sectors
        random_open, generator = terrain.random_open, self._world.generator
        for number in range(count):
            x, y = random_open(generator)
            kind_number = bisect_right(shares, random() * shares[-1])
            self.x.append(x)
            self.y.append(y)
            self._kind.append(min(kind_number, len(kinds) - 1))
            self._health.append(kinds[self._kind[-1]].health)
            sector = sectors.at(x, y)
            if sector.asleep is None:
                sector.asleep = {}
            sector.asleep[number] = None
            if number % 10_000 == 0:
                progress(number / count)
        self._home_x, self._home_y = self.x[:], self.y[:]
        progress(1.0)

    def install(self, script: str, source: str | None) -> None:
        """A script changed: its kind does as the new text says from now on. None: the file is gone. Raises ScriptError."""
        kind = next((kind for kind in self.kinds if kind.script == script), None)
        if kind is None:
            log.warning("script %s.py is new: its monsters come when the server starts again", script)
        elif source is None:
            kind.step = None
            kind.failed = True
            log.warning("script %s.py is gone: its monsters stand still", script)
        else:
            kind.install(source)
            log.warning("script %s.py read again", script)

    def wake(self, number: int) -> Monster:
        """The sleeping monster `number`, awake from now on."""
        kind = self.kinds[self._kind[number]]
        world = self._world
        monster = Monster(number, kind, self._home_x[number], self._home_y[number])
        monster.x, monster.y = x, y = self.x[number], self.y[number]
        monster.health = min(self._health[number], kind.health)
        sector = world.view.sectors.at(x, y)
        assert sector.asleep is not None
        del sector.asleep[number]
        sector.awake[monster.id] = monster
        monster.sector = sector
        self.awake[number] = monster
        world.agenda.after(1 + int(world.random() * kind.ticks), self._step, monster)
        return monster

    def _sleep(self, monster: Monster) -> None:
        number, sector = monster.number, monster.sector
        assert sector is not None
        self.x[number], self.y[number] = monster.x, monster.y
        self._health[number] = monster.health
        del sector.awake[monster.id], self.awake[number]
        if sector.asleep is None:
            sector.asleep = {}
        sector.asleep[number] = None
        monster.sector = None
        self._world.view.crowd.discard(monster)

    def _step(self, monster: Monster) -> None:
        if monster.sector is None:
            return  # It died meanwhile.
        timed, untimed, ticked_timed, ticked_untimed = monster.audience
        if not (timed or untimed or ticked_timed or ticked_untimed or self._world.view.crowd.is_new(monster)):
            self._sleep(monster)
            return
        kind = monster.kind
        step = kind.step
        if step is not None:
            self.steps += 1
            try:
                step(monster)
            except (Exception, SystemExit):
                kind.fail()
        self._world.agenda.after(kind.ticks, self._step, monster)

    def die(self, monster: Monster) -> None:
        """Take it off the board; it is back at its home, asleep, after a while."""
        number = monster.number
        self._world.view.disappear(monster)
        del self.awake[number]
        self.dead += 1
        self.kills += 1
        self._world.agenda.after(RESPAWN_TICKS, self._respawn, number)

    def _respawn(self, number: int) -> None:
        self.dead -= 1
        x, y = self._home_x[number], self._home_y[number]
        self.x[number], self.y[number] = x, y
        self._health[number] = self.kinds[self._kind[number]].health
        world = self._world
        sector = world.view.sectors.at(x, y)
        if sector.asleep is None:
            sector.asleep = {}
        sector.asleep[number] = None
        if any(player.distance(x, y) <= world.view.radius for near in world.view.sectors.around(x, y, world.view.radius)
               for player in near.players.values()):  # fmt: skip
            monster = self.wake(number)
            world.view.look_round(monster, None)
