"""One session: what it may be asked, how it sends, and how it ends."""

from __future__ import annotations

import array
import gc
import threading
import time
import weakref

import pytest

import iocp
from iocp import Reason
from peer import TIMEOUT, Peer, Recorder, each_worker_count, pack, serve, threads


# ---- what a session may be asked ----


@each_worker_count
def test_an_id_is_never_used_again(backend, workers, balanced):
    handler = Recorder()
    server = serve(balanced, handler, backend, workers)
    for _ in range(30):
        with Peer(server.address) as peer:
            session = handler.session_of(peer)
        handler.reason_of(session)
    assert len(handler.sessions) == 30
    assert list(handler.sessions) == sorted(handler.sessions)
    assert min(handler.sessions) == 1


def test_addresses_of_both_ends(backend, balanced):
    handler = Recorder()
    server = serve(balanced, handler, backend)
    with Peer(server.address, source="127.0.0.2") as peer:
        session = handler.session_of(peer)
        assert session.address == peer.address
        assert session.address[0] == "127.0.0.2"
        assert session.local_address == server.address
        assert session.engine is server
        assert f"{session.id} 127.0.0.2:{peer.address[1]} open" in repr(session)
    address = session.address
    handler.reason_of(session)
    handler.wait_until(lambda: server.stats().sessions == 0)
    # The log of a session that has ended wants its address as well; its socket knows nothing any more.
    assert session.address == address
    with pytest.raises(OSError, match="closed"):
        _ = session.local_address


def test_data_is_the_programs_own(backend, balanced):
    class Counting(Recorder):
        def on_connect(self, session):
            assert session.data is None
            session.data = {"packets": 0}
            super().on_connect(session)

        def on_packet(self, session, packet):
            session.data["packets"] += 1
            session.send(pack(b"%d" % session.data["packets"]))

    handler = Counting()
    server = serve(balanced, handler, backend)
    with Peer(server.address) as one, Peer(server.address) as other:
        for number in (1, 2, 3):
            one.send(pack(b"?"))
            assert one.packet() == pack(b"%d" % number)
        other.send(pack(b"?"))
        assert other.packet() == pack(b"1")
        session = handler.session_of(one)
    handler.reason_of(session)
    assert session.data == {"packets": 3}


def test_closed_from_the_first_sign_of_the_end(backend, balanced):
    seen = {}

    class Looking(Recorder):
        def on_connect(self, session):
            seen["in on_connect"] = session.closed
            super().on_connect(session)

        def on_packet(self, session, packet):
            seen["in on_packet"] = session.closed
            session.close()
            seen["after close()"] = session.closed

        def on_disconnect(self, session, reason):
            seen["in on_disconnect"] = session.closed
            super().on_disconnect(session, reason)

    handler = Looking()
    server = serve(balanced, handler, backend)
    with Peer(server.address) as peer:
        peer.send(pack(b"x"))
        handler.wait_until(lambda: handler.reasons)
    assert seen == {"in on_connect": False, "in on_packet": False, "after close()": True, "in on_disconnect": True}


def test_sessions_and_timers_are_not_made_by_hand():
    for kind in (iocp.Session, iocp.Timer):
        with pytest.raises(TypeError, match="made by"):
            kind()


# ---- sending ----


@each_worker_count
def test_a_thousand_sends_in_one_callback_leave_in_very_few_calls(backend, workers, balanced):
    class Burst(Recorder):
        def on_packet(self, session, packet):
            for number in range(1000):
                session.send(pack(b"%015d" % number)[:16])

    server = serve(balanced, Burst(), backend, workers)
    with Peer(server.address) as peer:
        peer.send(pack(b"go"))
        assert peer.receive(16_000) == b"".join(pack(b"%015d" % number) for number in range(1000))
        stats = server.stats()
        assert stats.packets_queued == 1000
        # One; two more for a system that takes the first only in part.
        assert stats.sends <= 3


@each_worker_count
def test_threads_may_send_and_the_order_of_each_is_kept(backend, workers, balanced):
    handler = Recorder()
    server = serve(balanced, handler, backend, workers)
    with Peer(server.address) as peer:
        session = handler.session_of(peer)

        def send(thread):
            for number in range(300):
                session.send(pack(b"%d:%d" % (thread, number)))

        with threads(8, send):
            next_of = 8 * [0]
            for _ in range(8 * 300):
                thread, number = map(int, peer.packet()[1:].split(b":"))
                assert number == next_of[thread]
                next_of[thread] += 1


