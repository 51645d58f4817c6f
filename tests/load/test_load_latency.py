"""The figures are those of the server, and the generator's own failings are seen as its own."""

from __future__ import annotations

import sys
import time

import pytest
from chess_server import ChessServer, Faults
from playing import Play
from hdrh.histogram import HdrHistogram
from hypothesis import given, settings
from hypothesis import strategies as st

from iocp._iocpcore import histogram_of
from iocp.load.report import INVALID
from iocp.load.run import Run
from iocp.load.times import Times

# asyncio fires a timer up to one tick of the system's clock early.
TICK = 16.0 if sys.platform == "win32" else 1.0


@pytest.mark.parametrize("delay", [0.03, 0.12])
def test_known_delay_of_the_server_is_what_is_measured(play: Play, delay: float) -> None:
    with ChessServer(Faults(answer_late=delay)) as server:
        report = play(server.port, rate=20, duration=1.0)
    for times in (report.latency, report.latency_raw):
        assert times["p50"] is not None
        # Above it lies what a busy machine adds, which is no matter of this test's.
        assert 1000 * delay - TICK <= times["p50"] <= 1000 * delay + 60
    assert report.errors == {}


def test_stall_is_charged_with_every_send_that_fell_into_it(play: Play) -> None:
    """No coordinated omission: 0.4 of 1.6 seconds stand still, so a sixth of all sends waits for 0.1 seconds and more."""
    with ChessServer(Faults(stall=0.4)) as server:
        report = play(server.port, clients=2, rate=50, duration=1.6)
    waited = sum(count for value, count in report.figures.planned.counts.items() if value > 100_000)
    assert waited >= report.figures.sent / 8
    assert report.latency["max"] is not None and report.latency["max"] >= 350
    assert report.figures.answered == report.figures.sent == pytest.approx(160, abs=4)


def test_generator_that_is_held_up_says_so(play: Play) -> None:
    held_up = False

    def during(run: Run) -> None:
        nonlocal held_up
        if not held_up and run.history[-1].phase == "hold":
            held_up = True
            run.crew.members[0]._client.post(time.sleep, 0.3)  # type: ignore[attr-defined]

    with ChessServer() as server:
        report = play(server.port, rate=50, duration=1.0, lateness_limit=0.05, during=during)
    assert report.exit_code == INVALID
    assert "late" in report.invalid[0]
    assert report.lateness["max"] is not None and report.lateness["max"] >= 250
    # What it did to its own sends shows in the time from the plan, and not in the raw one.
    assert report.latency["max"] is not None and report.latency["max"] >= 250
    assert report.latency_raw["p90"] is not None and report.latency["p90"] is not None
    assert report.latency["p90"] > 100 > report.latency_raw["p90"]


def test_interrupted_run_is_a_valid_report_of_what_there_was(play: Play) -> None:
    def during(run: Run) -> None:
        if run.history[-1].phase == "hold":
            run.stop()

    with ChessServer() as server:
        report = play(server.port, duration=60.0, during=during)
    assert report.outcome.interrupted
    assert 0.1 < report.outcome.hold_seconds < 30
    assert report.figures.answered == report.figures.sent > 0
    assert report.exit_code == 0


@settings(deadline=None, max_examples=60)
@given(st.lists(st.integers(0, 4_000_000_000_000), min_size=1, max_size=200))
def test_native_histogram_is_hdrhistogram_s(nanoseconds: list[int]) -> None:
    reference = HdrHistogram(1, 3_600_000_000, 3)
    microseconds = [min((value + 500) // 1000, 3_600_000_000) for value in nanoseconds]
    for value in microseconds:
        reference.record_value(value)
    times = Times.of(histogram_of(nanoseconds))
    assert times.histogram().encode() == reference.encode()
    assert times.largest == max(microseconds)
    assert times.total == len(nanoseconds)


def test_times_of_two_processes_add_up_to_those_of_one() -> None:
    first, second = [1_000_000 * n for n in range(50)], [7_000_000 * n for n in range(70)]
    added = Times.of(histogram_of(first)) + Times.of(histogram_of(second))
    assert added == Times.of(histogram_of(first + second))
