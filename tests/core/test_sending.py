"""Sending to peers that read late, slowly or never: nothing is lost, nothing is mixed, nothing grows without a bound."""

from __future__ import annotations

import random
import sys
import time

import pytest

from iocp import Framing, Limits, Reason
from peer import Echo, Peer, Recorder, each_worker_count, pack, serve, threads

# More than the system keeps for a connection on its own (Linux: 4 MiB on the sending side at most, 6 on the receiving one), and
# without a pattern that would hide a part that is missing or in the wrong place.
MUCH = random.Random(1).randbytes(16 << 20)

# What it does keep, but the buffer of a peer that has a small one does not.
FITS = 32 * 1024

WIDE = Framing(4, max_size=2 << 20)


def slices(data, size):
    return [data[start : start + size] for start in range(0, len(data), size)]


# ---- peers that read late ----


@each_worker_count
@pytest.mark.parametrize("size", [1000, 100_000, len(MUCH)])
def test_a_peer_that_reads_late_gets_everything_in_order(backend, workers, size, balanced):
    class Much(Recorder):
        def on_packet(self, session, packet):
            for part in slices(MUCH, size):
                session.send(part)

    handler = Much()
    server = serve(balanced, handler, backend, workers, limits=Limits(queued_bytes=None))
    with Peer(server.address, receive_buffer=65536) as peer:
        peer.send(pack(b"go"))
        session = handler.session_of(peer)
        # What the system took has left the queue, what it did not take waits.
        handler.wait_until(lambda: server.stats().bytes_sent > 0 or size == len(MUCH) and session.queued)
        assert 0 < session.queued <= len(MUCH)
        assert peer.receive(len(MUCH)) == MUCH
        handler.wait_until(lambda: session.queued == 0 and server.stats().bytes_sent == len(MUCH))


def test_a_closed_session_still_sends_all_that_a_late_reader_is_owed(backend, balanced):
    class Last(Recorder):
        def on_packet(self, session, packet):
            session.send(MUCH)
            session.close()

    handler = Last()
    server = serve(balanced, handler, backend, limits=Limits(queued_bytes=None))
    with Peer(server.address, receive_buffer=65536) as peer:
        peer.send(pack(b"go"))
        session = handler.session_of(peer)
        assert handler.reason_of(session) == Reason.CLOSED
        assert session.queued > 0
        assert peer.receive_all() == MUCH


@each_worker_count
def test_packets_of_a_mebibyte(backend, workers, balanced):
    handler = Recorder()
    server = serve(balanced, handler, backend, workers, framing=WIDE, limits=Limits(queued_bytes=None))
    packets = [WIDE.pack(part) for part in slices(MUCH, 1 << 20)]
    with Peer(server.address, receive_buffer=65536) as peer:
        session = handler.session_of(peer)
        for packet in packets:
            session.send(packet)
        assert peer.receive(sum(map(len, packets))) == b"".join(packets)


# ---- peers that never read ----


# Numbered packets of 250 bytes, more of them than all buffers on the way hold.
STREAM = b"".join(pack(b"%0249d" % number) for number in range(80_000))


@each_worker_count
def test_an_echo_to_a_peer_that_does_not_read_stops_reading_it(backend, workers, balanced):
    handler = Echo()
    limit = 256 * 1024
    server = serve(balanced, handler, backend, workers, limits=Limits(queued_bytes=limit))
    with Peer(server.address) as healthy, Peer(server.address, receive_buffer=4096) as peer:
        session = handler.session_of(peer)
        sent = 0

        def paused():
            nonlocal sent
            sent += peer.send_what_fits(STREAM[sent : sent + 100_000])
            # Both, since the system may take a part of it yet: then the server goes on for a moment.
            return server.stats().paused == 1 and session.queued > limit // 4

        handler.wait_until(paused)
        # A quarter of the limit, and what one receive brings, which is 16 KiB and the rest of a packet.
        assert session.queued < limit // 4 + 32 * 1024
        for number in range(20):
            healthy.echo(pack(b"%d" % number))
        # Still so after the peer has sent all that the system takes: TCP holds it back now.
        while more := peer.send_what_fits(STREAM[sent : sent + 1_000_000]):
            sent += more
        assert session.queued < limit // 4 + 32 * 1024
        assert not server.stats().ended
        # When it reads at last, it gets the answer to every whole packet.
        peer.finish()
        whole = sent - sent % 250
        assert peer.receive_all() == STREAM[:whole]
        assert handler.reason_of(session) == Reason.PEER_CLOSED
        assert server.stats().paused == 0


