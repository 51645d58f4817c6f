"""How many players stand where: the cells of a map, from the positions in snapshots."""

from __future__ import annotations

from array import array
from collections import Counter
from dataclasses import dataclass
from typing import Final

from .snapshot import Positions

COLOURS: Final = ("#151c2c", "#1f4068", "#1b6ca8", "#17a2b8", "#52c98b", "#d9d84a", "#f59b31", "#ef5b45", "#ffffff")
"""From nobody to the most crowded cell."""


@dataclass(frozen=True)
class Extent:
    """The square of tiles that is shown. The world's true size is not told: it is what was seen of it, rounded up."""

    left: int = 0
    top: int = 0
    side: int = 1

    def including(self, positions: Positions) -> Extent:
        """Grown until all of them lie in it."""
        numbers = array("h", positions)
        if not numbers:
            return self
        xs, ys = numbers[0::2], numbers[1::2]
        left, top = min(self.left, min(xs)), min(self.top, min(ys))
        seen = max(max(xs) + 1 - left, max(ys) + 1 - top)
        return Extent(left, top, max(self.side, _rounded(seen)))

    def spots(self, most: int) -> int:
        """Cells along a side, at most `most`, if each is of whole tiles."""
        return -(-self.side // self._tiles(most))

    def cells(self, positions: Positions, most: int) -> Counter[tuple[int, int]]:
        """Players by cell (column, row)."""
        tiles = self._tiles(most)
        numbers = array("h", positions)
        places = zip(numbers[0::2], numbers[1::2], strict=True)
        return Counter(((x - self.left) // tiles, (y - self.top) // tiles) for x, y in places)

    def _tiles(self, most: int) -> int:
        return -(-self.side // most)


def _rounded(tiles: int) -> int:
    """Up to a half of the power of ten in it: 397 is 400, 1,980 is 2,000."""
    unit: int = max(1, 10 ** (len(str(tiles)) - 1) // 2)
    return -(-tiles // unit) * unit
