"""Small pictures made of characters, for the terminal: bars, columns, a map. They need rich."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

from rich.style import Style
from rich.text import Text

from .density import COLOURS, Extent
from .snapshot import Positions

_EIGHTHS: Final = " ▁▂▃▄▅▆▇█"
_PARTS: Final = " ▏▎▍▌▋▊▉█"
_FEWEST: Final = 8


def bar(share: float, width: int, colour: str) -> Text:
    """`share` of `width` characters filled; what is over 1 is not shown."""
    eighths = round(min(max(share, 0.0), 1.0) * width * 8)
    filled = "█" * (eighths // 8) + (_PARTS[eighths % 8] if eighths % 8 else "")
    return Text(filled.ljust(width), f"{colour} on #30363d")


def columns(
    pairs: Sequence[tuple[float, float]], most: float, width: int, height: int, colours: tuple[str, str], thick: int = 1
) -> list[Text]:
    """Two colours above each other for each (lower, upper) of the last that fit, `thick` characters each; `most` fills `height` lines."""
    shown = pairs[-(width // thick) :]
    scale = height * 8 / most if most else 0.0
    # What is not nothing is to be seen: one eighth at least.
    tops = [(round(lower * scale), max(1, round(upper * scale)) if upper else 0) for lower, upper in shown]
    lines = []
    for line in range(height - 1, -1, -1):
        row = Text()
        for lower, upper in tops:
            low, high = lower - 8 * line, min(8, upper - 8 * line)
            if high <= 0:
                row.append(" " * thick)
            elif low >= high:
                row.append(_EIGHTHS[high] * thick, colours[0])
            elif low > 0 and high == 8:
                row.append(_EIGHTHS[low] * thick, f"{colours[0]} on {colours[1]}")
            else:
                row.append(_EIGHTHS[high] * thick, colours[1])
        row.append(" " * (width - thick * len(shown)))
        lines.append(row)
    return lines


def map_side(extent: Extent, most: int) -> int:
    """Characters that a map of at most `most` characters takes along a side: whole tiles to a spot, an even number of spots."""
    cells = extent.spots(most)
    return -(-cells * max(1, most // cells) // 2) * 2


def density_map(positions: Positions, extent: Extent, side: int) -> tuple[list[Text], int]:
    """Where players are, in half blocks: `side` characters wide and half as many lines. Also the count that is the last colour."""
    spots, count = extent.spots(side), extent.cells(positions, side)
    zoom = max(1, side // spots)
    # A few players in one spot are no crowd yet.
    most = max(_FEWEST, max(count.values(), default=0))
    lines = []
    for line in range(side // 2):
        row = Text()
        for column in range(spots * zoom):
            upper, lower = (
                _shade(count[column // zoom, spot], most) if spot < spots else None for spot in (2 * line // zoom, (2 * line + 1) // zoom)
            )
            if upper is None:
                row.append(" ")
            else:
                row.append("▀", f"{upper} on {lower}" if lower else upper)
        lines.append(row)
    return lines, most


def _shade(here: int, most: int) -> str:
    """The colour of a spot with so many in it: by the logarithm, so that one player alone is still seen."""
    return COLOURS[2 + round(math.log(here) / math.log(most) * (len(COLOURS) - 3))] if here else COLOURS[0]


def legend(most: int) -> Text:
    """What the map's colours say."""
    text = Text("1 ", "dim")
    for colour in COLOURS[2:]:
        text.append("█", Style(color=colour, dim=False))
    return text.append(f" {most:,} in a spot", "dim")
