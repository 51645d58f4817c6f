"""The command `iocp-chess play`: the board in a window, or in pictures where there is no screen."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from iocp.runner import stopping_on_signals

from ..layout import MAX_NAME
from ..terrain import TerrainError
from ..violation import ProtocolError
from .connection import Connection, State
from .model import Model
from .obstacles import Obstacles

if TYPE_CHECKING:
    from iocp._iocpcore import Backend

FILM_FRAMES: Final = 15
"""Frames per second of a film: each is written as a file."""
SHOT_FRAMES: Final = 30
_SCREENLESS: Final = ("dummy", "offscreen")
_NEEDS_PYGAME: Final = "iocp-chess play needs pygame-ce, which is not installed: pip install 'pyiocp[play]'"
_NEEDS_SCREEN: Final = (
    "there is no screen here: iocp-chess watch shows the board in the terminal, and play --shot FILE.png or --film DIR draws pictures"
)


@dataclass(frozen=True, slots=True)
class PlayOptions:
    """What the command line says. size: of the window in pixels. shot, film: pictures instead of a window, after `frames` frames."""

    host: str
    port: int
    name: str
    name_encoding: str
    backend: Backend | None
    map_file: Path | None
    font: Path | None
    size: tuple[int, int]
    shot: Path | None
    film: Path | None
    frames: int


class CannotPlay(Exception):
    """The client cannot start; the text says why and what to do."""


def play(options: PlayOptions) -> int:
    """Play; exit code 0 when the player leaves, 1 if pictures were wanted and it was not on the board at the end, 2 if it cannot start.

    On the main thread.
    """
    try:
        return _play(options)
    except CannotPlay as error:
        print(f"iocp-chess: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 0


def _play(options: PlayOptions) -> int:
    screenless = options.shot is not None or options.film is not None
    given = os.environ.get("SDL_VIDEODRIVER")
    if given == "":
        # Of an empty name pygame makes one that there is not.
        del os.environ["SDL_VIDEODRIVER"]
    if screenless:
        os.environ["SDL_VIDEODRIVER"] = "dummy"
    os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")
    try:
        import pygame
    except ImportError:
        raise CannotPlay(_NEEDS_PYGAME) from None
    from .film import PictureError, Pictures
    from .fonts import FontError
    from .window import FRAMES, Window

    try:
        pictures = Pictures(options.shot, options.film, options.frames) if screenless else None
    except PictureError as error:
        raise CannotPlay(str(error)) from None
    try:
        with _silence():
            pygame.display.init()
    except pygame.error as error:
        raise CannotPlay(f"{_NEEDS_SCREEN} ({error})") from None
    try:
        # Where there is no screen SDL may draw into the void and say nothing, unless it was told to do so.
        if not screenless and not given and pygame.display.get_driver() in _SCREENLESS:
            raise CannotPlay(_NEEDS_SCREEN)
        model = Model(options.name_encoding)
        connection = make_connection(model, options.host, options.port, options.name, options.name_encoding, options.backend)
        obstacles = make_obstacles(model, options.map_file)
        with stopping_on_signals(connection.client):
            try:
                connection.start()
                if not arrive(connection):
                    return 0
                try:
                    window = Window(model, connection, obstacles, options.size, options.font)
                except FontError as error:
                    raise CannotPlay(f"--font {error}") from None
                except pygame.error as error:
                    raise CannotPlay(f"{_NEEDS_SCREEN} ({error})") from None
                if pictures is None:
                    while not window.leaving and not connection.client.wait(0):
                        window.turn(FRAMES)
                    return 0
                while not connection.client.wait(0):
                    window.turn(FILM_FRAMES if options.film is not None else SHOT_FRAMES)
                    if pictures.take(window.surface):
                        return outcome(connection)
                return 0
            except PictureError as error:
                raise CannotPlay(str(error)) from None
            finally:
                connection.stop()
    finally:
        pygame.quit()


def make_connection(model: Model, host: str, port: int, name: str, name_encoding: str, backend: Backend | None) -> Connection:
    """A connection, not yet begun. Raises CannotPlay."""
    try:
        return Connection(model, host, port, name, name_encoding=name_encoding, backend=backend)
    except ProtocolError as error:
        raise CannotPlay(f"--name: {error}{_syllables(name, name_encoding)}") from None
    except (RuntimeError, OSError) as error:
        raise CannotPlay(str(error)) from None


def make_obstacles(model: Model, map_file: Path | None) -> Obstacles:
    """The obstacles of the model. Raises CannotPlay for a wrong map file, whether the server will ask for one or not."""
    try:
        return Obstacles(model, map_file)
    except TerrainError as error:
        raise CannotPlay(f"--map {error}") from None


def _syllables(name: str, name_encoding: str) -> str:
    """How long a Korean name may be, if this one is too long: who types it counts no bytes."""
    if not any("가" <= letter <= "힣" for letter in name) or len(name.encode(name_encoding, "replace")) <= MAX_NAME:
        return ""
    if name_encoding == "cp949":
        return " (five syllables)"
    return " (three syllables in UTF-8; five with --name-encoding cp949 on a server that was started with it)"


def outcome(connection: Connection) -> int:
    """The exit code of a client that has done what it was to do: 1, and the reason, if it is not on the board."""
    if connection.online or connection.client.wait(0):
        return 0
    print(f"iocp-chess: {connection.why}", file=sys.stderr)
    return 1


@contextmanager
def _silence() -> Iterator[None]:
    """Nothing goes to standard error: libraries below SDL write there what they do not find, such as XDG_RUNTIME_DIR; errors are raised."""
    if sys.platform == "win32":
        yield  # Nobody writes anything there.
        return
    try:
        before = os.dup(2)
    except OSError:
        yield  # There is no standard error.
        return
    try:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 2)
        os.close(nowhere)
        yield
    finally:
        os.dup2(before, 2)
        os.close(before)


def arrive(connection: Connection) -> bool:
    """Wait until the player is, or was, on the board. False if the program was asked to stop. Raises CannotPlay with the reason."""
    said = False
    began = time.perf_counter()
    while not connection.logins:
        now = time.perf_counter()
        connection.poll(now)
        if not connection.logins and connection.state in (State.REFUSED, State.TAKEN):
            raise CannotPlay(connection.why)
        if not said and now - began > 1:
            said = True
            print(f"connecting to {connection.where} ...", file=sys.stderr, flush=True)
        if connection.client.wait(0.005):
            return False
    return True
