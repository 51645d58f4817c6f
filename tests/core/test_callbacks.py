"""The handler's callbacks: which come, in which order, never two of one session at once, and what an exception in one does."""

from __future__ import annotations

import logging
import threading
import time

import pytest

import iocp
from iocp import Reason
from peer import TIMEOUT, Echo, Peer, Recorder, each_worker_count, pack, serve


# ---- what the handler is told ----


@each_worker_count
@pytest.mark.parametrize("concurrent", [False, True])
def test_connect_then_packets_then_disconnect(backend, workers, concurrent, balanced):
    handler = Recorder()
    server = serve(balanced, handler, backend, workers, concurrent=concurrent)
    peers = [Peer(server.address) for _ in range(20)]
    for number in range(5):
        for peer in peers:
            peer.send(pack(b"%d" % number))
    # Not before: who has gone before being accepted may never become a session on some systems.
    handler.wait_until(lambda: len(handler.sessions) == 20)
    for peer in peers:
        peer.close()
    handler.wait_until(lambda: len(handler.reasons) == 20)
    for session_id in handler.sessions:
        kinds = [kind for kind, of in handler.events if of == session_id]
        assert kinds == ["connect"] + 5 * ["packet"] + ["disconnect"]
        assert handler.packets[session_id] == [pack(b"%d" % number) for number in range(5)]
    assert set(handler.reasons.values()) == {Reason.PEER_CLOSED}


def test_callbacks_never_overlap_unless_asked_for_and_those_of_one_session_not_even_then(backend, balanced):
    class Overlap(iocp.Handler):
        def __init__(self):
            self.inside = {}
            self.together = 0
            self.wrong = 0

        def on_packet(self, session, packet):
            if session.id in self.inside:
                self.wrong += 1
            self.inside[session.id] = True
            if concurrent and len(self.inside) == 1:
                # Time for a second worker to come in; where all sessions are one worker's, none does.
                second.wait(0.005)
            if len(self.inside) > 1:
                self.together += 1
                second.set()
            del self.inside[session.id]
            session.send(packet)

    for concurrent in (False, True):
        second = threading.Event()
        handler = Overlap()
        server = serve(balanced, handler, backend, 2, concurrent=concurrent)
        peers = [Peer(server.address) for _ in range(8)]
        deadline = time.monotonic() + TIMEOUT
        while True:
            for _ in range(10):
                for peer in peers:
                    peer.send(2 * pack(b"x"))
            for peer in peers:
                assert peer.receive(40) == 20 * pack(b"x")
            # The machine may leave one of the workers without a processor for all of that: until both were there at once.
            if handler.together or not concurrent or time.monotonic() > deadline:
                break
        for peer in peers:
            peer.close()
        assert handler.wrong == 0
        assert bool(handler.together) == concurrent


@each_worker_count
def test_packets_of_one_receive_come_as_a_list_to_on_packets(backend, workers, balanced):
    class Batches(Recorder):
        def __init__(self):
            super().__init__()
            self.batches = []

        def on_packets(self, session, packets):
            self.batches.append(packets)
            for packet in packets:
                session.send(packet)

        def on_packet(self, session, packet):
            raise AssertionError("a handler with on_packets is not told of single packets")

    handler = Batches()
    server = serve(balanced, handler, backend, workers)
    sent = [pack(b"%d" % number) for number in range(1000)]
    with Peer(server.address) as peer:
        peer.send(*sent)
        assert peer.receive(sum(map(len, sent))) == b"".join(sent)
    assert [packet for batch in handler.batches for packet in batch] == sent
    assert all(type(batch) is list and batch for batch in handler.batches)
    assert len(handler.batches) < 100


# ---- exceptions in handlers ----


