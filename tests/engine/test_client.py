"""Outgoing connections: what becomes of them, time-outs, cancel, addresses, many at once."""

from __future__ import annotations

import contextlib
import socket
import sys
import time
from collections.abc import Callable, Iterator

import pytest

import iocp
from ports import reset_when_closed
from witness import Dialer, Pulse, Witness, in_threads, ipv6, packet, read_to_end, until

Serve = Callable[..., iocp.Server]
ClientOf = Callable[..., iocp.Client]


@pytest.fixture
def mute_port() -> Iterator[int]:
    """A listener that answers nobody: its backlog is full, and the system throws away what else comes."""
    if sys.platform != "linux":
        pytest.skip("only Linux leaves a connection without an answer when the listener's backlog is full; others refuse it")
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        for _ in range(4):
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(listener.getsockname())
        yield listener.getsockname()[1]


def test_connect_and_talk(serve: Serve, client_of: ClientOf) -> None:
    witness, far = Witness(), Witness(echo=True)
    server, client = serve(far), client_of(witness)
    session = client.connect(*server.address, data="mine")
    assert session.engine is client and session.data == "mine"
    assert witness.wait_connected() == [session]
    session.send(packet("hello"))
    assert witness.wait_packets() == [packet("hello")]
    (other,) = far.connected
    assert session.address == other.local_address == server.address
    assert session.local_address == other.address
    assert session.error is None and not session.closed
    session.close()
    assert session.closed
    assert witness.wait_ended() == [iocp.Reason.CLOSED] and far.wait_ended() == [iocp.Reason.PEER_CLOSED]
    until(client, lambda: client.stats().ended == {iocp.Reason.CLOSED: 1})
    stats = client.stats()
    assert (stats.connected, stats.accepted, stats.sessions) == (1, 0, 0)


def test_what_is_sent_before_the_connection_is_made_is_queued(serve: Serve, client_of: ClientOf) -> None:
    witness = Witness()
    server, client = serve(Witness(echo=True)), client_of(witness)

    class Eager:
        def __call__(self) -> None:  # on the worker, so that the connection cannot be made before the last one is queued
            session = client.connect(*server.address)
            for number in range(100):
                session.send(packet(f"{number:03}"))
            assert session.queued == 400

    client.post(Eager())
    assert witness.wait_packets(100) == [packet(f"{number:03}") for number in range(100)]
    assert client.stats().handler_errors == 0


def test_connections_begun_before_start_are_made_after_it(
    serve: Serve, backend: str, balanced: list[iocp.Engine]
) -> None:
    server, witness = serve(Witness(echo=True)), Witness()
    client = iocp.Client(witness, backend=backend)
    balanced.append(client)
    session = client.connect(*server.address)
    session.send(packet("early"))
    client.start()
    assert witness.wait_packets() == [packet("early")]


def test_refused_connection_ends_with_its_reason_and_error(client_of: ClientOf, closed_port: int) -> None:
    witness = Witness()
    session = client_of(witness).connect("127.0.0.1", closed_port)
    session.send(packet("lost"))
    assert witness.wait_ended() == [iocp.Reason.CONNECT_FAILED]
    assert witness.ended[0][0] is session and session.closed
    assert isinstance(session.error, ConnectionRefusedError) and session.error.strerror
    assert not witness.connected


def test_connection_that_is_not_answered_times_out(client_of: ClientOf, mute_port: int) -> None:
    witness = Witness()
    client = client_of(witness)
    began = time.perf_counter()
    session = client.connect("127.0.0.1", mute_port, timeout=0.1)
    assert witness.wait_ended() == [iocp.Reason.CONNECT_TIMEOUT]
    assert 0.1 <= time.perf_counter() - began < 10  # which is the default
    assert session.closed and not witness.connected
    until(client, lambda: client.stats().ended == {iocp.Reason.CONNECT_TIMEOUT: 1})