@each_worker_count
def test_a_peer_that_never_reads_broadcasts_is_cut_when_too_much_waits(backend, workers, balanced):
    handler = Recorder()
    limit = 512 * 1024
    server = serve(balanced, handler, backend, workers, framing=WIDE, limits=Limits(queued_bytes=limit, send_timeout=None))
    packet = WIDE.pack(MUCH[:32_000])
    with Peer(server.address) as healthy, Peer(server.address, receive_buffer=4096) as slow:
        session = handler.session_of(slow)
        handler.session_of(healthy)
        while not session.closed:
            server.broadcast(packet)
            assert session.queued <= limit
            assert healthy.receive(len(packet)) == packet
        assert server.broadcast(packet) == 1
        assert healthy.receive(len(packet)) == packet
        assert handler.reason_of(session) == Reason.SLOW_RECEIVER
        handler.wait_until(lambda: server.stats().sessions == 1)
        assert server.stats().ended == {Reason.SLOW_RECEIVER: 1}


@each_worker_count
def test_a_send_over_the_limit_cuts_at_once(backend, workers, balanced):
    handler = Recorder()
    server = serve(balanced, handler, backend, workers, limits=Limits(queued_bytes=10_000))
    with Peer(server.address) as peer:
        session = handler.session_of(peer)
        session.send(bytes(10_001))
        assert session.closed
        assert handler.reason_of(session) == Reason.SLOW_RECEIVER
        peer.wait_for_end()
    assert server.stats().packets_queued == 0


@each_worker_count
def test_a_peer_that_takes_nothing_for_the_send_timeout_is_cut(backend, workers, balanced):
    handler = Echo()
    limits = Limits(queued_bytes=None, send_timeout=0.5)
    server = serve(balanced, handler, backend, workers, limits=limits)
    with Peer(server.address) as healthy, Peer(server.address, receive_buffer=4096) as slow:
        session = handler.session_of(slow)
        session.send(MUCH)
        while session.id not in handler.reasons:
            healthy.echo(pack(b"unharmed"))
        assert handler.reasons == {session.id: Reason.SLOW_RECEIVER}
        healthy.echo(pack(b"unharmed"))
        handler.wait_until(lambda: server.stats().buffers_in_use == 0)


@each_worker_count
def test_a_closed_session_whose_peer_takes_nothing_is_reset_in_the_end(backend, workers, balanced):
    """So that the system does not keep for minutes what nobody reads, of a session that counts no more."""
    handler = Recorder()
    server = serve(balanced, handler, backend, workers, limits=Limits(queued_bytes=None, send_timeout=0.5))
    with Peer(server.address, receive_buffer=4096) as peer:
        session = handler.session_of(peer)
        session.send(MUCH)
        session.close()
        handler.wait_until(lambda: server.stats().sessions == 0)
        assert server.stats().ended == {Reason.CLOSED: 1}
        try:
            came = peer.receive_all()
        except ConnectionError:
            return
        # Wine forgets a reset that no operation waits for: there it looks like an end.
        assert sys.platform == "win32" and len(came) < len(MUCH)


@pytest.mark.parametrize("finishes", [False, True])
def test_what_is_queued_leaves_whatever_reason_the_session_is_closed_with(backend, finishes, balanced):
    handler = Recorder()
    server = serve(balanced, handler, backend)
    packet = MUCH[:FITS]
    with Peer(server.address, receive_buffer=4096) as peer:
        session = handler.session_of(peer)
        session.send(packet)
        session.close(Reason.IDLE_TIMEOUT)
        assert handler.reason_of(session) == Reason.IDLE_TIMEOUT
        if finishes:
            peer.finish()
        # The peer reads no sooner: the system has it all, and most of it is still on this side.
        handler.wait_until(lambda: server.stats().sessions == 0)
        assert peer.receive_all() == packet


