"""How the player looks at the game: zoom, the line being typed, where the mouse is. What is drawn depends on it, the game does not."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from ..protocol import MAX_PACKET
from .camera import DEFAULT_ACROSS, zoom_levels

_LONGEST_LINE: Final = MAX_PACKET - 6
"""Bytes of a chat line in UTF-8: what the server sends on."""

HELP: Final = (
    ("arrows, WASD", "walk (hold to go on)"),
    ("click", "walk to that tile, round obstacles"),
    ("space", "attack: your tile and the four next to it"),
    ("enter", "chat; enter again says it, escape drops it"),
    ("+  -  wheel", "zoom; beyond the farthest: the whole world"),
    ("M", "the whole world, if the server allows it"),
    ("T", "teleport to a random tile"),
    ("N", "names: all, players only, none"),
    ("R", "connect again now"),
    ("F1 or H", "this help"),
    ("escape", "close what is open; nothing open: leave"),
)
"""Keys and what they do, as the window and the documentation say it."""


@dataclass(slots=True)
class Outlook:
    """The player's view of things."""

    across: int = DEFAULT_ACROSS
    """Tiles along a side of the board that is shown."""
    whole: bool = False
    """The whole world is wanted."""
    typing: str | None = None
    """The chat line that is being typed; None: none is."""
    composing: str = ""
    """What an input method has of it so far, such as half a Korean syllable."""
    names: int = 2
    """2: all names, 1: those of players, 0: none."""
    help: bool = False
    mouse: tuple[int, int] | None = None
    """The pixel under it, while it is over the window."""

    def zoom(self, nearer: bool, view: int) -> bool:
        """One step nearer or farther. False if there is no farther."""
        levels = zoom_levels(view)
        if nearer:
            self.across = max((level for level in levels if level < self.across), default=levels[0])
            return True
        farther = min((level for level in levels if level > self.across), default=None)
        if farther is not None:
            self.across = farther
        return farther is not None


def longer(line: str, text: str) -> str:
    """The chat line with what of `text` may be said behind it, as far as there is room for it."""
    more = line + "".join(letter for letter in text if letter.isprintable())
    return more.encode()[:_LONGEST_LINE].decode(errors="ignore")
