"""Crowds in any world: small caps and small crowds, so that every part of the plan sets in and goes out again all the time."""

from __future__ import annotations

from crowd_oracle import CrowdOracle
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule
from iocp.game import crowd as crowd_module
from iocp.game.crowd import BUDGET
from iocp.game.protocol import pack_attack, pack_step
from stage import Stage, shipped_kinds


class AnyCrowd(RuleBasedStateMachine):
    """Boards so small, and caps so low, that players are always in each other's way."""

    @initialize(
        size=st.integers(1, 24),
        radius=st.sampled_from([1, 3, 7]),
        crowd=st.sampled_from([1, 2, 3, 4, 5, 8, 12]),
        crowded=st.sampled_from([1, 2, 4, 10, 256]),
        monsters=st.sampled_from([0, 0, 6, 30]),
        stones=st.booleans(),
        timed=st.booleans(),
        budget=st.sampled_from([1, BUDGET, BUDGET]),
    )
    def begin(self, size, radius, crowd, crowded, monsters, stones, timed, budget):
        self.stage = Stage(
            size, radius=radius, crowd=crowd, monsters=monsters, kinds=None if stones else shipped_kinds(), timed=timed,
            truth=CrowdOracle,
        )  # fmt: skip
        # A sector is crowded with as few as these, and not only with 256.
        self.stage.world.view.crowded = crowded
        # With a budget of 1, whoever is to be ranked waits for long.
        crowd_module.BUDGET = budget
        self.patience = 3 if budget == BUDGET else 60
        self.still = stones or not monsters
        self.names = 0
        for _ in range(4):
            self.login(None, None)

    def player(self, index):
        players = list(self.stage.world.players.values())
        return players[index % len(players)] if players else None

    @rule(knows=st.sampled_from([None, 1]), at=st.none() | st.tuples(st.integers(0, 3), st.integers(0, 3)))
    def login(self, knows, at):
        self.names += 1
        size = self.stage.world.size
        self.stage.login(f"p{self.names}", at and (at[0] % size, at[1] % size), knows=knows)

    @rule(count=st.integers(2, 6))
    def many_log_in(self, count):
        for _ in range(count):
            self.login(None, (0, 0))

    @rule(
        index=st.integers(0, 99), directions=st.lists(st.integers(0, 3), min_size=1, max_size=4), again=st.integers(1, 6),
        timed=st.booleans(),
    )  # fmt: skip
    def walk(self, index, directions, again, timed):
        player = self.player(index)
        if player is not None:
            for direction in directions * again:
                self.stage.send(player, pack_step(direction, 5 if timed else None))

    @rule(directions=st.lists(st.integers(0, 3), min_size=1, max_size=8))
    def all_walk(self, directions):
        for number, player in enumerate(list(self.stage.world.players.values())):
            self.stage.step(player, directions[number % len(directions)])

    @rule(index=st.integers(0, 99), near=st.integers(0, 99), beside=st.integers(-8, 8), below=st.integers(-8, 8))
    def teleport_near(self, index, near, beside, below):
        player, other = self.player(index), self.player(near)
        if player is not None:
            self.stage.teleport(player, other.x + beside, other.y + below)

    @rule(index=st.integers(0, 99))
    def teleport_anywhere(self, index):
        player = self.player(index)
        if player is not None:
            self.stage.teleport(player)

    @rule(index=st.integers(0, 99), times=st.integers(1, 4))
    def attack(self, index, times):
        for _ in range(times):
            player = self.player(index)
            if player is not None:
                player.limits.next_attack = 0.0
                self.stage.send(player, pack_attack())

    @rule(index=st.integers(0, 99), how=st.sampled_from([Stage.logout, Stage.cut]), count=st.integers(1, 5))
    def leave(self, index, how, count):
        for _ in range(count):
            player = self.player(index)
            if player is not None:
                how(self.stage, player)

    @rule(count=st.integers(1, 6))
    def tick(self, count):
        self.stage.ticks(count)

    @rule()
    def wait_for_the_dead(self):
        self.stage.wait(31.0)

    @precondition(lambda self: self.still)
    @rule()
    def settle(self):
        """After more than a second in which nothing moves, the nearest are told; and then nothing changes any more."""
        for _ in range(self.patience):
            self.stage.wait(1.1)
        self.stage.truth.check_settled()
        assert self.stage.truth.findings == [], self.stage.truth.findings
        told, dead = self.stage.truth.told, self.stage.world.monsters.dead
        for _ in range(3):
            self.stage.wait(1.1)
        assert self.stage.truth.told == told or self.stage.world.monsters.dead != dead

    def teardown(self):
        crowd_module.BUDGET = BUDGET
        if hasattr(self, "stage") and not self.stage.truth.findings:
            while self.stage.world.players:
                self.stage.cut(self.player(0))
            self.stage.wait(31.0)
            crowd = self.stage.world.view.crowd
            assert not any(value for value in vars(crowd).values() if isinstance(value, dict)), "nothing is left of them"


TestAnyCrowd = AnyCrowd.TestCase
TestAnyCrowd.settings = settings(
    max_examples=100, stateful_step_count=30, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck)
)
