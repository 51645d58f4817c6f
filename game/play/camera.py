"""Tiles and pixels: which part of the board is on the screen, and where."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

DEFAULT_ACROSS: Final = 20
"""Tiles along a side of the part that is shown at first."""
CLOSEST: Final = 8
_FARTHEST: Final = 60
"""Beyond that pieces are too small to be told apart."""


def zoom_levels(view: int) -> list[int]:
    """Tiles across, from the nearest to the farthest: no farther than 20, or than the sight if that is more."""
    farthest = max(DEFAULT_ACROSS, min(2 * view + 1, _FARTHEST))
    return sorted({CLOSEST, 10, 13, 16, DEFAULT_ACROSS, *(n for n in (26, 34, 44) if n < farthest), farthest})


@dataclass(frozen=True, slots=True)
class Camera:
    """A square of the screen, `side` pixels from `left`, `top`, that shows `across` tiles around `x`, `y`.

    x, y: the middle in tiles, not whole numbers while it moves. size: of the board in tiles, beyond which the camera does not look
    unless the board is smaller than what is shown; None: not known.
    """

    left: int
    top: int
    side: int
    across: int
    x: float
    y: float
    size: int | None = None

    @property
    def tile(self) -> int:
        """Pixels along a tile."""
        return max(1, self.side // self.across)

    @property
    def origin(self) -> tuple[float, float]:
        """The tile coordinates of the square's left and top edges."""
        return self._edge(self.x), self._edge(self.y)

    def _edge(self, middle: float) -> float:
        shown = self.side / self.tile
        # Whole tiles while the player stands; of an even number there is one more before the player than behind.
        edge = middle - self.across // 2
        if self.size is None:
            return edge
        if self.size <= shown:
            return (self.size - shown) / 2
        return min(max(0.0, edge), self.size - shown)

    def pixel(self, x: float, y: float) -> tuple[int, int]:
        """The left top pixel of the tile at x, y."""
        left, top = self.origin
        return self.left + round((x - left) * self.tile), self.top + round((y - top) * self.tile)

    def middle(self, x: float, y: float) -> tuple[int, int]:
        """The pixel in the middle of that tile."""
        left, top = self.pixel(x, y)
        return left + self.tile // 2, top + self.tile // 2

    def tile_at(self, pixel_x: int, pixel_y: int) -> tuple[int, int] | None:
        """The tile under a pixel; None outside the square."""
        if not (self.left <= pixel_x < self.left + self.side and self.top <= pixel_y < self.top + self.side):
            return None
        left, top = self.origin
        return math.floor((pixel_x - self.left) / self.tile + left), math.floor((pixel_y - self.top) / self.tile + top)

    def tiles(self) -> tuple[range, range]:
        """The columns and rows that are on the screen, if only in part."""
        left, top = self.origin
        shown = self.side / self.tile
        columns = range(math.floor(left), math.ceil(left + shown))
        rows = range(math.floor(top), math.ceil(top + shown))
        if self.size is not None:
            columns = range(max(0, columns.start), min(self.size, columns.stop))
            rows = range(max(0, rows.start), min(self.size, rows.stop))
        return columns, rows