@pytest.mark.parametrize(
    "make",
    [bytes, bytearray, memoryview, lambda packet: memoryview(b"__" + packet)[2:], lambda packet: array.array("B", packet)],
    ids=["bytes", "bytearray", "memoryview", "slice", "array"],
)
def test_anything_like_bytes_may_be_sent(backend, make, balanced):
    handler = Recorder()
    server = serve(balanced, handler, backend)
    packet = make(pack(b"abc"))
    with Peer(server.address) as peer:
        session = handler.session_of(peer)
        session.send(packet)
        if isinstance(packet, (bytearray, array.array)):
            packet[1] = 0  # the session has a copy: the program may use its buffer again
            packet.append(0)
        assert peer.packet() == pack(b"abc")
        session.send(b"")  # nothing, and no error
        assert server.stats().packets_queued == 1


def test_what_is_not_like_bytes_is_a_type_error(backend, balanced):
    handler = Recorder()
    server = serve(balanced, handler, backend)
    with Peer(server.address) as peer:
        session = handler.session_of(peer)
        for wrong in ("text", 5, None, [1, 2], object()):
            with pytest.raises(TypeError):
                session.send(wrong)
        with pytest.raises(BufferError):
            session.send(memoryview(b"abcdef")[::2])
        session.send(pack(b"still open"))
        assert peer.packet() == pack(b"still open")


# ---- ending ----


@each_worker_count
def test_close_sends_what_was_queued_and_then_ends(backend, workers, balanced):
    answer = b"".join(pack(b"%d" % number) for number in range(3000))

    class Last(Recorder):
        def on_packet(self, session, packet):
            for number in range(3000):
                session.send(pack(b"%d" % number))
            session.close()
            session.send(pack(b"too late"))

    handler = Last()
    server = serve(balanced, handler, backend, workers)
    with Peer(server.address) as peer:
        peer.send(pack(b"go"), pack(b"never read"))
        assert peer.receive_all() == answer
        session = handler.session_of(peer)
    assert handler.reason_of(session) == Reason.CLOSED
    handler.wait_until(lambda: server.stats().ended == {Reason.CLOSED: 1})
    assert server.stats().packets_queued == 3000


@each_worker_count
def test_a_wrong_length_behind_the_packet_that_ended_the_session_takes_nothing_from_the_answer(backend, workers, balanced):
    answer = 100 * pack(b"an answer")

    class Last(Recorder):
        def on_packet(self, session, packet):
            session.send(answer)
            session.close()

    handler = Last()
    server = serve(balanced, handler, backend, workers)
    with Peer(server.address) as peer:
        peer.send(pack(b"go") + b"\0 whatever follows")
        assert peer.receive_all() == answer
        session = handler.session_of(peer)
    assert handler.reason_of(session) == Reason.CLOSED


def test_close_reaches_a_peer_that_still_sends(backend, balanced):
    """Closing a socket over unread bytes would reset the connection, and take what the peer has not read yet from it."""
    answer = b"".join(pack(b"%d" % number) for number in range(20_000))

    class Last(Recorder):
        def on_packet(self, session, packet):
            session.send(answer)
            session.close()

    handler = Last()
    server = serve(balanced, handler, backend)
    got_all = threading.Event()
    began = time.perf_counter()
    with Peer(server.address) as peer:

        def keep_sending(_):
            try:
                while not got_all.is_set():
                    peer.send(1000 * pack(b"more"))
            except ConnectionError:
                pass  # whether that was too soon, the answer shows

        with threads(1, keep_sending):
            try:
                data = peer.receive_all()
            except ConnectionError:
                data = b"the beginning"
            finally:
                got_all.set()
        # The server waits for the peer's end for a second, which a busy machine may keep the peer from using.
        assert data == answer or time.perf_counter() - began >= 1.0
        session = handler.session_of(peer)
    assert handler.reason_of(session) == Reason.CLOSED


def test_a_closed_session_does_not_wait_for_ever_for_its_peer_to_end(backend, balanced):
    handler = Recorder()
    server = serve(balanced, handler, backend)
    with Peer(server.address) as peer:
        session = handler.session_of(peer)
        session.close()
        assert handler.reason_of(session) == Reason.CLOSED
        assert peer.receive_all() == b""
        handler.wait_until(lambda: server.stats().sessions == 0)


