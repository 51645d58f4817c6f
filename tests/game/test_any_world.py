"""Sight in any world, whatever happens in whatever order: the oracle looks on."""

from __future__ import annotations

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from iocp.game.protocol import pack_attack, pack_say, pack_step
from iocp.game.terrain import Terrain
from stage import Stage, shipped_kinds


class AnyWorld(RuleBasedStateMachine):
    """Worlds of any size with any number of players and monsters, in which anything happens in any order."""

    @initialize(
        size=st.integers(1, 40),
        radius=st.sampled_from([1, 2, 3, 4, 7, 8, 15, 20]),
        seed=st.integers(0, 999),
        percent=st.sampled_from([0, 0, 15, 40]),
        monsters=st.sampled_from([0, 0, 5, 40]),
        timed=st.booleans(),
    )
    def begin(self, size, radius, seed, percent, monsters, timed):
        terrain = Terrain.seeded(size, seed, percent)
        self.stage = Stage(
            size, radius=radius, seed=seed, terrain=terrain, monsters=monsters, kinds=shipped_kinds(), timed=timed
        )
        self.players = []
        self.names = 0

    def player(self, index):
        self.players = [player for player in self.players if player.online]
        return self.players[index % len(self.players)] if self.players else None

    @rule(knows=st.sampled_from([None, 0, 1, 2]), at=st.none() | st.tuples(st.integers(0, 39), st.integers(0, 39)))
    def login(self, knows, at):
        self.names += 1
        if at is not None and not self.stage.world.terrain.is_open(*at):
            at = None
        self.players.append(self.stage.login(f"p{self.names}", at, knows=knows))

    @rule(index=st.integers(0, 99), beside=st.integers(-21, 21), below=st.integers(-21, 21))
    def login_near(self, index, beside, below):
        other = self.player(index)
        if other is not None:
            self.login(None, (max(0, other.x + beside), max(0, other.y + below)))

    @precondition(lambda self: self.players)
    @rule(index=st.integers(0, 99))
    def login_again(self, index):
        player = self.player(index)
        if player is not None:
            self.players.append(self.stage.login(player.text_name))

    @precondition(lambda self: self.players)
    @rule(
        index=st.integers(0, 99), directions=st.lists(st.integers(-1, 4), min_size=1, max_size=5), again=st.integers(1, 8),
        timed=st.booleans(),
    )  # fmt: skip
    def walk(self, index, directions, again, timed):
        for direction in directions * again:
            player = self.player(index)
            if player is not None:
                self.stage.send(player, pack_step(direction, 5 if timed else None))

    @precondition(lambda self: self.players)
    @rule(index=st.integers(0, 99), near=st.integers(0, 99), beside=st.integers(-21, 21), below=st.integers(-21, 21))
    def teleport_near(self, index, near, beside, below):
        player, other = self.player(index), self.player(near)
        if player is not None:
            self.stage.teleport(player, other.x + beside, other.y + below)

    @precondition(lambda self: self.players)
    @rule(index=st.integers(0, 99))
    def teleport_anywhere(self, index):
        player = self.player(index)
        if player is not None:
            self.stage.teleport(player)

    @precondition(lambda self: self.players)
    @rule(index=st.integers(0, 99), times=st.integers(1, 4))
    def attack(self, index, times):
        for _ in range(times):
            player = self.player(index)
            if player is not None:
                player.limits.next_attack = 0.0
                self.stage.send(player, pack_attack(), pack_say("ha"))

    @precondition(lambda self: self.players)
    @rule(index=st.integers(0, 99), how=st.sampled_from([Stage.logout, Stage.cut]))
    def leave(self, index, how):
        player = self.player(index)
        if player is not None:
            how(self.stage, player)

    @precondition(lambda self: self.players)
    @rule(index=st.integers(0, 99))
    def break_the_protocol(self, index):
        player = self.player(index)
        if player is not None:
            self.stage.send(player, b"\x02\x63")

    @rule(count=st.sampled_from([1, 10, 45, 1300]))
    def wait(self, count):
        self.stage.ticks(min(count, 100))
        if count > 100:
            # Long enough for the dead to come back.
            self.stage.wait(31.0)

    @invariant()
    def nothing_is_left_of_those_who_left(self):
        if not hasattr(self, "stage"):
            return
        view, players = self.stage.world.view, self.stage.world.players
        assert sum(len(sector.players) for sector in view.sectors.grid) == len(players)
        assert not view.sectors.grid[0].population
        for player in players.values():
            assert all(piece.audience[player.ears][player.session] is player for piece in player.told.values())
        for piece in [*players.values(), *self.stage.world.monsters.awake.values()]:
            assert all(piece.id in player.told and player.online for player in piece.watchers())


TestAnyWorld = AnyWorld.TestCase
TestAnyWorld.settings = settings(
    max_examples=120, stateful_step_count=40, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck)
)
