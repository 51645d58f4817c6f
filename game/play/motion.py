"""Pieces on their way: they glide from tile to tile, although the server tells whole tiles only."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Final

from .model import Sighted

STEP: Final = 0.13
"""Seconds in which a piece glides one tile: a little more than a player's fastest step takes, so that it never stops between two."""
_FARTHEST: Final = 3.0
"""Tiles over which a piece glides; from farther away it is there at once: it was carried off, or teleported."""


class Motion:
    """Where pieces are drawn. Coordinates in tiles."""

    def __init__(self) -> None:
        self._places: dict[int, tuple[float, float]] = {}

    def advance(self, pieces: Iterable[Sighted], seconds: float) -> None:
        """Let `seconds` pass for these pieces, and forget all others."""
        places: dict[int, tuple[float, float]] = {}
        for piece in pieces:
            x, y = self._places.get(piece.id, (float(piece.x), float(piece.y)))
            dx, dy = piece.x - x, piece.y - y
            distance = math.hypot(dx, dy)
            # One that is two tiles behind goes twice as fast, so that it is as late as one that is one tile behind.
            going = seconds / STEP * max(1.0, distance)
            if distance <= going or distance > _FARTHEST:
                places[piece.id] = (float(piece.x), float(piece.y))
            else:
                places[piece.id] = (x + dx / distance * going, y + dy / distance * going)
        self._places = places

    def place(self, piece: Sighted) -> tuple[float, float]:
        """Where to draw it."""
        return self._places.get(piece.id, (float(piece.x), float(piece.y)))
