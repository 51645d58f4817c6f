"""How much work a crowd is, counted and not timed, with thousands on one tile and with twice as many."""

from __future__ import annotations

from collections import Counter

from iocp.game.agenda import TICK
from iocp.game.crowd import BUDGET
from iocp.game.names import encode_name
from iocp.game.piece import Player
from iocp.game.rescue import Record
from iocp.game.world import World
from stage import LEFT, RIGHT


class Count:
    """A session that only counts what it is sent."""

    address = ("192.0.2.1", 1)

    def __init__(self, id):
        self.id = id
        self.sends = self.bytes = self.most = 0
        self.moves = Counter()

    def send(self, packet):
        self.sends += 1
        self.bytes += len(packet)


class CountingEngine:
    """An engine that counts packets and receivers."""

    def __init__(self):
        self.packets = self.receivers = 0

    def multicast(self, sessions, packet):
        self.packets += 1
        for session in sessions:
            self.receivers += 1
            session.bytes += len(packet)
            session.moves[packet[2:6]] += 1


def thousands(count, crowd):
    """That many on one tile, all settled: the world, its players, its engine, and the most looked at in one tick."""
    world = World(40, view=7, crowd=crowd)
    engine = CountingEngine()
    world.attach(engine)
    players, most = [], 0
    for id in range(1, count + 1):
        player = Player(Count(id), id % 2 == 0)
        name = f"p{id}"
        world.records[name] = Record(name, 20, 20, 100, 1, 0)
        world.enter(player, name, encode_name(name), lambda: b"")
        players.append(player)
    while True:
        before = world.view.crowd.looked_at
        world.now += TICK
        world.run()
        most = max(most, world.view.crowd.looked_at - before)
        if all(len(player.told) == crowd for player in players[-5:]):
            return world, players, engine, most


def test_the_work_of_a_tick_stays_bounded_with_thousands_on_one_tile():
    per_player = {}
    for count in (1500, 3000):
        world, players, engine, most = thousands(count, crowd=20)
        assert most <= BUDGET + count, "the budget, and the ranking that spent the last of it"
        assert all(len(player.told) <= 20 for player in players)
        for player in players:
            player.session.bytes = player.session.sends = 0
            player.session.moves.clear()
        engine.packets = engine.receivers = 0
        looked_at, ticks = world.view.crowd.looked_at, 4
        # Everyone takes three steps between two flushes, all seen by somebody.
        for direction in (RIGHT, LEFT, RIGHT):
            for player in players:
                news = []
                assert world.move(player, direction, news) is None
                assert news == []
        assert engine.packets == 0, "nothing is sent for a step in the crowd"
        for _ in range(ticks):
            before = world.view.crowd.looked_at
            world.now += TICK
            world.run()
            assert world.view.crowd.looked_at - before <= BUDGET + count
        for player in players:
            assert len(player.session.moves) <= 20 and set(player.session.moves.values()) <= {1}, "each neighbour once"
        assert engine.packets <= 2 * count, "packed once for each kind of client"
        assert engine.receivers <= 20 * count
        per_player[count] = sum(player.session.bytes for player in players) / count
        assert world.view.crowd.looked_at - looked_at <= ticks * (BUDGET + count)
        for player in players:
            world.leave(player)
        assert_nothing_is_left(world)
    assert per_player[3000] <= per_player[1500] * 1.05, "a player is told no more when there are twice as many"


def test_ranking_all_again_stays_within_the_budget():
    count = 400
    world, players, _, _ = thousands(count, crowd=20)
    for _ in range(100):
        world.now += TICK
        world.run()
    looked_at = world.view.crowd.looked_at
    # All are due at once: count * count pieces to be looked at.
    world.now += 100.0
    for _ in range(4):
        before = world.view.crowd.looked_at
        world.run()
        world.now += TICK
        assert world.view.crowd.looked_at - before <= BUDGET + count
    assert world.view.crowd.looked_at - looked_at > 3 * BUDGET, "and it is used"


def test_a_step_in_a_crowd_looks_at_no_more_than_the_cap_on_average():
    """Whom a step looks at are those told of the piece: all of them together are at most the cap for each player."""
    for count in (300, 600):
        world, players, _, _ = thousands(count, crowd=20)
        assert sum(len(player.watchers()) for player in players) <= 20 * count


def assert_nothing_is_left(world):
    crowd = world.view.crowd
    assert not any(value for value in vars(crowd).values() if isinstance(value, dict))
    assert not crowd.waiting and not world.players
    assert not any(sector.population for sector in world.view.sectors.grid)
