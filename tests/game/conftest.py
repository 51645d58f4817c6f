"""Fixtures of the game's tests: a chess server on each backend, whose counters must balance at the end."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

# Also under --import-mode=importlib.
sys.path.insert(0, str(Path(__file__).parent))

import iocp
from chess_client import TIMEOUT, ChessClient
from commands import Serve
from iocp.game.server import FRAMING, ChessServer
from iocp.game.world import MAX_VIEW, World

# Hypothesis takes an example of more than 0.2 seconds, or a second in which it made few, for a fault: here it is a machine that is busy.
settings.register_profile("any pace", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any pace")


class Chess:
    """A running server with its handler, and the clients that a test connected to it."""

    def __init__(
        self, backend: str, size: int = 8, seed: int = 1, view: int | None = None, world: World | None = None, **options: Any
    ) -> None:
        if world is None:
            world = World(size, seed, view=min(size, MAX_VIEW) if view is None else view)
        self.handler = ChessServer(world, **options)
        self.server = iocp.Server(self.handler, "127.0.0.1", 0, workers=2, backend=backend, framing=FRAMING)
        self.server.start()
        self.clients: list[ChessClient] = []

    def connect(self, timed: bool = True) -> ChessClient:
        client = ChessClient(self.server.address, timed)
        self.clients.append(client)
        return client

    def player(self, name: str, timed: bool = True) -> ChessClient:
        """A client that has logged in, seen who is there, and shown its kind."""
        client = self.connect(timed)
        client.login(name)
        client.seen()
        return client

    def call(self, function: Callable[[], object]) -> None:
        """Call it where handlers run, and wait until that is done: a packet sent before or after may overtake a post."""
        done = threading.Event()
        self.server.post(lambda: (function(), done.set()))
        assert done.wait(TIMEOUT)

    def until(self, condition: Callable[[], bool]) -> None:
        """Wait until a counter has the value that it must get: what a client sees can be ahead of it."""
        deadline = time.monotonic() + TIMEOUT
        while not condition():
            assert time.monotonic() < deadline, "this did not come true in time"
            time.sleep(0.002)

    def stop(self) -> None:
        for client in self.clients:
            client.close()
        # Clients' leaving is seen, not overtaken by the stop, so that every counter is that of a server at rest.
        self.until(lambda: self.server.stats().sessions == 0)
        self.server.stop()
        stats = self.server.stats()
        assert stats.handler_errors == 0
        assert (stats.sessions, stats.ops_in_flight, stats.buffers_in_use) == (0, 0, 0)
        assert sum(stats.ended.values()) == stats.accepted
        world = self.handler.world
        assert not world.players and not world.names
        assert not any(sector.players for sector in world.view.sectors.grid)


@pytest.fixture
def start_chess(backend: str) -> Iterator[Callable[..., Chess]]:
    """A function that starts a chess server: `start_chess(size=8, seed=1)`, where by default all see all."""
    started: list[Chess] = []

    def start(**options: object) -> Chess:
        started.append(Chess(backend, **options))  # type: ignore[arg-type]
        return started[-1]

    yield start
    for chess in started:
        chess.stop()


@pytest.fixture
def chess(start_chess: Callable[..., Chess]) -> Chess:
    """A chess server with a board of 8 x 8."""
    return start_chess()


@pytest.fixture
def serve(backend: str) -> Iterator[Callable[..., Serve]]:
    """A function that starts `iocp-chess serve` with more arguments, as a process of its own."""
    started: list[Serve] = []

    def start(*arguments: str) -> Serve:
        started.append(Serve(backend, *arguments))
        return started[-1]

    yield start
    for server in started:
        server.watchdog.cancel()
        if server.process.poll() is None:
            server.process.kill()
            server.process.communicate()
