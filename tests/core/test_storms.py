"""Storms: many connections that come, misbehave and go at once, and a server that has no descriptors left for them."""

from __future__ import annotations

import json
import random
import subprocess
import sys

import pytest

from iocp import Limits, Reason
from peer import TIMEOUT, Echo, Peer, Recorder, each_worker_count, pack, serve, threads


# ---- storms ----


def assert_all_came(stats, count, resets):
    """`count` have connected, and at most `resets` of them have ended theirs before the server came to accept it."""
    if sys.platform == "linux":  # It accepts those too, and the first receive says what has happened.
        assert (stats.accepted, stats.accept_errors) == (count, 0)
    else:  # There the accept fails, or never sees them.
        assert count - resets <= stats.accepted <= stats.accepted + stats.accept_errors <= count


@each_worker_count
def test_a_storm_of_connections(backend, workers, balanced):
    handler = Echo()
    server = serve(balanced, handler, backend, workers)

    def storm(number):
        for turn in range(125):
            peer = Peer(server.address)
            if turn % 5 == 0:
                peer.echo(pack(b"x"))
            if turn % 5 == 1:
                peer.send(pack(b"not waited for"))
            if turn % 5 == 2:
                peer.reset()
            peer.close()

    with threads(4, storm):
        pass
    with Peer(server.address) as peer:
        peer.echo(pack(b"and one more"))
    handler.wait_until(lambda: server.stats().sessions == 0)
    stats = server.stats()
    assert_all_came(stats, 501, resets=100)
    assert sum(stats.ended.values()) == stats.accepted
    assert len(handler.reasons) == len(handler.sessions) == stats.accepted
    assert stats.ended.keys() <= {Reason.PEER_CLOSED, Reason.PEER_RESET}


class Chaotic(Recorder):
    """Answers, tells the others, closes and cuts, as the packets ask for."""

    def on_packet(self, session, packet):
        kind = packet[1:2]
        if kind == b"b":
            session.engine.broadcast(packet)
        elif kind == b"c":
            session.close()
        elif kind == b"a":
            session.abort()
        elif kind == b"m":
            for _ in range(200):
                session.send(packet)
        else:
            session.send(packet)


class ChaoticPeer(Peer):
    """One of those who do what comes to their minds. It never waits for the server."""

    def __init__(self, address, choose):
        super().__init__(address, receive_buffer=4096)
        self.choose = choose
        self.reads = True

    def step(self):
        """Whether there will be another one."""
        what = self.choose.randrange(12)
        try:
            if what < 4:
                self.send_what_fits(b"".join(pack(bytes([self.choose.choice(b"ebm")]) + bytes(9)) for _ in range(20)))
            elif what == 4:
                self.send_what_fits(self.choose.randbytes(self.choose.randrange(1, 300)))
            elif what == 5:
                self.send_what_fits(pack(b"c"))
            elif what == 6:
                self.send_what_fits(pack(b"a"))
            elif what == 7:
                self.send_what_fits(pack(b"half a packet")[:5])
            elif what == 8:
                self.finish()
            elif what == 9:
                self.reset()
                return False
            elif what == 10:
                self.reads = False
            elif self.reads:
                self.socket.settimeout(0)
                self.socket.recv(65536)
        except OSError:
            return True  # ended by the server, or nothing to read: it tries on, as broken clients do
        return True


@each_worker_count
@pytest.mark.parametrize("concurrent", [False, True])
def test_chaos(backend, workers, concurrent, balanced):
    handler = Chaotic()
    limits = Limits(queued_bytes=64 * 1024, send_timeout=1.0)
    server = serve(balanced, handler, backend, workers, concurrent=concurrent, limits=limits)
    choose = random.Random(20_240_607)
    waiting = 200
    resets = 0
    peers = []
    while waiting or peers:
        if waiting and len(peers) < 50:
            waiting -= 1
            peers.append(ChaoticPeer(server.address, choose))
        number = choose.randrange(len(peers))
        goes_on = peers[number].step()
        resets += not goes_on
        if not goes_on or choose.randrange(12) == 0:
            peers.pop(number).close()
    with Peer(server.address) as healthy:
        for number in range(20):
            healthy.send(pack(b"h%d" % number))
            while healthy.packet() != pack(b"h%d" % number):
                pass  # what those before it still have told to all
    handler.wait_until(lambda: server.stats().sessions == 0)
    stats = server.stats()
    assert_all_came(stats, 201, resets)
    assert len(handler.reasons) == len(handler.sessions) == stats.accepted == sum(stats.ended.values())
    assert stats.handler_errors == 0
    assert stats.paused == stats.queued_bytes == stats.buffers_in_use == 0


# ---- out of descriptors ----

STARVED = """
import dataclasses, json, resource, sys
import iocp

class Echo(iocp.Handler):
    def on_packet(self, session, packet):
        session.send(packet)

server = iocp.Server(Echo(), workers=int(sys.argv[2]), backend=sys.argv[1], accepts=8)
server.start()
resource.setrlimit(resource.RLIMIT_NOFILE, (48, 48))
print(server.address[1], flush=True)
for line in sys.stdin:
    if line == "stop\\n":
        server.stop()
    stats = dataclasses.asdict(server.stats())
    stats["ended"] = {reason.name: count for reason, count in stats["ended"].items()}
    print(json.dumps(stats), flush=True)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no limit of descriptors to be lowered (RLIMIT_NOFILE)")
@each_worker_count
def test_out_of_descriptors_the_server_waits_and_recovers(backend, workers):
    with subprocess.Popen(
        [sys.executable, "-c", STARVED, backend, str(workers)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:

        def stats(line="?"):
            process.stdin.write(line + "\n")
            process.stdin.flush()
            return json.loads(process.stdout.readline())

        try:
            address = "127.0.0.1", int(process.stdout.readline())
            peers = [Peer(address) for _ in range(70)]
            while not (now := stats())["accept_retries"]:
                assert now["uptime"] < TIMEOUT, now
            served = now["accepted"]
            assert 10 < served < 48
            # Those inside are served as before, those outside wait.
            for peer in peers[:served]:
                peer.echo(pack(b"x"))
            for peer in peers[:40]:
                peer.close()
            for peer in peers[40:]:
                peer.echo(pack(b"at last"))
            with Peer(address) as late:
                late.echo(pack(b"x"))
            for peer in peers[40:]:
                peer.close()
            end = stats("stop")
            assert (end["ops_in_flight"], end["buffers_in_use"], end["sessions"]) == (0, 0, 0)
            assert end["accepted"] == sum(end["ended"].values()) == 71
            process.stdin.close()
            assert process.wait(TIMEOUT) == 0
        finally:
            process.kill()