@each_worker_count
def test_abort_drops_what_is_queued(backend, workers, balanced):
    class Cutting(Recorder):
        def on_packet(self, session, packet):
            session.send(packet)
            session.abort()

    handler = Cutting()
    server = serve(balanced, handler, backend, workers)
    with Peer(server.address) as peer:
        session = handler.session_of(peer)
        peer.send(pack(b"x"))
        peer.wait_for_end()
    assert handler.reason_of(session) == Reason.PROTOCOL
    handler.wait_until(lambda: server.stats().ended == {Reason.PROTOCOL: 1})
    assert server.stats().bytes_sent == 0


def test_the_program_may_name_its_reason(backend, balanced):
    handler = Recorder()
    server = serve(balanced, handler, backend)
    for reason in (Reason.IDLE_TIMEOUT, Reason.CLOSED, Reason.PACKET_RATE):
        with Peer(server.address) as peer:
            session = handler.session_of(peer)
            session.abort(reason)
            peer.wait_for_end()
        assert handler.reason_of(session) is reason
    with Peer(server.address) as peer:
        session = handler.session_of(peer)
        for wrong in (99, -1, "PROTOCOL", None):
            with pytest.raises(ValueError, match="reason must be an iocp.Reason"):
                session.abort(wrong)
        assert not session.closed


def test_only_the_first_reason_counts(backend, balanced):
    handler = Recorder()
    server = serve(balanced, handler, backend)
    with Peer(server.address) as peer:
        session = handler.session_of(peer)
        session.abort(Reason.LENGTH_TOO_LARGE)
        session.abort()
        session.close()
        peer.wait_for_end()
    assert handler.reason_of(session) == Reason.LENGTH_TOO_LARGE


@each_worker_count
def test_a_session_that_ended_long_ago_may_still_be_used(backend, workers, balanced):
    """Its connection is no list's and no worker's any more; nothing may put it into one again."""
    handler = Recorder()
    server = serve(balanced, handler, backend, workers)
    group = server.group()

    def use(session):
        session.send(pack(b"x"))
        session.close()
        session.abort()
        group.add(session)
        assert session not in group
        assert session.closed and session.queued == 0

    def come_and_go():
        with Peer(server.address) as peer:
            handler.session_of(peer)
        handler.wait_until(lambda: server.stats().sessions == 0)

    for _ in range(3):
        come_and_go()
        for session in handler.sessions.values():
            use(session)
    come_and_go()
    done = threading.Event()
    server.post(lambda: [use(session) for session in handler.sessions.values()] and done.set())
    assert done.wait(TIMEOUT)
    server.stop()
    for session in handler.sessions.values():
        use(session)
    assert server.broadcast(pack(b"x")) == 0


@each_worker_count
def test_an_ended_session_dies_with_its_last_reference(backend, workers, balanced):
    class Weak(Recorder):
        def on_connect(self, session):
            refs.append(weakref.ref(session))

    refs = []
    handler = Weak()
    server = serve(balanced, handler, backend, workers)
    peers = [Peer(server.address) for _ in range(10)]
    handler.wait_until(lambda: len(refs) == 10)
    assert all(ref() for ref in refs), "an open session lives without the program's help"
    for peer in peers:
        peer.close()
    handler.wait_until(lambda: not any(ref() for ref in refs))
    assert server.stats().buffers_in_use == 0


def test_a_cycle_through_data_is_collected(backend, balanced):
    class Marker:
        pass

    class Cycles(Recorder):
        def on_connect(self, session):
            marker = Marker()
            session.data = {"session": session, "marker": marker}
            refs.append(weakref.ref(marker))

    refs = []
    handler = Cycles()
    server = serve(balanced, handler, backend)
    peers = [Peer(server.address) for _ in range(10)]
    handler.wait_until(lambda: len(refs) == 10)
    gc.collect()
    assert all(ref() for ref in refs), "open sessions are not garbage"
    for peer in peers:
        peer.close()
    handler.wait_until(lambda: server.stats().sessions == 0)
    handler.wait_until(lambda: gc.collect() is not None and not any(ref() for ref in refs))
