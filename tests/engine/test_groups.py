"""Groups, broadcast and multicast: who is in, who gets what, and that a packet is stored once however many get it."""

from __future__ import annotations

import gc
import random
import sys
import threading
from collections.abc import Callable, Iterator

import pytest

import iocp
from witness import TIMEOUT, Dialer, Witness, in_threads, packet, read_exactly, read_to_end, until

Serve = Callable[..., iocp.Server]
ClientOf = Callable[..., iocp.Client]


class Hall:
    """A server with some peers connected: `sessions[i]` is the server's side of `peers[i]`."""

    def __init__(self, serve: Serve, dial: Dialer, count: int, **options: object) -> None:
        self.witness = Witness()
        self.server = serve(self.witness, **options)
        self.peers = [dial(self.server) for _ in range(count)]
        by_address = {session.address: session for session in self.witness.wait_connected(count)}
        self.sessions = [by_address[peer.getsockname()[:2]] for peer in self.peers]

    def received(self) -> list[bytes]:
        """What each peer got until now, by stopping the server."""
        self.server.stop()
        return [read_to_end(peer) for peer in self.peers]


def test_members_come_and_go(serve: Serve, dial: Dialer) -> None:
    hall = Hall(serve, dial, 3)
    a, b, c = hall.sessions
    group = hall.server.group()
    assert len(group) == 0 and group.sessions() == [] and a not in group
    group.add(a)
    group.add(b)
    group.add(a)  # once is enough
    assert len(group) == 2 and a in group and b in group and c not in group
    assert set(group.sessions()) == {a, b}
    group.discard(a)
    group.discard(a)
    group.discard(c)
    assert len(group) == 1 and a not in group and group.sessions() == [b]
    assert None not in group and "b" not in group
    assert set(hall.server.sessions()) == {a, b, c}


def test_group_send_reaches_its_members_and_says_how_many(serve: Serve, dial: Dialer) -> None:
    hall = Hall(serve, dial, 4)
    group = hall.server.group()
    assert group.send(packet("nobody")) == 0
    for session in hall.sessions[:3]:
        group.add(session)
    assert group.send(packet("all")) == 3
    assert group.send(packet("but one"), exclude=hall.sessions[0]) == 2
    assert group.send(packet("stranger"), hall.sessions[3]) == 3
    assert group.send(b"") == 0
    assert group.send(bytearray(packet("array"))) == group.send(memoryview(packet("view"))) == 3
    both = packet("stranger") + packet("array") + packet("view")
    expected = packet("all") + packet("but one") + both
    assert hall.received() == [packet("all") + both, expected, expected, b""]
    assert hall.server.stats().packets_queued == 3 + 2 + 3 + 3 + 3


def test_broadcast_reaches_every_open_session(serve: Serve, dial: Dialer) -> None:
    hall = Hall(serve, dial, 4)
    hall.sessions[3].close()
    hall.witness.wait_ended()
    assert hall.server.broadcast(packet("all")) == 3
    assert hall.server.broadcast(packet("rest"), exclude=hall.sessions[1]) == 2
    everything = packet("all") + packet("rest")
    assert hall.received() == [everything, packet("all"), everything, b""]


def test_broadcast_inside_on_connect_includes_the_new_session(serve: Serve, dial: Dialer) -> None:
    class Herald(Witness):
        def on_connect(self, session: iocp.Session) -> None:
            self.note(session.engine.broadcast(packet("welcome")))

    witness = Herald()
    server = serve(witness)
    for count in (1, 2, 3):
        assert read_exactly(dial(server), 8) == packet("welcome")
        assert witness.seen[-1] == count


def test_broadcast_without_sessions_and_after_stop(serve: Serve, dial: Dialer) -> None:
    hall = Hall(serve, dial, 1)
    group = hall.server.group()
    group.add(hall.sessions[0])
    hall.server.stop()
    assert hall.server.broadcast(packet("x")) == 0
    assert group.send(packet("x")) == 0
    assert hall.server.multicast(hall.sessions, packet("x")) == 0
    assert hall.server.sessions() == [] and len(group) == 0
    group.add(hall.sessions[0])  # it has ended: without effect
    assert len(group) == 0


