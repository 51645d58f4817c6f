"""The six multiplayer rules (a) to (f) of the lecture (row 18), with real sockets, for timed and untimed clients."""

from __future__ import annotations

import socket

import iocp
import pytest
from chess_client import NOWHERE, inwards
from iocp.game.names import encode_name
from iocp.game.protocol import Enter, Leave, LoginFail, LoginFailed, LoginOk, Moved, pack_login, pack_step
from iocp.game.server import FRAMING, ChessServer
from iocp.game.world import World
from ports import reset_when_closed

kinds = pytest.mark.parametrize("timed", [True, False], ids=["timed", "untimed"])
other_kinds = pytest.mark.parametrize("other_timed", [True, False], ids=["other-timed", "other-untimed"])


def enter_of(client, name):
    return Enter(client.id, encode_name(name), 0, client.x, client.y)


@kinds
def test_login_is_answered_with_id_position_and_first_values(chess, timed):
    client = chess.connect(timed)
    answer = client.login("anna")
    assert answer == LoginOk(answer.id, answer.x, answer.y, 100, 1, 0)
    assert answer.id > 0 and 0 <= answer.x < 8 and 0 <= answer.y < 8
    assert client.seen() == []


@kinds
def test_rule_a_on_connect_i_see_the_others(chess, timed):
    anna, ben = chess.player("anna", timed), chess.player("ben", not timed)
    carl = chess.connect(timed)
    carl.login("carl")
    assert carl.seen() == [enter_of(anna, "anna"), enter_of(ben, "ben")]


@kinds
def test_rule_a_the_others_are_where_they_went(chess, timed):
    anna = chess.player("anna", timed)
    direction, x, y = inwards(anna)
    anna.step(direction)
    carl = chess.connect(timed)
    carl.login("carl")
    assert carl.seen() == [Enter(anna.id, encode_name("anna"), 0, x, y)]


@kinds
def test_rule_b_the_others_see_me(chess, timed):
    anna, ben = chess.player("anna", timed), chess.player("ben", not timed)
    assert anna.seen() == [enter_of(ben, "ben")]
    carl = chess.player("carl", timed)
    assert anna.seen() == [enter_of(carl, "carl")]
    assert ben.seen() == [enter_of(carl, "carl")]


@kinds
def test_rule_c_i_see_newcomers(chess, timed):
    anna = chess.player("anna", timed)
    newcomers = [chess.player(f"new{number}", number % 2 == 0) for number in range(5)]
    assert anna.seen() == [enter_of(client, f"new{number}") for number, client in enumerate(newcomers)]


@kinds
def test_rule_c_whoever_only_connected_is_not_seen(chess, timed):
    anna = chess.player("anna", timed)
    chess.connect(timed)
    ben = chess.player("ben", timed)
    assert anna.seen() == [enter_of(ben, "ben")]


@kinds
@other_kinds
def test_rule_d_others_see_my_moves(chess, timed, other_timed):
    anna, ben = chess.player("anna", timed), chess.player("ben", other_timed)
    anna.seen()
    direction, x, y = inwards(anna)
    before, answer = anna.step(direction, 4_000_000_000)
    assert before == []
    assert answer == Moved(anna.id, x, y, 4_000_000_000 if timed else None)
    assert ben.seen() == [Moved(anna.id, x, y, 0 if other_timed else None)]


@kinds
def test_rule_d_many_moves_sent_at_once_are_seen_one_by_one(chess, timed):
    anna, ben = chess.player("anna", timed), chess.player("ben", timed)
    anna.seen()
    there, x, y = inwards(anna)
    back = {2: 3, 3: 2}[there]
    home = anna.x, anna.y
    anna.send(*(pack_step(direction, 7 if timed else None) for direction in [there, back] * 50))
    places = [(x, y), home] * 50
    assert [anna.read() for _ in places] == [Moved(anna.id, *place, 7 if timed else None) for place in places]
    assert ben.seen() == [Moved(anna.id, *place, 0 if timed else None) for place in places]


@kinds
@pytest.mark.parametrize("direction", [0, 1, 2, 3])
def test_rule_d_a_move_off_the_board_is_answered_with_the_true_position_and_not_seen(start_chess, timed, direction):
    chess = start_chess(size=1)
    anna, ben = chess.player("anna", timed), chess.player("ben", timed)
    anna.seen()
    before, answer = anna.step(direction, 9)
    assert (before, answer) == ([], Moved(anna.id, 0, 0, 9 if timed else None))
    assert ben.seen() == []
    assert chess.handler.counts.refused["off the board"] == 1
    assert chess.handler.counts.moves == 0


@kinds
def test_rule_d_each_direction_leads_one_tile_on(start_chess, timed):
    chess = start_chess(size=3)
    anna = chess.player("anna", timed)
    for direction in [0, 0, 2, 2]:
        anna.step(direction)
    assert (anna.x, anna.y) == (0, 0)
    seen = [(answer.x, answer.y) for answer in (anna.step(direction)[1] for direction in [3, 1, 2, 0])]
    assert seen == [(1, 0), (1, 1), (0, 1), (0, 0)]


@kinds
def test_rule_e_a_player_who_disconnects_disappears(chess, timed):
    anna, ben, carl = (chess.player(name, timed) for name in ("anna", "ben", "carl"))
    anna.seen(), ben.seen()
    carl.close()
    assert anna.read() == Leave(carl.id)
    assert ben.read() == Leave(carl.id)
    assert anna.seen() == [] and ben.seen() == []


