"""Timers: never early, in order of their times, without drift, cancelled from anywhere; and nothing is kept alive."""

from __future__ import annotations

import gc
import random
import threading
import time
import weakref
from collections.abc import Callable
from typing import Any

import pytest

import iocp
from witness import TIMEOUT, Witness, in_threads, until

Serve = Callable[..., iocp.Server]

LATE = 10.0
"""Seconds that a timer may be late on a machine that is busy with other tests: they only tell late from never. What is late by less
comes after a timer that was due later, and that is seen however busy the machine is."""


@pytest.fixture
def server(serve: Serve) -> iocp.Server:
    return serve(Witness())


class Clock:
    """Starts timers and remembers when each could be due at the earliest and latest, and when it fired."""

    def __init__(self, server: iocp.Server) -> None:
        self.server = server
        self.fired: list[tuple[float, float, float]] = []  # earliest due, latest due, fired
        self.dues: list[tuple[float, float]] = []
        self.started = 0
        self.all_fired = threading.Condition()

    def start(self, delay: float) -> iocp.Timer:
        # perf_counter is the clock that the core uses, on Windows too.
        due: list[float] = [time.perf_counter() + delay]
        self.started += 1
        timer = self.server.call_later(delay, self.fire, due)
        due.append(time.perf_counter() + delay)
        self.dues.append((due[0], due[1]))
        return timer

    def fire(self, due: list[float]) -> None:
        now = time.perf_counter()
        with self.all_fired:
            self.fired.append((due[0], due[-1], now))
            self.all_fired.notify_all()

    def wait(self) -> None:
        # Behind all others, so that also the last of them can come late.
        self.start(max(0.0, max(due for _, due in self.dues) - time.perf_counter() + 0.01))
        with self.all_fired:
            assert self.all_fired.wait_for(lambda: len(self.fired) == self.started, TIMEOUT)

    def check(self) -> None:
        """None early, none very late, and none before another that was due a whole tick (1 ms) sooner."""
        assert not [fired - due for due, _, fired in self.fired if fired < due]
        assert not [fired - due for _, due, fired in self.fired if fired > due + LATE]
        latest = 0.0
        for earliest, last, _ in self.fired:
            assert latest <= last + 0.0011
            latest = max(latest, earliest)


def test_timers_fire_in_order_and_never_early(server: iocp.Server) -> None:
    # Up to 1.2 s: the wheel's first level (256 ms) is crossed several times, and its slots are used again.
    clock, chance = Clock(server), random.Random(7)
    for _ in range(2_000):
        clock.start(chance.choice([chance.uniform(0, 0.05), chance.uniform(0, 0.6), chance.uniform(0.2, 1.2)]))
    clock.wait()
    clock.check()


def test_timers_at_the_edges_of_the_wheel_s_levels(server: iocp.Server) -> None:
    clock = Clock(server)
    for turn in range(8):  # started at different places of the first level
        for ticks in (1, 2, 127, 128, 254, 255, 256, 257, 258, 511, 512, 513):
            clock.start(ticks / 1000)
        clock.start(0.0)
        until(server, lambda: len(clock.fired) > turn)
    clock.wait()
    clock.check()


def test_timers_started_by_timers(server: iocp.Server) -> None:
    clock, chance = Clock(server), random.Random(8)

    def chain(left: int) -> None:
        clock.start(chance.uniform(0, 0.03))
        if left:
            server.call_later(chance.uniform(0, 0.01), chain, left - 1)
        else:
            done.set()

    done = threading.Event()
    for _ in range(5):
        server.call_later(0.0, chain, 20)
    assert done.wait(TIMEOUT)
    until(server, lambda: clock.started == 5 * 21)
    clock.wait()
    clock.check()


def test_delay_of_zero_runs_in_a_later_turn(server: iocp.Server) -> None:
    order: list[str] = []
    done = threading.Event()

    def outer() -> None:
        server.call_later(0, order.append, "inner")
        server.call_later(0.0, done.set)
        order.append("outer")

    server.post(outer)
    assert done.wait(TIMEOUT)
    assert order == ["outer", "inner"]


def test_timer_passes_its_arguments_and_tells_whether_it_is_active(server: iocp.Server) -> None:
    got: list[tuple[Any, ...]] = []
    fired = threading.Event()
    timer = server.call_later(0.02, lambda *values: (got.append(values), got.append((timer.active,)), fired.set()), 1, "two")
    assert timer.active
    assert fired.wait(TIMEOUT)
    assert got == [(1, "two"), (False,)]
    assert not timer.active


