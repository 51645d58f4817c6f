"""Limits: each of them cuts those it is for, with its reason, and nobody else."""

from __future__ import annotations

import math
import time
from dataclasses import fields

import pytest

import iocp
from iocp import Framing, Limits, Reason
from peer import Echo, Peer, Recorder, Steady, each_worker_count, pack, serve, threads


def is_refused(address, source=None):
    """Whether a connection ends without a byte; it may end so soon that connecting fails."""
    try:
        with Peer(address, source=source) as peer:
            return peer.receive_all() == b""
    except ConnectionError:
        return True


# ---- how many may be open ----


@each_worker_count
def test_no_more_sessions_than_allowed(backend, workers, balanced):
    handler = Echo()
    server = serve(balanced, handler, backend, workers, limits=Limits(sessions=3))
    peers = [Peer(server.address) for _ in range(3)]
    for peer in peers:
        peer.echo(pack(b"inside"))
    assert is_refused(server.address)
    assert is_refused(server.address)
    # Counted, but no handler hears of a peer it never met.
    handler.wait_until(lambda: server.stats().ended == {Reason.TOO_MANY_SESSIONS: 2})
    assert len(handler.sessions) == 3 and not handler.reasons
    assert server.stats().accepted == 3
    for peer in peers:
        peer.echo(pack(b"unharmed"))
    peers.pop().close()
    handler.wait_until(lambda: server.stats().sessions == 2)
    with Peer(server.address) as instead:
        instead.echo(pack(b"in its place"))
    for peer in peers:
        peer.close()


@each_worker_count
def test_no_more_sessions_from_one_address_than_allowed(backend, workers, balanced):
    """A value the author gives holds for loopback addresses too."""
    handler = Echo()
    server = serve(balanced, handler, backend, workers, limits=Limits(sessions_per_address=2))
    one = [Peer(server.address, source="127.0.0.2") for _ in range(2)]
    for peer in one:
        peer.echo(pack(b"inside"))
    assert is_refused(server.address, "127.0.0.2")
    others = [Peer(server.address, source=f"127.0.0.{number}") for number in (3, 3, 4)]
    for peer in one + others:
        peer.echo(pack(b"inside"))
    handler.wait_until(lambda: server.stats().ended == {Reason.TOO_MANY_FROM_ADDRESS: 1})
    assert not handler.reasons
    one.pop().close()
    handler.wait_until(lambda: server.stats().sessions == 4)
    with Peer(server.address, source="127.0.0.2") as instead:
        instead.echo(pack(b"in its place"))
    for peer in one + others:
        peer.close()


@each_worker_count
def test_no_more_sessions_than_allowed_when_all_come_at_once(backend, workers, balanced):
    class Counting(Recorder):
        open = most = 0

        def on_connect(self, session):
            self.open += 1
            self.most = max(self.most, self.open)
            super().on_connect(session)

        def on_disconnect(self, session, reason):
            self.open -= 1
            super().on_disconnect(session, reason)

    handler = Counting()
    server = serve(balanced, handler, backend, workers, limits=Limits(sessions=5))

    def come_and_go(_):
        for _ in range(10):
            try:
                with Peer(server.address) as peer:
                    # Not gone before it was accepted, or some systems never show it: the server ends the connection.
                    peer.finish()
                    peer.wait_for_end()
            except ConnectionError:
                pass  # refused

    with threads(10, come_and_go):
        pass
    handler.wait_until(lambda: server.stats().sessions == 0 and sum(server.stats().ended.values()) == 100)
    assert 1 <= handler.most <= 5


def test_the_default_per_address_leaves_loopback_addresses_alone(backend, balanced):
    handler = Echo()
    server = serve(balanced, handler, backend)
    default = Limits().sessions_per_address
    peers = [Peer(server.address) for _ in range(default + 20)]
    peers[-1].echo(pack(b"inside"))
    handler.wait_until(lambda: server.stats().sessions == default + 20)
    assert not server.stats().ended
    for peer in peers:
        peer.close()


# ---- packets per second ----


@each_worker_count
def test_packets_over_the_rate(backend, workers, balanced):
    handler = Echo()
    server = serve(balanced, handler, backend, workers, limits=Limits(packets_per_second=50))
    with Peer(server.address) as fast, Peer(server.address) as allowed:
        session = handler.session_of(fast)
        # A burst of two seconds' worth is within the limit, twice as much is not.
        burst = 100 * pack(b"x")
        allowed.send(burst)
        assert allowed.receive(len(burst)) == burst
        try:
            fast.send(2 * burst)
        except ConnectionError:
            pass
        assert handler.reason_of(session) == Reason.PACKET_RATE
        fast.wait_for_end()
        handler.wait_until(lambda: server.stats().ended == {Reason.PACKET_RATE: 1})


