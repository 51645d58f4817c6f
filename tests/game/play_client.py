"""The client of `iocp-chess play` in the test's own process, without a screen, against a real server."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

# Before pygame is imported anywhere.
os.environ["SDL_VIDEODRIVER"] = "dummy"
os.environ["PYGAME_HIDE_SUPPORT_PROMPT"] = "1"

import pytest
from iocp.game.play.connection import Connection, State
from iocp.game.play.model import Model
from iocp.game.play.obstacles import Obstacles

TIMEOUT = 60.0
NANUM = Path("/usr/share/fonts/truetype/nanum/NanumGothic.ttf")
if sys.platform == "win32":
    NANUM = Path(f"Z:{NANUM}")


class Client:
    """A model with its connection, no window. `poll()` often; `stop()` at the end."""

    def __init__(self, address, name="anna", **options):
        self.model = Model(options.get("name_encoding", "utf-8"))
        self.connection = Connection(self.model, address[0], address[1], name, **options)
        self.obstacles = Obstacles(self.model)
        self.connection.start()

    def turn(self):
        now = time.perf_counter()
        self.connection.poll(now)
        self.obstacles.poll(now)
        self.connection.client.wait(0.002)

    def until(self, condition, what="this"):
        """Turn until it is true."""
        deadline = time.monotonic() + TIMEOUT
        while not condition():
            assert time.monotonic() < deadline, f"{what} did not come true in time: {self.connection.state} {self.connection.why}"
            self.turn()

    def arrive(self):
        self.until(lambda: self.connection.state is not State.CONNECTING, "an end of connecting")
        assert self.connection.online, self.connection.why
        # The terrain too: it is made on a thread of its own.
        self.until(lambda: not self.model.unanswered and self.model.world is not None and not self.model.needs_terrain, "arrival")
        return self

    def stop(self):
        self.connection.stop()


class WindowClient(Client):
    """With a window that is drawn but not shown."""

    def __init__(self, address, name="anna", size=(1100, 800), font=None, **options):
        super().__init__(address, name, **options)
        self.until(lambda: self.connection.state is not State.CONNECTING)
        pygame = pytest.importorskip("pygame", reason="needs pygame-ce (the extra play)")
        from iocp.game.play.window import Window

        pygame.display.init()
        self.pygame = pygame
        self.window = Window(self.model, self.connection, self.obstacles, size, font)

    window = None

    def turn(self):
        if self.window is None:
            super().turn()
        else:
            self.window.turn(250)

    def post(self, kind, **values):
        """An event, as the system would send it."""
        self.pygame.event.post(self.pygame.event.Event(kind, **values))

    def key(self, key, mod=0):
        """A key goes down and up."""
        self.post(self.pygame.KEYDOWN, key=key, mod=mod, unicode="", scancode=0)
        self.post(self.pygame.KEYUP, key=key, mod=mod, unicode="", scancode=0)

    def click(self, x, y):
        """On a tile."""
        self.post(self.pygame.MOUSEBUTTONDOWN, button=1, pos=self.window.screen.camera.middle(x, y))

    def type(self, text):
        for letter in text:
            self.post(self.pygame.TEXTINPUT, text=letter)

    def still(self):
        """Turn until everything stands where it is: pictures can then be compared with places."""
        motion = self.window.screen.motion

        def settled():
            pieces = [*self.model.others.values(), self.model.me]
            return all(motion.place(piece) == (piece.x, piece.y) for piece in pieces) and not self.model.unanswered

        self.turn()
        self.until(settled, "rest")
        self.turn()

    def pixel(self, x, y):
        """The colour in the middle of a tile."""
        return tuple(self.window.surface.get_at(self.window.screen.camera.middle(x, y)))[:3]

    def text_of(self):
        """Names and lines of the last frames, as the fonts were asked for them."""
        return {key[0] for key in self.window.screen.fonts._lines}

    def stop(self):
        super().stop()
        if hasattr(self, "pygame"):
            self.pygame.quit()


def like(colour, other, tolerance=24):
    """Whether two colours are the same to the eye."""
    return all(abs(a - b) <= tolerance for a, b in zip(colour, other, strict=True))