def test_cancelled_timer_never_fires(server: iocp.Server) -> None:
    fired: list[int] = []
    active: list[bool] = []
    timers: list[iocp.Timer] = []
    after = threading.Event()

    def start() -> None:  # in one callback, so that none of them fires before it is cancelled
        timers.extend(server.call_later(0.01, fired.append, number) for number in range(20))
        for timer in timers[::2]:
            timer.cancel()
            timer.cancel()
            active.append(timer.active)
        server.call_later(0.03, after.set)

    server.post(start)
    assert after.wait(TIMEOUT)
    assert active == [False] * 10
    assert fired == list(range(1, 20, 2))
    for timer in timers:
        timer.cancel()  # after it fired: without effect
    assert server.stats().timers == 0


def test_timer_cancels_another_of_the_same_tick(serve: Serve) -> None:
    server = serve(Witness(), workers=1)
    fired: list[int] = []
    timers: list[iocp.Timer] = []
    done = threading.Event()

    def first(number: int) -> None:
        fired.append(number)
        for timer in timers:
            timer.cancel()

    def start() -> None:  # in one callback, so that all are due in the same tick or the next
        timers.extend(server.call_later(0.005, first, number) for number in range(10))
        server.call_later(0.02, done.set)

    server.post(start)
    assert done.wait(TIMEOUT)
    assert fired == [0]


def test_timers_cancelled_by_other_threads(server: iocp.Server) -> None:
    fired: list[int] = []
    cancelled: list[int] = []
    chance = random.Random(9)
    timers = [server.call_later(chance.uniform(0, 0.05), fired.append, number) for number in range(4_000)]

    def cancel(thread: int) -> None:
        for number in range(thread, len(timers), 8):
            timers[number].cancel()
            if number not in fired[-50:]:
                cancelled.append(number)

    in_threads(8, cancel)
    before = list(fired)
    after = threading.Event()
    server.call_later(0.1, after.set)
    assert after.wait(TIMEOUT)
    # Whatever was not under way when cancel() returned never ran: at most one per worker was.
    assert len(fired) - len(before) <= server.workers
    assert len(set(fired)) == len(fired)
    assert server.stats().timers == 0


# A game's tick is rarely a whole number of the wheel's: 60 times a second are 60 times, and not 58.8.
@pytest.mark.parametrize(("interval", "calls"), [(0.02, 40), (1 / 60, 45)])
def test_call_every_does_not_drift(server: iocp.Server, interval: float, calls: int) -> None:
    times: list[float] = []
    done = threading.Event()

    def tick() -> None:
        times.append(time.perf_counter())
        if len(times) == calls:
            timer.cancel()
            done.set()

    earliest = time.perf_counter()
    timer = server.call_every(interval, tick)
    assert done.wait(TIMEOUT)
    for number, fired in enumerate(times, 1):
        assert fired >= earliest + number * interval
    # Each call belongs to a multiple of the interval since the start: that one was late is not handed on to the next. Of fifteen
    # calls, a machine that is busy with other things lets at least one be in time.
    first, last = (min((fired - earliest) % interval for fired in some) for some in (times[:15], times[-15:]))
    assert abs((last - first + interval / 2) % interval - interval / 2) < 0.004


def test_call_every_skips_the_calls_it_missed(serve: Serve) -> None:
    server = serve(Witness(), workers=1)
    interval = 0.02
    times: list[float] = []
    busy: list[float] = []
    done = threading.Event()

    def tick() -> None:
        times.append(time.perf_counter())
        if len(times) == 1:
            threading.Event().wait(5.5 * interval)  # the handler is busy
            busy.append(time.perf_counter() - times[0])
        elif len(times) == 4:
            timer.cancel()
            done.set()

    timer = server.call_every(interval, tick)
    assert done.wait(TIMEOUT)
    # The five that were due meanwhile are not made up for. Each call belongs to a later multiple of the interval than the one
    # before it, so that between three of them, however late the first is, more than one interval passes.
    assert times[1] - times[0] >= busy[0]
    assert times[3] - times[1] >= interval
    assert server.stats().timers_fired == 4


def test_call_every_cancelled_in_its_own_call(server: iocp.Server) -> None:
    calls: list[bool] = []

    def once() -> None:
        timer.cancel()
        calls.append(timer.active)

    timer = server.call_every(0.002, once)
    after = threading.Event()
    server.call_later(0.03, after.set)
    assert after.wait(TIMEOUT)
    assert calls == [False]
    assert server.stats().timers == 0


def test_hundred_thousand_timers_are_started_and_cancelled(server: iocp.Server) -> None:
    chance = random.Random(10)
    delays = [chance.uniform(1_000, 10_000_000) for _ in range(100_000)]
    began = time.perf_counter()
    timers = [server.call_later(delay, print) for delay in delays]
    assert server.stats().timers == 100_000
    for timer in timers:
        timer.cancel()
    # 0.1 s on an idle machine; a list kept in order would need minutes.
    assert time.perf_counter() - began < TIMEOUT
    assert server.stats().timers == 0


