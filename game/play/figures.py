"""The pieces, drawn by code: a king for oneself, pawns for other players, heads for monsters.

Drawn four times as large and scaled down, so that edges are smooth; each one is kept once it is drawn. The middle of the figure has
the colour that `looks.colour_of` says.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Final, TypeAlias

import pygame

from ..protocol import O_PLAYER
from . import looks
from .looks import Colour, mixed

_SCALE: Final = 4
_UNIT: Final = 64
"""Figures are said in units of 1/64 of a tile."""
_OUTLINE: Final[Colour] = (26, 24, 32)
_WHITE: Final[Colour] = (255, 255, 255)
_BLACK: Final[Colour] = (20, 18, 24)

Point: TypeAlias = tuple[float, float]


class _Canvas:
    """A transparent square on which units are drawn; every shape gets a dark outline."""

    def __init__(self, tile: int) -> None:
        self.pixels = tile * _SCALE
        self.unit = self.pixels / _UNIT
        self.surface = pygame.Surface((self.pixels, self.pixels), pygame.SRCALPHA)

    def _at(self, point: Point) -> Point:
        return point[0] * self.unit, point[1] * self.unit

    def polygon(self, colour: Colour, *points: Point, outline: float = 2.0) -> None:
        corners = [self._at(point) for point in points]
        if outline:
            width = max(1, round(2 * outline * self.unit))
            pygame.draw.lines(self.surface, _OUTLINE, True, corners, width)
            for corner in corners:
                pygame.draw.circle(self.surface, _OUTLINE, corner, outline * self.unit)
        pygame.draw.polygon(self.surface, colour, corners)

    def circle(self, colour: Colour, x: float, y: float, radius: float, *, outline: float = 2.0) -> None:
        if outline:
            pygame.draw.circle(self.surface, _OUTLINE, self._at((x, y)), (radius + outline) * self.unit)
        pygame.draw.circle(self.surface, colour, self._at((x, y)), radius * self.unit)

    def ellipse(self, colour: Colour, x: float, y: float, wide: float, high: float, *, outline: float = 2.0) -> None:
        for more, ink in ((outline, _OUTLINE), (0.0, colour)):
            if more or ink is colour:
                left, top = self._at((x - wide - more, y - high - more))
                size = (2 * (wide + more) * self.unit, 2 * (high + more) * self.unit)
                pygame.draw.ellipse(self.surface, ink, (left, top, *size))

    def box(self, colour: Colour, x: float, y: float, wide: float, high: float, *, outline: float = 2.0, round_by: float = 0) -> None:
        for more, ink in ((outline, _OUTLINE), (0.0, colour)):
            if more or ink is colour:
                left, top = self._at((x - more, y - more))
                size = ((wide + 2 * more) * self.unit, (high + 2 * more) * self.unit)
                radius = round((round_by + more) * self.unit) if round_by else 0
                pygame.draw.rect(self.surface, ink, (left, top, *size), border_radius=radius)

    def finished(self, tile: int) -> pygame.Surface:
        return pygame.transform.smoothscale(self.surface, (tile, tile))


def _pawn(canvas: _Canvas, colour: Colour) -> None:
    shade = mixed(colour, _BLACK, 0.28)
    light = mixed(colour, _WHITE, 0.45)
    canvas.box(shade, 14, 50, 36, 7, round_by=3)
    canvas.polygon(colour, (26, 29), (38, 29), (45, 50), (19, 50))
    canvas.polygon(shade, (36, 29), (38, 29), (45, 50), (38, 50), outline=0)
    canvas.box(colour, 21, 23.5, 22, 4, round_by=2)
    canvas.circle(colour, 32, 16, 10.5)
    canvas.ellipse(light, 28.5, 12.5, 3.4, 2.8, outline=0)


def _king(canvas: _Canvas, colour: Colour) -> None:
    shade = mixed(colour, (150, 80, 0), 0.5)
    light = mixed(colour, _WHITE, 0.6)
    canvas.box(colour, 29.5, 2, 5, 14, outline=2)
    canvas.box(colour, 25, 5.5, 14, 5, outline=2)
    canvas.box(colour, 29.5, 4, 5, 10, outline=0)
    canvas.polygon(colour, (12, 18), (24, 23), (32, 14), (40, 23), (52, 18), (45, 46), (19, 46))
    canvas.polygon(shade, (40, 24), (51, 20), (45, 46), (38, 46), outline=0)
    canvas.polygon(light, (15, 21), (21, 24), (23, 40), (20, 40), outline=0)
    canvas.box(shade, 15, 49, 34, 8, round_by=3)
    canvas.box(colour, 17, 44, 30, 6, round_by=2)
    canvas.circle((214, 60, 72), 32, 38, 2.6, outline=1)


def _cow(canvas: _Canvas, colour: Colour) -> None:
    horn = (232, 214, 170)
    canvas.polygon(horn, (18, 16), (11, 5), (25, 12))
    canvas.polygon(horn, (46, 16), (53, 5), (39, 12))
    canvas.ellipse((84, 62, 54), 10, 23, 7, 5)
    canvas.ellipse((84, 62, 54), 54, 23, 7, 5)
    canvas.ellipse(colour, 32, 30, 19, 20)
    canvas.polygon((64, 50, 46), (14, 26), (17, 15), (27, 11), (28, 22), (21, 34), outline=0)
    canvas.circle(_BLACK, 24, 27, 3, outline=0)
    canvas.circle(_BLACK, 41, 27, 3, outline=0)
    canvas.circle(_WHITE, 25, 26, 1, outline=0)
    canvas.circle(_WHITE, 42, 26, 1, outline=0)
    canvas.ellipse((240, 172, 168), 32, 47, 15, 9)
    canvas.ellipse((150, 84, 86), 26, 47, 2.4, 3, outline=0)
    canvas.ellipse((150, 84, 86), 38, 47, 2.4, 3, outline=0)


def _sheep(canvas: _Canvas, colour: Colour) -> None:
    wool = (250, 248, 244)
    bumps = [(32 + 18 * math.cos(turn * math.pi / 5), 31 + 16 * math.sin(turn * math.pi / 5)) for turn in range(10)]
    for x, y in bumps:
        canvas.circle(wool, x, y, 9)
    for x, y in bumps:
        canvas.circle(wool, x, y, 9, outline=0)
    canvas.circle(wool, 32, 31, 18, outline=0)
    canvas.ellipse(colour, 16, 31, 6, 4)
    canvas.ellipse(colour, 48, 31, 6, 4)
    canvas.ellipse(colour, 32, 36, 12, 15)
    for x, y in ((25, 20), (32, 17), (39, 20)):
        canvas.circle(wool, x, y, 6.5, outline=0)
    for x in (27, 37):
        canvas.circle(_WHITE, x, 37, 3.4, outline=0)
        canvas.circle(_BLACK, x, 38, 1.8, outline=0)
    canvas.ellipse((230, 150, 160), 32, 46, 3, 1.8, outline=0)


def _guard(canvas: _Canvas, colour: Colour) -> None:
    shade = mixed(colour, _BLACK, 0.3)
    canvas.polygon((206, 52, 60), (29, 10), (37, 1), (52, 4), (56, 16), (46, 11), (38, 15))
    canvas.polygon(colour, (14, 50), (14, 26), (20, 14), (32, 9), (44, 14), (50, 26), (50, 50), (40, 57), (24, 57))
    canvas.polygon(shade, (36, 10), (44, 14), (50, 26), (50, 50), (40, 57), (36, 57), outline=0)
    canvas.box(_BLACK, 18, 21, 28, 6, outline=0, round_by=2)
    for x in (24, 40):
        canvas.circle((255, 216, 96), x, 24, 2.2, outline=0)
    for y in (40, 45, 50):
        canvas.box(_BLACK, 24, y, 16, 2, outline=0)
    canvas.box(mixed(colour, _WHITE, 0.5), 18, 16, 11, 2.4, outline=0, round_by=1)


def _wolf(canvas: _Canvas, colour: Colour) -> None:
    light = (206, 206, 212)
    canvas.polygon(colour, (9, 2), (27, 15), (12, 30))
    canvas.polygon(colour, (55, 2), (37, 15), (52, 30))
    canvas.polygon((196, 132, 138), (13, 9), (22, 17), (15, 24), outline=0)
    canvas.polygon((196, 132, 138), (51, 9), (42, 17), (49, 24), outline=0)
    canvas.polygon(colour, (20, 14), (44, 14), (57, 36), (45, 44), (38, 58), (26, 58), (19, 44), (7, 36))
    canvas.polygon(light, (9, 36), (22, 38), (29, 45), (26, 57), (20, 43), outline=0)
    canvas.polygon(light, (55, 36), (42, 38), (35, 45), (38, 57), (44, 43), outline=0)
    canvas.polygon(light, (28, 42), (36, 42), (38, 57), (26, 57), outline=0)
    canvas.polygon((255, 210, 60), (17, 28), (27, 31), (25, 35), (19, 34), outline=1)
    canvas.polygon((255, 210, 60), (47, 28), (37, 31), (39, 35), (45, 34), outline=1)
    canvas.circle(_BLACK, 23.5, 32, 1.6, outline=0)
    canvas.circle(_BLACK, 40.5, 32, 1.6, outline=0)
    canvas.polygon(_BLACK, (27, 50), (37, 50), (32, 57), outline=0)


def _stranger(canvas: _Canvas, colour: Colour) -> None:
    canvas.polygon(colour, (12, 54), (12, 28), (18, 15), (32, 9), (46, 15), (52, 28), (52, 54), (45, 48), (38, 55), (32, 48), (26, 55), (19, 48))
    canvas.circle(_WHITE, 24, 24, 5.5, outline=0)
    canvas.circle(_WHITE, 40, 24, 5.5, outline=0)
    canvas.circle(_BLACK, 25, 25, 2.6, outline=0)
    canvas.circle(_BLACK, 41, 25, 2.6, outline=0)


_MONSTERS: Final[dict[int, Callable[[_Canvas, Colour], None]]] = {1: _cow, 2: _sheep, 3: _guard, 4: _wolf}


class Figures:
    """Figures of any size, each drawn once."""

    def __init__(self) -> None:
        self._drawn: dict[tuple[int, bool, Colour, int], pygame.Surface] = {}
        self._obstacles: dict[tuple[int, bool], pygame.Surface] = {}

    def figure(self, o_type: int, mine: bool, colour: Colour, tile: int) -> pygame.Surface:
        """A square of `tile` pixels, transparent around the figure."""
        key = (o_type, mine, colour, tile)
        found = self._drawn.get(key)
        if found is None:
            canvas = _Canvas(tile)
            draw = (_king if mine else _pawn) if o_type == O_PLAYER else _MONSTERS.get(o_type, _stranger)
            draw(canvas, colour)
            found = self._drawn[key] = canvas.finished(tile)
        return found

    def obstacle(self, tile: int, front: bool) -> pygame.Surface:
        """A block of stone; `front`: nothing stands before it, so its side is seen."""
        found = self._obstacles.get((tile, front))
        if found is None:
            canvas = _Canvas(tile)
            canvas.box(looks.STONE, 0, 0, 64, 64, outline=0)
            canvas.box(mixed(looks.STONE, _WHITE, 0.10), 0, 0, 64, 3, outline=0)
            canvas.box(mixed(looks.STONE, _BLACK, 0.10), 0, 61, 64, 3, outline=0)
            for x, y, wide in ((8, 16, 14), (38, 10, 9), (28, 34, 18), (6, 42, 8), (50, 40, 8)):
                canvas.box(mixed(looks.STONE, _BLACK, 0.12), x, y, wide, 2.4, outline=0, round_by=1)
            if front:
                canvas.box(looks.STONE_SIDE, 0, 44, 64, 20, outline=0)
                canvas.box(mixed(looks.STONE_SIDE, _BLACK, 0.35), 0, 60, 64, 4, outline=0)
                for x in (20, 46):
                    canvas.box(mixed(looks.STONE_SIDE, _BLACK, 0.3), x, 44, 2, 16, outline=0)
            found = self._obstacles[tile, front] = canvas.finished(tile)
        return found
