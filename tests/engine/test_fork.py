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