def test_timer_function_that_raises_is_logged_and_counted(server: iocp.Server, caplog: pytest.LogCaptureFixture) -> None:
    calls = threading.Semaphore(0)

    def fail() -> None:
        calls.release()
        raise LookupError("in a timer")

    timer = server.call_every(0.002, fail)
    for _ in range(3):
        assert calls.acquire(timeout=TIMEOUT)
    timer.cancel()
    until(server, lambda: server.stats().handler_errors >= 3)
    assert "a timer's function failed" in caplog.text and "LookupError: in a timer" in caplog.text


@pytest.mark.parametrize("workers", [1, 4])
def test_idle_engine_wakes_for_an_earlier_timer(serve: Serve, workers: int) -> None:
    server = serve(Witness(), workers=workers)
    late = server.call_later(1_000.0, print)
    for _ in range(20):
        fired = threading.Event()
        began = time.perf_counter()
        server.call_later(0.005, fired.set)
        assert fired.wait(TIMEOUT)
        assert time.perf_counter() - began < LATE
    late.cancel()


def test_timers_started_before_the_engine_wait_for_it(backend: str, balanced: list[iocp.Engine]) -> None:
    server = iocp.Server(Witness(), "127.0.0.1", 0, backend=backend)
    balanced.append(server)
    fired = threading.Event()
    server.call_later(0.0, fired.set)
    assert not fired.wait(0.02)
    server.start()
    assert fired.wait(TIMEOUT)


def test_after_stop_no_timer_starts_or_fires(server: iocp.Server) -> None:
    fired: list[int] = []
    timers = [server.call_later(0.05, fired.append, 1), server.call_every(0.05, fired.append, 2)]
    server.stop()
    count = len(fired)  # none, unless the stop was late
    assert [timer.active for timer in timers] == [False, False]
    with pytest.raises(RuntimeError, match="call_later: this engine has stopped"):
        server.call_later(1, print)
    with pytest.raises(RuntimeError, match="call_every: this engine has stopped"):
        server.call_every(1, print)
    for timer in timers:
        timer.cancel()
    assert not threading.Event().wait(0.12)  # they would have been due
    assert len(fired) == count and server.stats().timers == 0


class Thing:
    """Something that can be referenced weakly."""

    def __init__(self) -> None:
        self.called = threading.Event()

    def call(self) -> None:
        self.called.set()


def is_gone(reference: weakref.ref[Thing]) -> bool:
    gc.collect()
    return reference() is None


def test_fired_timer_lets_go_of_its_function(server: iocp.Server) -> None:
    thing = Thing()
    reference = weakref.ref(thing)
    timer = server.call_later(0.0, thing.call)
    assert thing.called.wait(TIMEOUT)
    del thing
    until(server, lambda: is_gone(reference))
    assert not timer.active


def test_cancelled_timer_lets_go_of_its_function(server: iocp.Server) -> None:
    for start in (server.call_later, server.call_every):
        thing = Thing()
        reference = weakref.ref(thing)
        timer = start(1_000.0, thing.call)
        del thing
        assert not is_gone(reference)
        timer.cancel()
        assert is_gone(reference)


@pytest.mark.parametrize("started", [False, True])
def test_stopped_engine_lets_go_of_its_timers(backend: str, balanced: list[iocp.Engine], started: bool) -> None:
    server = iocp.Server(Witness(), "127.0.0.1", 0, backend=backend)
    balanced.append(server)
    if started:
        server.start()
    things = [Thing() for _ in range(3)]
    references = [weakref.ref(thing) for thing in things]
    timers = [server.call_later(1_000, things[0].call), server.call_every(1_000, things[1].call)]
    server.post(threading.Event().wait, 0.02)  # the worker, if there is one, is busy while the last one is posted
    server.post(things[2].call)
    del things
    server.stop()
    assert all(is_gone(reference) for reference in references)
    assert not any(timer.active for timer in timers)


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda server: server.call_later("soon", print), TypeError, "delay must be a number of seconds, not 'soon'"),
        (lambda server: server.call_later(None, print), TypeError, "delay must be a number"),
        (lambda server: server.call_later(-0.1, print), ValueError, "delay must be between 0 and"),
        (lambda server: server.call_later(float("nan"), print), ValueError, "delay must be between"),
        (lambda server: server.call_later(float("inf"), print), ValueError, "delay must be between"),
        (lambda server: server.call_every(0, print), ValueError, "interval must be at least 0.001 seconds"),
        (lambda server: server.call_every(-1, print), ValueError, "interval must be between"),
        (lambda server: server.call_every([], print), TypeError, "interval must be a number"),
        (lambda server: server.call_later(1, "print"), TypeError, "fn must be callable, not 'print'"),
        (lambda server: server.call_every(1, None), TypeError, "fn must be callable, not None"),
        (lambda server: iocp.Timer(), TypeError, "call_later"),
    ],
)
def test_wrong_arguments_are_named(
    server: iocp.Server, call: Callable[[iocp.Server], object], error: type[Exception], text: str
) -> None:
    with pytest.raises(error, match=text):
        call(server)
    assert server.stats().timers == 0
