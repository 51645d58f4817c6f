"""Fixtures of the engine's tests: servers and clients that are stopped at the end, and whose counters must balance then."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

# Also under --import-mode=importlib.
sys.path.insert(0, str(Path(__file__).parent))

import iocp
from witness import Dialer


@pytest.fixture
def serve(backend: str, balanced: list[iocp.Engine]) -> Callable[..., iocp.Server]:
    """A function that starts a server on a free port of 127.0.0.1: `serve(handler, workers=2, ...)`."""

    def start(handler: iocp.Handler, host: str = "127.0.0.1", **options: Any) -> iocp.Server:
        server = iocp.Server(handler, host, 0, **{"workers": 2, "backend": backend, **options})
        balanced.append(server)
        server.start()
        return server

    return start


@pytest.fixture
def client_of(backend: str, balanced: list[iocp.Engine]) -> Callable[..., iocp.Client]:
    """A function that starts a client: `client_of(handler, workers=1, ...)`."""

    def start(handler: iocp.Handler, **options: Any) -> iocp.Client:
        client = iocp.Client(handler, **{"backend": backend, **options})
        balanced.append(client)
        client.start()
        return client

    return start


@pytest.fixture
def dial() -> Iterator[Dialer]:
    """A function that connects a blocking socket to a server: `dial(server)`. All are closed at the end."""
    dialer = Dialer()
    yield dialer
    dialer.close()
