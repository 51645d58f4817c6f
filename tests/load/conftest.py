"""What the load tool's tests share: a run against a server of the test, on each backend."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

# Also under --import-mode=importlib.
sys.path.insert(0, str(Path(__file__).parent))

if TYPE_CHECKING:
    from iocp.load.report import Report
    from iocp.load.run import Run
    from playing import Play

if importlib.util.find_spec("hdrh") is None:

    class WithoutHistograms(pytest.Module):
        """A file of tests that cannot even be imported; but for those of how that is told."""

        def collect(self) -> Any:
            pytest.skip("the load tool needs the package hdrhistogram, which has no build for this Python", allow_module_level=True)

    def pytest_pycollect_makemodule(module_path: Path, parent: pytest.Collector) -> pytest.Module | None:
        if module_path.name == "test_load_without_histograms.py":
            return None
        return WithoutHistograms.from_parent(parent, path=module_path)


@pytest.fixture
def counts_all(monkeypatch: pytest.MonkeyPatch) -> None:
    """For a test that counts each send of the command, run in this process: as `lead` of PatientRun."""
    import iocp.load.run
    from playing import LEAD

    monkeypatch.setattr(iocp.load.run, "_LEAD", LEAD)


@pytest.fixture
def play(backend: str) -> Play:
    """A function that plays against a port of 127.0.0.1: `play(port, clients=4, rate=50, duration=0.6, slo="", ...)`."""

    from playing import play_on

    def run(port: int, *, slo: str = "", during: Callable[[Run], None] | None = None, **options: Any) -> Report:
        return play_on(backend, port, slo, during, options)

    return run
