"""The board from far away: a small map of where the player has been, and the whole world for spectators."""

from __future__ import annotations

import math
from typing import Final

import pygame

from ..protocol import O_PLAYER
from ..survey import cell_shift
from ..terrain import Terrain
from . import looks
from .looks import Colour, mixed
from .model import Model

_UNKNOWN: Final[Colour] = (22, 24, 32)
_OPEN: Final[Colour] = (70, 88, 66)
_BLOCKED: Final[Colour] = (36, 36, 44)
_CELLS_AT_ONCE: Final = 2_000
"""Cells painted in one frame: a large world appears in a few frames, and none of them is late."""
_MOST_DOTS: Final = 1_500
"""Up to so many cells with players are drawn as dots, which are seen however small a cell is."""


class _Ground:
    """A picture of the obstacles, a pixel for each cell."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.shift = cell_shift(size)
        self.across = ((size - 1) >> self.shift) + 1
        self.picture = pygame.Surface((self.across, self.across))
        self.picture.fill(_UNKNOWN)
        self.queue: list[int] = []
        self._scaled: pygame.Surface | None = None

    def paint(self, terrain: Terrain | None) -> None:
        """Go on with what is in the queue."""
        if not self.queue:
            return
        now, self.queue = self.queue[:_CELLS_AT_ONCE], self.queue[_CELLS_AT_ONCE:]
        for cell in now:
            y, x = divmod(cell, self.across)
            self.picture.set_at((x, y), mixed(_OPEN, _BLOCKED, 0.0 if terrain is None else self._blocked(terrain, x, y)))
        self._scaled = None

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

    def scaled(self, side: int) -> pygame.Surface:
        """The picture, `side` pixels wide."""
        if self._scaled is None or self._scaled.get_width() != side:
            self._scaled = pygame.transform.scale(self.picture, (side, side))
        return self._scaled


class Maps:
    """Both maps of one model. For the thread that has the window."""

    def __init__(self) -> None:
        self._seen: _Ground | None = None
        self._whole: _Ground | None = None
        self._terrain: Terrain | None = None
        self._crowd: tuple[tuple[int, int], pygame.Surface] | None = None

    def _prepare(self, model: Model) -> None:
        explored = model.explored
        if explored is None:
            return
        terrain = None if model.needs_terrain else model.terrain
        if self._seen is None or self._whole is None or self._seen.size != explored.size or self._terrain is not terrain:
            self._seen, self._whole, self._terrain = _Ground(explored.size), _Ground(explored.size), terrain
            self._seen.queue = [cell for cell, seen in enumerate(explored.seen) if seen]
            self._whole.queue = list(range(explored.across**2))
        elif explored.fresh:
            self._seen.queue += explored.fresh
        explored.fresh.clear()
        self._seen.paint(terrain)

    def draw_small(self, surface: pygame.Surface, area: pygame.Rect, model: Model, now: float) -> None:
        """What the player has seen so far, who is in sight, and where the player is."""
        self._prepare(model)
        pygame.draw.rect(surface, _UNKNOWN, area)
        if self._seen is None:
            return
        surface.blit(self._seen.scaled(area.width), area)
        scale = area.width / self._seen.size
        dot = max(1.5, min(4.0, scale / 2))
        for piece in model.others.values():
            colour = looks.colour_of(piece, False) if piece.o_type == O_PLAYER else looks.MONSTER_DOT
            pygame.draw.circle(surface, colour, _spot(area, scale, piece.x, piece.y), dot)
        self._draw_me(surface, area, scale, model, now)

    def draw_whole(self, surface: pygame.Surface, area: pygame.Rect, model: Model, now: float) -> None:
        """The whole world with all that stand on it, as the server's overview says."""
        self._prepare(model)
        pygame.draw.rect(surface, _UNKNOWN, area)
        if self._whole is None:
            return
        self._whole.paint(self._terrain)
        surface.blit(self._whole.scaled(area.width), area)
        if model.cell_shift is not None:
            self._draw_cells(surface, area, model)
        self._draw_me(surface, area, area.width / self._whole.size, model, now)

    def _draw_cells(self, surface: pygame.Surface, area: pygame.Rect, model: Model) -> None:
        assert self._whole is not None and model.cell_shift is not None
        across = ((self._whole.size - 1) >> model.cell_shift) + 1
        key = (model.cells_version, area.width)
        if self._crowd is None or self._crowd[0] != key:
            self._crowd = (key, _crowd(model, across, area.width, self._whole.size / (1 << model.cell_shift)))
        surface.blit(self._crowd[1], area)

    def _draw_me(self, surface: pygame.Surface, area: pygame.Rect, scale: float, model: Model, now: float) -> None:
        me = model.me
        if me is None:
            return
        spot = _spot(area, scale, me.x, me.y)
        side = max(5, round((2 * model.view + 1) * scale))
        sight = pygame.Rect(0, 0, side, side)
        sight.center = round(spot[0]), round(spot[1])
        pygame.draw.rect(surface, (255, 255, 255), sight.clip(area), 1)
        pygame.draw.circle(surface, looks.INK, spot, 5.5)
        pygame.draw.circle(surface, looks.ME, spot, 4 + 0.7 * math.sin(now * 5))


def _spot(area: pygame.Rect, scale: float, x: int, y: int) -> tuple[float, float]:
    return area.left + (x + 0.5) * scale, area.top + (y + 0.5) * scale


def _crowd(model: Model, across: int, side: int, cells_wide: float) -> pygame.Surface:
    """Players and monsters on a transparent square of `side` pixels; `cells_wide`: cells along it, the last one maybe in part."""
    most = max((players for players, _ in model.cells.values()), default=1)
    crowded = sum(players > 0 for players, _ in model.cells.values())
    scale = side / cells_wide
    small = pygame.Surface((across, across), pygame.SRCALPHA)
    for cell, (players, monsters) in model.cells.items():
        if monsters:
            small.set_at((cell % across, cell // across), (*looks.MONSTER_DOT, min(190, 60 + 30 * monsters)))
        if players and crowded > _MOST_DOTS:
            small.set_at((cell % across, cell // across), density(players, most))
    large = round(across * scale)
    result = pygame.Surface((side, side), pygame.SRCALPHA)
    result.blit(pygame.transform.scale(small, (large, large)), (0, 0))
    if crowded <= _MOST_DOTS:
        for cell, (players, _) in model.cells.items():
            if players:
                middle = ((cell % across + 0.5) * scale, (cell // across + 0.5) * scale)
                radius = max(2.5, min(12.0, scale * 0.4))
                pygame.draw.circle(result, looks.INK, middle, radius + 1)
                pygame.draw.circle(result, density(players, most), middle, radius)
    return result


def density(players: int, most: int) -> Colour:
    """The colour of a cell with so many players; by the logarithm, since crowds are much larger than groups."""
    if most <= 1:
        return looks.DENSITY[0]
    return looks.DENSITY[round(math.log(players) / math.log(most) * (len(looks.DENSITY) - 1))]