@kinds
def test_rule_e_a_player_who_resets_disappears(chess, timed):
    anna, ben = chess.player("anna", timed), chess.player("ben", timed)
    anna.seen()
    reset_when_closed(ben.socket)
    ben.close()
    assert anna.read() == Leave(ben.id)
    assert anna.seen() == []


@kinds
def test_rule_f_when_i_disconnect_i_disappear_for_the_others_and_for_newcomers(chess, timed):
    anna, ben = chess.player("anna", timed), chess.player("ben", not timed)
    anna.seen()
    ben.close()
    assert anna.read() == Leave(ben.id)
    carl = chess.connect(timed)
    carl.login("carl")
    assert carl.seen() == [enter_of(anna, "anna")]


@kinds
def test_rule_f_when_i_log_out_i_disappear_and_am_disconnected(chess, timed):
    anna, ben = chess.player("anna", timed), chess.player("ben", timed)
    anna.seen()
    ben.logout()
    assert ben.read_to_end() == []
    assert anna.read() == Leave(ben.id)
    assert anna.seen() == []
    assert chess.handler.counts.logouts == 1


def test_rule_f_moves_sent_behind_a_logout_are_ignored(chess):
    anna, ben = chess.player("anna"), chess.player("ben")
    anna.seen()
    ben.logout()
    try:
        ben.send(pack_step(inwards(ben)[0], 1))
    except OSError:
        pass  # The server may have closed already, which is as good.
    assert anna.read() == Leave(ben.id)
    assert anna.seen() == []


def test_an_id_is_not_used_again(chess):
    ids = []
    for _ in range(10):
        client = chess.player("same")
        ids.append(client.id)
        client.close()
    assert len(set(ids)) == 10


@pytest.mark.parametrize("knows", [None, 1], ids=["old client", "extended client"])
def test_a_later_login_takes_over_the_piece_of_its_name(chess, knows):
    ben = chess.player("ben")
    first = chess.connect()
    first.login("anna", knows)
    first.seen()
    second = chess.connect()
    answer = second.login("anna")
    assert (answer.x, answer.y) == (first.x, first.y)
    assert answer.id != first.id, "ids are not used again"
    end = first.read_to_end()
    assert end == ([] if knows is None else [LoginFailed(LoginFail.NAME_TAKEN, "somebody has logged in under your name")])
    assert [packet for packet in ben.seen() if not isinstance(packet, Enter)] == [Leave(first.id)]
    assert second.seen() == [enter_of(ben, "ben")]
    assert (chess.handler.counts.taken_over, len(chess.handler.world.players)) == (1, 2)


def test_a_full_world_lets_nobody_in_until_somebody_leaves(start_chess):
    chess = start_chess(most_players=2)
    anna, ben = chess.player("anna"), chess.player("ben")
    carl = chess.connect()
    carl.send(pack_login(encode_name("carl"), 1))
    [answer] = carl.read_to_end()
    assert isinstance(answer, LoginFailed) and answer.reason == LoginFail.WORLD_FULL and "2 players" in answer.text
    again = chess.player("ben")
    assert (again.x, again.y) == (ben.x, ben.y), "who is here already may take over"
    anna.close()
    chess.until(lambda: len(chess.handler.world.players) == 1)
    again.seen()
    carl = chess.connect()
    carl.login("carl")
    assert carl.seen() == [enter_of(again, "ben")]
    assert [type(packet) for packet in again.seen()] == [Enter]
    assert chess.handler.counts.turned_away == 1


@pytest.mark.parametrize("default_timed", [True, False], ids=["--timed", "--untimed"])
def test_until_its_first_move_a_client_is_sent_the_kind_the_server_was_told(start_chess, default_timed):
    chess = start_chess(timed=default_timed)
    silent = chess.connect()
    silent.login("silent")
    anna = chess.connect()
    anna.login("anna")
    assert isinstance(silent.read(), Enter)
    direction, x, y = inwards(anna)
    anna.step(direction)
    assert silent.read() == Moved(anna.id, x, y, 0 if default_timed else None)


def test_a_client_switches_kind_with_the_size_of_its_moves(chess):
    anna, ben = chess.player("anna"), chess.player("ben")
    anna.seen()
    for timed in [False, True, False]:
        ben.timed = timed
        assert ben.step(NOWHERE, 5) == ([], Moved(ben.id, ben.x, ben.y, 5 if timed else None))
        direction, x, y = inwards(anna)
        anna.step(direction)
        assert ben.seen() == [Moved(anna.id, x, y, 0 if timed else None)]


def test_the_same_seed_puts_players_on_the_same_tiles(start_chess):
    def tiles(seed):
        chess = start_chess(size=400, seed=seed)
        return [(client.x, client.y) for client in (chess.player(f"p{number}") for number in range(5))]

    assert tiles(3) == tiles(3) != tiles(4)


def test_a_login_a_byte_at_a_time_and_packets_in_one_piece_both_work(chess):
    anna = chess.connect()
    for byte in pack_login(encode_name("anna")):
        anna.send(bytes([byte]))
    answer = anna.read()
    assert isinstance(answer, LoginOk)
    ben = chess.connect()
    ben.send(pack_login(encode_name("ben")), pack_step(NOWHERE, 1), pack_step(NOWHERE, 2))
    packets = [ben.read() for _ in range(4)]
    assert [type(packet) for packet in packets] == [LoginOk, Enter, Moved, Moved]
    assert [packet.move_time for packet in packets[2:]] == [1, 2]


def test_a_server_whose_handlers_may_overlap_is_refused(backend):
    server = iocp.Server(ChessServer(World(8)), backend=backend, framing=FRAMING, concurrent=True)
    with pytest.raises(ValueError, match="concurrent=False"):
        server.start()
    assert not server.running
