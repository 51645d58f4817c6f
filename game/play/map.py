"""The board from far away: a small map of where the player has been, and the whole world for spectators."""

from __future__ import annotations

import math
from typing import Final

import pygame

from ..protocol import O_PLAYER
from ..quantity import counted
from ..survey import cell_shift
from ..terrain import Terrain
from . import looks
from .looks import Colour, mixed
from .model import Model

_UNKNOWN: Final[Colour] = (22, 24, 32)
_OPEN: Final[Colour] = (70, 88, 66)
_BLOCKED: Final[Colour] = (36, 36, 44)
_SMALL_ACROSS: Final = 160
"""Tiles along the small map, at least, on boards that have as many."""
_CELLS_AT_ONCE: Final = 1_000
"""Cells painted in one frame: a large world appears in a few frames, and none of them is late."""
_WHOLE_ACROSS: Final = 256
"""Cells along the map of the whole world."""
_MOST_DOTS: Final = 1_500
"""Up to so many cells with players are drawn as dots, which are seen however small a cell is."""
_CROWD_EVERY: Final = 0.5
"""Seconds between two pictures of the crowd: the server tells a part of it 40 times a second."""


class _Ground:
    """A picture of the obstacles, a pixel for each cell of `1 << shift` tiles a side."""

    def __init__(self, size: int, shift: int) -> None:
        self.size = size
        self.shift = shift
        self.across = ((size - 1) >> shift) + 1
        self.picture = pygame.Surface((self.across, self.across))
        self.picture.fill(_UNKNOWN)
        self.queue: list[int] = []

    def paint(self, terrain: Terrain | None) -> None:
        """Go on with what is in the queue."""
        if self.queue:
            now, self.queue = self.queue[:_CELLS_AT_ONCE], self.queue[_CELLS_AT_ONCE:]
            for cell in now:
                y, x = divmod(cell, self.across)
                self.picture.set_at((x, y), mixed(_OPEN, _BLOCKED, 0.0 if terrain is None else self._blocked(terrain, x, y)))

    def _blocked(self, terrain: Terrain, x: int, y: int) -> float:
        """The part of a cell's tiles that are obstacles."""
        side = 1 << self.shift
        left, right = x << self.shift, min((x << self.shift) + side, self.size)
        rows = range(y << self.shift, min((y << self.shift) + side, self.size))
        count = 0
        for row in rows:
            start = (row + 1) * terrain.stride + 1
            count += terrain.blocked[start + left : start + right].count(1)
        return count / (len(rows) * (right - left))

    def draw(self, surface: pygame.Surface, area: pygame.Rect, view: _View) -> None:
        """The part that `view` shows, over all of `area`."""
        tile = 1 << self.shift
        left, top = int(view.left) >> self.shift, int(view.top) >> self.shift
        count = min(self.across - max(left, top), math.ceil(view.across / tile) + 1)
        side = round(count * tile * view.scale)
        part = pygame.transform.scale(self.picture.subsurface((left, top, count, count)), (side, side))
        before = surface.get_clip()
        surface.set_clip(area)
        surface.blit(part, view.spot(left * tile - 0.5, top * tile - 0.5))
        surface.set_clip(before)


class _View:
    """Which square of the board a map shows: `across` tiles from `left`, `top`, on `area` of the screen."""

    def __init__(self, area: pygame.Rect, left: float, top: float, across: int) -> None:
        self.area = area
        self.left, self.top, self.across = left, top, across
        self.scale = area.width / across

    def spot(self, x: float, y: float) -> tuple[float, float]:
        """The pixel of a tile's middle."""
        return self.area.left + (x + 0.5 - self.left) * self.scale, self.area.top + (y + 0.5 - self.top) * self.scale


