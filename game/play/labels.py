"""Where names stand in a frame, so that none hides another."""

from __future__ import annotations

from collections.abc import Iterator

import pygame


class Labels:
    """The names of one frame within `area`: added by whoever matters most first, then drawn. What lies in `clear` stays visible, if it can."""

    def __init__(self, area: pygame.Rect, clear: list[pygame.Rect]) -> None:
        self._area = area
        self._clear = clear
        self._taken: list[pygame.Rect] = []
        self._free: list[tuple[pygame.Surface, pygame.Rect]] = []
        self._crowded: list[tuple[pygame.Surface, pygame.Rect]] = []

    def add(self, label: pygame.Surface, square: pygame.Rect, bar: pygame.Rect | None, must: bool) -> None:
        """The name of the piece on `square`, which has this bar above it. If there is no room it is left out, or, if it `must` be there,
        drawn below the others."""
        # Its ink, not the empty rows that every line of text has: those may overlap.
        ink = label.get_bounding_rect()
        places = list(self._places(ink, square, bar))
        fitting = [place for place in places if self._area.contains(place)]
        free = [place for place in fitting if place.collidelist(self._taken) < 0]
        best = next((place for place in free if place.collidelist(self._clear) < 0), None)
        if best is None and must and free:
            best = free[0]
        if best is not None:
            self._taken.append(best)
            self._free.append((label, best.move(-ink.left, -ink.top)))
        elif must:
            self._crowded.append((label, (fitting or places)[0].move(-ink.left, -ink.top)))

    def draw(self, surface: pygame.Surface) -> None:
        """Draw them all."""
        for label, place in (*self._crowded, *self._free):
            surface.blit(label, place)

    def _places(self, ink: pygame.Rect, square: pygame.Rect, bar: pygame.Rect | None) -> Iterator[pygame.Rect]:
        """At the piece's feet, a little lower (below the bar of whoever stands there), above its head; the best first."""
        place = pygame.Rect((0, 0), ink.size)
        for place.midtop in (
            (square.centerx, square.bottom - square.height // 20),
            (square.centerx, square.bottom + max(3, square.height // 14)),
            (square.centerx, (square.top if bar is None else bar.top) - ink.height),
        ):
            yield self._inside(place, square)

    def _inside(self, place: pygame.Rect, square: pygame.Rect) -> pygame.Rect:
        """Moved to the side where it would be cut, but not the name of a piece that is itself outside."""
        moved = place.copy()
        if self._area.collidepoint(square.center):
            moved.left = max(self._area.left, min(moved.left, self._area.right - moved.width))
        return moved
