"""What goes beyond the six packets of the slides: chat, attack, teleport, values, the world's obstacles. With real sockets."""

from __future__ import annotations

import pytest
from chess_client import inwards
from iocp import Reason
from iocp.game.names import encode_name
from iocp.game.piece import Limits
from iocp.game.protocol import (
    Enter,
    Leave,
    LoginOk,
    Moved,
    Said,
    StatChange,
    WorldInfo,
    pack_attack,
    pack_login,
    pack_move,
    pack_say,
    pack_step,
    pack_teleport,
)
from iocp.game.setting import Setting
from iocp.game.terrain import Terrain
from iocp.game.violation import Violation
from iocp.game.world import World


def extended(chess, name, knows=1):
    client = chess.connect()
    client.login(name, knows)
    client.seen()
    return client


def test_chat_is_heard_by_those_in_sight_whose_clients_know_it_and_by_oneself(start_chess):
    chess = start_chess(size=100, view=5)
    anna, ben, old, far = extended(chess, "anna"), extended(chess, "ben"), chess.player("old"), extended(chess, "far")
    for client, x in ((anna, 10), (ben, 12), (far, 90)):
        client.teleport(x, 10)
    chess.call(lambda: chess.handler.world.view.jump(chess.handler.world.names["old"], 11, 10, []))
    for client in (anna, ben, far, old):
        client.seen()
    anna.send(pack_say("안녕 all"))
    assert anna.read() == Said(anna.id, "안녕 all")
    assert ben.read() == Said(anna.id, "안녕 all")
    assert far.seen() == [] and old.seen() == []


def test_a_client_that_shows_nothing_is_sent_the_six_packets_only(start_chess):
    chess = start_chess(size=8)
    old = chess.player("old")
    anna = extended(chess, "anna", 2)
    anna.send(pack_say("hi"), pack_attack(), pack_teleport(), pack_say("again"))
    anna.seen()
    old.send(pack_step(-1, 7))
    types = set()
    while True:
        packet = old.read_packet()
        types.add(packet[1])
        if packet[1] == 1 and packet[10:] == (7).to_bytes(4, "little"):
            break
    assert types <= {0, 1, 2, 3}


@pytest.mark.parametrize("shown_by", [pack_say("hi"), pack_attack()], ids=["chat", "attack"])
def test_one_extended_packet_shows_that_a_client_knows_them(chess, shown_by):
    anna, ben = chess.player("anna"), extended(chess, "ben")
    ben.send(pack_say("one"))
    ben.seen()
    anna.send(shown_by)
    assert not [packet for packet in anna.seen() if isinstance(packet, Said) and packet.id == ben.id]
    ben.send(pack_say("two"))
    ben.seen()
    assert anna.seen() == [Said(ben.id, "two")]


def test_the_world_is_told_to_clients_that_ask_so_that_they_have_the_same_obstacles(start_chess):
    setting = Setting(size=50, seed=9, percent=12, view=6)
    chess = start_chess(world=setting.build(), obstacles=setting.obstacles)
    anna = chess.connect()
    anna.send(pack_login(encode_name("anna"), 2))
    assert isinstance(anna.read(), LoginOk)
    info = anna.read()
    assert info == WorldInfo(50, 6, 12, 9, chess.handler.world.terrain.checksum)
    terrain = Terrain.seeded(info.size, info.seed, info.percent)
    assert terrain.checksum == info.checksum and terrain.blocked == chess.handler.world.terrain.blocked


def test_a_teleport_is_seen_by_those_left_and_those_met_and_answered_with_the_place(start_chess):
    chess = start_chess(size=100, view=5)
    anna, here, there = extended(chess, "anna"), extended(chess, "here"), extended(chess, "there")
    here.teleport(20, 20), there.teleport(70, 70)
    anna.teleport(21, 21)
    assert here.seen() == [Enter(anna.id, encode_name("anna"), 0, 21, 21)]
    # A teleport a second: the time is the server's, so put it back rather than wait.
    chess.call(lambda: setattr(chess.handler.world.names["anna"], "limits", Limits()))
    assert anna.teleport(71, 71) == (
        [Leave(here.id), Enter(there.id, encode_name("there"), 0, 70, 70)],
        Moved(anna.id, 71, 71, 0),
    )
    assert here.seen() == [Leave(anna.id)]
    assert there.seen() == [Enter(anna.id, encode_name("anna"), 0, 71, 71)]


@pytest.mark.parametrize("place", [(-1, 0), (0, 8), (32_767, 0)])
def test_a_teleport_off_the_board_is_answered_with_the_true_place_and_counted(chess, place):
    anna = extended(chess, "anna")
    before = chess.handler.counts.refused["off the board"]
    anna.send(pack_teleport(*place))
    assert anna.read() == Moved(anna.id, anna.x, anna.y, 0)
    assert chess.handler.counts.refused["off the board"] == before + 1


