"""The board and the pieces on it (lecture rows 18 and 19, slide "chess board").

No network, no clock, no thread of its own: a world is changed by calls, one at a time, and the same seed and calls
give the same world. That is what lets it be tested without sockets and, later, be replayed from a recording.
Positions are tiles, 0 at the top left, x to the right, y downwards. Several pieces may stand on one tile.
"""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import Final

MAX_SIZE: Final = 32_767
"""Tiles along a side, so that a coordinate fits the wire's i16."""

# By Direction: up, down, left, right (wire.md).
_STEPS: Final = ((0, -1), (0, 1), (-1, 0), (1, 0))


@dataclass(slots=True)
class Piece:
    """One player's piece. `id` is the session's, never used again; `name` is text, checked by whoever made it."""

    id: int
    name: str
    x: int
    y: int
    hp: int = 100
    level: int = 1
    exp: int = 0


class World:
    """A square board of `size` x `size` tiles. `seed` decides where pieces appear.

    Not thread-safe: the server calls it where its handlers run, one at a time.
    Raises ValueError if `size` is not in 1 to 32,767.
    """

    def __init__(self, size: int = 400, seed: int = 1) -> None:
        if not 1 <= size <= MAX_SIZE:
            raise ValueError(f"size must be between 1 and {MAX_SIZE}, not {size!r}")
        self.size = size
        self.seed = seed
        self.pieces: dict[int, Piece] = {}
        self._random = Random(seed)

    def enter(self, id: int, name: str) -> Piece:
        """A new piece on a tile of the seed's choice. Raises ValueError if `id` is on the board."""
        if id in self.pieces:
            raise ValueError(f"piece {id} is on the board already")
        piece = Piece(id, name, self._random.randrange(self.size), self._random.randrange(self.size))
        self.pieces[id] = piece
        return piece

    def move(self, id: int, direction: int) -> bool:
        """One tile in `direction`. False, and nothing changed, if that is no direction or leads off the board.

        Raises KeyError if there is no piece `id`.
        """
        piece = self.pieces[id]
        if not 0 <= direction < 4:
            return False
        dx, dy = _STEPS[direction]
        x, y = piece.x + dx, piece.y + dy
        if not (0 <= x < self.size and 0 <= y < self.size):
            return False
        piece.x, piece.y = x, y
        return True

    def leave(self, id: int) -> Piece:
        """Take piece `id` off the board and return it. Raises KeyError if there is none."""
        return self.pieces.pop(id)
