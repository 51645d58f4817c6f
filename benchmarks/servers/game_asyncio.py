"""The chess game of this project, the same `ChessServer` object, behind asyncio's event loops instead of pyiocp.

python game_asyncio.py [--loop asyncio|uvloop|proactor|winloop] [--world 400] [--npcs 0] [--port 0] [--gather turn|MS]

Written as an expert would: packets are cut by hand, there is no task and no future per packet or connection, and what the game sends
to a connection waits in a list until the loop has seen to all that it had received, then leaves in one write. One that does not
read is cut, as pyiocp's own guard does. The collector of cycles is set up as `iocp-chess serve` does it.
"""

from __future__ import annotations

import argparse
import asyncio
import functools
import itertools
import signal
import sys
from collections.abc import Callable, Iterable
from typing import Any

import event_loops
from asyncio_expert import Buffered, Connection

import iocp
from iocp._iocpcore import raise_open_files
from iocp.game.collector import spare_the_world
from iocp.game.kinds import SCRIPTS
from iocp.game.server import ChessServer
from iocp.game.setting import Setting

QUEUED_BYTES = 2 << 20
"""Bytes that wait for a peer, over which it is cut: pyiocp's default."""


class Timer:
    """Calls a function again and again, each time counted from the last planned time."""

    def __init__(self, loop: asyncio.AbstractEventLoop, interval: float, function: Callable[[], object]) -> None:
        self.loop, self.interval, self.function = loop, interval, function
        self.due = loop.time() + interval
        self.handle = loop.call_at(self.due, self.fire)

    def fire(self) -> None:
        # What was missed is not caught up with, as with pyiocp's timers.
        self.due = max(self.due + self.interval, self.loop.time())
        self.handle = self.loop.call_at(self.due, self.fire)
        self.function()

    def cancel(self) -> None:
        self.handle.cancel()


class GameEngine:
    """What the game needs of an engine. `gather`: seconds that a packet may wait for others to its receiver; None: the loop's turn."""

    def __init__(self, loop: asyncio.AbstractEventLoop, gather: float | None) -> None:
        self.loop = loop
        self.dirty: list[GameSession] = []
        """Those for whom something waits."""
        self.flush_later = (
            functools.partial(loop.call_soon, self.flush)
            if gather is None
            else functools.partial(loop.call_later, gather, self.flush)
        )
        self.writes = 0

    def multicast(self, sessions: Iterable[GameSession], packet: bytes) -> None:
        """Queue one packet to each of these."""
        dirty = self.dirty
        if not dirty:
            self.flush_later()
        for session in sessions:
            waiting = session.waiting
            if not waiting:
                dirty.append(session)
            waiting.append(packet)

    def call_every(self, interval: float, function: Callable[[], object]) -> Timer:
        """A timer of the loop."""
        return Timer(self.loop, interval, function)

    def flush(self) -> None:
        """One write for each connection for which something waits."""
        dirty, self.dirty = self.dirty, []
        self.writes += len(dirty)
        for session in dirty:
            waiting = session.waiting
            # One that has ended meanwhile takes no more.
            if not session.transport.is_closing():
                session.write(waiting[0] if len(waiting) == 1 else b"".join(waiting))
            waiting.clear()


class GameSession(Connection):
    """What the game needs of a session, and the connection itself."""

    __slots__ = ("data", "engine", "game", "id", "on_packet", "reason", "waiting")

    def __init__(self, engine: GameEngine, game: ChessServer, id: int) -> None:
        self.engine, self.game, self.id = engine, game, id
        self.data: Any = None
        self.waiting: list[bytes] = []
        self.reason: iocp.Reason | None = None

    # The loop's side

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        # Not a method, which would be one more call for each packet.
        self.on_packet = functools.partial(self.game.on_packet, self)  # type: ignore[method-assign, arg-type]
        self.transport.set_write_buffer_limits(high=QUEUED_BYTES)
        self.game.on_connect(self)  # type: ignore[arg-type]

    def connection_lost(self, exc: Exception | None) -> None:
        reason = self.reason or (iocp.Reason.PEER_CLOSED if exc is None else iocp.Reason.PEER_RESET)
        self.game.on_disconnect(self, reason)  # type: ignore[arg-type]
        # The two would keep each other until a collection of cycles.
        del self.on_packet

    def pause_writing(self) -> None:
        """More than `QUEUED_BYTES` wait for it."""
        self.abort(iocp.Reason.SLOW_RECEIVER)

    # The game's side

    @property
    def address(self) -> tuple[str, int]:
        """Host and port of the peer."""
        address: tuple[str, int] = self.transport.get_extra_info("peername") or ("?", 0)
        return address

    def send(self, packet: bytes) -> None:
        """Queue a packet."""
        waiting = self.waiting
        if not waiting:
            dirty = self.engine.dirty
            if not dirty:
                self.engine.flush_later()
            dirty.append(self)
        waiting.append(packet)

    def close(self, reason: iocp.Reason = iocp.Reason.CLOSED) -> None:
        """End it when all that was sent is on its way."""
        if self.reason is None:
            self.reason = reason
            if self.waiting:
                self.write(b"".join(self.waiting))
            self.transport.close()

    def abort(self, reason: iocp.Reason = iocp.Reason.CLOSED) -> None:
        """End it now."""
        if self.reason is None:
            self.reason = reason
        self.transport.abort()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--loop", choices=["asyncio", "uvloop", "proactor", "winloop"], default="asyncio")
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one (default)")
    parser.add_argument("--world", type=int, default=400, help="tiles along a side (default 400)")
    parser.add_argument("--npcs", type=int, default=0, help="monsters (default 0)")
    parser.add_argument("--gather", default="turn", help="milliseconds that packets wait for others, or `turn` (default)")
    options = parser.parse_args()
    gather = None if options.gather == "turn" else float(options.gather) / 1000
    setting = Setting.read(
        map_file=None, scripts_folder=SCRIPTS, npcs=options.npcs, size=options.world, seed=1, view=7, crowd=200, move_interval=0.0,
        percent=0,
    )  # fmt: skip
    game = ChessServer(setting.build())
    loop = event_loops.new_loop(options.loop)
    engine = GameEngine(loop, gather)
    game.on_start(engine)  # type: ignore[arg-type]
    raise_open_files()
    spare_the_world()
    numbers = itertools.count(1)

    def connection() -> asyncio.BaseProtocol:
        session = GameSession(engine, game, next(numbers))
        # See `Buffered` for which loop receives how.
        return Buffered(session) if options.loop in ("asyncio", "proactor") else session

    if sys.platform != "win32":
        loop.add_signal_handler(signal.SIGTERM, loop.stop)
    event_loops.serve(loop, options.port, connection)
    print(f"sent in {engine.writes:,} calls", flush=True)


if __name__ == "__main__":
    main()
