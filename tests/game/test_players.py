"""Scripted players against a real server: all see all, and they notice when something is wrong."""

from __future__ import annotations

import socket

import iocp
import pytest
from iocp.game.player import NOWHERE, Seen
from iocp.game.players import Players
from iocp.game.kinds import SCRIPTS, Kind, read_scripts
from iocp.game.names import encode_name
from iocp.game.protocol import (
    pack_enter,
    pack_leave,
    pack_login_ok,
    pack_move,
    pack_move_timed,
)
from iocp.game.server import FRAMING
from iocp.game.terrain import Terrain
from iocp.game.world import World


# The players do not wait for a server that is slow: it may then have many thousands of packets to send before all stand still.
PATIENCE = 240.0
pytestmark = pytest.mark.timeout(300)


def client_of(players, backend):
    return iocp.Client(players, backend=backend, framing=FRAMING, limits=iocp.Limits.none())


@pytest.mark.parametrize("kinds", ["timed", "untimed", "mixed"])
def test_fifty_players_walk_and_all_see_all(start_chess, backend, kinds):
    chess = start_chess(size=12)
    players = Players(50, rate=20.0, seed=5, kinds=kinds, terrain=Terrain.open_board(12))
    with client_of(players, backend) as client:
        players.arrive(client, *chess.server.address, within=0.2)
        assert players.wait(lambda: players.online == 50, PATIENCE)
        assert players.wait(lambda: players.moves >= 500, PATIENCE)
        assert players.settle(PATIENCE), players.complaints
        assert players.complaints == []
        views = players.ask(lambda: [len(player.view) for player in players.players])
        assert views == [49] * 50
        true = {id: (piece.x, piece.y) for id, piece in chess.handler.world.players.items()}
        assert players.ask(lambda: {player.id: (player.x, player.y) for player in players.players}) == true
        counts = chess.handler.counts
        assert (counts.logins, counts.most_online) == (50, 50)
        assert players.moves == counts.moves
        assert players.answers == counts.moves + counts.refused.total()
        players.log_out()
        assert players.wait(lambda: players.online == 0, PATIENCE)
        chess.until(lambda: chess.server.stats().sessions == 0)
        assert counts.logouts == 50
    assert players.complaints == []
    stats = client.stats()
    assert (stats.handler_errors, stats.sessions, stats.ops_in_flight, stats.buffers_in_use) == (0, 0, 0, 0)


def test_half_of_them_leave_and_the_others_see_it(start_chess, backend):
    chess = start_chess(size=12)
    players = Players(20, rate=50.0, seed=6, terrain=Terrain.open_board(12), watcher=True)
    with client_of(players, backend) as client:
        players.arrive(client, *chess.server.address)
        assert players.wait(lambda: players.online == 21 and players.moves >= 50, PATIENCE)
        players.log_out(lambda player: player.name[1:2] in b"13579")
        # All 15: whoever has left the board, and does not know it yet, would be missed in the views of the others.
        assert players.wait(lambda: players.online == 6, PATIENCE)
        assert players.settle(PATIENCE)
        assert players.complaints == []
        players.log_out(lambda player: player.walks)
        watcher = players.players[0]
        assert players.wait(lambda: players.online == 1 and not watcher.view, PATIENCE)
    assert players.complaints == []


def test_with_a_small_view_obstacles_and_monsters_they_see_what_is_in_sight(start_chess, backend):
    terrain = Terrain.seeded(30, 4, 15)
    world = World(30, 4, terrain=terrain, view=5)
    world.populate(40, [Kind(name, text) for name, text in read_scripts(SCRIPTS).items()])
    chess = start_chess(world=world)
    players = Players(40, rate=20.0, seed=4, terrain=terrain, sight=5, monsters=True)
    with client_of(players, backend) as client:
        players.arrive(client, *chess.server.address)
        assert players.wait(lambda: players.online == 40 and players.moves >= 400, PATIENCE)
        chess.until(lambda: world.monsters.steps > 0)
        assert players.settle(PATIENCE), players.complaints
        assert players.complaints == []
        seen = players.ask(players.others_in_sight)
        assert 0 < seen < 40 * 39
        players.log_out()
        assert players.wait(lambda: players.online == 0, PATIENCE)
    assert players.complaints == []


def test_the_same_seed_walks_the_same_way():
    def directions():
        player = Players(1, seed=8).players[0]
        return [player._random.randrange(4) for _ in range(20)]

    assert directions() == directions()


def test_players_who_cannot_connect_complain(backend):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
        players = Players(2)
        with client_of(players, backend) as client:
            players.arrive(client, "127.0.0.1", port)
            assert players.wait(lambda: players.violations == 2, PATIENCE)
    assert "CONNECT_FAILED" in players.complaints[0]


# What a player must notice, told to it without a network.


class Told:
    """A player that has logged in as 1 at 3,3 on a board of 8 x 8, and stands for its own session."""

    def __init__(self, timed=True):
        self.players = Players(1, kinds="timed" if timed else "untimed", terrain=Terrain.open_board(8), sight=4)
        self.players.walking = False
        self.player = self.players.players[0]
        self.player.session = self
        self.sent = []
        self.tell(pack_login_ok(1, 3, 3, 100, 1, 0))

    def send(self, packet):
        self.sent.append(packet)

    def tell(self, *packets):
        for packet in packets:
            self.player.told(packet)
        return self.players.complaints


BEN = pack_enter(2, encode_name("ben"), 0, 5, 5)


def test_good_news_is_no_violation():
    told = Told()
    told.player.send_step(3)
    time = told.player.under_way[0].move_time
    assert told.tell(BEN, pack_move_timed(2, 5, 6, 0), pack_move_timed(1, 4, 3, time)) == []
    assert told.player.view == {2: Seen(encode_name("ben"), 5, 6)}
    assert (told.player.x, told.player.y, told.players.moves) == (4, 3, 1)
    assert told.tell(pack_leave(2)) == []
    assert told.player.view == {}


@pytest.mark.parametrize(
    ("news", "complaint"),
    [
        ([BEN, BEN], "entered twice"),
        ([pack_enter(1, encode_name("me"), 0, 3, 3)], "entered twice"),
        ([pack_leave(2)], "without having entered"),
        ([pack_move_timed(2, 1, 1, 0)], "without having entered"),
        ([BEN, pack_move_timed(2, 7, 5, 0)], "jumped"),
        ([pack_enter(2, encode_name("ben"), 0, 3, 9)], "out of sight"),
        ([BEN, pack_move_timed(2, 5, 6, 1)], "move_time 1"),
        ([pack_move_timed(1, 3, 3, 0)], "no move"),
        ([pack_login_ok(1, 3, 3, 100, 1, 0)], "unexpected"),
        ([b"\x02\x7f"], "unknown"),
        ([b"\x03\x02\x00"], "enter packet of 3 bytes"),
    ],
)
def test_bad_news_is_a_violation(news, complaint):
    assert complaint in Told().tell(*news)[-1]


def test_an_answer_with_another_time_or_place_or_size_is_a_violation():
    told = Told()
    told.player.send_step(NOWHERE)
    assert "came back as" in told.tell(pack_move(1, 3, 3))[-1]
    assert "wrong size" in told.tell(BEN, pack_move(2, 5, 6))[-1]
    told.player.send_step(0)
    time = told.player.under_way[0].move_time
    assert "moved 0 from 3,3" in told.tell(pack_move_timed(1, 3, 3, time))[-1], "the board goes on there"


def test_a_view_that_differs_from_the_truth_is_a_violation():
    told = Told()
    told.tell(BEN)
    [difference] = told.players.compare()
    assert "not one of the players" in difference
