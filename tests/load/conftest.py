"""What the load tool's tests share: a run against a server of the test, on each backend."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

# Also under --import-mode=importlib.
sys.path.insert(0, str(Path(__file__).parent))

from playing import Play, play_on

if TYPE_CHECKING:
    from iocp.load.report import Report
    from iocp.load.run import Run


@pytest.fixture
def play(backend: str) -> Play:
    """A function that plays against a port of 127.0.0.1: `play(port, clients=4, rate=50, duration=0.6, slo="", ...)`."""

    def run(port: int, *, slo: str = "", during: Callable[[Run], None] | None = None, **options: Any) -> Report:
        return play_on(backend, port, slo, during, options)

    return run
