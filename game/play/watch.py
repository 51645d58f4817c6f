"""The command `iocp-chess watch`: the board around the player as text, for terminals, and lines where there is none.

The player stands where it is and looks on.
"""

from __future__ import annotations

import math
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from iocp.runner import stopping_on_signals

from ..board import Board, Mark, Scene
from .connection import Connection, State
from .model import Model
from .obstacles import Obstacles
from .play import CannotPlay, arrive, make_connection

if TYPE_CHECKING:
    from iocp._iocpcore import Backend

_POLL: Final = 0.02
_MOST_NOTES: Final = 6


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
    """Watch; exit code 0 at the end, 1 if somebody else took the piece over, 2 if it cannot start. On the main thread."""
    model = Model(options.name_encoding)
    try:
        connection = make_connection(model, options.host, options.port, options.name, options.name_encoding, options.backend)
        with stopping_on_signals(connection.client):
            connection.start()
            try:
                if arrive(connection):
                    _watch(connection, model, Obstacles(model, options.map_file), options.seconds)
            finally:
                connection.stop()
    except CannotPlay as error:
        print(f"iocp-chess: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 0
    if connection.state is State.TAKEN:
        print(f"iocp-chess: {connection.why}", file=sys.stderr)
        return 1
    return 0


def _watch(connection: Connection, model: Model, obstacles: Obstacles, seconds: float) -> None:
    end = time.perf_counter() + seconds
    shown_at = -math.inf
    with Board() as board:
        while (now := time.perf_counter()) < end and connection.state is not State.TAKEN:
            connection.poll(now)
            obstacles.poll(now)
            if now - shown_at >= board.interval:
                shown_at = now
                board.show(scene(connection, model, now))
            if connection.client.wait(_POLL):
                break


def scene(connection: Connection, model: Model, now: float) -> Scene:
    """The board as the player sees it."""
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
    if notice := connection.notice(now):
        notes.append(notice)
        status.append(("notice", notice))
    terrain = None if model.needs_terrain else model.terrain
    return Scene(f"{connection.name} on {connection.where}", 2 * view + 1, marks, status, notes, terrain, view, origin)
