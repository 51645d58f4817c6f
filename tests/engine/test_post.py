"""`post()`: from any thread, each call once and in order, waking a worker as seldom as possible."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

import iocp
from witness import TIMEOUT, Witness, in_threads, until

Serve = Callable[..., iocp.Server]


@pytest.mark.parametrize("workers", [1, 2, 4])
def test_posts_of_many_threads_arrive_once_and_in_each_thread_s_order(serve: Serve, workers: int) -> None:
    server = serve(Witness(), workers=workers)
    threads, each = 8, 2_000
    arrived: list[tuple[int, int]] = []

    def post(thread: int) -> None:
        for number in range(each):
            server.post(arrived.append, (thread, number))

    in_threads(threads, post)
    until(server, lambda: len(arrived) >= threads * each)
    for thread in range(threads):
        assert [number for who, number in arrived if who == thread] == list(range(each))
    assert server.stats().posted == threads * each


def test_posted_calls_run_where_handlers_run(serve: Serve) -> None:
    server = serve(Witness(), workers=2)
    ran: list[str] = []
    done = threading.Event()
    server.post(lambda *values: (ran.append(threading.current_thread().name), ran.extend(values), done.set()), "one", "two")
    assert done.wait(TIMEOUT)
    assert ran[0].startswith("iocp-worker-") and ran[1:] == ["one", "two"]


def test_posts_before_start_wait_for_it(backend: str, balanced: list[iocp.Engine]) -> None:
    server = iocp.Server(Witness(), "127.0.0.1", 0, backend=backend, workers=2)
    balanced.append(server)
    arrived: list[int] = []
    done = threading.Event()
    for number in range(1_000):
        server.post(arrived.append, number)
    server.post(done.set)
    assert not done.wait(0.02)
    server.start()
    assert done.wait(TIMEOUT)
    assert arrived == list(range(1_000))


def test_posts_after_stop_are_dropped(serve: Serve) -> None:
    server = serve(Witness())
    arrived: list[int] = []
    server.stop()
    server.post(arrived.append, 1)
    assert not arrived


def test_posts_while_the_engine_stops_do_not_hinder_it(serve: Serve) -> None:
    server = serve(Witness())
    stopped = threading.Event()
    posted = threading.Event()
    arrived: list[int] = []

    def flood() -> None:
        while not stopped.is_set():
            server.post(arrived.append, 1)
            posted.set()

    flooder = threading.Thread(target=flood)
    flooder.start()
    assert posted.wait(TIMEOUT)
    server.stop()
    stopped.set()
    flooder.join(TIMEOUT)
    count = len(arrived)
    server.post(arrived.append, 1)
    assert len(arrived) == count


def test_wake_ups_are_coalesced(serve: Serve) -> None:
    server = serve(Witness(), workers=1)
    busy, go_on, done = threading.Event(), threading.Event(), threading.Event()
    server.post(lambda: (busy.set(), go_on.wait(TIMEOUT)))
    assert busy.wait(TIMEOUT)
    before = server.stats()
    for _ in range(5_000):
        server.post(int)
    server.post(done.set)
    go_on.set()
    assert done.wait(TIMEOUT)
    after = server.stats()
    assert after.posted - before.posted == 5_001
    # One packet for all of them, and one that may have been on its way already.
    assert after.completions - before.completions <= 2


def test_wake_ups_are_coalesced_while_workers_run(serve: Serve) -> None:
    server = serve(Witness(), workers=2)
    arrived: list[int] = []
    in_threads(4, lambda thread: [server.post(arrived.append, 1) for _ in range(5_000)])
    until(server, lambda: len(arrived) == 20_000)
    stats = server.stats()
    assert stats.posted == 20_000
    assert stats.completions < 10_000


def test_post_inside_a_posted_call_runs_in_a_later_turn(serve: Serve) -> None:
    server = serve(Witness(), workers=1)
    turns: list[int] = []
    done = threading.Event()

    def step(left: int) -> None:
        turns.append(server.stats().batches)
        if left:
            server.post(step, left - 1)
        else:
            done.set()

    server.post(step, 10)
    assert done.wait(TIMEOUT)
    # Each in a turn of its own: a call that posts itself for ever does not keep its worker from connections and timers.
    assert turns == sorted(set(turns)) and len(turns) == 11


def test_call_that_posts_itself_for_ever_starves_nobody(serve: Serve) -> None:
    server = serve(Witness(), workers=1)

    def again() -> None:
        if server.running:
            server.post(again)

    fired = threading.Event()
    server.post(again)
    server.call_later(0.01, fired.set)
    assert fired.wait(TIMEOUT)


def test_posted_call_that_raises_is_logged_and_counted(serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    server = serve(Witness())
    done = threading.Event()

    def fail() -> None:
        raise LookupError("in a posted call")

    server.post(fail)
    server.post(done.set)
    assert done.wait(TIMEOUT)
    until(server, lambda: server.stats().handler_errors == 1)
    assert "post() failed" in caplog.text and "LookupError: in a posted call" in caplog.text


def test_worker_thread_s_system_exit_ends_nothing(serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    server = serve(Witness(), workers=1)
    done = threading.Event()
    server.post(exit, 3)
    server.post(done.set)
    assert done.wait(TIMEOUT)
    assert server.running and "SystemExit: 3" in caplog.text


def test_what_is_posted_must_be_callable(serve: Serve) -> None:
    with pytest.raises(TypeError, match="fn must be callable, not 'print'"):
        serve(Witness()).post("print")