def test_multicast_to_lists_and_other_iterables(serve: Serve, dial: Dialer) -> None:
    hall = Hall(serve, dial, 3)
    a, b, c = hall.sessions
    assert hall.server.multicast([a, b], packet("list")) == 2
    assert hall.server.multicast((session for session in (b, c)), packet("iterator")) == 2
    assert hall.server.multicast({a, b, c}, packet("set"), exclude=a) == 2
    assert hall.server.multicast([], packet("none")) == 0
    assert hall.server.multicast([a, a], packet("twice")) == 2
    assert hall.received() == [
        packet("list") + packet("twice") * 2,
        packet("list") + packet("iterator") + packet("set"),
        packet("iterator") + packet("set"),
    ]


def test_session_that_ends_leaves_its_groups_before_on_disconnect(serve: Serve, dial: Dialer) -> None:
    class Usher(Witness):
        def on_disconnect(self, session: iocp.Session, reason: iocp.Reason) -> None:
            self.note([(len(group), session in group) for group in groups])
            super().on_disconnect(session, reason)

    witness = Usher()
    server = serve(witness)
    groups = [server.group() for _ in range(3)]
    peers = [dial(server) for _ in range(2)]
    for session in witness.wait_connected(2):
        for group in groups:
            group.add(session)
    peers[0].close()
    witness.wait_ended()
    assert witness.seen == [[(1, False)] * 3]


def test_session_in_many_groups(serve: Serve, dial: Dialer) -> None:
    hall = Hall(serve, dial, 2)
    groups = [hall.server.group() for _ in range(50)]
    order, chance = list(range(50)), random.Random(3)
    for session in hall.sessions:
        chance.shuffle(order)
        for number in order:
            groups[number].add(session)
    chance.shuffle(order)
    for number in order[:25]:
        groups[number].discard(hall.sessions[0])
    assert [hall.sessions[0] in groups[number] for number in order] == [False] * 25 + [True] * 25
    assert all(group.sessions()[-1:] == [hall.sessions[1]] or hall.sessions[1] in group for group in groups)
    assert sum(len(group) for group in groups) == 75
    del groups[10:]  # a group that nobody has any more leaves its members
    gc.collect()
    sent = sum(group.send(packet("x")) for group in groups)
    assert sent == sum(len(group) for group in groups)
    got = hall.received()
    assert len(got[0] + got[1]) == 2 * sent and len(got[1]) == 2 * 10


def test_groups_outlive_sessions_and_sessions_groups(serve: Serve, dial: Dialer) -> None:
    hall = Hall(serve, dial, 2)
    lasting, passing = hall.server.group(), hall.server.group()
    for session in hall.sessions:
        lasting.add(session)
        passing.add(session)
    del passing
    gc.collect()
    hall.peers[0].close()
    hall.witness.wait_ended()
    assert lasting.sessions() == [hall.sessions[1]]
    assert lasting.send(packet("still")) == 1
    assert read_exactly(hall.peers[1], 6) == packet("still")


def test_group_outlives_its_engine_s_stop(backend: str) -> None:
    server = iocp.Server(Witness(), "127.0.0.1", 0, backend=backend)
    group = server.group()
    server.start()
    server.stop()
    del server
    gc.collect()
    assert group.send(packet("x")) == 0 and len(group) == 0


def test_sessions_of_another_engine_are_refused(serve: Serve, dial: Dialer) -> None:
    here, there = Hall(serve, dial, 1), Hall(serve, dial, 1)
    group = here.server.group()
    with pytest.raises(ValueError, match="session belongs to another engine"):
        group.add(there.sessions[0])
    with pytest.raises(ValueError, match="sessions must be of this engine"):
        here.server.multicast([here.sessions[0], there.sessions[0]], packet("x"))
    group.discard(there.sessions[0])
    assert there.sessions[0] not in group and len(group) == 0


