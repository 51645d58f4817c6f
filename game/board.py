"""A live board in the terminal (lecture row 19): pieces that move, names, a status line.

On a terminal it is drawn with `rich` (the extra `demo`, imported only when a board is drawn); a world larger than the
screen becomes a map of how many pieces stand where. Elsewhere, or without `rich`, it is one plain line a second.

A board belongs to the thread that made it. It draws a `Scene`, and knows nothing of servers and clients.
"""

from __future__ import annotations

import math
import os
import shutil
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import TYPE_CHECKING, Final, Self, TextIO

from iocp.output import say

from .protocol import O_PLAYER

if TYPE_CHECKING:
    from rich.live import Live
    from rich.table import Table
    from rich.text import Text

    from .terrain import Terrain

PANEL: Final = 30
"""Columns of the panel at the right, at least: it takes what the board leaves. 24 x 24 tiles of two columns and the panel fill a terminal of
80 x 24."""
_LEAST_NOTES: Final = 3
"""Rows for notes, or for the end of them, which is the newest: the status gives way to them."""
_LIVE_INTERVAL: Final = 1 / 8
_PLAIN_INTERVAL: Final = 1.0

# No pawn: terminals show that one as an emoji, two columns wide.
_GLYPHS: Final = "♚♛♜♝♞"
# Dark enough to be read on both kinds of squares.
_COLOURS: Final = ("#8b0000", "#00008b", "#000000", "#7a007a", "#8a3c00", "#004d4d", "#3d3d3d", "#b3005e")
_SQUARES: Final = ("#eeeed2", "#8fae6b")
_UNSEEN: Final = ("#6f7064", "#4f5c46")
_WALL: Final = "#3d3128"
_BEYOND: Final = "#15130f"
"""Off the board."""
# Monsters, by o_type; those that have none of their own take the first.
_MONSTERS: Final = "mcsgw"
# From no piece to the most crowded spot.
_DENSITY: Final = ("#16211a", "#245c36", "#2f8f46", "#6fbf3f", "#d7c93c", "#f08c2e", "#e8402a", "#ffffff")


@dataclass(frozen=True, slots=True)
class Mark:
    """One piece on the board; x and y in tiles, `watching` for the one through whose eyes the board is seen."""

    id: int
    x: int
    y: int
    name: str
    watching: bool = False
    o_type: int = O_PLAYER


@dataclass(frozen=True, slots=True)
class Scene:
    """What is drawn: a board of `size` x `size` tiles, (label, value) pairs of the status, notes below."""

    title: str
    size: int
    marks: Sequence[Mark]
    status: Sequence[tuple[str, str]]
    notes: Sequence[str] = field(default=())
    obstacles: Terrain | None = None
    sight: int | None = None
    """How far the one who watches sees, in tiles: what is beyond is drawn dark."""
    origin: tuple[int, int] = (0, 0)
    """The tile at the left top, where a part of a larger board is shown; marks and obstacles are where they are on the whole one."""
    notice: str = ""
    """What must be seen however little room there is."""

    def line(self) -> str:
        """The status as one plain line."""
        pairs = [*self.status, ("notice", self.notice)] if self.notice else self.status
        return "  ".join(f"{label} {value}" for label, value in pairs)


class Meter:
    """Turns a growing count into a rate per second, averaged over about the last second."""

    def __init__(self) -> None:
        self._samples: list[tuple[float, int]] = []

    def rate(self, count: int) -> float:
        """Note `count` now; how fast it grew."""
        now = time.perf_counter()
        self._samples.append((now, count))
        while len(self._samples) > 2 and self._samples[1][0] <= now - 1:
            self._samples.pop(0)
        then, before = self._samples[0]
        return (count - before) / (now - then) if now > then else 0.0


class Board:
    """Shows scenes on `stream` (standard output), as a context manager. `interval`: seconds between scenes."""

    def __init__(self, stream: TextIO | None = None) -> None:
        # A program may have been started without standard output: nothing is shown then.
        self._stream: TextIO | None = stream if stream is not None else sys.stdout
        self._live: Live | None = None
        self._last = -math.inf
        self.unread = False
        """Whether whoever read the lines is gone: what is shown goes nowhere."""
        self.interval = _PLAIN_INTERVAL
        if self._stream is not None and _can_draw(self._stream):
            self._live = _live(self._stream)
            if self._live is not None:
                self.interval = _LIVE_INTERVAL

    @property
    def live(self) -> bool:
        """Whether it draws a board, and not lines."""
        return self._live is not None

    def show(self, scene: Scene) -> None:
        """Draw the scene; as a line at most once a second. Raises OSError if it cannot be written, for another reason than `unread`."""
        if self._live is not None:
            size = shutil.get_terminal_size()
            self._live.update(draw(scene, size.columns, size.lines), refresh=True)
            return
        now = time.perf_counter()
        if now - self._last >= _PLAIN_INTERVAL * 0.9:
            self._last = now
            self.unread = not say(scene.line(), self._stream) or self.unread

    def __enter__(self) -> Self:
        if self._live is not None:
            self._live.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.__exit__(kind, value, trace)


def _can_draw(stream: TextIO) -> bool:
    encoding = (stream.encoding or "").lower().replace("-", "")
    return stream.isatty() and encoding == "utf8" and os.environ.get("TERM") != "dumb"


def _live(stream: TextIO) -> Live | None:
    try:
        from rich.console import Console
        from rich.live import Live
    except ImportError:
        print("no live board without rich, only a line a second: pip install 'pyiocp[demo]'", file=sys.stderr)
        return None
    return Live(
        console=Console(file=stream), screen=True, auto_refresh=False, redirect_stdout=False, redirect_stderr=False
    )