def test_a_rate_below_one_packet_a_second_lets_packets_through(backend, balanced):
    handler = Echo()
    server = serve(balanced, handler, backend, limits=Limits(packets_per_second=0.01))
    with Peer(server.address) as peer:
        peer.echo(pack(b"first"))
        session = handler.session_of(peer)
        peer.send(pack(b"second"))
        assert handler.reason_of(session) == Reason.PACKET_RATE


def test_the_default_rate_leaves_loopback_addresses_alone(backend, balanced):
    handler = Recorder()
    server = serve(balanced, handler, backend)
    count = 3 * int(Limits().packets_per_second)
    with Peer(server.address) as peer:
        peer.send(count * pack(b"x"))
        handler.wait_until(lambda: server.stats().packets_received == count)
        assert not server.stats().ended


# ---- time ----


class Login(Echo):
    """Whoever has sent "in" is logged in."""

    def __init__(self):
        super().__init__()
        self.asked = []

    def on_packet(self, session, packet):
        if packet == pack(b"in"):
            session.data = "in"
        super().on_packet(session, packet)

    def logged_in(self, session):
        self.asked.append(session.id)
        return session.data == "in"


def is_in_time(limit, began, speak):
    """Whether what `speak` does worked. If not, the machine has held it up until `limit` seconds after `began`: nobody is cut sooner."""
    try:
        speak()
    except (ConnectionError, EOFError):
        assert time.perf_counter() - began >= limit
        return False
    return True


@each_worker_count
def test_not_logged_in_in_time(backend, workers, balanced):
    handler = Login()
    limit = 0.5
    server = serve(balanced, handler, backend, workers, limits=Limits(login_timeout=limit))
    began = time.perf_counter()
    with Peer(server.address) as player, Peer(server.address) as silent, Peer(server.address) as talker:
        session = handler.session_of(player)

        def log_in():
            player.echo(pack(b"hello"))
            assert not session.logged_in
            player.echo(pack(b"in"))

        logged_in = is_in_time(limit, began, log_in)
        if logged_in:
            for _ in range(5):
                player.echo(pack(b"playing"))
            assert session.logged_in
            assert handler.asked.count(session.id) == 2  # until it said yes
        unwanted = [handler.session_of(silent), handler.session_of(talker)]
        while not all(other.id in handler.reasons for other in unwanted):
            try:
                talker.send(pack(b"words, no login"))
            except ConnectionError:
                pass
            with handler.changed:
                handler.changed.wait(0.01)
        assert [handler.reasons[other.id] for other in unwanted] == 2 * [Reason.LOGIN_TIMEOUT]
        if logged_in:
            player.echo(pack(b"still playing"))
        handler.wait_until(lambda: server.stats().ended == {Reason.LOGIN_TIMEOUT: 2 if logged_in else 3})


def test_by_default_the_first_packet_is_the_login(backend, balanced):
    handler = Echo()
    limit = 0.4
    server = serve(balanced, handler, backend, limits=Limits(login_timeout=limit))
    began = time.perf_counter()
    with Peer(server.address) as player, Peer(server.address) as silent:
        logged_in = is_in_time(limit, began, lambda: player.echo(pack(b"hello")))
        is_in_time(limit, began, lambda: silent.send(pack(b"hello")[:3]))  # half a packet is none
        assert handler.reason_of(handler.session_of(silent)) == Reason.LOGIN_TIMEOUT
        if logged_in:
            player.echo(pack(b"still here"))


@each_worker_count
def test_idle_for_too_long(backend, workers, balanced):
    handler = Echo()
    limit = 0.5
    server = serve(balanced, handler, backend, workers, limits=Limits(idle_timeout=limit))
    with Steady(server.address, limit) as busy, Peer(server.address) as silent, Steady(server.address, limit) as once:
        idle = [handler.session_of(silent), handler.session_of(once.peer)]
        once.echo(pack(b"and then no more"))
        while not all(session.id in handler.reasons for session in idle):
            busy.echo(pack(b"busy"))
        assert [handler.reasons[session.id] for session in idle] == 2 * [Reason.IDLE_TIMEOUT]
        busy.echo(pack(b"busy"))
        silent.wait_for_end()
        handler.wait_until(lambda: server.stats().ended == {Reason.IDLE_TIMEOUT: 2 + busy.cut})


def test_what_the_server_sends_does_not_count_as_life(backend, balanced):
    handler = Echo()
    server = serve(balanced, handler, backend, limits=Limits(idle_timeout=0.2))
    server.call_every(0.02, server.broadcast, pack(b"anybody there?"))
    with Peer(server.address) as peer:
        session = handler.session_of(peer)
        assert handler.reason_of(session) == Reason.IDLE_TIMEOUT
        assert session.error is None


