"""The oracle for sight can fail: it finds each thing that a server could do wrong."""

from __future__ import annotations

import pytest
from iocp.game.names import encode_name
from iocp.game.protocol import Enter, Leave, Moved, pack_enter, pack_leave, pack_login_ok, pack_move_timed, pack_step
from oracle import Journal, Sight, Stream
from stage import LEFT, RIGHT, Stage

ME = pack_login_ok(1, 3, 3, 100, 1, 0)
BEN = Enter(2, encode_name("ben"), 0, 4, 4)


PACK = {Enter: pack_enter, Leave: pack_leave, Moved: pack_move_timed}


def packets_of(*news):
    return [PACK[type(one)](*one) for one in news]


@pytest.mark.parametrize(
    ("news", "finding"),
    [
        ([BEN, BEN], "a second time"),
        ([BEN._replace(id=1)], "a second time"),
        ([Moved(2, 4, 4, 0)], "without an enter"),
        ([Leave(2)], "without an enter"),
        ([BEN, Leave(2), Moved(2, 4, 4, 0)], "without an enter"),
    ],
)
def test_a_sight_finds_what_contradicts_itself(news, finding):
    sight = Sight()
    assert sight.take(ME) is None
    found = [sight.take(packet) for packet in packets_of(*news)]
    assert not any(found[:-1]) and finding in found[-1]


@pytest.mark.parametrize(
    ("expected", "news", "finding"),
    [
        ([[BEN]], [BEN, Moved(2, 4, 5, 0)], "nothing explains"),
        ([[BEN], [Moved(2, 4, 5, 0)]], [BEN, Moved(2, 5, 4, 0)], "instead of"),
        ([[BEN], [Leave(2)]], [BEN, Moved(2, 4, 5, 0)], "instead of"),
        ([[BEN], [BEN._replace(id=3)]], [BEN._replace(id=3)], "instead of"),
        ([[BEN]], [BEN._replace(x=5)], "instead of"),
        ([[BEN], [Moved(1, 3, 4, 0)]], [Moved(1, 3, 4, 0)], "instead of"),
    ],
)
def test_a_stream_finds_what_differs_from_what_is_expected(expected, news, finding):
    stream = Stream("anna", True)
    stream.sight.take(ME)
    stream.expected.extend(packets_of(*event) for event in expected)
    found = [stream.take(packet) for packet in packets_of(*news)]
    assert not any(found[:-1]) and finding in found[-1]


def test_a_stream_takes_the_packets_of_one_event_in_any_order():
    for order in (1, -1):
        stream = Stream("anna", True)
        stream.sight.take(ME)
        carl = BEN._replace(id=3)
        stream.expected.append(packets_of(BEN, carl))
        assert [stream.take(packet) for packet in packets_of(BEN, carl)[::order]] == [None, None]
        assert not stream.waiting


def sabotaged(sabotage):
    """What the journal finds when the view does as `sabotage` says: one walks past another, both are told."""
    stage = Stage(40)
    anna, ben = stage.login("anna", (10, 10)), stage.login("ben", (12, 10))
    sabotage(stage, anna, ben)
    with pytest.raises(AssertionError) as caught:
        stage.step(ben, *[RIGHT] * 8)
    return str(caught.value)


def test_a_journal_finds_who_is_not_told():
    def forget_leave(stage, anna, ben):
        session = anna.session
        send = session.send
        session.send = lambda packet: None if packet == ben.leave else send(packet)

    assert "anna" in sabotaged(forget_leave)


def test_a_journal_finds_who_is_told_too_much():
    def tell_all(stage, anna, ben):
        multicast = stage.engine.multicast
        far = stage.login("far", (30, 30))
        stage.engine.multicast = lambda sessions, packet: multicast([*sessions, far.session], packet)

    assert "far" in sabotaged(tell_all)


def test_a_journal_finds_a_piece_that_moved_unnoticed():
    def push(stage, anna, ben):
        ben.y += 1

    assert "ben stepped from" in sabotaged(push)


def test_a_journal_expects_all_that_was_sent_before_a_clean_end():
    stage = Stage(40)
    anna, ben = stage.login("anna", (10, 10)), stage.login("ben", (12, 10))
    stage.server.on_packet(ben.session, pack_step(LEFT, 1))
    assert isinstance(stage.truth, Journal)
    stage.truth.end(anna.id, complete=True)
    assert "not told to the end" in stage.truth.findings[0]
