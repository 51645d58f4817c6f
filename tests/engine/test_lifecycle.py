"""The life of an engine: start, stop from anywhere, what a stop promises, and what is left afterwards."""

from __future__ import annotations

import gc
import socket
import sys
import threading
import time
import weakref
from collections.abc import Callable
from pathlib import Path

import pytest

import iocp
from ports import free_port
from witness import TIMEOUT, Dialer, Witness, in_threads, packet, read_exactly, read_to_end, until

Serve = Callable[..., iocp.Server]


def worker_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith("iocp-worker-")]


def test_with_statement_starts_and_stops(backend: str, balanced: list[iocp.Engine]) -> None:
    with iocp.Server(Witness(echo=True), "127.0.0.1", 0, backend=backend) as server:
        balanced.append(server)
        address = server.address
        assert server.running
        with socket.create_connection(address, timeout=TIMEOUT) as peer:
            peer.sendall(packet("hello"))
            assert read_exactly(peer, 6) == packet("hello")
    assert not server.running
    assert server.address == address
    with pytest.raises(OSError):
        socket.create_connection(address, timeout=TIMEOUT)


def test_with_statement_stops_when_its_block_raises(backend: str, balanced: list[iocp.Engine]) -> None:
    server = iocp.Server(Witness(), "127.0.0.1", 0, backend=backend)
    balanced.append(server)
    with pytest.raises(ZeroDivisionError), server:
        raise ZeroDivisionError
    assert not server.running


def test_stop_more_than_once(serve: Serve) -> None:
    server = serve(Witness())
    server.stop()
    server.stop()
    server.request_stop()
    server.stop()


def test_stop_from_many_threads_at_once(serve: Serve, dial: Dialer) -> None:
    witness = Witness()
    server = serve(witness)
    dial(server)
    witness.wait_connected()
    in_threads(8, lambda number: server.stop())
    assert not server.running
    assert [reason for _, reason in witness.ended] == [iocp.Reason.SERVER_STOPPED]


def test_stops_from_many_threads_again_and_again(backend: str, balanced: list[iocp.Engine]) -> None:
    """They all wait for the same workers, while these end."""
    for _ in range(100):
        server = iocp.Server(Witness(), "127.0.0.1", 0, backend=backend, workers=2)
        balanced.append(server)
        server.start()
        in_threads(6, lambda number: server.stop(TIMEOUT))
        assert not server.running


def test_stop_from_another_thread_wakes_wait(serve: Serve) -> None:
    server = serve(Witness())
    assert not server.wait(0.001)
    stopper = threading.Thread(target=server.stop)
    stopper.start()
    assert server.wait(TIMEOUT)
    stopper.join(TIMEOUT)
    assert not stopper.is_alive()


@pytest.mark.parametrize("place", ["on_connect", "on_packet", "on_disconnect", "timer", "post"])
@pytest.mark.parametrize("workers", [1, 2])
def test_stop_inside_a_callback_only_asks(serve: Serve, dial: Dialer, place: str, workers: int) -> None:
    class Stopper(Witness):
        def stop(self, where: str) -> None:
            if where == place:
                server.stop()
                self.note("returned")

        def on_connect(self, session: iocp.Session) -> None:
            self.stop("on_connect")

        def on_packet(self, session: iocp.Session, packet: bytes) -> None:
            self.stop("on_packet")
            session.close()

        def on_disconnect(self, session: iocp.Session, reason: iocp.Reason) -> None:
            self.stop("on_disconnect")

    witness = Stopper()
    server = serve(witness, workers=workers)
    peer = dial(server)
    peer.sendall(packet("go"))
    if place == "timer":
        server.call_later(0.0, witness.stop, "timer")
    elif place == "post":
        server.post(witness.stop, "post")
    witness.wait_for(lambda: "returned" in witness.seen)
    assert server.wait(TIMEOUT)
    server.stop()
    assert not worker_threads()


@pytest.mark.parametrize("ask", ["stop", "request_stop"])
def test_stop_inside_on_start_only_asks(backend: str, ask: str, balanced: list[iocp.Engine]) -> None:
    class Reluctant(Witness):
        def on_start(self, server: iocp.Engine) -> None:
            getattr(server, ask)()

        def on_stop(self, server: iocp.Engine) -> None:
            self.note("on_stop")

    witness = Reluctant()
    server = iocp.Server(witness, "127.0.0.1", 0, backend=backend, workers=2)
    balanced.append(server)
    server.start()
    assert server.wait(TIMEOUT)
    server.stop()
    assert witness.seen == ["on_stop"]