@pytest.mark.parametrize("how", ["close", "abort"])
def test_closing_cancels_a_connection_that_is_being_made(client_of: ClientOf, mute_port: int, how: str) -> None:
    witness = Witness()
    client = client_of(witness)
    session = client.connect("127.0.0.1", mute_port)
    assert not session.closed
    getattr(session, how)()
    assert session.closed
    assert witness.wait_ended() == [iocp.Reason.CLOSED if how == "close" else iocp.Reason.PROTOCOL]
    until(client, lambda: client.stats().ops_in_flight == 0)
    assert not witness.connected


def test_closing_at_once_tells_of_the_end_only(serve: Serve, client_of: ClientOf) -> None:
    witness = Witness()
    server, client = serve(Witness()), client_of(witness)

    def begin() -> None:
        for _ in range(20):
            client.connect(*server.address).close()

    client.post(begin)
    assert witness.wait_ended(20) == [iocp.Reason.CLOSED] * 20
    assert not witness.connected


def test_stop_ends_connections_that_are_being_made(client_of: ClientOf, mute_port: int) -> None:
    witness = Witness()
    client = client_of(witness)
    sessions = [client.connect("127.0.0.1", mute_port, timeout=None) for _ in range(20)]
    with Pulse() as pulse:
        began = time.perf_counter()
        client.stop(timeout=100.0)
        took = time.perf_counter() - began
    assert took - pulse.lost < 2  # which is what those get that have something to send
    assert [reason for _, reason in witness.ended] == [iocp.Reason.SERVER_STOPPED] * 20
    assert {session for session, _ in witness.ended} == set(sessions)


def test_connect_after_stop(client_of: ClientOf) -> None:
    client = client_of(Witness())
    client.stop()
    with pytest.raises(RuntimeError, match="connect: this engine has stopped"):
        client.connect("127.0.0.1", 1)


def test_connect_while_the_client_stops(serve: Serve, client_of: ClientOf) -> None:
    class Late(Witness):
        def on_disconnect(self, session: iocp.Session, reason: iocp.Reason) -> None:
            with pytest.raises(RuntimeError, match="connect: this engine is stopping"):
                session.engine.connect("127.0.0.1", 1)
            super().on_disconnect(session, reason)

    witness = Late()
    client = client_of(witness)
    client.connect(*serve(Witness()).address)
    witness.wait_connected()
    client.stop()
    assert len(witness.ended) == 1 and client.stats().handler_errors == 0


def test_source_address(serve: Serve, client_of: ClientOf) -> None:
    far = Witness()
    server, client = serve(far), client_of(Witness())
    for number in range(1, 6):
        client.connect(*server.address, source=f"127.0.0.{number}")
    assert {session.address[0] for session in far.wait_connected(5)} == {f"127.0.0.{number}" for number in range(1, 6)}


@ipv6
def test_ipv6(serve: Serve, client_of: ClientOf) -> None:
    witness, far = Witness(), Witness(echo=True)
    server, client = serve(far, "::1"), client_of(witness)
    session = client.connect(*server.address, source="::1")
    session.send(packet("six"))
    assert witness.wait_packets() == [packet("six")]
    assert session.address == server.address and session.address[0] == session.local_address[0] == "::1"


def test_host_names(serve: Serve, client_of: ClientOf) -> None:
    witness = Witness()
    server, client = serve(Witness(echo=True), "localhost"), client_of(witness)
    client.connect("localhost", server.address[1]).send(packet("x"))
    assert witness.wait_packets() == [packet("x")]