@pytest.mark.parametrize("size", [50_000, len(MUCH)])
def test_a_peer_that_takes_its_time_is_not_cut(backend, size, balanced):
    """The send time-out is for a peer that takes nothing, not for one that takes long, even over a single packet."""
    handler = Recorder()
    limit = 0.5
    # One worker: it looks at what has been taken before it looks at the time, however late it comes to both.
    server = serve(balanced, handler, backend, 1, limits=Limits(queued_bytes=None, send_timeout=limit))
    with Peer(server.address, receive_buffer=65536) as peer:
        session = handler.session_of(peer)
        last = time.perf_counter()  # from the first of them on, something waits for the peer
        for part in slices(MUCH, size):
            session.send(part)
        began = time.perf_counter()
        longest = 0.0
        try:
            for part in slices(MUCH, 1 << 20):
                for piece in slices(part, 1 << 15):
                    assert peer.receive(len(piece)) == piece
                    now = time.perf_counter()
                    longest = max(longest, now - last)
                    last = now
                # A pause, and not a wait for anything: taking long is what this peer is for.
                with handler.changed:
                    handler.changed.wait(0.05)
            assert time.perf_counter() - began > limit
            assert not handler.reasons
        except (ConnectionError, EOFError):
            # Only if the machine has made a far longer pause of one: then it did take nothing.
            assert max(longest, time.perf_counter() - last) > limit / 2
            assert handler.reason_of(session) == Reason.SLOW_RECEIVER


# ---- many segments, many senders ----


@each_worker_count
def test_hundreds_of_shared_packets_leave_in_a_few_gathered_sends(backend, workers, balanced):
    count = 300
    packets = [WIDE.pack(part) for part in slices(MUCH[: count * 500], 500)]  # large enough to be shared, not copied

    class Fan(Recorder):
        def on_packet(self, session, packet):
            for shared in packets:
                session.engine.broadcast(shared)

    handler = Fan()
    server = serve(balanced, handler, backend, workers, framing=WIDE, accepts=4)
    with Peer(server.address) as one, Peer(server.address) as two:
        # Until a receive waits for each: a worker that is not yet done with one of them would send it what the other one queues.
        handler.wait_until(lambda: len(handler.sessions) == 2 and server.stats().ops_in_flight == 4 + 2)
        one.send(WIDE.pack(b"go"))
        for peer in (one, two):
            assert peer.receive(sum(map(len, packets))) == b"".join(packets)
    handler.wait_until(lambda: server.stats().sessions == 0)
    stats = server.stats()
    assert stats.packets_queued == 2 * count
    # Gathered up to 64 at a time: five for each; twice that for a system that takes some of them only in part.
    assert stats.sends <= 20


@each_worker_count
@pytest.mark.parametrize("concurrent", [False, True])
def test_packets_of_several_senders_never_interleave(backend, workers, concurrent, balanced):
    """Session, group, broadcast and handler send at once, small packets and large, and each packet arrives in one piece."""
    handler = Echo()
    server = serve(
        balanced, handler, backend, workers, concurrent=concurrent, framing=WIDE, limits=Limits(queued_bytes=None)
    )
    each, sizes = 60, (1, 30, 300, 3_000, 70_000)

    def packet(sender, number):
        return WIDE.pack(b"%02d%04d" % (sender, number) + bytes([65 + sender]) * sizes[(sender + number) % len(sizes)])

    with Peer(server.address, receive_buffer=65536) as one, Peer(server.address, receive_buffer=65536) as two:
        sessions = [handler.session_of(one), handler.session_of(two)]
        group = server.group()
        for session in sessions:
            group.add(session)

        def send(sender):
            for number in range(each):
                if sender < 2:
                    for session in sessions:
                        session.send(packet(sender, number))
                elif sender < 4:
                    group.send(packet(sender, number))
                elif sender == 4:
                    server.broadcast(packet(sender, number))
                else:
                    server.multicast(sessions, packet(sender, number))

        def ask(_):
            for number in range(each):
                one.send(packet(6, number))
                two.send(packet(6, number))

        def check(peer):
            next_of = 7 * [0]
            while min(next_of) < each:
                header = peer.receive(4)
                body = peer.receive(int.from_bytes(header, "little") - 4)
                sender, number = int(body[:2]), int(body[2:6])
                assert header + body == packet(sender, number)
                assert number == next_of[sender]
                next_of[sender] += 1

        with threads(6, send), threads(1, ask), threads(2, lambda number: check((one, two)[number])):
            pass
    assert set(dict(handler.reasons).values()) <= {Reason.PEER_CLOSED}  # a copy: the last ones are just coming