def test_who_chats_too_much_is_not_heard_and_counted(start_chess):
    # A clock that stands still: no moment passes between the first and the last.
    chess = start_chess(clock=lambda: 100.0)
    anna, ben = extended(chess, "anna"), extended(chess, "ben")
    anna.seen()
    anna.send(*[pack_say(str(number)) for number in range(20)])
    anna.seen()
    heard = [packet.text for packet in ben.seen() if isinstance(packet, Said)]
    assert heard == ["0", "1", "2", "3", "4"], "two seconds' worth, and one"
    assert chess.handler.counts.refused["too fast"] == 15


def test_a_move_faster_than_allowed_is_answered_with_the_true_place(start_chess):
    chess = start_chess(world=World(8, 1, move_interval=60.0))
    anna, ben = chess.player("anna"), chess.player("ben")
    direction, x, y = inwards(anna)
    assert anna.step(direction)[1] == Moved(anna.id, x, y, 0)
    ben.seen()
    assert anna.step(5 - direction)[1] == Moved(anna.id, x, y, 0)
    assert ben.seen() == []
    assert chess.handler.counts.refused["too fast"] == 1


def test_a_session_that_keeps_cheating_is_cut_and_the_others_go_on(start_chess):
    # A clock that stands still: nothing is forgiven meanwhile, however long it takes.
    chess = start_chess(world=World(8, 1, move_interval=60.0), clock=lambda: 100.0)
    anna, eve = chess.player("anna"), chess.player("eve")
    anna.seen()
    eve.send(*[pack_step(inwards(eve)[0], 1)] * 300)
    answers = eve.read_to_end()
    assert len(answers) <= 101, "a cut drops what was on its way"
    assert chess.handler.counts.refused["too fast"] == 100, "and what it did before, which counts a little"
    assert [packet for packet in anna.seen() if isinstance(packet, Leave)] == [Leave(eve.id)]
    assert chess.handler.counts.violations == {Violation.CHEATING: 1}
    chess.until(lambda: chess.server.stats().ended.get(Reason.PROTOCOL) == 1)


def test_a_client_of_the_lab_runs_into_walls_as_fast_as_it_can(start_chess):
    chess = start_chess(size=1)
    anna = chess.player("anna", timed=False)
    for _ in range(10):
        anna.send(*[pack_step(number % 5) for number in range(400)])
        assert [anna.read() for _ in range(400)] == [Moved(anna.id, 0, 0, None)] * 400
    assert not chess.handler.counts.violations
    assert chess.handler.counts.refused.total() >= 4000


def test_with_a_pace_walking_into_walls_as_everybody_does_cuts_nobody(start_chess):
    chess = start_chess(world=World(1, 1, move_interval=0.1))
    anna = chess.player("anna", timed=False)
    anna.send(*[pack_step(number % 4) for number in range(400)])
    assert [anna.read() for _ in range(400)] == [Moved(anna.id, 0, 0, None)] * 400
    assert not chess.handler.counts.violations


def test_coming_back_at_once_does_not_give_a_player_new_limits(start_chess):
    chess = start_chess(world=World(8, 1, move_interval=60.0))
    anna = chess.player("anna")
    direction, x, y = inwards(anna)
    assert anna.step(direction)[1] == Moved(anna.id, x, y, 0)
    for leaves in (True, False):
        if leaves:
            anna.logout()
            anna.read_to_end()
        anna = chess.connect()
        anna.login("anna")
        assert anna.step(5 - direction)[1] == Moved(anna.id, x, y, 0), "refused: too fast"
    assert chess.handler.counts.refused["too fast"] == 2


def test_an_untimed_client_that_dies_is_told_its_new_place(start_chess):
    chess = start_chess(size=60, view=5)
    old = chess.player("old", timed=False)
    world = chess.handler.world
    chess.call(lambda: world.carry_off(world.names["old"]))
    packet = old.read_packet()
    assert packet == pack_move(old.id, world.names["old"].x, world.names["old"].y)


def test_stats_of_a_returning_player_are_in_its_login_ok(start_chess):
    chess = start_chess(size=30)
    anna = chess.player("anna")
    chess.call(lambda: setattr(world_player(chess, "anna"), "exp", 70))
    anna.logout()
    anna.read_to_end()
    again = chess.connect().login("anna")
    assert (again.x, again.y, again.exp) == (anna.x, anna.y, 70)


def world_player(chess, name):
    return chess.handler.world.names[name]


def test_stat_change_is_not_used_before_anything_changed(chess):
    anna = extended(chess, "anna", 2)
    assert not [packet for packet in anna.seen() if isinstance(packet, StatChange)]