class _Crowd:
    """Who is on the whole world: a picture of the overview, and its sums."""

    def __init__(self, model: Model, size: int, side: int, now: float) -> None:
        self.made_at = now
        self.side = side
        self.shift = cell_shift(size)
        self.known = bool(model.cells)
        """Whether the server has told anything: at least the player itself stands somewhere."""
        self.players = sum(players for players, _ in model.cells.values())
        self.monsters = sum(monsters for _, monsters in model.cells.values())
        self.more = any(255 in counts for counts in model.cells.values())
        """Whether there may be more: the numbers of a cell end at 255."""
        across = ((size - 1) >> self.shift) + 1
        most_players = max((players for players, _ in model.cells.values()), default=1)
        most_monsters = max((monsters for _, monsters in model.cells.values()), default=1)
        standing = sum(players > 0 for players, _ in model.cells.values())
        scale = side / (size / (1 << self.shift))
        small = pygame.Surface((across, across), pygame.SRCALPHA)
        for cell, (players, monsters) in model.cells.items():
            if monsters:
                small.set_at((cell % across, cell // across), (*looks.MONSTER_DOT, 40 + round(150 * monsters / max(most_monsters, 4))))
            if players and standing > _MOST_DOTS:
                small.set_at((cell % across, cell // across), density(players, most_players))
        large = round(across * scale)
        self.picture = pygame.Surface((side, side), pygame.SRCALPHA)
        self.picture.blit(pygame.transform.scale(small, (large, large)), (0, 0))
        if standing <= _MOST_DOTS:
            radius = max(2.5, min(12.0, scale * 0.4))
            for cell, (players, _) in model.cells.items():
                if players:
                    middle = ((cell % across + 0.5) * scale, (cell // across + 0.5) * scale)
                    pygame.draw.circle(self.picture, looks.INK, middle, radius + 1)
                    pygame.draw.circle(self.picture, density(players, most_players), middle, radius)

    @property
    def text(self) -> str:
        """What the picture shows, in words."""
        if not self.known:
            return "the whole world: waiting for the server's overview"
        if self.more:
            text = f"the whole world: {self.players:,} or more players, {self.monsters:,} or more monsters"
        else:
            text = f"the whole world: {counted(self.players, 'player')}, {counted(self.monsters, 'monster')}"
        return text + (f"; a cell is {1 << self.shift} tiles wide" if self.shift else "")


class Maps:
    """Both maps of one model. For the thread that has the window."""

    def __init__(self) -> None:
        self._seen: _Ground | None = None
        self._whole: _Ground | None = None
        self._terrain: Terrain | None = None
        self._crowd: _Crowd | None = None

    def _prepare(self, model: Model) -> None:
        explored = model.explored
        if explored is None:
            return
        terrain = None if model.needs_terrain else model.terrain
        if self._seen is None or self._whole is None or self._seen.size != explored.size or self._terrain is not terrain:
            self._seen, self._terrain = _Ground(explored.size, explored.shift), terrain
            self._seen.queue = [cell for cell, seen in enumerate(explored.seen) if seen]
            self._whole = _Ground(explored.size, cell_shift(explored.size, _WHOLE_ACROSS))
            self._whole.queue = list(range(self._whole.across**2))
        elif explored.fresh:
            self._seen.queue += explored.fresh
        explored.fresh.clear()
        self._seen.paint(terrain)

    def draw_small(self, surface: pygame.Surface, area: pygame.Rect, model: Model, now: float) -> None:
        """What the player has seen so far, who is in sight, and where the player is; of a large board the part around it."""
        self._prepare(model)
        pygame.draw.rect(surface, _UNKNOWN, area)
        me = model.me
        if self._seen is None or me is None:
            return
        size = self._seen.size
        across = min(size, max(_SMALL_ACROSS, 16 * model.view))
        left, top = (min(max(0, at - across // 2), size - across) for at in (me.x, me.y))
        view = _View(area, left, top, across)
        self._seen.draw(surface, area, view)
        dot = max(1.5, min(4.0, view.scale / 2))
        for piece in model.others.values():
            colour = looks.colour_of(piece, False) if piece.o_type == O_PLAYER else looks.MONSTER_DOT
            pygame.draw.circle(surface, colour, view.spot(piece.x, piece.y), dot)
        _draw_me(surface, view, model, now)

    def draw_whole(self, surface: pygame.Surface, area: pygame.Rect, model: Model, now: float) -> str:
        """The whole world with all that stand on it, as the server's overview says; the same in words."""
        self._prepare(model)
        pygame.draw.rect(surface, _UNKNOWN, area)
        if self._whole is None:
            return ""
        self._whole.paint(self._terrain)
        view = _View(area, 0, 0, self._whole.size)
        self._whole.draw(surface, area, view)
        if self._crowd is None or now - self._crowd.made_at >= _CROWD_EVERY or self._crowd.side != area.width:
            self._crowd = _Crowd(model, self._whole.size, area.width, now)
        surface.blit(self._crowd.picture, area)
        _draw_me(surface, view, model, now)
        return self._crowd.text


def _draw_me(surface: pygame.Surface, view: _View, model: Model, now: float) -> None:
    me = model.me
    if me is None:
        return
    spot = view.spot(me.x, me.y)
    side = max(5, round((2 * model.view + 1) * view.scale))
    sight = pygame.Rect(0, 0, side, side)
    sight.center = round(spot[0]), round(spot[1])
    pygame.draw.rect(surface, (255, 255, 255), sight.clip(view.area), 1)
    pygame.draw.circle(surface, looks.INK, spot, 5.5)
    pygame.draw.circle(surface, looks.ME, spot, 4 + 0.7 * math.sin(now * 5))


def density(players: int, most: int) -> Colour:
    """The colour of a cell with so many players; by the logarithm, since crowds are much larger than groups."""
    part = math.log(players) / math.log(max(most, 16))
    return looks.DENSITY[round(part * (len(looks.DENSITY) - 1))]
