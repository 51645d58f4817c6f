"""What stands beside the board: the player's values, numbers of the connection, the small map, the chat."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import pygame

from ..combat import next_level
from ..quantity import counted
from . import looks
from .fonts import Fonts
from .looks import Colour
from .map import Maps
from .model import Model
from .outlook import Outlook

WIDTH: Final = 300
_GAP: Final = 10
_NAME_SIZES: Final = (22, 19, 16, 13, 10)
"""Of one's own name: the first at which it ends before the level."""
_LEAST_CHAT: Final = 72
"""Pixels for the line being typed and one that was said: the small map gives way to them."""


@dataclass(frozen=True, slots=True)
class Numbers:
    """What the client measured itself."""

    frames_per_second: float | None
    """None until some have been counted."""
    where: str
    backend: str


class Panel:
    """Draws the panel. For the thread that has the window."""

    def __init__(self, fonts: Fonts, maps: Maps) -> None:
        self._fonts = fonts
        self._maps = maps

    def draw(self, surface: pygame.Surface, area: pygame.Rect, model: Model, outlook: Outlook, numbers: Numbers, name: str, now: float) -> None:
        """Fill `area`."""
        surface.fill(looks.GROUND, area)
        inner = area.inflate(-2 * _GAP, -2 * _GAP)
        top = self._draw_player(surface, inner, model, name)
        top = self._draw_numbers(surface, inner, top + _GAP, model, numbers)
        side = min(inner.width, max(80, (area.height - top) * 45 // 100))
        card = pygame.Rect(inner.left, top + _GAP, inner.width, side + 2)
        if inner.bottom - card.bottom - _GAP >= _LEAST_CHAT:
            small = pygame.Rect(0, 0, side, side)
            small.center = self._card(surface, card).center
            self._maps.draw_small(surface, small, model, now)
            top = card.bottom
        bottom = pygame.Rect(inner.left, top + _GAP, inner.width, inner.bottom - top - _GAP)
        self._draw_chat(surface, bottom, model, outlook, now)

    def _card(self, surface: pygame.Surface, area: pygame.Rect) -> pygame.Rect:
        pygame.draw.rect(surface, looks.CARD, area, border_radius=8)
        return area

    def _text(self, surface: pygame.Surface, text: str, size: int, colour: Colour, **where: tuple[int, int]) -> pygame.Rect:
        picture = self._fonts.line(text, size, colour)
        place = picture.get_rect(**where)
        surface.blit(picture, place)
        return place

    def _bar(self, surface: pygame.Surface, area: pygame.Rect, part: float, colour: Colour, text: str) -> None:
        pygame.draw.rect(surface, looks.RAISED, area, border_radius=6)
        if part > 0:
            pygame.draw.rect(surface, colour, (area.left, area.top, max(6, round(area.width * part)), area.height), border_radius=6)
        picture = self._fonts.line(text, 13, (255, 255, 255), True)
        surface.blit(picture, picture.get_rect(center=area.center))

    def _draw_player(self, surface: pygame.Surface, area: pygame.Rect, model: Model, name: str) -> int:
        card = self._card(surface, pygame.Rect(area.left, area.top, area.width, 100))
        me = model.me
        level = "" if me is None else f"level {me.level}"
        badge = self._fonts.line(level, 14, looks.INK)
        box = badge.get_rect(midright=(card.right - 18, card.top + 22)).inflate(14, 6)
        size = next((size for size in _NAME_SIZES if self._fonts.font(size).size(name)[0] <= box.left - card.left - 18), _NAME_SIZES[-1])
        self._text(surface, name, size, looks.ACCENT, midleft=(card.left + 12, card.top + 22))
        if me is None:
            self._text(surface, "not on the board", 14, looks.FAINT, midleft=(card.left + 12, card.top + 54))
            return card.bottom
        pygame.draw.rect(surface, looks.ACCENT, box, border_radius=8)
        surface.blit(badge, badge.get_rect(center=box.center))
        health = me.health or 0
        part = health / me.most_health if me.most_health > 0 else 0.0
        self._bar(surface, pygame.Rect(card.left + 12, card.top + 44, card.width - 24, 20), min(1.0, max(0.0, part)),
                  looks.health_colour(part), f"HP {health} / {me.most_health}")  # fmt: skip
        self._bar(surface, pygame.Rect(card.left + 12, card.top + 70, card.width - 24, 18), model.level_progress,
                  looks.EXPERIENCE, f"exp {model.exp:,} / {next_level(max(1, me.level)):,}")  # fmt: skip
        return card.bottom

    def _draw_numbers(self, surface: pygame.Surface, area: pygame.Rect, top: int, model: Model, numbers: Numbers) -> int:
        me, trip = model.me, model.round_trip
        rows = (
            ("at", "-" if me is None else f"{me.x}, {me.y}" + ("" if model.size is None else f"  of {model.size:,}")),
            ("in sight", f"{counted(model.count(True), 'player')}, {counted(model.count(False), 'monster')}"),
            ("round trip", "-" if trip is None else f"{trip * 1000:.1f} ms"),
            ("frames", "-" if numbers.frames_per_second is None else f"{numbers.frames_per_second:.0f}/s"),
            ("server", f"{numbers.where}"),
            ("client", f"{numbers.backend}"),
        )
        card = self._card(surface, pygame.Rect(area.left, top, area.width, 12 + 19 * len(rows)))
        for number, (label, value) in enumerate(rows):
            y = card.top + 15 + 19 * number
            self._text(surface, label, 14, looks.FAINT, midleft=(card.left + 12, y))
            self._text(surface, value, 14, looks.TEXT, midleft=(card.left + 96, y))
        return card.bottom

    def _draw_chat(self, surface: pygame.Surface, area: pygame.Rect, model: Model, outlook: Outlook, now: float) -> None:
        card = self._card(surface, area)
        box = pygame.Rect(card.left + 8, card.bottom - 34, card.width - 16, 26)
        pygame.draw.rect(surface, looks.RAISED, box, border_radius=6)
        before = surface.get_clip()
        if outlook.typing is None:
            self._text(surface, "enter: chat    F1: help", 13, looks.FAINT, midleft=(box.left + 8, box.centery))
        else:
            surface.set_clip(box.inflate(-8, 0))
            cursor = "|" if now % 1 < 0.6 else " "
            line = self._fonts.line(f"{outlook.typing}{outlook.composing}{cursor}", 15, looks.TEXT)
            # The end of a long line is what one wants to see.
            left = min(box.left + 8, box.right - 12 - line.get_width())
            surface.blit(line, line.get_rect(midleft=(left, box.centery)))
        surface.set_clip(pygame.Rect(card.left, card.top + 6, card.width, box.top - card.top - 8))
        y = box.top - 6
        for said in reversed(model.log):
            text = f"{said.who}: {said.text}" if said.who else said.text
            colour = looks.FAINT if not said.who else looks.ACCENT if said.who == "you" else looks.TEXT
            for line_text in reversed(self._fonts.wrapped(text, 14, card.width - 24)):
                y -= 18
                self._text(surface, line_text, 14, colour, topleft=(card.left + 12, y))
            if y < card.top:
                break
        surface.set_clip(before)
