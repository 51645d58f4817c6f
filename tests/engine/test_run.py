"""`iocp.run()` and `Server.run()` in processes of their own: Ctrl-C, SIGTERM, exit codes, the limit of open files; and idling."""

from __future__ import annotations

import re
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

import iocp
from child_process import Child, posix, started
from witness import TIMEOUT, Dialer, Witness, in_threads, packet, read_exactly, read_to_end, until

AT_ONCE = 10.0
"""Seconds. An idle server stops within milliseconds; a machine that is busy with other tests may need some of these."""

SERVE = """
import sys
import iocp

class Echo(iocp.Handler):
    def on_start(self, server):
        self.server = server
        # Printed by a worker: so the server runs, and waits for what comes next.
        server.post(print, "listening", server.address[1])

    def on_packet(self, session, packet):
        if packet == b"\\5wait":
            print("in the handler")
            sys.stdin.readline()
        elif packet == b"\\5spin":
            print("in the handler")
            while self.server.running:
                pass
            print("asked to stop")
        elif packet == b"\\5hang":
            print("in the handler")
            while self.server.running:
                pass
            print("asked to stop")
            while True:
                pass
        session.send(packet)

    def on_disconnect(self, session, reason):
        print("ended", reason.name)

iocp.run(Echo(), "127.0.0.1", 0, workers=int(sys.argv[1]), backend=sys.argv[2])
print("stopped")
"""

workers = pytest.mark.parametrize("workers", [1, 2])


@workers
def test_ctrl_c_stops_an_idle_server_at_once(backend: str, workers: int) -> None:
    with Child(SERVE, workers, backend) as child:
        started(child)
        began = time.monotonic()
        child.interrupt()
        assert child.finish() == 0
        assert time.monotonic() - began < AT_ONCE
        assert child.output[-1] == "stopped"


@posix
@workers
def test_sigterm_stops_an_idle_server_at_once(backend: str, workers: int) -> None:
    with Child(SERVE, workers, backend) as child:
        started(child)
        began = time.monotonic()
        child.process.send_signal(signal.SIGTERM)
        assert child.finish() == 0
        assert time.monotonic() - began < AT_ONCE
        assert child.output[-1] == "stopped"


@workers
def test_ctrl_c_with_clients_connected_ends_them(backend: str, workers: int) -> None:
    with Child(SERVE, workers, backend) as child:
        address = ("127.0.0.1", started(child))
        peers = [socket.create_connection(address, timeout=TIMEOUT) for _ in range(10)]
        for peer in peers:
            peer.sendall(packet("here"))
            read_exactly(peer, 5)
        began = time.monotonic()
        child.interrupt()
        for peer in peers:
            assert read_to_end(peer) == b""
            peer.close()
        assert child.finish() == 0
        assert time.monotonic() - began < AT_ONCE
        assert child.output.count("ended SERVER_STOPPED") == 10


@workers
def test_ctrl_c_while_a_handler_waits_stops_after_it(backend: str, workers: int) -> None:
    with Child(SERVE, workers, backend) as child:
        with socket.create_connection(("127.0.0.1", started(child)), timeout=TIMEOUT) as peer:
            peer.sendall(packet("wait"))
            child.line("in the handler")
            child.interrupt()
            child.write("\n")
            # What the handler sent before the stop still arrives.
            assert read_to_end(peer) == packet("wait")
        assert child.finish() == 0
        assert child.output[-1] == "stopped"


@posix
@workers
def test_busy_handler_sees_that_a_stop_was_asked_for(backend: str, workers: int) -> None:
    with Child(SERVE, workers, backend) as child:
        with socket.create_connection(("127.0.0.1", started(child)), timeout=TIMEOUT) as peer:
            peer.sendall(packet("spin") + packet("more"))
            child.line("in the handler")
            child.interrupt()
            # Ctrl-C did not break the handler: what it sent after its loop arrives.
            assert read_to_end(peer)[:5] == packet("spin")
        assert child.finish() == 0
        assert "asked to stop" in child.output and child.output[-1] == "stopped"