def test_stop_inside_on_start_ends_run(backend: str, balanced: list[iocp.Engine]) -> None:
    class Reluctant(Witness):
        def on_start(self, server: iocp.Engine) -> None:
            server.stop()

    server = iocp.Server(Reluctant(), "127.0.0.1", 0, backend=backend, workers=1)
    balanced.append(server)
    in_threads(1, lambda number: server.run())


def test_request_stop_inside_a_callback_stops(serve: Serve) -> None:
    server = serve(Witness())
    server.post(server.request_stop)
    assert server.wait(TIMEOUT)
    for thread in worker_threads():
        thread.join(TIMEOUT)
    assert not worker_threads()


def test_stop_sends_what_is_queued(serve: Serve, dial: Dialer) -> None:
    witness = Witness()
    server = serve(witness)
    peers = [dial(server) for _ in range(10)]
    sessions = witness.wait_connected(len(peers))
    # More than the kernel's socket buffers take at once, so that some of it waits in the core when the stop begins.
    data = packet(bytes(250)) * 2_000
    received: dict[int, int] = {}
    for session in sessions:
        for start in range(0, len(data), 25_100):
            session.send(data[start : start + 25_100])
    stopper = threading.Thread(target=server.stop, args=(TIMEOUT,))
    began = time.perf_counter()
    stopper.start()
    in_threads(len(peers), lambda number: received.__setitem__(number, len(read_to_end(peers[number]))))
    stopper.join(TIMEOUT)
    # A stop gives slow peers two seconds, which a busy machine may keep them from using.
    assert list(received.values()) == [len(data)] * len(peers) or time.perf_counter() - began >= 2.0
    assert [reason for _, reason in witness.ended] == [iocp.Reason.SERVER_STOPPED] * len(peers)


def test_stop_is_bounded_when_a_peer_never_reads(serve: Serve, dial: Dialer) -> None:
    witness = Witness()
    server = serve(witness, limits=iocp.Limits.none())
    dial(server)
    (session,) = witness.wait_connected()
    session.send(bytes(32 << 20))
    until(server, lambda: server.stats().bytes_sent or session.queued)
    server.stop(timeout=TIMEOUT)  # or it raises TimeoutError
    assert witness.ended == [(session, iocp.Reason.SERVER_STOPPED)]
    assert server.stats().queued_bytes == 0


def test_stop_that_a_handler_holds_up_says_so_and_can_be_repeated(serve: Serve) -> None:
    server = serve(Witness(), workers=1)
    entered, leave = threading.Event(), threading.Event()

    def block() -> None:
        entered.set()
        leave.wait(TIMEOUT)

    server.post(block)
    assert entered.wait(TIMEOUT)
    with pytest.raises(TimeoutError, match="a handler still runs on iocp-worker-0"):
        server.stop(timeout=0.05)
    leave.set()
    server.stop()
    assert not server.running


def test_stop_while_hundreds_connect(serve: Serve) -> None:
    witness = Witness()
    server = serve(witness)
    sockets: list[socket.socket] = []

    def storm(number: int) -> None:
        for _ in range(2_000):
            try:
                sockets.append(socket.create_connection(server.address, timeout=TIMEOUT))
            except OSError:
                return  # the listener has gone

    stormers = [threading.Thread(target=storm, args=(number,)) for number in range(4)]
    for thread in stormers:
        thread.start()
    witness.wait_connected(200)
    server.stop()
    for thread in stormers:
        thread.join(TIMEOUT)
        assert not thread.is_alive()
    for made in sockets:
        made.close()
    assert len(witness.ended) == len(witness.connected) >= 200
    assert {reason for _, reason in witness.ended} == {iocp.Reason.SERVER_STOPPED}


def test_stop_of_a_server_that_never_started(backend: str, balanced: list[iocp.Engine]) -> None:
    server = iocp.Server(Witness(), "127.0.0.1", 0, backend=backend)
    balanced.append(server)
    server.post(print, "never")
    server.stop()
    server.stop()
    server.post(print, "never")
    assert server.wait(0)
    for what in (server.start, lambda: server.call_later(1, print), lambda: server.connect("127.0.0.1", 1)):
        with pytest.raises(RuntimeError, match="stopped"):
            what()


def test_stop_of_a_client_that_never_started_ends_its_connections(backend: str, balanced: list[iocp.Engine]) -> None:
    witness = Witness()
    with iocp.Server(Witness(), "127.0.0.1", 0, backend=backend) as server:
        client = iocp.Client(witness, backend=backend)
        balanced.append(client)
        session = client.connect(*server.address)
        client.stop()
        assert session.closed
        assert [(ended, reason) for ended, reason in witness.ended] == [(session, iocp.Reason.SERVER_STOPPED)]