@pytest.mark.parametrize(
    ("arguments", "options", "error", "text"),
    [
        ((None, 80), {}, TypeError, "host must be a str, not None"),
        ((b"127.0.0.1", 80), {}, TypeError, "host must be a str"),
        (("x" * 64, 80), {}, OSError, "host 'x+' is not known"),
        (("a\0b", 80), {}, (OSError, ValueError), "host|null"),
        (("127.0.0.1", "80"), {}, TypeError, "port must be an int, not '80'"),
        (("127.0.0.1", True), {}, TypeError, "port must be an int"),
        (("127.0.0.1", 0), {}, ValueError, "port must be between 1 and 65535, not 0"),
        (("127.0.0.1", 65536), {}, ValueError, "port must be between"),
        (("127.0.0.1", 80), {"timeout": "soon"}, TypeError, "timeout must be a number of seconds, not 'soon'"),
        (("127.0.0.1", 80), {"timeout": -1}, ValueError, "timeout must be between"),
        (("127.0.0.1", 80), {"source": 5}, TypeError, "source must be a str, not 5"),
        (("127.0.0.1", 80), {"source": "y" * 64}, OSError, "source 'y+' is not known"),
        (("127.0.0.1", 80), {"source": "::1"}, ValueError, "source '::1' and host '127.0.0.1' are of different"),
        (("127.0.0.1", 80), {"source": "203.0.113.1"}, OSError, "source '203.0.113.1'"),
    ],
)
def test_wrong_arguments_are_named(
    client_of: ClientOf, arguments: tuple[object, object], options: dict[str, object], error: type[Exception], text: str
) -> None:
    client = client_of(Witness())
    with pytest.raises(error, match=text):
        client.connect(*arguments, **options)
    assert client.stats().sessions == 0


