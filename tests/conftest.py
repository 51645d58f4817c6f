"""One suite, each backend a parameter: a test that takes `backend` runs on every backend that works here.

IOCP_TEST_BACKENDS=epoll,io_uring limits it. At the end pytest says how many tests passed on each backend.
"""

from __future__ import annotations

import gc
import platform
import signal
import socket
from collections import Counter
from collections.abc import Iterator

import pytest

import iocp
from backends import wanted

BACKENDS = wanted(iocp.available_backends())
_passed: Counter[str] = Counter()


def pytest_configure(config: pytest.Config) -> None:
    # A shell starts background jobs with SIGINT ignored, and children inherit that: no test could interrupt one.
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    # Hundreds of connections with both ends in one process do not fit into the 1,024 of most shells.
    iocp.raise_open_files()


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    # The port's native tests choose theirs themselves: they run without the extension.
    chosen = any("backend" in str(mark.args[0]) for mark in metafunc.definition.iter_markers("parametrize") if mark.args)
    if "backend" in metafunc.fixturenames and not chosen:
        metafunc.parametrize("backend", BACKENDS, scope="session")


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    if report.when == "call" and report.passed:
        parameters = report.nodeid.rpartition("[")[2].rstrip("]").split("-") if "[" in report.nodeid else []
        names = [name for name in ("iocp", "io_uring", "epoll") if name in parameters]
        _passed[names[0] if names else "no backend of its own"] += 1


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    text = ", ".join(f"{name} {count}" for name, count in sorted(_passed.items()))
    terminalreporter.write_line(f"passed by backend ({platform.system()}): {text}")


@pytest.fixture
def balanced() -> Iterator[list[iocp.Engine]]:
    """Engines put into this list are stopped at the end of the test, and their counters must balance."""
    engines: list[iocp.Engine] = []
    yield engines
    for engine in engines:
        engine.stop(60)  # a machine may stand still for seconds
    gc.collect()
    for engine in engines:
        assert_balanced(engine)


@pytest.fixture
def closed_port() -> Iterator[int]:
    """A port of 127.0.0.1 where nobody listens, and nobody else can: it is held until the end of the test."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield taken.getsockname()[1]


def assert_balanced(engine: iocp.Engine) -> None:
    """After stop: no operation, buffer or session is left, and each session that began has ended."""
    stats = engine.stats()
    assert (stats.ops_in_flight, stats.buffers_in_use, stats.sessions, stats.queued_bytes, stats.paused) == (0, 0, 0, 0, 0), stats
    refused = sum(
        count
        for reason, count in stats.ended.items()
        if reason in (iocp.Reason.TOO_MANY_SESSIONS, iocp.Reason.TOO_MANY_FROM_ADDRESS)
    )
    failed = sum(
        count for reason, count in stats.ended.items() if reason in (iocp.Reason.CONNECT_FAILED, iocp.Reason.CONNECT_TIMEOUT)
    )
    assert sum(stats.ended.values()) - refused - failed >= stats.accepted, stats
