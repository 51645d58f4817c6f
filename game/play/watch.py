"""The command `iocp-chess watch`: the board around the player as text, for terminals, and lines where there is none.

On a terminal its keys walk, attack and chat as well; elsewhere the player stands where it is and looks on.
"""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from iocp.output import silence
from iocp.runner import stopping_on_signals

from ..board import Board, Mark, Scene
from ..protocol import Direction
from .connection import Connection, State
from .deeds import Deeds
from .model import Model
from .obstacles import Obstacles
from .outlook import longer
from .play import CannotPlay, arrive, make_connection, make_obstacles, outcome
from .terminal import ENTER, ERASE, ESCAPE, LETTERS, Terminal
from .walk import Walk

if TYPE_CHECKING:
    from iocp._iocpcore import Backend

_POLL: Final = 0.02
_MOST_NOTES: Final = 6
_HELP: Final = "arrows: walk  space: attack"
_MORE_HELP: Final = "enter: chat   q: leave"


@dataclass(frozen=True, slots=True)
class WatchOptions:
    """What the command line says; seconds: how long, inf for until Ctrl-C."""

    host: str
    port: int
    name: str
    name_encoding: str
    backend: Backend | None
    map_file: Path | None
    seconds: float


def watch(options: WatchOptions) -> int:
    """Watch; exit code 0 when the player or whoever reads leaves, 1 if it was not on the board at the end, 2 if it cannot start or be shown.

    On the main thread.
    """
    model = Model(options.name_encoding)
    try:
        connection = make_connection(model, options.host, options.port, options.name, options.name_encoding, options.backend)
        obstacles = make_obstacles(model, options.map_file)
        with stopping_on_signals(connection.client):
            try:
                connection.start()
                if arrive(connection) and _watch(connection, model, obstacles, options.seconds):
                    return outcome(connection)
            finally:
                connection.stop()
    except CannotPlay as error:
        print(f"iocp-chess: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 0
    return 0


def _watch(connection: Connection, model: Model, obstacles: Obstacles, seconds: float) -> bool:
    """True at the end of the time, or when somebody else took the piece over; False if the player left, or the reader."""
    shown_at = -math.inf
    player = _Player(model, connection)
    with Terminal() as terminal, Board() as board:
        end = time.perf_counter() + seconds
        while (now := time.perf_counter()) < end and connection.state is not State.TAKEN:
            connection.poll(now)
            obstacles.poll(now)
            for key in terminal.keys():
                player.typed(key, now)
            player.deeds.step(now)
            if now - shown_at >= board.interval:
                shown_at = now
                _show(board, scene(connection, model, now, player.notes if terminal.live else ()))
            # As `head` leaves: there is nobody to watch for.
            if board.unread or player.leaving or connection.client.wait(_POLL):
                return False
    return True


def _show(board: Board, shown: Scene) -> None:
    try:
        board.show(shown)
    except OSError as error:
        # What could not be written would be tried again at the end of the program.
        silence(sys.stdout)
        raise CannotPlay(f"the board cannot be written to standard output: {error.strerror or error}") from None


class _Player:
    """What the keys of the terminal do."""

    def __init__(self, model: Model, connection: Connection) -> None:
        self.leaving = False
        self._typing: str | None = None
        self._walk = Walk()
        self.deeds = Deeds(model, connection, self._walk)

    @property
    def notes(self) -> tuple[str, ...]:
        """What to show of it."""
        return (_HELP, _MORE_HELP) if self._typing is None else (f"say: {self._typing}|",)

    def typed(self, key: Direction | str, now: float) -> None:
        """One key."""
        if self._typing is not None and isinstance(key, str):
            self._chat(key, self._typing, now)
        elif isinstance(key, Direction) or key in LETTERS:
            direction = key if isinstance(key, Direction) else LETTERS[key]
            # A terminal says that a key went down, never that it is up: each is one step.
            self._walk.press(direction)
            self._walk.release(direction)
        elif key == " ":
            self.deeds.attack(now)
        elif key == "t":
            self.deeds.teleport(now)
        elif key == ENTER:
            self._typing = ""
        elif key == "q":
            self.leaving = True

    def _chat(self, key: str, line: str, now: float) -> None:
        if key == ENTER:
            if not line.strip() or self.deeds.say(line.strip(), now):
                self._typing = None
        elif key == ESCAPE:
            self._typing = None
        else:
            self._typing = line[:-1] if key == ERASE else longer(line, key)


def scene(connection: Connection, model: Model, now: float, more_notes: Sequence[str] = ()) -> Scene:
    """The board as the player sees it, and notes: what was said, and these."""
    me, trip = model.me, model.round_trip
    view = model.view
    marks = []
    origin = (0, 0)
    if me is not None:
        origin = (me.x - view, me.y - view)
        marks.append(Mark(me.id, me.x, me.y, me.name, True))
    for piece in model.others.values():
        if abs(piece.x - origin[0] - view) <= view and abs(piece.y - origin[1] - view) <= view:
            marks.append(Mark(piece.id, piece.x, piece.y, piece.name, o_type=piece.o_type))
    status = [
        ("at", "-" if me is None else f"{me.x},{me.y}"),
        ("HP", "-" if me is None else f"{me.health}/{me.most_health}"),
        ("level", "-" if me is None else f"{me.level}, exp {model.exp:,}"),
        ("players", f"{model.count(True)} in sight"),
        ("monsters", f"{model.count(False)} in sight"),
        ("round trip", "-" if trip is None else f"{trip * 1000:.1f} ms"),
        ("server", connection.where),
    ]
    notes = [f"{line.who}: {line.text}" if line.who else line.text for line in model.log][-_MOST_NOTES:]
    notes += more_notes
    terrain = None if model.needs_terrain else model.terrain
    title = f"{connection.name} on {connection.where}"
    return Scene(title, 2 * view + 1, marks, status, notes, terrain, view, origin, connection.notice(now))