@posix
@pytest.mark.parametrize("second", ["SIGINT", "SIGTERM"])
@workers
def test_second_signal_kills_a_server_whose_handler_hangs(backend: str, workers: int, second: str) -> None:
    with Child(SERVE, workers, backend) as child:
        with socket.create_connection(("127.0.0.1", started(child)), timeout=TIMEOUT) as peer:
            peer.sendall(packet("hang"))
            child.line("in the handler")
            child.interrupt()
            child.line("asked to stop")
            began = time.monotonic()
            child.process.send_signal(signal.Signals[second])
            assert child.finish() == -signal.Signals[second]
            assert time.monotonic() - began < AT_ONCE
        assert "stopped" not in child.output


@pytest.mark.skipif(sys.platform != "win32", reason="Windows' way; the one of other systems is tested above")
@workers
def test_second_ctrl_c_kills_a_server_whose_handler_hangs(backend: str, workers: int) -> None:
    with Child(SERVE, workers, backend) as child:
        with socket.create_connection(("127.0.0.1", started(child)), timeout=TIMEOUT) as peer:
            peer.sendall(packet("hang"))
            child.line("in the handler")
            child.interrupt()
            # The first one waits for the handler, and so for ever.
            assert not child.ended_within(0.3)
            child.interrupt()
            assert child.finish() == 0xC000013A  # STATUS_CONTROL_C_EXIT
        assert "stopped" not in child.output


RUN = """
import sys
import iocp

class Quiet(iocp.Handler):
    def on_packet(self, session, packet):
        print("in the handler")
        while True:
            pass

    def on_disconnect(self, session, reason):
        print("ended", reason.name)

server = iocp.Server(Quiet(), "127.0.0.1", 0, workers=1, backend=sys.argv[1])
server.post(lambda: print("listening", server.address[1]))
try:
    server.run()
except KeyboardInterrupt:
    print("interrupted", server.running, server.stats().ops_in_flight)
"""


def test_ctrl_c_ends_server_run_with_keyboard_interrupt(backend: str) -> None:
    with Child(RUN, backend) as child:
        started(child)
        child.interrupt()
        assert child.finish() == 0
        assert child.output[-1] == "interrupted False 0"


def test_ctrl_c_inside_a_handler_ends_server_run_too(backend: str) -> None:
    with Child(RUN, backend) as child:
        with socket.create_connection(("127.0.0.1", started(child)), timeout=TIMEOUT) as peer:
            peer.sendall(packet("go"))
            child.line("in the handler")
            child.interrupt()
            assert child.finish() == 0
        assert child.output[-2:] == ["ended SERVER_STOPPED", "interrupted False 0"]


SIGNALS = """
import signal, sys
import iocp

# Hundreds of servers, each stopped by a signal that comes at some moment of the loop that waits for it.
for number in range(200):
    server = iocp.Server(iocp.Handler(), "127.0.0.1", 0, workers=1, backend=sys.argv[1])
    signal.signal(signal.SIGALRM, lambda *_: server.request_stop())
    signal.setitimer(signal.ITIMER_REAL, 0.0003)
    while not server.wait(0.000001):
        pass
    server.stop()
print("all stopped")
"""


@posix
def test_signal_handler_may_request_stop_at_any_moment(backend: str) -> None:
    with Child(SIGNALS, backend) as child:
        assert child.finish() == 0, "\n".join(child.output)
        assert child.output == ["all stopped"]


LIMIT = """
import resource
import iocp

hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
resource.setrlimit(resource.RLIMIT_NOFILE, (100, hard))

class Check(iocp.Handler):
    def on_start(self, server):
        print("limit", resource.getrlimit(resource.RLIMIT_NOFILE) == (hard, hard))
        server.request_stop()

iocp.run(Check(), "127.0.0.1", 0)
"""


