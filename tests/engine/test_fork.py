"""Forks: what parent and child have of an engine, whether it runs, was only made, or calls the handler that forks."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from collections.abc import Callable

import pytest

import iocp
from child_process import Child
from witness import TIMEOUT, Witness

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="forks are not Windows' way")

Serve = Callable[..., iocp.Server]

BEGINNING = """
import os, socket, sys, threading, warnings
import iocp

# Python from 3.12 on says that a fork of a process with threads may end in a deadlock.
warnings.simplefilter("ignore", DeprecationWarning)
os.setpgid(0, 0)
TIMEOUT = float(sys.argv[1])

def dial(server):
    peer = socket.create_connection(server.address, timeout=TIMEOUT)
    peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return peer

def echoed(peer):
    peer.sendall(b"\\2e")
    return peer.recv(2) == b"\\2e"

def until(engine, condition):
    came = threading.Event()
    timer = engine.call_every(0.001, lambda: came.set() if condition() else None)
    print("waited for", came.wait(TIMEOUT))
    timer.cancel()

class Leashed:
    \"\"\"A forked child that does nothing but have all that its parent has open, until the parent lets go of it.\"\"\"

    def __init__(self):
        watched, self.leash = os.pipe()
        self.child = os.fork()
        if self.child == 0:
            os.close(self.leash)
            os.read(watched, 1)
            os._exit(0)
        os.close(watched)

    def end(self):
        os.close(self.leash)
        print("child ended", ended(self.child))

def ended(child):
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])

class Echo(iocp.Handler):
    \"\"\"... and ends the session at b"\\2x", as a guard does at b"\\2z".\"\"\"

    def on_packet(self, session, packet):
        if packet == b"\\2x":
            session.abort()
        elif packet == b"\\2z":
            session.abort(iocp.Reason.PACKET_RATE)
        session.send(packet)
"""


def run(code: str, *arguments: object, **environment: str) -> list[str]:
    """What a process says that runs BEGINNING and `code`, with `arguments` from sys.argv[2] on."""
    with Child(BEGINNING + code, TIMEOUT / 2, *arguments, **environment) as child:
        try:
            assert child.finish(3 * TIMEOUT) == 0, child.output
            return child.output
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child.process.pid, signal.SIGKILL)    # what it forked, if that is left


HOLDS = """
backend, way = sys.argv[2:]

with iocp.Server(Echo(), backend=backend, workers=1) as server:
    with dial(server) as peer:
        print("echo", echoed(peer))
        child = Leashed()
        if way == "abort":
            peer.sendall(b"\\2x")
        elif way == "cut":
            peer.sendall(b"\\2z")
        elif way == "finish":
            peer.shutdown(socket.SHUT_WR)
        else:
            server.stop()
        try:
            print("end" if peer.recv(1) == b"" else "more")
        except ConnectionResetError:
            print("reset")
    child.end()
"""


@pytest.mark.parametrize(("way", "seen"), [("abort", "end"), ("cut", "reset"), ("finish", "end"), ("stop", "end")])
def test_a_peer_hears_of_the_end_though_a_forked_child_has_its_connection(backend: str, way: str, seen: str) -> None:
    assert run(HOLDS, backend, way) == ["echo True", seen, "child ended 0"]


OUTLIVES = """
with iocp.Server(Echo(), backend=sys.argv[2], workers=1, limits=iocp.Limits.none()) as server:
    peers = [dial(server) for _ in range(20)]
    print("echo", all([echoed(peer) for peer in peers]))
    child = Leashed()
    for peer in peers:
        peer.sendall(b"\\2x")
    until(server, lambda: server.stats().sessions == 0)
    for peer in peers:
        try:
            peer.sendall(b"\\2e")
        except OSError:     # it has heard of the end
            pass
        peer.close()
    others = [dial(server) for _ in range(50)]
    print("echo", all([echoed(peer) for peer in others]))
    for peer in others:
        peer.close()
    child.end()
stats = server.stats()
print("left", stats.sessions, stats.ops_in_flight, stats.buffers_in_use)
"""


def test_what_comes_late_for_a_connection_that_a_forked_child_has_reaches_nobody(backend: str) -> None:
    # glibc fills what is freed, so that whoever goes on using it finds a lock that is taken for ever.
    filled = run(OUTLIVES, backend, GLIBC_TUNABLES="glibc.malloc.tcache_count=0:glibc.malloc.perturb=165")
    assert filled == ["echo True", "waited for True", "echo True", "child ended 0", "left 0 0 0"]


MADE_BEFORE = """
backend, way, port = sys.argv[2:]

class Greets(iocp.Handler):
    def on_connect(self, session):
        session.send(b"\\2x")

    def on_packet(self, session, packet):
        did("echo")

done = threading.Semaphore(0)

def did(what):
    print(who, what)
    done.release()

def use():
    if way == "connect":
        client.connect("127.0.0.1", int(port))
    with client:
        if way == "start":
            client.connect("127.0.0.1", int(port))
        for _ in range(3):
            if not done.acquire(timeout=TIMEOUT):
                print(who, "has waited in vain")

client = iocp.Client(Greets(), backend=backend)
client.post(did, "posted")
client.call_later(0, did, "timer")
child = os.fork()
if child == 0:
    who = "child"
    use()
    sys.exit(0)
