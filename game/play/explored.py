"""Where a player has been: the cells of the board that were ever in its sight, for the small map."""

from __future__ import annotations

from typing import Final

from ..survey import cell_shift

MOST_ACROSS: Final = 1_024
"""Cells along a side: up to 1,024 tiles a cell is a tile."""


class Explored:
    """Cells of a board of `size` tiles, numbered row by row; a cell is `1 << shift` tiles a side."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.shift = cell_shift(size, MOST_ACROSS)
        self.across = ((size - 1) >> self.shift) + 1
        self.seen = bytearray(self.across**2)
        """1 for a cell of which a tile was in sight."""
        self.fresh: list[int] = []
        """Cells seen since whoever draws took them from here."""

    def look(self, x: int, y: int, radius: int) -> None:
        """The tiles within `radius` of x, y are in sight."""
        last = self.across - 1
        left, right = max(0, (x - radius) >> self.shift), min(last, (x + radius) >> self.shift)
        top, bottom = max(0, (y - radius) >> self.shift), min(last, (y + radius) >> self.shift)
        for row in range(top, bottom + 1):
            for cell in range(row * self.across + left, row * self.across + right + 1):
                if not self.seen[cell]:
                    self.seen[cell] = 1
                    self.fresh.append(cell)
