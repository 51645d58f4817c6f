"""What the load tool's tests share: a run against a server of the test, and its report."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("hdrh")
# Also under --import-mode=importlib.
sys.path.insert(0, str(Path(__file__).parent))

from iocp.load.objective import parse_objectives
from iocp.load.chess import chess
from iocp.load.report import Report
from iocp.load.run import Run
from iocp.load.settings import Settings

Play = Callable[..., Report]


@pytest.fixture
def play(backend: str) -> Play:
    """A function that plays against a port of 127.0.0.1: `play(port, clients=4, rate=50, duration=0.6, slo="", ...)`.

    How late the machine lets the generator be is no matter of these tests, but of the one that makes it late.
    """

    def run(port: int, *, slo: str = "", during: Callable[[Run], None] | None = None, **options: Any) -> Report:
        settings = Settings(
            **{  # type: ignore[arg-type]
                "protocol": chess(), "host": "127.0.0.1", "port": port, "clients": 4, "rate": 50.0, "duration": 0.6,
                "timeout": 5.0, "interval": 0.2, "backend": backend, "lateness_limit": 5.0, **options,
            }
        )  # fmt: skip
        one = Run(settings)
        for _ in one.snapshots():
            if during is not None:
                during(one)
        return Report(settings, one.history, one.outcome(), parse_objectives(slo))

    return run