print("child ended", ended(child))
who = "parent"
use()
"""


@pytest.mark.parametrize("way", ["start", "connect"])
def test_parent_and_child_may_both_start_an_engine_that_was_only_made(backend: str, way: str, serve: Serve) -> None:
    server = serve(Witness(echo=True))
    said = run(MADE_BEFORE, backend, way, server.address[1])
    first = said.index("child ended 0")
    assert sorted(said[:first]) == ["child echo", "child posted", "child timer"]
    assert sorted(said[first + 1 :]) == ["parent echo", "parent posted", "parent timer"]


TOGETHER = """
server = iocp.Server(Echo(), backend=sys.argv[2], workers=2)
port, tell = os.pipe()
watched, leash = os.pipe()
child = os.fork()
if child == 0:
    os.close(leash)
    with server:
        os.write(tell, b"%d" % server.address[1])
        os.read(watched, 1)
    sys.exit(0)
os.close(tell)
with server:
    theirs = int(os.read(port, 10))
    for address in 2 * [server.address, ("127.0.0.1", theirs)]:
        peers = [socket.create_connection(address, timeout=TIMEOUT) for _ in range(20)]
        print("echo", all([echoed(peer) for peer in peers]))
        for peer in peers:
            peer.close()
    os.close(leash)
    print("child ended", ended(child))
    with dial(server) as peer:
        print("echo", echoed(peer))
"""


def test_parent_and_child_do_not_disturb_each_other(backend: str) -> None:
    assert run(TOGETHER, backend) == [*["echo True"] * 4, "child ended 0", "echo True"]


ASKED_BEFORE = """
client = iocp.Client(Echo(), backend=sys.argv[2])
client.request_stop()
child = os.fork()
client.run()
if child == 0:
    sys.exit(0)
print("child ended", ended(child))
"""


def test_a_stop_that_was_asked_for_before_the_fork_is_asked_of_both(backend: str) -> None:
    assert run(ASKED_BEFORE, backend) == ["child ended 0"]


CONNECTS_BEFORE = """
class Greets(iocp.Handler):
    def on_connect(self, session):
        session.send(b"\\2x")

    def on_packet(self, session, packet):
        print("echo")
        done.set()

done = threading.Event()
client = iocp.Client(Greets(), backend=sys.argv[2])
client.connect("127.0.0.1", int(sys.argv[3]))
child = os.fork()
if child == 0:
    try:
        client.start()
    except RuntimeError as error:
        print(error)
    sys.exit(0)
print("child ended", ended(child))
with client:
    print(done.wait(TIMEOUT))
"""


def test_an_engine_that_has_begun_to_connect_stays_the_parents(backend: str, serve: Serve) -> None:
    server = serve(Witness(echo=True))
    assert run(CONNECTS_BEFORE, backend, server.address[1]) == [
        "this engine has stopped; make a new one", "child ended 0", "echo", "True"
    ]


IN_A_HANDLER = """
import time

backend, way = sys.argv[2:]
FORKS = {"timer": "timer 0", "raise": "packet"}.get(way, way)

class Forks(iocp.Handler):
    child = connected = packets = 0
    has_forked = False
    seen = []

    def on_start(self, server):
        self.peers = [socket.create_connection(server.address) for _ in range(3)]

    def on_connect(self, session):
        self.connected += 1
        self.called("connect")
        if self.connected == 3:
            session.engine.post(self.hold, session.engine)

    def hold(self, server):
        \"\"\"All that follows comes in one batch.\"\"\"
        for peer in self.peers[:2]:
            peer.sendall(b"\\2x\\2y")
        self.peers[2].close()
        self.peers.append(socket.create_connection(server.address))
        due = time.monotonic() + 0.005
        for number in range(3):
            server.call_later(0, self.called, f"timer {number}")
        server.call_every(0.001, self.called, "tick")
        while time.monotonic() < due:
            pass

    def logged_in(self, session):
        self.called("logged in")
        return False

    def on_disconnect(self, session, reason):
        self.called("disconnect")

    def called(self, what):
        self.seen.append(what)
        if os.getpid() != parent:
            print("child", what)
        if what == FORKS and not self.has_forked:
            self.has_forked = True
            self.child = os.fork()
            if self.child:
                print("child ended", ended(self.child))
            elif way == "raise":
                raise LookupError("in the child")
        if {"connect", "disconnect", "timer 2"} <= {*self.seen} and self.connected == 4 and self.packets == 4:
            server.request_stop()

if way == "packets":
    def on_packets(self, session, packets):
        self.packets += len(packets)
        self.called("packets")
    Forks.on_packets = on_packets
else:
    def on_packet(self, session, packet):
        self.packets += 1
        self.called("packet")
    Forks.on_packet = on_packet

parent = os.getpid()
handler = Forks()
server = iocp.Server(handler, workers=1, backend=backend)
server.run()
print("parent" if os.getpid() == parent else "child", "returned")
"""


@pytest.mark.parametrize("way", ["connect", "packet", "packets", "timer", "raise"])
def test_a_handler_that_forks_is_the_last_that_is_called_in_the_child(backend: str, way: str) -> None:
    said = [line for line in run(IN_A_HANDLER, backend, way) if line.startswith(("child", "parent"))]
    assert said == ["child returned", "child ended 0", "parent returned"]