class Failing(Echo):
    """Raises in the hook `where`, for sessions whose first packet says so, or for all of them where no packet came before."""

    def __init__(self, where, error=ValueError):
        super().__init__()
        self.where = where
        self.error = error
        self.armed = True
        if where == "on_packets":
            self.on_packets = self.echo_batch

    def fail(self, where):
        if self.armed and where == self.where:
            raise self.error("raised on purpose")

    def on_connect(self, session):
        super().on_connect(session)
        self.fail("on_connect")

    def on_packet(self, session, packet):
        super().on_packet(session, packet)
        self.fail("on_packet")

    def echo_batch(self, session, packets):
        for packet in packets:
            session.send(packet)
        self.fail("on_packets")

    def logged_in(self, session):
        self.fail("logged_in")
        return True

    def on_disconnect(self, session, reason):
        super().on_disconnect(session, reason)
        self.fail("on_disconnect")


@each_worker_count
@pytest.mark.parametrize("where", ["on_connect", "on_packet", "on_packets", "logged_in"])
def test_an_exception_is_logged_and_cuts_that_session_only(backend, workers, where, balanced, caplog):
    caplog.set_level(logging.ERROR, "iocp")
    handler = Failing(where)
    server = serve(balanced, handler, backend, workers)
    handler.armed = False
    with Peer(server.address) as healthy:
        healthy.echo(pack(b"before"))
        handler.armed = True
        with Peer(server.address) as peer:
            if where != "on_connect":
                peer.send(pack(b"x"), pack(b"never told of"))
            peer.wait_for_end()
            handler.wait_until(lambda: handler.reasons)
        handler.armed = False
        healthy.echo(pack(b"after"))
        (session_id,) = handler.reasons
        assert handler.reasons[session_id] == Reason.HANDLER_ERROR
        handler.wait_until(lambda: server.stats().ended == {Reason.HANDLER_ERROR: 1})
        assert server.stats().handler_errors == 1
    (record,) = [record for record in caplog.records if record.name == "iocp"]
    text = caplog.text
    assert "Traceback" in text and "ValueError: raised on purpose" in text and "in fail" in text
    assert f"Session {session_id} 127.0.0.1:" in record.getMessage()


def test_an_exception_in_on_disconnect_is_logged_and_the_session_ends_all_the_same(backend, balanced, caplog):
    handler = Failing("on_disconnect")
    server = serve(balanced, handler, backend)
    with Peer(server.address) as peer:
        peer.echo(pack(b"x"))
    handler.wait_until(lambda: server.stats().ended == {Reason.PEER_CLOSED: 1})
    assert server.stats().handler_errors == 1
    assert "on_disconnect failed" in caplog.text and "ValueError: raised on purpose" in caplog.text


@pytest.mark.parametrize("error", [SystemExit, KeyboardInterrupt, GeneratorExit])
def test_even_what_is_no_exception_ends_no_worker(backend, error, balanced, caplog):
    handler = Failing("on_packet", error)
    server = serve(balanced, handler, backend, 1)
    with Peer(server.address) as peer:
        peer.send(pack(b"x"))
        peer.wait_for_end()
    handler.armed = False
    with Peer(server.address) as peer:
        peer.echo(pack(b"x"))
    handler.wait_until(lambda: Reason.HANDLER_ERROR in handler.reasons.values())


def test_packets_behind_the_one_that_failed_are_dropped(backend, balanced, caplog):
    class Second(Recorder):
        def on_packet(self, session, packet):
            super().on_packet(session, packet)
            if len(self.packets[session.id]) == 2:
                raise ValueError("raised on purpose")

    handler = Second()
    server = serve(balanced, handler, backend)
    with Peer(server.address) as peer:
        peer.send(*(pack(b"%d" % number) for number in range(10)))
        session = handler.session_of(peer)
        assert handler.reason_of(session) == Reason.HANDLER_ERROR
    assert handler.packets[session.id] == [pack(b"0"), pack(b"1")]


def test_an_exception_in_on_stop_does_not_keep_the_server_from_stopping(backend, balanced, caplog):
    class Stopping(Recorder):
        def on_stop(self, server):
            raise ValueError("raised on purpose")

    handler = Stopping()
    server = serve(balanced, handler, backend)
    with Peer(server.address) as peer:
        session = handler.session_of(peer)
        server.stop()
        assert handler.reason_of(session) == Reason.SERVER_STOPPED
        assert peer.receive_all() == b""
    assert "on_stop failed" in caplog.text
    assert server.stats().handler_errors == 1