def test_stop_before_the_start_that_a_handler_holds_up_can_be_repeated(backend: str, balanced: list[iocp.Engine]) -> None:
    entered, leave = threading.Event(), threading.Event()

    class Blocks(iocp.Handler):
        def on_packet(self, session: iocp.Session, packet: bytes) -> None: ...

        def on_disconnect(self, session: iocp.Session, reason: iocp.Reason) -> None:
            entered.set()
            leave.wait(TIMEOUT)

    client = iocp.Client(Blocks(), backend=backend, workers=1)
    balanced.append(client)
    client.connect("127.0.0.1", 9)
    with pytest.raises(TimeoutError, match="a handler still runs on iocp-worker-0"):
        client.stop(timeout=0.05)
    assert entered.wait(TIMEOUT)
    leave.set()
    client.stop()
    assert not client.running and client.stats().sessions == 0
    assert not worker_threads()


def test_starting_again_is_an_error(serve: Serve) -> None:
    server = serve(Witness(), workers=1)
    for again in (server.start, server.run):
        with pytest.raises(RuntimeError, match="runs already"):
            again()
    server.stop()
    for again in (server.start, server.run):
        with pytest.raises(RuntimeError, match="stopped"):
            again()


@pytest.mark.parametrize("kind", [LookupError, KeyboardInterrupt])
def test_on_start_that_raises_frees_the_port(backend: str, kind: type[BaseException], balanced: list[iocp.Engine]) -> None:
    class Failing(Witness):
        def on_start(self, server: iocp.Engine) -> None:
            server.call_later(0.0, self.note, "fired")
            raise kind("not today")

    witness = Failing()
    server = iocp.Server(witness, "127.0.0.1", free_port(), backend=backend)
    balanced.append(server)
    with pytest.raises(kind, match="not today"):
        server.start()
    assert not server.running
    assert not worker_threads()
    with iocp.Server(Witness(), *server.address, backend=backend):
        pass
    with pytest.raises(RuntimeError, match="stopped"):
        server.start()
    server.stop()
    assert not witness.seen


def test_on_stop_that_raises_is_logged_and_does_not_hinder(serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    class Failing(Witness):
        def on_stop(self, server: iocp.Engine) -> None:
            raise LookupError("in on_stop")

    server = serve(Failing())
    server.stop()
    assert "on_stop failed" in caplog.text and "LookupError: in on_stop" in caplog.text
    assert server.stats().handler_errors == 1


def test_many_servers_in_one_process(serve: Serve, dial: Dialer) -> None:
    servers = [serve(Witness(echo=True), workers=1) for _ in range(20)]
    peers = [dial(server) for server in servers]
    for number, peer in enumerate(peers):
        peer.sendall(packet(f"to {number}"))
    for number, peer in enumerate(peers):
        assert read_exactly(peer, len(packet(f"to {number}"))) == packet(f"to {number}")
    assert [server.stats().accepted for server in servers] == [1] * 20
    assert len({server.address for server in servers}) == 20


def test_twenty_starts_and_stops_leave_nothing(backend: str, balanced: list[iocp.Engine]) -> None:
    def cycle() -> None:
        server = iocp.Server(Witness(echo=True), "127.0.0.1", 0, workers=2, backend=backend)
        balanced.append(server)
        with server, socket.create_connection(server.address, timeout=TIMEOUT) as peer:
            peer.sendall(packet("x"))
            read_exactly(peer, 2)

    descriptors = Path("/proc/self/fd")

    def count() -> int | None:
        gc.collect()
        return len(list(descriptors.iterdir())) if sys.platform == "linux" else None

    cycle()
    before, threads = count(), threading.active_count()
    for _ in range(20):
        cycle()
    # Fewer, if those of other tests have just ended.
    assert (count() or 0) <= (before or 0)
    assert threading.active_count() <= threads


def test_never_started_server_is_collected(backend: str) -> None:
    witness = Witness()
    server = iocp.Server(witness, "127.0.0.1", 0, backend=backend)
    witness.note(server)  # a cycle, as most programs make one
    gone = weakref.ref(server)
    del server, witness
    gc.collect()
    assert gone() is None


def test_stopped_server_is_collected(backend: str, dial: Dialer) -> None:
    witness = Witness()
    server = iocp.Server(witness, "127.0.0.1", 0, backend=backend)
    witness.note(server)
    with server:
        dial(server)
        witness.wait_connected()[0].data = server
        server.call_later(1_000, print, server)
    gone = weakref.ref(server)
    del server, witness
    gc.collect()
    assert gone() is None


def test_engine_itself_cannot_be_made() -> None:
    with pytest.raises(TypeError, match="Server"):
        iocp.Engine()