def draw(scene: Scene, width: int, height: int) -> Table:
    """The scene for a terminal of `width` x `height` characters: the board and a panel. Needs rich."""
    from rich.cells import cell_len
    from rich.table import Table

    room = max(2, width - PANEL - 2)
    tile = min(room // (2 * scene.size), height // scene.size)
    board = _tiles(scene, tile) if tile >= 1 else _density(scene, room, height)
    grid = Table.grid(padding=(0, 2, 0, 0))
    grid.add_column(no_wrap=True)
    panel = max(PANEL, width - max(map(cell_len, board.plain.split("\n"))) - 2)
    grid.add_column(no_wrap=True, width=panel)
    grid.add_row(board, _panel(scene, panel, height))
    return grid


def _tiles(scene: Scene, tile: int) -> Text:
    """Squares of `tile` rows and twice as many columns; from two rows on with names."""
    from rich.cells import cell_len, set_cell_size
    from rich.text import Text

    standing: dict[tuple[int, int], list[Mark]] = {}
    for mark in scene.marks:
        standing.setdefault((mark.x, mark.y), []).append(mark)
    sight = scene.size if scene.sight is None else scene.sight
    eyes = [mark for mark in scene.marks if mark.watching]
    lines = []
    left, upper = scene.origin
    for y in range(upper, upper + scene.size):
        rows = [Text() for _ in range(tile)]
        for x in range(left, left + scene.size):
            square = _SQUARES[(x + y) % 2]
            if min(x, y) < 0:
                square = _BEYOND
            elif scene.obstacles is not None and not scene.obstacles.is_open(x, y):
                square = _WALL if max(x, y) < scene.obstacles.size else _BEYOND
            elif eyes and not any(abs(x - mark.x) <= sight and abs(y - mark.y) <= sight for mark in eyes):
                square = _UNSEEN[(x + y) % 2]
            marks = standing.get((x, y))
            texts, style = {0: ""}, f"on {square}"
            if marks is not None:
                top = marks[-1]
                style = f"bold {_colour(top)} on {square}"
                text = _glyph(top) + ("" if len(marks) == 1 else str(min(len(marks), 9)))
                middle = (tile - 1) // 2
                texts[middle] = " " * (tile - 1) + text
                if tile > 1:
                    texts[middle + 1] = " " * ((2 * tile - cell_len(top.name)) // 2) + top.name
            for number, row in enumerate(rows):
                row.append(set_cell_size(texts.get(number, ""), 2 * tile), style)
        lines += rows
    return Text("\n").join(lines)


def _density(scene: Scene, width: int, height: int) -> Text:
    """A map in half blocks: each character shows two spots, one above the other, of `scale` x `scale` tiles."""
    from rich.text import Text

    scale = max(1, math.ceil(scene.size / min(width, 2 * height)))
    spots = math.ceil(scene.size / scale)
    left, top = scene.origin
    count = Counter(((mark.x - left) // scale, (mark.y - top) // scale) for mark in scene.marks)
    most = max(count.values(), default=1)
    watching = {((mark.x - left) // scale, (mark.y - top) // scale) for mark in scene.marks if mark.watching}

    def colour(x: int, y: int) -> str:
        if y >= spots:
            return "default"
        if (x, y) in watching:
            return "#4fc3f7"
        if not count[x, y]:
            return _DENSITY[0]
        if most == 1:
            return _DENSITY[3]
        # One piece is the first step, the most crowded spot the last, in between by the logarithm.
        return _DENSITY[1 + round(math.log(count[x, y]) / math.log(most) * (len(_DENSITY) - 2))]

    lines = []
    for y in range(0, spots, 2):
        row = Text()
        for x in range(spots):
            row.append("▀", f"{colour(x, y)} on {colour(x, y + 1)}")
        lines.append(row)
    return Text("\n").join(lines)


def _panel(scene: Scene, width: int, height: int) -> Text:
    from rich import get_console
    from rich.cells import set_cell_size
    from rich.text import Text

    lines = [Text(scene.title, "bold")]
    if scene.notice:
        lines += Text(scene.notice, "bold red").wrap(get_console(), width)
    notes = [line for note in scene.notes for line in Text(note, "yellow").wrap(get_console(), width)]
    # With a blank line before and after the status.
    status = scene.status[: max(0, height - len(lines) - min(len(notes), _LEAST_NOTES) - 2)]
    lines += [Text(), *(Text.assemble((f"{label:<11}", "dim"), (value, "bold")) for label, value in status), Text()]
    room = height - len(lines)
    lines += notes[-room:] if room > 0 else []
    room = height - len(lines)
    # Whoever came first, first; the last line says how many did not fit.
    shown = scene.marks if len(scene.marks) <= room else scene.marks[: max(0, room - 1)]
    for mark in shown:
        badge = (f" {_glyph(mark)} ", f"bold {_colour(mark)} on {_SQUARES[0]}")
        place = f"{mark.x:>4},{mark.y:<4}"
        lines.append(Text.assemble(badge, " ", set_cell_size(mark.name, 11), (place, "dim")))
    if len(shown) < len(scene.marks) and room > 0:
        lines.append(Text(f"and {len(scene.marks) - len(shown):,} more", "dim"))
    return Text("\n").join(lines[:height])


def _glyph(mark: Mark) -> str:
    if mark.o_type != O_PLAYER:
        return _MONSTERS[mark.o_type] if 0 < mark.o_type < len(_MONSTERS) else _MONSTERS[0]
    return "◉" if mark.watching else _GLYPHS[mark.id % len(_GLYPHS)]


def _colour(mark: Mark) -> str:
    if mark.o_type != O_PLAYER:
        return "#7a1f00"
    return "#b00020" if mark.watching else _COLOURS[mark.id // len(_GLYPHS) % len(_COLOURS)]
