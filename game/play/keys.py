"""What keys and the mouse ask for."""

from __future__ import annotations

from typing import Final

import pygame

from ..protocol import Direction, pack_spectate
from .camera import Camera
from .connection import Connection, State
from .deeds import Deeds
from .model import Model
from .outlook import Outlook, longer
from .walk import Walk

DIRECTIONS: Final = {
    pygame.K_UP: Direction.UP, pygame.K_w: Direction.UP, pygame.K_DOWN: Direction.DOWN, pygame.K_s: Direction.DOWN,
    pygame.K_LEFT: Direction.LEFT, pygame.K_a: Direction.LEFT, pygame.K_RIGHT: Direction.RIGHT, pygame.K_d: Direction.RIGHT,
}  # fmt: skip


class Keys:
    """Turns events into what the player does and how it looks at things. On the thread that has the window."""

    def __init__(self, model: Model, connection: Connection, walk: Walk, outlook: Outlook) -> None:
        self._model = model
        self._connection = connection
        self._walk = walk
        self._outlook = outlook
        self.leaving = False
        self._attacking = False
        self._to_ask = self._asked = False
        """Whether the server has yet to be asked for the whole world; whether it was, and has not answered yet."""
        self._deeds = Deeds(model, connection, walk)

    def handle(self, event: pygame.event.Event, camera: Camera | None, now: float) -> None:
        """One event; `camera` as it was when the player saw the last frame, None for the whole world."""
        if event.type == pygame.QUIT:
            self.leaving = True
        elif event.type == pygame.KEYDOWN:
            if self._outlook.typing is not None:
                self._typed(event, now)
            else:
                self._pressed(event, now)
        elif event.type == pygame.KEYUP:
            if event.key in DIRECTIONS:
                self._walk.release(DIRECTIONS[event.key])
            elif event.key == pygame.K_SPACE:
                self._attacking = False
        elif event.type == pygame.TEXTINPUT:
            self._input(event.text)
        elif event.type == pygame.TEXTEDITING:
            self._outlook.composing = event.text
        elif event.type == pygame.MOUSEMOTION:
            self._outlook.mouse = event.pos
        elif event.type == pygame.WINDOWLEAVE:
            self._outlook.mouse = None
        elif event.type == pygame.WINDOWFOCUSLOST:
            self._walk.release_all()
            self._attacking = False
        elif event.type == pygame.MOUSEBUTTONDOWN and event.button == 1 and camera is not None:
            tile = camera.tile_at(*event.pos)
            if tile is not None and self._connection.online and not self._walk.go(self._model, tile):
                self._model.note("no way there", now)
        elif event.type == pygame.MOUSEWHEEL and event.y:
            self.zoom(event.y > 0, now)

    def act(self, now: float) -> None:
        """Do what is due: steps, attacks, and the overview of a server that was connected to again."""
        self._deeds.step(now)
        if self._connection.state is State.TAKEN and self._outlook.typing is not None:
            # Enter and escape are answers to the notice now.
            self._close_line()
        if self._attacking:
            self._deeds.attack(now)
        if self._to_ask and self._deeds.spectate(now):
            self._to_ask, self._asked = False, True
        if self._model.spectating or self._model.spectate_refusal:
            self._asked = False
        if self._outlook.whole and self._model.spectate_refusal:
            self._model.note(self._model.spectate_refusal, now)
            self._model.spectate_refusal = ""
            self._outlook.whole = self._to_ask = False
        elif self._outlook.whole and self._asked and not self._connection.online:
            # Servers that do not know the packet cut whoever sends it: to ask again would go on for ever.
            self._model.note("the connection ended when the whole world was asked for: the server may not know of that", now)
            self._outlook.whole = self._asked = False

    def connected(self) -> None:
        """The player is on the board, for the first time or again."""
        self._walk.release_all()
        self._walk.stop()
        self._to_ask = self._outlook.whole

    def zoom(self, nearer: bool, now: float) -> None:
        """Nearer, or farther: beyond the farthest is the whole world, if the server allows it."""
        outlook = self._outlook
        if outlook.whole:
            if nearer:
                self.look_at_all(False)
        elif not outlook.zoom(nearer, self._model.view):
            self.look_at_all(True)

    def look_at_all(self, whole: bool) -> None:
        """Look at the whole world, or at the board around the player again, which needs no server."""
        if whole is not self._outlook.whole and (self._connection.online or not whole):
            if not whole and not self._to_ask:
                self._connection.send(pack_spectate(False))
            self._outlook.whole = self._to_ask = whole
            self._asked = False

    def _pressed(self, event: pygame.event.Event, now: float) -> None:
        key, outlook = event.key, self._outlook
        if key in DIRECTIONS and not event.mod & (pygame.KMOD_CTRL | pygame.KMOD_ALT | pygame.KMOD_META):
            self._walk.press(DIRECTIONS[key])
        elif key == pygame.K_SPACE:
            self._attacking = True
            # A tap is an attack, even if the key is up again before the next frame.
            self._deeds.attack(now)
        elif key in (pygame.K_RETURN, pygame.K_KP_ENTER):
            if self._connection.state is State.TAKEN:
                self._connection.again()
            else:
                self._walk.release_all()
                outlook.typing, outlook.composing = "", ""
                pygame.key.start_text_input()
        elif key in (pygame.K_PLUS, pygame.K_EQUALS, pygame.K_KP_PLUS):
            self.zoom(True, now)
        elif key in (pygame.K_MINUS, pygame.K_KP_MINUS):
            self.zoom(False, now)
        elif key == pygame.K_m:
            self.look_at_all(not outlook.whole)
        elif key == pygame.K_t:
            self._deeds.teleport(now)
        elif key == pygame.K_n:
            outlook.names = (outlook.names + 2) % 3
        elif key == pygame.K_r:
            self._connection.again()
        elif key in (pygame.K_F1, pygame.K_h):
            outlook.help = not outlook.help
        elif key == pygame.K_ESCAPE:
            if outlook.help:
                outlook.help = False
            elif outlook.whole:
                self.look_at_all(False)
            elif self._walk.path:
                self._walk.stop()
            else:
                self.leaving = True

    def _typed(self, event: pygame.event.Event, now: float) -> None:
        """A key while a chat line is being typed; letters come as TEXTINPUT."""
        outlook = self._outlook
        # What an input method has not finished yet is meant as well.
        line = (outlook.typing or "") + outlook.composing
        if event.key in (pygame.K_RETURN, pygame.K_KP_ENTER):
            # A line that cannot be said now stays in the box.
            if not line.strip() or self._deeds.say(line.strip(), now):
                self._close_line()
        elif event.key == pygame.K_ESCAPE:
            self._close_line()
        elif event.key == pygame.K_BACKSPACE and not outlook.composing:
            outlook.typing = line[:-1]

    def _close_line(self) -> None:
        self._outlook.typing, self._outlook.composing = None, ""
        pygame.key.stop_text_input()

    def _input(self, text: str) -> None:
        if self._outlook.typing is None:
            return
        self._outlook.composing = ""
        self._outlook.typing = longer(self._outlook.typing, text)
