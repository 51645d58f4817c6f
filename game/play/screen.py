"""One frame: the board or the whole world, the panel, and above them what the player must be told."""

from __future__ import annotations

from typing import Final

import pygame

from . import looks
from .camera import Camera
from .fonts import Fonts
from .map import Maps
from .model import Model
from .motion import Motion
from .outlook import HELP, Outlook
from .panel import WIDTH, Numbers, Panel
from .tiles import Drawn, Tiles

LEAST_SIZE: Final = (560, 360)
"""Pixels of the smallest window."""


class Screen:
    """Draws frames. For the thread that has the window."""

    def __init__(self, fonts: Fonts) -> None:
        self.fonts = fonts
        self.motion = Motion()
        self.camera: Camera | None = None
        """Of the last frame that showed the board; None if it showed the whole world."""
        self._tiles = Tiles(fonts)
        self._maps = Maps()
        self._panel = Panel(fonts, self._maps)

    def camera_for(self, size: tuple[int, int], model: Model, outlook: Outlook) -> Camera:
        """What part of the board a window of that size shows."""
        side = board_side(size)
        x, y = (0.0, 0.0) if model.me is None else self.motion.place(model.me)
        return Camera(0, (size[1] - side) // 2, side, outlook.across, x, y, model.size)

    def draw(
        self,
        surface: pygame.Surface,
        model: Model,
        outlook: Outlook,
        numbers: Numbers,
        *,
        name: str,
        notice: str = "",
        goal: tuple[int, int] | None = None,
        now: float,
        seconds: float,
    ) -> list[Drawn]:
        """Draw all, `seconds` after the last time; tells where each piece of the board was drawn."""
        me = model.me
        self.motion.advance([*model.others.values(), *([me] if me is not None else [])], seconds)
        size = surface.get_size()
        side = board_side(size)
        surface.fill(looks.GROUND)
        area = pygame.Rect(0, (size[1] - side) // 2, side, side)
        drawn: list[Drawn] = []
        if outlook.whole and model.spectating:
            self.camera = None
            self._draw_legend(surface, area, self._maps.draw_whole(surface, area, model, now))
        else:
            self.camera = self.camera_for(size, model, outlook)
            drawn = self._tiles.draw(surface, self.camera, model, self.motion, outlook, goal, now)
        self._panel.draw(surface, pygame.Rect(side, 0, size[0] - side, size[1]), model, outlook, numbers, name, now)
        if outlook.help:
            self._draw_help(surface)
        if notice:
            self._draw_notice(surface, area, notice)
        return drawn

    def _draw_legend(self, surface: pygame.Surface, area: pygame.Rect, text: str) -> None:
        label = self.fonts.line(text, 15, looks.TEXT)
        box = label.get_rect(bottomleft=(area.left + 14, area.bottom - 12)).inflate(16, 8)
        pygame.draw.rect(surface, looks.CARD, box, border_radius=8)
        surface.blit(label, label.get_rect(center=box.center))

    def _draw_notice(self, surface: pygame.Surface, area: pygame.Rect, notice: str) -> None:
        lines = self.fonts.wrapped(notice, 18, area.width - 90)
        pictures = [self.fonts.line(line, 18, (255, 255, 255)) for line in lines]
        wide = max(picture.get_width() for picture in pictures) + 44
        high = sum(picture.get_height() for picture in pictures) + 28
        box = pygame.Rect(0, 0, wide, high)
        box.midtop = (area.centerx, area.top + 18)
        pygame.draw.rect(surface, looks.INK, box.inflate(4, 4), border_radius=12)
        pygame.draw.rect(surface, (168, 52, 58), box, border_radius=10)
        y = box.top + 14
        for picture in pictures:
            surface.blit(picture, picture.get_rect(midtop=(box.centerx, y)))
            y += picture.get_height()

    def _draw_help(self, surface: pygame.Surface) -> None:
        box = pygame.Rect(0, 0, 480, 40 + 25 * len(HELP))
        box.center = surface.get_rect().center
        pygame.draw.rect(surface, looks.INK, box.inflate(4, 4), border_radius=14)
        pygame.draw.rect(surface, looks.CARD, box, border_radius=12)
        for number, (key, what) in enumerate(HELP):
            y = box.top + 33 + 25 * number
            for text, colour, x in ((key, looks.ACCENT, 22), (what, looks.TEXT, 150)):
                label = self.fonts.line(text, 15, colour)
                surface.blit(label, label.get_rect(midleft=(box.left + x, y)))


def board_side(size: tuple[int, int]) -> int:
    """Pixels along the board's side in a window of that size: the panel stands to the right of it."""
    return max(100, min(size[1], size[0] - WIDTH))
