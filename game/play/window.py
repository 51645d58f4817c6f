"""The window and its loop: events, news of the server, steps, a frame; again."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Final

import pygame

from .connection import Connection, State
from .fonts import Fonts
from .keys import Keys
from .model import Model
from .obstacles import Obstacles
from .outlook import Outlook
from .panel import Numbers
from .screen import LEAST_SIZE, Screen
from .tiles import Drawn
from .walk import Walk

FRAMES: Final = 60
"""Per second, at most."""
_KIND: Final = "ConnectEx"
"""How the connection was made, whatever the backend calls it."""


class Window:
    """The client's window of `size` pixels; `pygame.display` must have been initialised. On the main thread.

    Raises FontError for a font file that cannot be used, pygame.error if there is no window to be had.
    """

    def __init__(
        self, model: Model, connection: Connection, obstacles: Obstacles, size: tuple[int, int], font: Path | None = None
    ) -> None:
        self.model = model
        self.connection = connection
        self.obstacles = obstacles
        self.outlook = Outlook()
        self.walk = Walk()
        self.keys = Keys(model, connection, self.walk, self.outlook)
        self.screen = Screen(Fonts(font))
        self.drawn: list[Drawn] = []
        """The pieces of the last frame."""
        self._size = (max(LEAST_SIZE[0], size[0]), max(LEAST_SIZE[1], size[1]))
        self.surface = pygame.display.set_mode(self._size, pygame.RESIZABLE)
        """What is drawn upon: all of the window, or more if it is too small."""
        pygame.display.set_caption(f"{connection.name} on {connection.where}")
        icon = pygame.Surface((32, 32))
        icon.fill((236, 231, 208))
        icon.fill((139, 166, 114), (0, 0, 16, 16))
        icon.fill((139, 166, 114), (16, 16, 16, 16))
        pygame.display.set_icon(icon)
        pygame.key.stop_text_input()
        self._clock = pygame.time.Clock()
        self._logins = 0
        self._last = time.perf_counter()
        now = self._last
        if self.screen.fonts.advice:
            model.note(self.screen.fonts.advice, now)

    @property
    def leaving(self) -> bool:
        """Whether the player has asked to leave."""
        return self.keys.leaving

    @property
    def frames_per_second(self) -> float | None:
        """Of late; None until some have been counted."""
        return self._clock.get_fps() or None

    def turn(self, frames: int = FRAMES) -> None:
        """One frame, and then wait so that there are at most `frames` in a second."""
        now = time.perf_counter()
        for event in pygame.event.get():
            self.keys.handle(event, self.screen.camera, now)
        self.connection.poll(now)
        if self.connection.logins > self._logins:
            self._logins = self.connection.logins
            self.keys.connected()
        self.obstacles.poll(now)
        self.keys.act(now)
        self.draw(now)
        pygame.display.flip()
        self._clock.tick(frames)

    def draw(self, now: float) -> None:
        """Draw a frame of what is known now."""
        window = pygame.display.get_surface() or self.surface
        size = (max(LEAST_SIZE[0], window.get_width()), max(LEAST_SIZE[1], window.get_height()))
        if size == window.get_size():
            self.surface = window
        elif self.surface is window or self.surface.get_size() != size:
            # What there is no room for is cut. Another set_mode() would be another window, under the hand of whoever makes this one smaller.
            self.surface = pygame.Surface(size).convert(window)
        notice = self.connection.notice(now)
        if self.connection.state is State.TAKEN:
            notice += ". Enter: take it back; escape: leave"
        self.drawn = self.screen.draw(
            self.surface,
            self.model,
            self.outlook,
            Numbers(self.frames_per_second, self.connection.where, f"{self.connection.client.backend}, {_KIND}"),
            name=self.connection.name,
            notice=notice,
            goal=self.walk.goal,
            now=now,
            seconds=now - self._last,
        )
        if self.surface is not window:
            window.blit(self.surface, (0, 0))
        self._last = now