@pytest.mark.parametrize(
    ("call", "error"),
    [
        (lambda server: server.group().add(None), TypeError),
        (lambda server: server.group().add("session"), TypeError),
        (lambda server: server.group().discard(5), TypeError),
        (lambda server: server.group().send("text"), TypeError),
        (lambda server: server.group().send(b"x", exclude="me"), TypeError),
        (lambda server: server.broadcast(None), TypeError),
        (lambda server: server.broadcast(b"x", exclude=1), TypeError),
        (lambda server: server.multicast(None, b"x"), TypeError),
        (lambda server: server.multicast(["me"], b"x"), TypeError),
        (lambda server: server.multicast([None], b"x"), ValueError),
        (lambda server: iocp.Group("server"), TypeError),
    ],
)
def test_wrong_arguments_raise_and_keep_no_buffer(
    serve: Serve, call: Callable[[iocp.Server], object], error: type[Exception]
) -> None:
    server = serve(Witness())
    with pytest.raises(error):
        call(server)
    assert server.stats().buffers_in_use == 0


@pytest.fixture
def restless_threads() -> Iterator[None]:
    """Threads take turns a thousand times as often as they do, so that they meet in the middle of things."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(0.000005)
    yield
    sys.setswitchinterval(before)


@pytest.mark.usefixtures("restless_threads")
def test_groups_changed_by_other_threads_while_sending(serve: Serve, dial: Dialer) -> None:
    hall = Hall(serve, dial, 16, limits=iocp.Limits.none())
    groups = [hall.server.group() for _ in range(3)]
    received: dict[int, bytes] = {}
    sent = [0] * 6

    def read(number: int) -> None:
        received[number] = read_to_end(hall.peers[number])

    readers = [threading.Thread(target=read, args=(number,)) for number in range(16)]
    for reader in readers:
        reader.start()

    def play(number: int) -> None:
        chance = random.Random(number)
        for turn in range(600):
            group, session = chance.choice(groups), chance.choice(hall.sessions)
            if number < 2:
                group.add(session)
            elif number < 4:
                group.discard(session)
            else:
                group.add(session)
                sent[number] += group.send(packet(f"{number} {turn:03}"), exclude=chance.choice(hall.sessions))
                assert len(group.sessions()) <= 16 and len(group) <= 16

    in_threads(6, play)
    hall.server.stop()
    for reader in readers:
        reader.join(TIMEOUT)
        assert not reader.is_alive()
    size = len(packet("4 000"))
    assert sum(map(len, received.values())) == size * sum(sent) > 0
    for data in received.values():
        packets = [data[at : at + size] for at in range(0, len(data), size)]
        # Each sender's packets came whole and in its order.
        assert [own for own in packets if own[1:2] == b"4"] == sorted(own for own in packets if own[1:2] == b"4")
        assert [own for own in packets if own[1:2] == b"5"] == sorted(own for own in packets if own[1:2] == b"5")
    assert hall.server.stats().packets_queued == sum(sent)


@pytest.mark.parametrize("how", ["group", "broadcast", "multicast"])
def test_packet_to_a_thousand_receivers_is_stored_once(serve: Serve, client_of: ClientOf, how: str) -> None:
    count = 1_000
    witness, receiver = Witness(), Witness()
    server = serve(witness)
    client = client_of(receiver)
    for _ in range(count):
        client.connect(*server.address)
    sessions = list(witness.wait_connected(count))
    group = server.group()
    for session in sessions:
        group.add(session)
    data = packet(bytes(200))
    found: list[tuple[int, int]] = []

    def send() -> None:
        before = server.stats()
        sent = {
            "group": lambda: group.send(data),
            "broadcast": lambda: server.broadcast(data),
            "multicast": lambda: server.multicast(sessions, data),
        }[how]()
        # Inside a callback: nothing of it has left yet.
        found.append((sent, server.stats().buffers_in_use - before.buffers_in_use))

    server.post(send)
    assert receiver.wait_packets(count) == [data] * count
    assert found == [(count, 1)]
    until(server, lambda: server.stats().buffers_in_use == 0)
    allocated = server.stats().buffers_allocated
    server.post(send)
    receiver.wait_packets(2 * count)
    assert server.stats().buffers_allocated == allocated