@each_worker_count
@pytest.mark.parametrize("limit", ["idle_timeout", "login_timeout"])
def test_bytes_that_never_make_a_packet_are_no_life(backend, workers, limit, balanced):
    handler = Login()
    server = serve(balanced, handler, backend, workers, framing=Framing(2), limits=Limits(**{limit: 0.3}))
    with Peer(server.address) as peer:
        session = handler.session_of(peer)
        peer.send(Framing(2).pack(bytes(60_000))[:2])
        dripped = 0
        while session.id not in handler.reasons:
            try:
                peer.send(b"x")
            except ConnectionError:
                pass
            dripped += 1
            with handler.changed:
                handler.changed.wait(0.001)
        assert handler.reasons == {session.id: Reason[limit.upper()]}
        assert dripped < 59_000


@each_worker_count
def test_words_without_end_are_no_login(backend, workers, balanced):
    """There is always another packet of it in the hands of a worker, whose handlers are slow, or on its way there."""

    class Slow(Login):
        def on_packet(self, session, packet):
            with self.changed:
                self.changed.wait(0.001)

    handler = Slow()
    server = serve(balanced, handler, backend, workers, limits=Limits(login_timeout=0.3, packets_per_second=None))
    with Peer(server.address) as peer:
        session = handler.session_of(peer)
        while session.id not in handler.reasons:
            try:
                peer.send(1000 * pack(bytes(250)))
            except ConnectionError:
                break
        assert handler.reason_of(session) == Reason.LOGIN_TIMEOUT


@each_worker_count
def test_a_peer_that_sends_and_does_not_read_is_idle_once_it_is_not_read_from(backend, workers, balanced):
    handler = Echo()
    server = serve(balanced, handler, backend, workers, limits=Limits(idle_timeout=0.3, send_timeout=None, queued_bytes=None))
    with Peer(server.address, receive_buffer=4096) as peer:
        session = handler.session_of(peer)
        while session.id not in handler.reasons:
            try:
                peer.send_what_fits(1000 * pack(bytes(250)))
            except ConnectionError:
                break
            with handler.changed:
                handler.changed.wait(0.001)
        assert handler.reason_of(session) == Reason.IDLE_TIMEOUT


@each_worker_count
def test_a_session_is_cut_once_for_several_limits(backend, workers, balanced):
    handler = Echo()
    limits = Limits(idle_timeout=0.1, login_timeout=0.1, send_timeout=0.1, queued_bytes=None)
    server = serve(balanced, handler, backend, workers, limits=limits)
    peers = [Peer(server.address, receive_buffer=4096) for _ in range(20)]
    handler.wait_until(lambda: len(handler.sessions) == 20)
    server.broadcast(bytes(8 << 20))
    handler.wait_until(lambda: server.stats().sessions == 0)
    assert len(handler.reasons) == sum(server.stats().ended.values()) == 20
    assert set(handler.reasons.values()) <= {Reason.IDLE_TIMEOUT, Reason.LOGIN_TIMEOUT, Reason.SLOW_RECEIVER}
    for peer in peers:
        peer.close()


# ---- no limits, and wrong ones ----


def test_without_limits_nobody_is_cut(backend, balanced):
    handler = Echo()
    server = serve(balanced, handler, backend, limits=Limits.none())
    with Peer(server.address) as peer:
        session = handler.session_of(peer)
        session.send(bytes(4 << 20))
        peer.receive(4 << 20)
        peer.echo(pack(b"still here"))
    assert all(getattr(Limits.none(), field.name) is None for field in fields(Limits))


NAMES = [field.name for field in fields(Limits)]
WHOLE = ["sessions", "sessions_per_address", "queued_bytes"]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("value", [0, -1, math.nan, math.inf, 1e16])
def test_a_limit_out_of_range_is_named(name, value):
    error = TypeError if name in WHOLE and isinstance(value, float) else ValueError
    with pytest.raises(error, match=f"^{name} "):
        Limits(**{name: value})


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("value", [True, "5", [1], b"1"])
def test_a_limit_of_the_wrong_type_is_named(name, value):
    with pytest.raises(TypeError, match=f"^{name} must be "):
        Limits(**{name: value})


@pytest.mark.parametrize("name", WHOLE)
def test_a_count_is_whole(name):
    with pytest.raises(TypeError, match=f"^{name} must be an int"):
        Limits(**{name: 1.5})


@pytest.mark.parametrize("wrong", [5, "Limits", Limits, {}])
def test_a_server_wants_limits(wrong):
    with pytest.raises(TypeError, match="limits must be an iocp.Limits"):
        iocp.Server(iocp.Handler(), limits=wrong)


def test_only_defaults_spare_loopback_addresses():
    spared = [name for name in NAMES if Limits().spares_loopback(name)]
    assert spared == ["sessions_per_address", "packets_per_second"]
    given = Limits(sessions_per_address=256, packets_per_second=5000)
    assert not any(given.spares_loopback(name) for name in NAMES)
