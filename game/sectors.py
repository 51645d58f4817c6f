"""The board in square sectors, each of which knows who stands in it (lecture row 24).

To find whoever is in sight of a tile only the few sectors that the view touches are looked at, however large the
board. A sector's side is a power of two above the view's radius: so a line of tiles along the view's edge, which is
all that a step of one tile brings into sight, touches two or three sectors.

Around the board lies a ring of sectors that are always empty, so that nobody has to ask where the board ends.
Not thread-safe: part of the world, which is changed by one call at a time.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .monster import Monster
    from .piece import Player


class Sector:
    """Who stands in one sector, by id; sleeping monsters by their number."""

    __slots__ = ("asleep", "awake", "players")

    def __init__(self) -> None:
        self.players: dict[int, Player] = {}
        self.awake: dict[int, Monster] = {}
        self.asleep: dict[int, None] | None = None
        """None where none ever slept: most sectors of a world without monsters."""

    @property
    def population(self) -> int:
        """All who stand here."""
        return len(self.players) + len(self.awake) + (len(self.asleep) if self.asleep else 0)


class Sectors:
    """The sectors of a board of `size` x `size` tiles, for views of `radius` tiles.

    `grid[(y >> shift) * columns + (x >> shift) + origin]` is the sector of tile x, y; the expression is written out
    where it is used all the time.
    """

    def __init__(self, size: int, radius: int) -> None:
        self.shift = max(2, radius.bit_length())
        across = ((size - 1) >> self.shift) + 1
        self.columns = across + 2
        self.origin = self.columns + 1
        nobody = Sector()
        self.grid = [nobody] * (self.columns * self.columns)
        for row in range(across):
            start = row * self.columns + self.origin
            self.grid[start : start + across] = [Sector() for _ in range(across)]

    def at(self, x: int, y: int) -> Sector:
        """The sector of a tile of the board."""
        return self.grid[(y >> self.shift) * self.columns + (x >> self.shift) + self.origin]

    def around(self, x: int, y: int, radius: int) -> Iterator[Sector]:
        """All sectors that hold a tile within `radius` of x, y, the radius being at most that of the views."""
        shift = self.shift
        left, right = (x - radius) >> shift, (x + radius) >> shift
        for row in range((y - radius) >> shift, ((y + radius) >> shift) + 1):
            start = row * self.columns + self.origin
            yield from self.grid[start + left : start + right + 1]
