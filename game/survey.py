"""The whole board for spectators: how many pieces stand where, counted again and again (lecture row 24 keeps it from players).

The board is cut into at most 128 x 128 square cells. A sweep counts those on each, a few sectors at each tick, and its packets go
to all spectators alike: each tells of a run of cells and is complete in itself, so whoever comes in the middle of a sweep has
the whole picture one sweep later. Names, ids and exact places are not told, except that on a board of up to 128 tiles a cell is a tile.

What it costs is bounded: a tick looks at `BUDGET` sectors and pieces, and beyond that at no more than the stretch of `_STRETCH` sectors
that it has begun, however many stand there; and `MOST_PACKETS` are sent to each spectator, 40 kB a second. On a board that is empty or
small a sweep is a packet or two. A spectator who does not read is cut as anybody is (2 MiB).
"""

from __future__ import annotations

import math
from collections import deque
from typing import TYPE_CHECKING, Final

from .protocol import MOST_CELLS, pack_overview

if TYPE_CHECKING:
    import iocp

    from .sectors import Sector
    from .world import World

MOST_ACROSS: Final = 128
"""Cells along a side."""
SWEEP_EVERY: Final = 0.5
"""Seconds from the begin of one sweep to that of the next, if it does not take longer."""
SPECTATE_EVERY: Final = 0.5
"""Seconds between two requests of a player to spectate."""
BUDGET: Final = 2_000
"""Sectors and pieces looked at in a tick, 0.6 ms on the fullest boards; what was begun, `_STRETCH` sectors, is finished in any case."""
_STRETCH: Final = 32
"""Sectors of one row that are looked at in one go."""
MOST_PACKETS: Final = 8
"""Packets sent in a tick."""


def cell_shift(size: int, most_across: int = MOST_ACROSS) -> int:
    """The cells of a board of `size` tiles are `1 << cell_shift(size)` tiles along a side: at most `most_across` of them."""
    return max(0, math.ceil(math.log2(size / most_across)))


class Survey:
    """The spectators of `world`, at most `most` of them. Not thread-safe: part of the server, called where handlers run."""

    def __init__(self, world: World, most: int) -> None:
        self._world = world
        self._most = most
        self.spectators: Final[dict[iocp.Session, None]] = {}
        self.shift: Final = cell_shift(world.size)
        self.across: Final = ((world.size - 1) >> self.shift) + 1
        sectors = world.view.sectors
        # A band is as many rows of tiles as are whole rows both of cells and of sectors.
        self._band_shift = max(self.shift, sectors.shift)
        self._bands = ((world.size - 1) >> self._band_shift) + 1
        self._sectors_across = ((world.size - 1) >> sectors.shift) + 1
        self._begin(-math.inf)
        self._band = self._bands

    def _begin(self, now: float) -> None:
        self._began = now
        self._band = 0
        self._next = 0
        self._counts: dict[int, list[int]] = {}
        """Players and monsters on the cells of the present band."""
        self._first = 0
        self._cells: list[tuple[int, int, int]] = []
        """From the cell `_first` on: whole, but not yet packed."""
        self._packed: deque[bytes] = deque()

    def admit(self, session: iocp.Session) -> str:
        """`session` is sent the overview from now on. Returns why not, or nothing."""
        if not self._most:
            return "this server allows no spectators (serve --spectators N does)"
        if session not in self.spectators and len(self.spectators) >= self._most:
            return f"no more than {self._most} may spectate at once"
        self.spectators[session] = None
        return ""

    def dismiss(self, session: iocp.Session) -> None:
        """`session` is sent no more of it, if it was."""
        self.spectators.pop(session, None)

    def run(self, now: float) -> None:
        """A tick: count on, and send what is counted. `now` in seconds, from any start."""
        if not self.spectators:
            if self._band or self._packed:
                self._begin(-math.inf)
            return
        if self._band >= self._bands and not self._packed:
            if now - self._began < SWEEP_EVERY:
                return
            self._begin(now)
        looked_at = 0
        while len(self._packed) < MOST_PACKETS and self._band < self._bands and looked_at < BUDGET:
            looked_at += self._look_on()
        packets = [self._packed.popleft() for _ in range(min(len(self._packed), MOST_PACKETS))]
        if packets:
            self._world.view.sender.multicast(list(self.spectators), b"".join(packets))

    def _look_on(self) -> int:
        """Count the next few sectors; how many sectors and pieces were looked at."""
        sectors, size = self._world.view.sectors, self._world.size
        row, column = divmod(self._next, self._sectors_across)
        row += self._band << (self._band_shift - sectors.shift)
        count = min(_STRETCH, self._sectors_across - column)
        start = row * sectors.columns + column + sectors.origin
        looked_at = count + self._count(sectors.grid[start : start + count], row, column)
        self._next += count
        if column + count == self._sectors_across and (row + 1) << sectors.shift >= min((self._band + 1) << self._band_shift, size):
            self._finish_band()
        return looked_at

    def _count(self, stretch: list[Sector], row: int, column: int) -> int:
        """Count the sectors of `row` from `column` on; how many pieces were looked at."""
        view, shift, across = self._world.view, self.shift, self.across
        counts = self._counts
        apart = shift - view.sectors.shift
        if apart >= 0:
            # Each sector lies in one cell as a whole.
            first = (row >> apart) * across
            for column, sector in enumerate(stretch, column):
                if sector.players or sector.awake or sector.asleep:
                    count = counts.setdefault(first + (column >> apart), [0, 0])
                    count[0] += len(sector.players)
                    count[1] += len(sector.awake) + len(sector.asleep or ())
            return 0
        looked_at = 0
        xs, ys = view.asleep_x, view.asleep_y
        for sector in stretch:
            for player in sector.players.values():
                counts.setdefault((player.y >> shift) * across + (player.x >> shift), [0, 0])[0] += 1
            for monster in sector.awake.values():
                counts.setdefault((monster.y >> shift) * across + (monster.x >> shift), [0, 0])[1] += 1
            for number in sector.asleep or ():
                counts.setdefault((ys[number] >> shift) * across + (xs[number] >> shift), [0, 0])[1] += 1
            looked_at += sector.population
        return looked_at

    def _finish_band(self) -> None:
        self._cells += [(cell, players, monsters) for cell, (players, monsters) in sorted(self._counts.items())]
        self._counts.clear()
        self._band += 1
        self._next = 0
        while len(self._cells) > MOST_CELLS:
            self._pack(self._cells[MOST_CELLS - 1][0])
        if self._band == self._bands:
            self._pack(self.across**2 - 1)

    def _pack(self, last: int) -> None:
        """What there is from `_first` to the cell `last`, which is at most `MOST_CELLS` cells with anybody on them."""
        self._packed.append(pack_overview(self.shift, self._first, last, self._cells[:MOST_CELLS]))
        del self._cells[:MOST_CELLS]
        self._first = last + 1