@posix
def test_run_raises_the_limit_of_open_files() -> None:
    with Child(LIMIT) as child:
        assert child.finish() == 0
        assert child.output == ["limit True"]


def test_run_of_a_port_in_use_raises_and_restores_the_signals(backend: str) -> None:
    before = signal.getsignal(signal.SIGINT)
    with iocp.Server(Witness(), "127.0.0.1", 0, backend=backend) as server:
        with pytest.raises(OSError, match="another program listens there"):
            iocp.run(Witness(), *server.address, backend=backend)
    assert signal.getsignal(signal.SIGINT) is before


def test_run_outside_the_main_thread_leaves_signals_alone(backend: str) -> None:
    class Once(Witness):
        def on_start(self, server: iocp.Engine) -> None:
            server.post(server.request_stop)

    before = signal.getsignal(signal.SIGINT)
    for workers in (1, 2):
        in_threads(1, lambda number: iocp.run(Once(), "127.0.0.1", 0, workers=workers, backend=backend))
    assert signal.getsignal(signal.SIGINT) is before


@pytest.mark.parametrize("stopper", ["thread", "timer", "packet"])
def test_calling_thread_is_the_only_worker(
    backend: str, balanced: list[iocp.Engine], dial: Dialer, stopper: str
) -> None:
    class Solo(Witness):
        def on_start(self, server: iocp.Engine) -> None:
            self.note(threading.current_thread())

        def on_packet(self, session: iocp.Session, packet: bytes) -> None:
            self.note(threading.current_thread())
            session.send(packet)
            if stopper == "packet":
                session.engine.stop()
            elif stopper == "timer":
                session.engine.call_later(0.01, session.engine.request_stop)

    witness = Solo()
    server = iocp.Server(witness, "127.0.0.1", 0, workers=1, backend=backend)
    balanced.append(server)
    caller = threading.Thread(target=server.run)
    caller.start()
    witness.wait_for(lambda: witness.seen)
    peer = dial(server)
    peer.sendall(packet("hello"))
    assert read_exactly(peer, 6) == packet("hello")
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("iocp-worker")]
    if stopper == "thread":
        server.stop()
    caller.join(TIMEOUT)
    assert not caller.is_alive() and not server.running
    assert witness.seen == [caller, caller]


def test_run_needs_a_single_worker(backend: str) -> None:
    with pytest.raises(RuntimeError, match="workers=1, not 2"):
        iocp.Server(Witness(), "127.0.0.1", 0, workers=2, backend=backend).run()


def switches_of_workers() -> list[int]:
    """How often each worker's thread has gone to sleep; nothing where the system does not say."""
    found: list[int] = []
    for task in Path("/proc/self/task").iterdir() if sys.platform == "linux" else ():
        try:
            status = (task / "status").read_text()
        except OSError:
            continue  # a thread that has just ended
        if status.startswith("Name:\tiocp-worker"):
            found.append(int(re.findall(r"^voluntary_ctxt_switches:\s+(\d+)$", status, re.M)[0]))
    return found


@workers
def test_idle_server_uses_no_cpu(serve: Callable[..., iocp.Server], dial: Dialer, workers: int) -> None:
    witness = Witness()
    server = serve(witness, workers=workers)
    for _ in range(20):
        dial(server)
    witness.wait_connected(20)
    if sys.platform == "linux":  # a thread names itself when it begins to run
        until(server, lambda: len(switches_of_workers()) == workers)
    never = threading.Event()
    batches, turns, began = server.stats().batches, sum(switches_of_workers()), time.process_time()
    never.wait(0.5)
    used, turned = time.process_time() - began, sum(switches_of_workers()) - turns
    # Who spins uses all of the time, who wakes now and then goes to sleep again: that many times, however busy the machine is, while
    # the time that is counted depends on it (and Windows counts it in steps of 15.6 ms).
    assert used < 0.1
    assert turned <= 2 * workers
    assert server.stats().batches - batches <= 1
