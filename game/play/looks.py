"""Colours of the client, and which piece wears which."""

from __future__ import annotations

from typing import Final, TypeAlias

from ..protocol import O_PLAYER
from .model import Sighted

Colour: TypeAlias = tuple[int, int, int]

LIGHT: Final[Colour] = (236, 231, 208)
DARK: Final[Colour] = (139, 166, 114)
"""The two kinds of squares."""
STONE: Final[Colour] = (106, 100, 112)
"""The top of an obstacle."""
STONE_SIDE: Final[Colour] = (68, 63, 76)
VOID: Final[Colour] = (24, 26, 34)
"""Beyond the board's edge."""
UNSEEN: Final = 96
"""How dark (0 to 255) the tiles out of sight are."""

GROUND: Final[Colour] = (24, 26, 34)
CARD: Final[Colour] = (36, 39, 51)
RAISED: Final[Colour] = (52, 56, 72)
TEXT: Final[Colour] = (236, 238, 244)
FAINT: Final[Colour] = (152, 158, 176)
ACCENT: Final[Colour] = (255, 196, 61)
GOOD: Final[Colour] = (88, 196, 110)
MIDDLING: Final[Colour] = (240, 184, 64)
BAD: Final[Colour] = (232, 84, 78)
EXPERIENCE: Final[Colour] = (92, 160, 245)
BUBBLE: Final[Colour] = (252, 252, 255)
INK: Final[Colour] = (30, 32, 42)

ME: Final[Colour] = (255, 196, 61)
PLAYERS: Final[tuple[Colour, ...]] = (
    (66, 120, 214), (201, 66, 84), (126, 78, 190), (24, 146, 150), (214, 106, 36), (198, 70, 150), (60, 84, 120), (104, 70, 44),
)  # fmt: skip
"""Of other players, by id."""
COW: Final[Colour] = (245, 243, 238)
SHEEP: Final[Colour] = (72, 62, 66)
GUARD: Final[Colour] = (122, 138, 158)
WOLF: Final[Colour] = (96, 98, 110)
STRANGER: Final[Colour] = (150, 60, 170)
MONSTERS: Final[dict[int, Colour]] = {1: COW, 2: SHEEP, 3: GUARD, 4: WOLF}
"""By o_type; kinds that are not known are strangers."""
DENSITY: Final[tuple[Colour, ...]] = ((255, 214, 92), (255, 168, 54), (246, 104, 56), (226, 48, 74), (255, 240, 248))
"""From one player on a cell of the map to the most crowded one."""
MONSTER_DOT: Final[Colour] = (176, 112, 92)


def colour_of(piece: Sighted, mine: bool) -> Colour:
    """The colour in the middle of the piece's figure."""
    if mine:
        return ME
    if piece.o_type == O_PLAYER:
        return PLAYERS[piece.id % len(PLAYERS)]
    return MONSTERS.get(piece.o_type, STRANGER)


def health_colour(part: float) -> Colour:
    """Of a bar that is full to this part."""
    return GOOD if part > 0.5 else MIDDLING if part > 0.25 else BAD


def mixed(first: Colour, second: Colour, part: float) -> Colour:
    """`part` (0 to 1) of the second colour, the rest of the first."""
    r, g, b = (round(a + (z - a) * part) for a, z in zip(first, second, strict=True))
    return r, g, b