@pytest.mark.parametrize(
    ("options", "error", "text"),
    [
        ({"handler": "handler"}, TypeError, "handler must be an instance of iocp.Handler"),
        ({"handler": iocp.Handler}, TypeError, "handler must be an instance of iocp.Handler"),
        ({"workers": -1}, ValueError, "workers must be between 0 and 256, not -1"),
        ({"workers": 1.0}, TypeError, "workers must be an int"),
        ({"framing": 1}, TypeError, "framing must be an iocp.Framing, not 1"),
        ({"limits": {}}, TypeError, "limits must be an iocp.Limits, not {}"),
        ({"backend": "kqueue"}, ValueError, "backend must be one of"),
    ],
)
def test_wrong_options_of_a_client_are_named(options: dict[str, object], error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        iocp.Client(**{"handler": Witness(), **options})


def test_five_hundred_connections_of_one_client(serve: Serve, client_of: ClientOf) -> None:
    count, rounds = 500, 5

    class Player(Witness):
        def on_connect(self, session: iocp.Session) -> None:
            session.data = 0
            session.send(packet("0"))
            super().on_connect(session)

        def on_packet(self, session: iocp.Session, data: bytes) -> None:
            assert data == packet(str(session.data))
            session.data += 1
            if session.data < rounds:
                session.send(packet(str(session.data)))
            else:
                session.close()

    player, far = Player(), Witness(echo=True)
    server, client = serve(far), client_of(player)
    sessions = [client.connect(*server.address) for _ in range(count)]
    assert player.wait_ended(count) == [iocp.Reason.CLOSED] * count
    assert [session.data for session in sessions] == [rounds] * count
    assert far.wait_ended(count) == [iocp.Reason.PEER_CLOSED] * count
    assert len({session.id for session in sessions}) == count
    assert client.stats().connected == server.stats().accepted == count


def test_reconnect_storm(serve: Serve, client_of: ClientOf) -> None:
    """Each connection that ends is made again at once, in on_disconnect: 20 at a time, 1,000 in all."""
    left = 1_000 - 20

    class Restless(Witness):
        def on_connect(self, session: iocp.Session) -> None:
            super().on_connect(session)
            session.send(packet("end me"))

        def on_disconnect(self, session: iocp.Session, reason: iocp.Reason) -> None:
            nonlocal left
            if left:
                left -= 1
                session.engine.connect(*session.address)
            super().on_disconnect(session, reason)

    class Doorman(Witness):
        def on_packet(self, session: iocp.Session, packet: bytes) -> None:
            session.close()

    restless = Restless()
    server, client = serve(Doorman()), client_of(restless, workers=2)
    for _ in range(20):
        client.connect(*server.address)
    assert restless.wait_ended(1_000) == [iocp.Reason.PEER_CLOSED] * 1_000
    assert len(restless.connected) == 1_000 and client.stats().handler_errors == 0


def test_refused_connections_are_tried_again_until_somebody_listens(backend: str, client_of: ClientOf, closed_port: int) -> None:
    # Windows takes a refusal for a mistake, and tries again by itself for two seconds.
    times = 5 if sys.platform == "win32" else 50

    class Stubborn(Witness):
        def on_disconnect(self, session: iocp.Session, reason: iocp.Reason) -> None:
            super().on_disconnect(session, reason)
            if len(self.ended) < times:
                session.engine.connect(*session.address)

    stubborn = Stubborn()
    client_of(stubborn).connect("127.0.0.1", closed_port)
    assert stubborn.wait_ended(times) == [iocp.Reason.CONNECT_FAILED] * times


def test_connections_from_many_threads(serve: Serve, client_of: ClientOf) -> None:
    witness = Witness()
    server, client = serve(Witness(echo=True)), client_of(witness, workers=2)

    def play(number: int) -> None:
        for count in range(25):
            client.connect(*server.address).send(packet(f"{number} {count}"))

    in_threads(8, play)
    assert set(witness.wait_packets(200)) == {packet(f"{number} {count}") for number in range(8) for count in range(25)}


def test_one_handler_serves_and_connects(serve: Serve, client_of: ClientOf) -> None:
    class Both(Witness):
        def on_connect(self, session: iocp.Session) -> None:
            if session.engine is client:
                session.send(packet("ping"))
            super().on_connect(session)

        def on_packet(self, session: iocp.Session, data: bytes) -> None:
            if session.engine is server:
                session.send(packet("pong"))
            super().on_packet(session, data)

    both = Both()
    server, client = serve(both), client_of(both)
    session = client.connect(*server.address)
    both.wait_packets(2)
    assert [(who.engine, data) for who, data in both.packets] == [(server, packet("ping")), (client, packet("pong"))]
    session.close()
    assert sorted(both.wait_ended(2)) == [iocp.Reason.CLOSED, iocp.Reason.PEER_CLOSED]


def test_server_connects_too(serve: Serve) -> None:
    """A server that talks to another one: both kinds of session are told apart by their engine's groups as well."""
    far, near = Witness(echo=True), Witness()
    back, front = serve(far), serve(near)
    session = front.connect(*back.address)
    session.send(packet("up"))
    assert near.wait_packets() == [packet("up")]
    assert front.sessions() == [session] and front.broadcast(packet("all")) == 1
    assert near.wait_packets(2)[1] == packet("all")


def test_peer_that_resets(client_of: ClientOf) -> None:
    witness = Witness()
    client = client_of(witness)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        session = client.connect(*listener.getsockname())
        accepted, _ = listener.accept()
        witness.wait_connected()
        # The only worker looks, and so has done what comes after on_connect: its receive waits. Wine forgets a reset before that.
        until(client, lambda: client.stats().ops_in_flight == 1)
        reset_when_closed(accepted)
        accepted.close()
        assert witness.wait_ended() == [iocp.Reason.PEER_RESET]
        assert isinstance(session.error, ConnectionError)


def test_client_s_sessions_have_no_limits_by_default(serve: Serve, client_of: ClientOf, dial: Dialer) -> None:
    """A load tool may be sent whatever a server sends: there is no rate, and no login that it would have to make."""
    witness, far = Witness(), Witness()
    server, client = serve(far), client_of(witness)
    client.connect(*server.address)
    (other,) = far.wait_connected()
    data = packet("x") * 30_000
    other.send(data)
    witness.wait_packets(30_000)
    assert client.stats().bytes_received == len(data) and not witness.ended
    peer = dial(server)
    peer.sendall(packet("y"))
    far.wait_packets()
    server.stop()
    assert read_to_end(peer) == b""
    assert witness.wait_ended() == [iocp.Reason.PEER_CLOSED]
