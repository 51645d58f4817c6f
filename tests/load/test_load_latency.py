"""The figures are those of the server, and the generator's own failings are seen as its own."""

from __future__ import annotations

import re
import sys
import time
from collections import Counter

import pytest
from chess_server import ChessServer, Faults
from hdrh.histogram import HdrHistogram
from hypothesis import given, settings
from hypothesis import strategies as st
from limited_server import LimitedServer
from playing import Play, answered, stop_when

from iocp._iocpcore import histogram_of
from iocp.load.objective import parse_objectives
from iocp.load.report import INVALID
from iocp.load.run import Run
from iocp.load.snapshot import Figures, Snapshot
from iocp.load.stage import Totals
from iocp.load.times import Times

# asyncio fires a timer up to one tick of the system's clock early.
TICK = 16.0 if sys.platform == "win32" else 1.0


@pytest.mark.parametrize("delay", [0.03, 0.12])
def test_known_delay_of_the_server_is_what_is_measured(play: Play, delay: float) -> None:
    # Above it lies what a busy machine adds, which is no matter of this test's.
    most = 1000 * delay + 60

    def is_measured(run: Run) -> bool:
        """Also of a machine that stood still for a while: long enough that this does not make half of the answers late."""
        totals = run.totals(0)
        middle = (totals.latency["p50"], totals.latency_raw["p50"])
        return totals.figures.answered >= 80 and all(value is not None and value <= most for value in middle)

    with ChessServer(Faults(answer_late=delay)) as server:
        report = play(server.port, rate=20, duration=30.0, during=stop_when(is_measured))
    for times in (report.latency, report.latency_raw):
        assert times["p50"] is not None
        assert 1000 * delay - TICK <= times["p50"] <= most
    assert report.errors == {}


def test_stall_is_charged_with_every_send_that_fell_into_it(play: Play) -> None:
    """No coordinated omission: with 100 sends a second those of 0.3 of the 0.4 seconds wait for 0.1 seconds and more."""
    with ChessServer() as server:
        before = 0

        def during(run: Run) -> None:
            nonlocal before
            if not before and answered(run) >= 20:
                before = answered(run)
                server.faults.stall = 0.4
            if server.has_stalled and answered(run) >= before + 60:
                run.stop()

        report = play(server.port, clients=2, rate=50, duration=60.0, during=during)
    assert later_than(report.figures.planned, 0.1) >= 26
    assert report.latency["max"] is not None and report.latency["max"] >= 350
    assert report.figures.answered == report.figures.sent == report.figures.planned.total >= 80


def later_than(times: Times, seconds: float) -> int:
    return sum(count for value, count in times.counts.items() if value > 1_000_000 * seconds)


def test_generator_that_is_held_up_says_so(play: Play) -> None:
    held_up = False

    def during(run: Run) -> None:
        nonlocal held_up
        if not held_up and run.history[-1].phase == "hold":
            held_up = True
            run.crew.members[0]._client.post(time.sleep, 0.4)  # type: ignore[attr-defined]
        if held_up and max(snapshot.measured.lateness.largest for snapshot in run.history) >= 350_000:
            run.stop()

    # Nobody hears of the others: the sends that it makes up for are soon answered.
    with LimitedServer() as server:
        report = play(server.port, rate=50, duration=60.0, lateness_limit=0.05, during=during)
    assert report.exit_code == INVALID
    assert "late" in report.invalid[0]
    assert report.lateness["max"] is not None and report.lateness["max"] >= 350
    # What it did to its own sends shows in the time from the plan, and not in the raw one: 60 of 200 a second were 0.1 seconds late.
    assert report.latency["max"] is not None and report.latency["max"] >= 350
    assert later_than(report.figures.planned, 0.1) - later_than(report.figures.raw, 0.1) >= 30


def test_generator_that_missed_the_beginning_of_the_window_says_so(play: Play) -> None:
    """It was busy while the order came, and had sent already what the window should have counted."""
    with ChessServer() as server:
        report = play(server.port, lead=-0.5, lateness_limit=0.4, during=stop_when(answered), duration=600.0)
        assert report.exit_code == INVALID
        assert [reason for reason in report.invalid if re.search(r"stood still when .* began: \d{3,} ms of it", reason)]
        assert not [reason for reason in play(server.port).invalid if "stood still" in reason]


def test_interrupted_run_is_a_valid_report_of_what_there_was(play: Play) -> None:
    with ChessServer() as server:
        report = play(server.port, duration=600.0, during=stop_when(answered))
    assert report.outcome.interrupted
    assert 0 < report.outcome.hold_seconds < 300
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


@pytest.mark.parametrize(("limit", "invalid"), [("max=100ms", True), ("p999=100ms", True), ("max=20ms", False), ("max=200ms", False)])
def test_objective_that_sends_late_by_themselves_may_have_missed_is_not_the_server_s_failure(limit: str, invalid: bool) -> None:
    """150 ms from the plan, of which the generator made 120: whether the server holds 100 ms nobody knows; 20 ms it does not."""
    planned = Times(Counter({1_000: 995, 150_000: 5}), 150_000)
    lateness = Times(Counter({100: 995, 120_000: 5}), 120_000)
    figures = Figures(sent=1000, answered=1000, planned=planned, raw=planned, lateness=lateness)
    snapshot = Snapshot(at=1.0, seconds=1.0, phase="hold", playing=1, window=1.0, measured=figures)
    totals = Totals([snapshot], 0.010, parse_objectives(limit))
    assert totals.lateness["p99"] is not None and totals.lateness["p99"] < 10
    assert bool(totals.invalid) is invalid, totals.invalid
