"""`stop()` is bounded by its time-out also when the start, or another stop before the start, takes as long as it likes."""

from __future__ import annotations

import threading

import pytest

import iocp
from child_process import Child
from witness import TIMEOUT, Witness


class Blocks(Witness):
    """Its `on_start` waits until it may leave."""

    def __init__(self) -> None:
        super().__init__()
        self.entered, self.leave = threading.Event(), threading.Event()

    def on_start(self, server: iocp.Engine) -> None:
        self.entered.set()
        self.leave.wait(2 * TIMEOUT)

    def on_disconnect(self, session: iocp.Session, reason: iocp.Reason) -> None:
        self.on_start(session.engine)


def stop_elsewhere(engine: iocp.Engine) -> None:
    """stop() on another thread, which must be over long before the engine's program lets it."""
    raised: list[BaseException] = []

    def stop() -> None:
        try:
            engine.stop(0.05)
        except TimeoutError as error:
            raised.append(error)

    thread = threading.Thread(target=stop, daemon=True)
    thread.start()
    thread.join(TIMEOUT)
    assert not thread.is_alive(), "stop() waits for ever"
    assert "did not stop within 0.05 s" in str(raised)


@pytest.mark.parametrize("way", ["start", "run"])
def test_stop_waits_no_longer_than_it_may_for_on_start(backend: str, balanced: list[iocp.Engine], way: str) -> None:
    handler = Blocks()
    server = iocp.Server(handler, backend=backend, workers=1)
    balanced.append(server)
    starter = threading.Thread(target=getattr(server, way), daemon=True)
    starter.start()
    try:
        assert handler.entered.wait(TIMEOUT)
        stop_elsewhere(server)
    finally:
        handler.leave.set()
    # It was asked, all the same, and may be again.
    starter.join(TIMEOUT)
    assert not starter.is_alive() and server.wait(TIMEOUT)
    server.stop(TIMEOUT)
    assert not server.running


def test_a_thread_that_on_start_waits_for_may_stop_the_server(backend: str, balanced: list[iocp.Engine]) -> None:
    class Waits(Witness):
        def on_start(self, server: iocp.Engine) -> None:
            stop_elsewhere(server)
            self.note("on_start")

    handler = Waits()
    server = iocp.Server(handler, backend=backend, workers=1)
    starter = threading.Thread(target=server.start, daemon=True)
    starter.start()
    handler.wait_for(lambda: handler.seen, 2 * TIMEOUT)
    starter.join(TIMEOUT)
    balanced.append(server)
    assert not starter.is_alive() and server.wait(TIMEOUT)


def test_stop_waits_no_longer_than_it_may_for_another_one_before_the_start(
    backend: str, balanced: list[iocp.Engine], closed_port: int
) -> None:
    handler = Blocks()
    client = iocp.Client(handler, backend=backend)
    balanced.append(client)
    client.connect("127.0.0.1", closed_port)
    first = threading.Thread(target=client.stop, args=(2 * TIMEOUT,), daemon=True)
    first.start()
    try:
        assert handler.entered.wait(TIMEOUT)
        stop_elsewhere(client)
    finally:
        handler.leave.set()
    first.join(TIMEOUT)
    assert not first.is_alive() and not client.running


ENDS = """
import sys, threading
import iocp

class Blocks(iocp.Handler):
    def on_start(self, server):
        entered.set()
        threading.Event().wait()

entered = threading.Event()
server = iocp.Server(Blocks(), backend=sys.argv[1])
threading.Thread(target=server.start, daemon=True).start()
entered.wait()
print("the end")
"""


def test_a_program_may_end_while_its_server_is_being_started(backend: str) -> None:
    with Child(ENDS, backend) as child:
        assert child.finish() == 0
        assert child.output[0] == "the end"
