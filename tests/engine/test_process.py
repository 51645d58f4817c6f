"""What an engine is in a process that does other things too: it forks, starts programs, is out of threads, gets signals."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable

import pytest

import iocp
from child_process import Child
from witness import TIMEOUT, Dialer, Witness, packet, read_exactly, until

Serve = Callable[..., iocp.Server]
posix = pytest.mark.skipif(sys.platform == "win32", reason="forks, and signals to a process, are not Windows' way")


FORKS = """
import os, socket, sys, warnings
import iocp

# Python from 3.12 on says that a fork of a process with threads may end in a deadlock.
warnings.simplefilter("ignore", DeprecationWarning)

class Echo(iocp.Handler):
    def on_packet(self, session, packet):
        session.send(packet)

way, backend = sys.argv[1:]
with iocp.Server(Echo(), backend=backend, workers=2) as server:
    with socket.create_connection(server.address) as before:
        child = os.fork()
        if child == 0:
            print("child", server.running)
            if way == "stop":
                server.stop()
            elif way == "with":
                server.__exit__(None, None, None)
            sys.exit(0)     # and so through the atexit hook
        print("ended", os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
        for peer in (before, socket.create_connection(server.address)):
            peer.sendall(b"\\2x")
            print("echo", peer.recv(2))
        print("accept errors", server.stats().accept_errors)
"""


@posix
@pytest.mark.parametrize("way", ["exit", "stop", "with"])
def test_a_forked_child_that_ends_leaves_the_parents_server_alone(backend: str, way: str) -> None:
    with Child(FORKS, way, backend) as child:
        assert child.finish() == 0, child.output
        assert child.output == ["child False", "ended 0", "echo b'\\x02x'", "echo b'\\x02x'", "accept errors 0"]


FORKS_IN_A_HANDLER = """
import os, socket, sys
import iocp

class Forks(iocp.Handler):
    def on_start(self, server):
        server.call_later(0, self.fork, server)

    def fork(self, server):
        self.child = os.fork()
        if self.child:
            print("ended", os.waitstatus_to_exitcode(os.waitpid(self.child, 0)[1]))
            socket.create_connection(server.address).close()
            print("listens")
            server.stop()

handler = Forks()
server = iocp.Server(handler, workers=1, backend=sys.argv[1])
server.run()
print("parent" if handler.child else "child", "returned")
"""


@posix
def test_a_child_forked_in_a_handler_comes_out_of_run_and_the_parent_serves_on(backend: str) -> None:
    with Child(FORKS_IN_A_HANDLER, backend) as child:
        assert child.finish() == 0, child.output
        assert child.output == ["child returned", "ended 0", "listens", "parent returned"]


@posix
def test_a_listener_that_something_else_has_shut_down_is_no_reason_to_spin(serve: Serve) -> None:
    server = serve(Witness(), workers=1)
    for number in range(3, 256):
        try:
            found = socket.socket(fileno=number)
        except OSError:
            continue
        if found.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN) and found.getsockname() == server.address:
            found.shutdown(socket.SHUT_RDWR)
        found.detach()
    until(server, lambda: server.stats().accept_errors)
    over = threading.Event()
    server.call_later(0.5, over.set)
    assert over.wait(TIMEOUT)
    # One of them finds it out at a time, ten times a second.
    assert server.stats().accept_errors < 5_000


class AsksToStop(iocp.Handler):
    def on_packet(self, session: iocp.Session, packet: bytes) -> None: ...

    def on_disconnect(self, session: iocp.Session, reason: iocp.Reason) -> None:
        session.engine.stop()
        session.data.append(reason)


def test_a_callback_may_stop_an_engine_that_is_stopped_before_it_was_started(backend: str, balanced: list[iocp.Engine]) -> None:
    client = iocp.Client(AsksToStop(), backend=backend)
    balanced.append(client)
    reasons: list[iocp.Reason] = []
    client.connect("127.0.0.1", 9, data=reasons)
    stopped = threading.Thread(target=client.stop, args=(TIMEOUT / 2,), daemon=True)
    stopped.start()
    stopped.join(TIMEOUT)
    assert not stopped.is_alive() and len(reasons) == 1


def test_a_server_that_gets_too_few_threads_does_not_start_and_leaves_nothing(
    backend: str, balanced: list[iocp.Engine], monkeypatch: pytest.MonkeyPatch
) -> None:
    real, made = threading.Thread.start, 0

    def start(thread: threading.Thread) -> None:
        nonlocal made
        if thread.name.startswith("iocp-worker-"):
            made += 1
            if made == 3:
                raise RuntimeError("can't start new thread")
        real(thread)

    monkeypatch.setattr(threading.Thread, "start", start)
    server = iocp.Server(Witness(), backend=backend, workers=4)
    balanced.append(server)
    with pytest.raises(RuntimeError, match="can't start new thread"):
        server.start()
    assert not server.running
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("iocp-worker-")]
    with pytest.raises(OSError):
        socket.create_connection(server.address, timeout=TIMEOUT)
    server.stop()


def test_a_timer_is_in_time_when_the_worker_that_waited_for_it_is_busy(serve: Serve, dial: Dialer) -> None:
    """Handlers may overlap, so any other worker can do it."""
    busy, go_on = threading.Semaphore(0), threading.Event()

    class Busy(iocp.Handler):
        def on_packet(self, session: iocp.Session, packet: bytes) -> None:
            if packet[1:] == b"w":
                busy.release()
                go_on.wait(TIMEOUT)
            session.send(packet)

    server = serve(Busy(), workers=4, concurrent=True, limits=iocp.Limits.none())
    for number in range(4):
        # One of each worker's, wherever connections are spread; on Windows any worker takes any.
        peers = [dial(server) for _ in range(4)]
        for peer in peers:
            peer.sendall(packet("x"))
            assert read_exactly(peer, 2) == packet("x")
        fired = threading.Event()
        server.call_later(0.2, fired.set)
        peers[number].sendall(packet("w"))
        assert busy.acquire(timeout=TIMEOUT)
        assert fired.wait(TIMEOUT / 2), "while that handler is still busy"
        go_on.set()
        assert read_exactly(peers[number], 2) == packet("w")
        go_on.clear()


INTERRUPTED = """
import os, signal, socket, sys, threading
import iocp

class Meets(iocp.Handler):
    def __init__(self):
        self.sessions, self.met = [], threading.Event()

    def on_connect(self, session):
        self.sessions.append(session)
        self.met.set()

    def on_packet(self, session, packet): ...

def interrupt(server, handler, ended):
    peer = socket.create_connection(server.address)
    handler.met.wait()
    # The worker is busy with these, and not in its wait, when the signal comes.
    for _ in range(40):
        handler.sessions[0].send(b"\\2x")
    os.kill(os.getpid(), signal.SIGINT)
    print("ended", ended.wait(20))
    server.request_stop()

for _ in range(5):
    handler, ended = Meets(), threading.Event()
    server = iocp.Server(handler, backend=sys.argv[1], workers=1, limits=iocp.Limits.none())
    other = threading.Thread(target=interrupt, args=(server, handler, ended))
    handler.on_start = lambda engine: other.start()
    try:
        server.run()
        print("no KeyboardInterrupt")
    except KeyboardInterrupt:
        pass
    ended.set()
    other.join()
"""


FLAG = """
import signal, sys
from iocp.signals import SignalFlag

# Signals that come at any moment of the wait, and of one another's handlers.
for number in range(300):
    flag = SignalFlag()
    signal.signal(signal.SIGALRM, lambda *_: flag.set())
    signal.signal(signal.SIGPROF, lambda *_: flag.set())
    signal.setitimer(signal.ITIMER_PROF, 0.0003)
    signal.setitimer(signal.ITIMER_REAL, 0.0003)
    while not flag.wait(0.000001):
        pass
    signal.setitimer(signal.ITIMER_PROF, 0)
print("all set")
"""


@posix
def test_a_flag_may_be_set_by_signal_handlers_at_any_moment() -> None:
    with Child(FLAG) as child:
        assert child.finish() == 0, child.output
        assert child.output == ["all set"]


ELSEWHERE = """
import signal, sys, threading, time
import iocp

class Interrupts(iocp.Handler):
    def on_start(self, server):
        server.call_later(0.2, self.interrupt, server)

    def interrupt(self, server):
        signal.pthread_kill(threading.get_ident(), signal.SIGINT)
        # A long handler, which asks now and then whether it is to end.
        ends = time.monotonic() + 20
        while server.running and time.monotonic() < ends:
            pass
        print("running", server.running)

    def on_packet(self, session, packet):
        pass

iocp.run(Interrupts(), "127.0.0.1", 0, workers=2, backend=sys.argv[1])
print("stopped")
"""


@posix
def test_a_signal_that_a_worker_gets_is_not_lost_to_the_thread_that_waits(backend: str) -> None:
    with Child(ELSEWHERE, backend) as child:
        assert child.finish() == 0, child.output
        assert child.output == ["running False", "stopped"]


@posix
def test_a_signal_that_finds_the_only_worker_outside_its_wait_is_not_lost(backend: str) -> None:
    with Child(INTERRUPTED, backend) as child:
        assert child.finish(110) == 0, child.output
        assert child.output == ["ended True"] * 5


@posix
def test_a_program_that_a_handler_starts_can_be_ended_by_signals(serve: Serve, dial: Dialer) -> None:
    started: list[subprocess.Popen[bytes]] = []
    done = threading.Event()

    class Starts(iocp.Handler):
        def on_packet(self, session: iocp.Session, packet: bytes) -> None:
            started.append(subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"]))
            done.set()

    dial(serve(Starts())).sendall(packet("x"))
    assert done.wait(TIMEOUT)
    started[0].terminate()
    try:
        assert started[0].wait(TIMEOUT) == -signal.SIGTERM
    finally:
        started[0].kill()


BREAKS = """
import os, sys
import iocp

backend, way, timeout = sys.argv[1], sys.argv[2], float(sys.argv[3])

class Idles(iocp.Handler):
    def on_packet(self, session, packet):
        pass

def break_port():
    nothing = os.open(os.devnull, os.O_RDWR)
    for number in os.listdir("/proc/self/fd"):
        try:
            name = os.readlink(f"/proc/self/fd/{number}")
        except OSError:     # the listing's own
            continue
        if name in ("anon_inode:[eventpoll]", "anon_inode:[io_uring]"):
            os.dup2(nothing, int(number))

server = iocp.Server(Idles(), backend=backend, workers=1 if way == "run" else 3)
server.call_later(0, break_port)
if way == "run":
    try:
        server.run()
    except OSError as error:
        print("raised", error.errno > 0)
else:
    with server:
        ended = server.wait(timeout), server.running
    print("ended", *ended)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="breaks what only Linux' ports are made of")
@pytest.mark.parametrize(("way", "last"), [("run", "raised True"), ("start", "ended True False")])
def test_a_port_that_fails_ends_its_engine_and_does_not_spin(backend: str, way: str, last: str) -> None:
    with Child(BREAKS, backend, way, TIMEOUT / 2) as child:
        assert child.finish() == 0, child.output
        assert child.output[-1] == last
        logged = [line for line in child.output if line.startswith("the engine ends, since its completion port has failed: ")]
        assert logged and len(logged) == len(child.output) - 1
